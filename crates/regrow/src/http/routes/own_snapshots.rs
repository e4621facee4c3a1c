//! Snapshots on demand, and snapshots of any tier with progress and outcome.

use api::List;
use api::link::{self, Link};
use api::regrow::{self, Progress, Snapshot, TakeSnapshot};
use axum::http::StatusCode;
use engine::Order;
use model::{Cluster, Consistency, Status};

use super::super::error::{Answer, Failure};
use super::super::extract::{Ask, Payload, Place, project_id, snapshot_id};
use super::super::respond::nothing;
use super::backups::{OWN, OfCluster, OneOfCluster};
use super::serverless_snapshots::snapshot_type;
use super::{date, status, wire_id};

/// Returns the snapshots of one cluster, the newest first.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/snapshots",
    context_path = api::REGROW_V1,
    operation_id = "listSnapshots",
    tag = "Regrow Snapshots",
    responses((status = 200, description = "One page.", body = List<Snapshot>)),
)]
pub(crate) async fn list(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    let (cluster, listed) = ask.snapshots(OWN, &place, Order::NewestFirst).await?;
    ask.list(listed, |snapshot| wire(&ask, &cluster, &snapshot, None))
}

/// Returns one snapshot, with its progress while it is being taken.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/snapshots/{snapshotId}",
    context_path = api::REGROW_V1,
    operation_id = "getSnapshot",
    tag = "Regrow Snapshots",
    responses((status = 200, description = "The snapshot.", body = Snapshot)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OneOfCluster>) -> Answer {
    let (cluster, snapshot) = ask.snapshot(OWN, &place).await?;
    let progress = progress_of(&ask, &snapshot).await?;
    ask.found(&wire(&ask, &cluster, &snapshot, progress))
}

/// Asks for a snapshot now.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/snapshots",
    context_path = api::REGROW_V1,
    operation_id = "takeSnapshot",
    tag = "Regrow Snapshots",
    request_body = TakeSnapshot,
    responses((status = 201, description = "The snapshot.", body = Snapshot)),
)]
pub(crate) async fn take(
    ask: Ask,
    Place((group, name)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    let project = project_id(&group)?;
    let days = TakeSnapshot::parse(&body)?.retention_in_days;
    let taken = ask
        .engine()
        .snapshots()
        .take(ask.caller(), project, &name, days)
        .await?;
    let (cluster, snapshot) = taken;
    ask.one(StatusCode::CREATED, &wire(&ask, &cluster, &snapshot, None))
}

/// Deletes one snapshot that is neither in progress nor being restored.
#[utoipa::path(
    delete,
    path = "/groups/{groupId}/clusters/{clusterName}/snapshots/{snapshotId}",
    context_path = api::REGROW_V1,
    operation_id = "deleteSnapshot",
    tag = "Regrow Snapshots",
    responses((status = 204, description = "Nothing.")),
)]
pub(crate) async fn delete(
    ask: Ask,
    Place((group, name, id)): Place<(String, String, String)>,
) -> Answer {
    let (project, id) = (project_id(&group)?, snapshot_id(&id)?);
    ask.engine()
        .snapshots()
        .delete(ask.caller(), project, &name, id)
        .await?;
    nothing()
}

async fn progress_of(
    ask: &Ask,
    snapshot: &model::Snapshot,
) -> Result<Option<model::Progress>, Failure> {
    if snapshot.status != Status::Running {
        return Ok(None);
    }
    Ok(ask.engine().snapshots().progress(snapshot.id).await?)
}

fn wire(
    ask: &Ask,
    cluster: &Cluster,
    snapshot: &model::Snapshot,
    now: Option<model::Progress>,
) -> Snapshot {
    let url = ask.own_cluster_url(cluster.project_id, &cluster.name);
    let outcome = snapshot.outcome.as_ref();
    let cost = outcome.and_then(|outcome| outcome.cost.as_ref());
    let (consistency, cluster_time) = match outcome.map(|outcome| outcome.consistency) {
        Some(Consistency::Snapshot(time)) => {
            let time = regrow::ClusterTime {
                increment: time.increment,
                time: time.seconds,
            };
            (Some(regrow::Consistency::Snapshot), Some(time))
        }
        Some(Consistency::None) => (Some(regrow::Consistency::None), None),
        None => (None, None),
    };
    Snapshot {
        bytes: outcome.map(|outcome| outcome.size_bytes),
        bytes_read: cost.map(|cost| cost.size_bytes_read),
        cluster_name: cluster.name.clone(),
        cluster_time,
        collections: outcome.map(|outcome| outcome.collections.into()),
        consistency,
        documents: outcome.map(|outcome| outcome.documents),
        documents_read: cost.map(|cost| cost.documents_read),
        documents_shared: cost.map(|cost| cost.documents_shared),
        documents_stored: cost.map(|cost| cost.documents_stored),
        expires_at: date(snapshot.expires_at),
        failure_reason: snapshot.failure.clone(),
        finished_at: snapshot.finished_at.map(date),
        group_id: wire_id!(snapshot.project_id),
        id: wire_id!(snapshot.id),
        links: vec![
            Link::to_self(format!("{url}/snapshots/{}", snapshot.id)),
            Link::new(link::CLUSTER, url),
        ],
        mongodb_version: snapshot.mongodb_version.clone(),
        progress: now.map(progress),
        scanned_at: cost.and_then(|cost| cost.scanned_at).map(date),
        scheduled_at: date(snapshot.scheduled_at),
        snapshot_type: snapshot_type(snapshot.trigger),
        started_at: snapshot.started_at.map(date),
        status: status(snapshot.status),
        stored_bytes: outcome.map(|outcome| outcome.stored_bytes),
        way: cost.map(|cost| way(cost.way)),
        way_reason: cost.and_then(|cost| cost.reason.clone()),
    }
}

fn way(way: model::SnapshotWay) -> regrow::SnapshotWay {
    match way {
        model::SnapshotWay::Scan => regrow::SnapshotWay::Scan,
        model::SnapshotWay::Follow => regrow::SnapshotWay::Follow,
        model::SnapshotWay::Converge => regrow::SnapshotWay::Converge,
    }
}

/// Writes progress; a total of nothing is one that is not known.
pub(super) fn progress(progress: model::Progress) -> Progress {
    let known = |total: u64| (total > 0).then_some(total);
    Progress {
        bytes_done: progress.size_bytes,
        bytes_total: known(progress.size_bytes_total),
        documents_done: progress.documents,
        documents_total: known(progress.documents_total),
    }
}
