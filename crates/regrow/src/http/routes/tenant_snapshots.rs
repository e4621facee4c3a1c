//! Snapshots of M2 and M5 clusters.

use api::List;
use api::tenant::Snapshot;
use engine::Order;

use super::super::error::Answer;
use super::super::extract::{Ask, Place};
use super::backups::{OfCluster, OneOfCluster, TENANT};
use super::{date, status, wire_id};

/// Returns all snapshots of one M2 or M5 cluster, the oldest first.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/backup/tenant/snapshots",
    context_path = api::ATLAS_V1,
    operation_id = "listTenantSnapshots",
    tag = "Shared-Tier Snapshots",
    responses((status = 200, description = "One page.", body = List<Snapshot>)),
)]
pub(crate) async fn list(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    ask.kept(async {
        let (_, listed) = ask.snapshots(TENANT, &place, Order::OldestFirst).await?;
        Ok(ask.page_of(listed, |snapshot| wire(&snapshot)))
    })
    .await
}

/// Returns one snapshot of one M2 or M5 cluster.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/backup/tenant/snapshots/{snapshotId}",
    context_path = api::ATLAS_V1,
    operation_id = "getTenantSnapshot",
    tag = "Shared-Tier Snapshots",
    responses((status = 200, description = "The snapshot.", body = Snapshot)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OneOfCluster>) -> Answer {
    let (_, snapshot) = ask.snapshot(TENANT, &place).await?;
    ask.found(&wire(&snapshot))
}

fn wire(snapshot: &model::Snapshot) -> Snapshot {
    Snapshot {
        expiration: Some(date(snapshot.expires_at)),
        finish_time: snapshot.finished_at.map(date),
        id: wire_id!(snapshot.id),
        mongodb_version: Some(snapshot.mongodb_version.clone()),
        scheduled_time: date(snapshot.scheduled_at),
        start_time: snapshot.started_at.map(date),
        status: status(snapshot.status),
    }
}
