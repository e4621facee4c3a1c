//! Restores and downloads of M2 and M5 clusters.

use api::List;
use api::tenant::{CreateDownload, CreateRestore, DeliveryType, RestoreJob};
use engine::RestoreRequest;
use model::Delivery;

use super::super::error::Answer;
use super::super::extract::{Ask, Payload, Place, project_id};
use super::backups::{OfCluster, OneOfCluster, TENANT};
use super::{date, project_of, snapshot_of, status, wire_id};

/// Returns all restore jobs of one M2 or M5 cluster, downloads among them, the newest first.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/backup/tenant/restores",
    context_path = api::ATLAS_V1,
    operation_id = "listTenantRestores",
    tag = "Shared-Tier Restore Jobs",
    responses((status = 200, description = "One page.", body = List<RestoreJob>)),
)]
pub(crate) async fn list(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    ask.kept(async {
        let (_, listed) = ask.restores(TENANT, &place).await?;
        Ok(ask.page_of(listed, |job| wire(&ask, &job)))
    })
    .await
}

/// Returns one restore job of one M2 or M5 cluster.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/backup/tenant/restores/{restoreId}",
    context_path = api::ATLAS_V1,
    operation_id = "getTenantRestore",
    tag = "Shared-Tier Restore Jobs",
    responses((status = 200, description = "The job.", body = RestoreJob)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OneOfCluster>) -> Answer {
    let (_, job) = ask.restore(TENANT, &place).await?;
    ask.found(&wire(&ask, &job))
}

/// Offers one snapshot for download; the answer has the link.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/backup/tenant/download",
    context_path = api::ATLAS_V1,
    operation_id = "downloadTenantSnapshot",
    tag = "Shared-Tier Snapshots",
    request_body = CreateDownload,
    responses((status = 200, description = "The job with the link.", body = RestoreJob)),
)]
pub(crate) async fn download(
    ask: Ask,
    Place((group, name)): Place<OfCluster>,
    Payload(body): Payload,
) -> Answer {
    let of = (project_id(&group)?, name.as_str());
    let snapshot = snapshot_of(CreateDownload::parse(&body)?.snapshot_id);
    let (_, job) = ask.start_download(TENANT, of, snapshot, None).await?;
    ask.found(&wire(&ask, &job))
}

/// Asks for one snapshot to be put onto a target cluster, whose data it replaces.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/backup/tenant/restore",
    context_path = api::ATLAS_V1,
    operation_id = "createTenantRestore",
    tag = "Shared-Tier Restore Jobs",
    request_body = CreateRestore,
    responses((status = 200, description = "The job.", body = RestoreJob)),
)]
pub(crate) async fn restore(
    ask: Ask,
    Place((group, name)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    if ask.service.config.tenant_restores_need_access_list {
        ask.require_access_list()?;
    }
    let request = CreateRestore::parse(&body)?;
    let request = RestoreRequest {
        project: project_id(&group)?,
        cluster: name,
        family: TENANT.family,
        snapshot: snapshot_of(request.snapshot_id),
        target_project: request.target_project_id.map(project_of),
        target: request.target_deployment_item_name,
        mode: None,
        selection: None,
        reads_whole: false,
    };
    let (_, job) = ask.start_restore(TENANT, &request).await?;
    ask.found(&wire(&ask, &job))
}

fn wire(ask: &Ask, job: &model::RestoreJob) -> RestoreJob {
    let wire = RestoreJob {
        cluster_name: job.cluster_name.clone(),
        delivery_type: match job.delivery {
            Delivery::Restore | Delivery::Drill => DeliveryType::Restore,
            Delivery::Download | Delivery::DataFiles => DeliveryType::Download,
        },
        expiration_date: Some(date(job.expires_at)),
        finished_date: None,
        id: wire_id!(job.id),
        project_id: wire_id!(job.project_id),
        restore_finished_date: job.finished_at.map(date),
        restore_scheduled_date: date(job.created_at),
        snapshot_finished_date: Some(date(job.snapshot_finished_at)),
        snapshot_id: wire_id!(job.snapshot_id),
        snapshot_url: ask.download_url(job),
        status: status(job.status),
        submitted_at: None,
        target_deployment_item_name: job.target_name.clone(),
        target_project_id: wire_id!(job.target_project_id),
        timestamp: None,
    };
    wire.with_aliases()
}
