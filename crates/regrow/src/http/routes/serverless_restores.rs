//! Restores of serverless instances.

use api::link::{self, Link};
use api::restore_job::{CreateRestore, DeliveryType, RestoreJob};
use api::{ApiError, Code, List};
use engine::RestoreRequest;
use model::{Cluster, Listed, Timestamp};

use super::super::error::{Answer, Failure};
use super::super::extract::{Ask, Payload, Place, project_id};
use super::backups::{OfCluster, OneOfCluster, SERVERLESS};
use super::{date, project_of, snapshot_of, wire_id};

/// Returns all restore jobs of one serverless instance, the newest first.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/serverless/{clusterName}/backup/restoreJobs",
    context_path = api::ATLAS_V1,
    operation_id = "listServerlessRestoreJobs",
    tag = "Serverless Restore Jobs",
    responses((status = 200, description = "One page.", body = List<RestoreJob>)),
)]
pub(crate) async fn list(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    ask.require_access_list()?;
    ask.kept(async {
        let (instance, listed) = ask.restores(SERVERLESS, &place).await?;
        let now = ask.engine().now();
        let until = next_expiry(&listed, now);
        let mut written = ask.page_of(listed, |job| wire(&ask, &instance, &job, now));
        written.until = until;
        Ok(written)
    })
    .await
}

/// Returns one restore job of one serverless instance.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/serverless/{clusterName}/backup/restoreJobs/{restoreJobId}",
    context_path = api::ATLAS_V1,
    operation_id = "getServerlessRestoreJob",
    tag = "Serverless Restore Jobs",
    responses((status = 200, description = "The job.", body = RestoreJob)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OneOfCluster>) -> Answer {
    ask.require_access_list()?;
    let (instance, job) = ask.restore(SERVERLESS, &place).await?;
    ask.found(&wire(&ask, &instance, &job, ask.engine().now()))
}

/// Asks for one snapshot to be put onto a target instance, whose data it replaces.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/serverless/{clusterName}/backup/restoreJobs",
    context_path = api::ATLAS_V1,
    operation_id = "createServerlessRestoreJob",
    tag = "Serverless Restore Jobs",
    request_body = CreateRestore,
    responses((status = 200, description = "The job.", body = RestoreJob)),
)]
pub(crate) async fn create(
    ask: Ask,
    Place((group, name)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    ask.require_access_list()?;
    let (snapshot, target, target_project) = automated(CreateRestore::parse(&body)?)?;
    let request = RestoreRequest {
        project: project_id(&group)?,
        cluster: name,
        family: SERVERLESS.family,
        snapshot: snapshot_of(snapshot),
        target_project: Some(project_of(target_project)),
        target,
        mode: None,
        selection: None,
        reads_whole: false,
    };
    let (instance, job) = ask.start_restore(SERVERLESS, &request).await?;
    ask.found(&wire(&ask, &instance, &job, ask.engine().now()))
}

/// Returns snapshot, target and its project of the one delivery type that there is.
fn automated(request: CreateRestore) -> Result<(api::Id, String, api::Id), Failure> {
    let unsupported = |detail: &str| {
        Failure(ApiError::plain(Code::UnsupportedDeliveryMethod).with_detail(detail))
    };
    match request.delivery_type {
        DeliveryType::Automated => {}
        DeliveryType::Download => {
            return Err(unsupported(
                "Snapshots of serverless instances cannot be downloaded.",
            ));
        }
        DeliveryType::PointInTime => {
            return Err(unsupported(
                "Restoring to a point in time is not supported.",
            ));
        }
    }
    let missing = |name: &str| Failure(ApiError::new(Code::MissingAttribute, [name]));
    Ok((
        request.snapshot_id.ok_or_else(|| missing("snapshotId"))?,
        request
            .target_cluster_name
            .ok_or_else(|| missing("targetClusterName"))?,
        request
            .target_group_id
            .ok_or_else(|| missing("targetGroupId"))?,
    ))
}

/// Returns when the first of the downloads expires that have not yet.
fn next_expiry(jobs: &Listed<model::RestoreJob>, now: Timestamp) -> Option<Timestamp> {
    let downloads = jobs.items.iter().filter(|job| job.delivery.is_download());
    downloads
        .map(|job| job.expires_at)
        .filter(|expiry| *expiry > now)
        .min()
}

fn wire(ask: &Ask, instance: &Cluster, job: &model::RestoreJob, now: Timestamp) -> RestoreJob {
    let url = ask.instance_url(instance.project_id, &instance.name);
    let snapshot_url = format!("{url}/backup/snapshots/{}", job.snapshot_id);
    let is_download = job.delivery.is_download();
    // What expires is the link; a restore ends when it has ended.
    let expired = is_download && job.is_expired(now);
    let target = (!is_download).then(|| job.target_name.clone());
    RestoreJob {
        cancelled: false,
        created_at: Some(date(job.created_at)),
        delivery_type: if is_download {
            DeliveryType::Download
        } else {
            DeliveryType::Automated
        },
        delivery_url: ask
            .download_url(job)
            .filter(|_| !expired)
            .into_iter()
            .collect(),
        expired,
        expires_at: Some(date(job.expires_at)),
        failed: job.status == model::Status::Failed,
        finished_at: job.finished_at.map(date),
        id: wire_id!(job.id),
        links: vec![
            Link::to_self(format!("{url}/backup/restoreJobs/{}", job.id)),
            Link::new(link::SNAPSHOT, snapshot_url),
            Link::new(link::CLUSTER, url),
            Link::new(link::GROUP, ask.group_url(instance.project_id)),
        ],
        snapshot_id: Some(wire_id!(job.snapshot_id)),
        target_cluster_name: target.clone(),
        target_deployment_item_name: target,
        target_group_id: (!is_download).then(|| wire_id!(job.target_project_id)),
        timestamp: Some(date(job.snapshot_finished_at)),
    }
}
