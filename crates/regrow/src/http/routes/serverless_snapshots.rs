//! Snapshots of serverless instances.

use api::List;
use api::link::{self, Link};
use api::snapshot::{FrequencyType, Snapshot, SnapshotType, Status};
use engine::Order;
use model::{Cluster, Trigger};

use super::super::error::Answer;
use super::super::extract::{Ask, Place};
use super::backups::{OfCluster, OneOfCluster, SERVERLESS};
use super::{date, wire_id};

/// Returns all snapshots of one serverless instance, the newest first.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/serverless/{clusterName}/backup/snapshots",
    context_path = api::ATLAS_V1,
    operation_id = "listServerlessSnapshots",
    tag = "Serverless Snapshots",
    responses((status = 200, description = "One page.", body = List<Snapshot>)),
)]
pub(crate) async fn list(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    ask.kept(async {
        let (instance, listed) = ask
            .snapshots(SERVERLESS, &place, Order::NewestFirst)
            .await?;
        Ok(ask.page_of(listed, |snapshot| wire(&ask, &instance, &snapshot)))
    })
    .await
}

/// Returns one snapshot of one serverless instance.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/serverless/{clusterName}/backup/snapshots/{snapshotId}",
    context_path = api::ATLAS_V1,
    operation_id = "getServerlessSnapshot",
    tag = "Serverless Snapshots",
    responses((status = 200, description = "The snapshot.", body = Snapshot)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OneOfCluster>) -> Answer {
    let (instance, snapshot) = ask.snapshot(SERVERLESS, &place).await?;
    ask.found(&wire(&ask, &instance, &snapshot))
}

fn wire(ask: &Ask, instance: &Cluster, snapshot: &model::Snapshot) -> Snapshot {
    let url = ask.instance_url(instance.project_id, &instance.name);
    Snapshot {
        created_at: Some(date(snapshot.started_at.unwrap_or(snapshot.scheduled_at))),
        expires_at: Some(date(snapshot.expires_at)),
        frequency_type: match snapshot.trigger {
            Trigger::Scheduled => FrequencyType::Hourly,
            Trigger::OnDemand => FrequencyType::OnDemand,
        },
        id: wire_id!(snapshot.id),
        links: vec![
            Link::to_self(format!("{url}/backup/snapshots/{}", snapshot.id)),
            Link::new(link::CLUSTER, url),
        ],
        mongod_version: Some(snapshot.mongodb_version.clone()),
        serverless_instance_name: instance.name.clone(),
        snapshot_type: snapshot_type(snapshot.trigger),
        status: match snapshot.status {
            model::Status::Pending | model::Status::Queued => Status::Queued,
            model::Status::Running => Status::InProgress,
            model::Status::Completed => Status::Completed,
            model::Status::Failed => Status::Failed,
        },
        storage_size_bytes: snapshot
            .outcome
            .as_ref()
            .map_or(0, |outcome| outcome.stored_bytes),
    }
}

pub(super) fn snapshot_type(trigger: Trigger) -> SnapshotType {
    match trigger {
        Trigger::Scheduled => SnapshotType::Scheduled,
        Trigger::OnDemand => SnapshotType::OnDemand,
    }
}
