//! Drills: asking for one, and how they went.

use api::List;
use api::link::{self, Link};
use api::regrow::{Drill, StartDrill};
use axum::http::StatusCode;
use engine::DrillRequest;
use model::RestoreJob;

use super::super::error::Answer;
use super::super::extract::{Ask, Payload, Place, project_id, restore_id};
use super::own_restores::{progress_of, row};
use super::own_snapshots::progress;
use super::{date, snapshot_of, status, wire_id};

/// Returns the drills of one cluster, the newest first, without their reports.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/drills",
    context_path = api::REGROW_V1,
    operation_id = "listDrills",
    tag = "Regrow Drills",
    responses((status = 200, description = "One page.", body = List<Drill>)),
)]
pub(crate) async fn list(ask: Ask, Place((group, name)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let drills = ask.engine().drills();
    let (_, listed) = drills
        .list(ask.caller(), project, &name, ask.page())
        .await?;
    ask.list(listed, |drill| wire(&ask, &drill, None))
}

/// Returns one drill, with its progress while it is at work, and its report.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/drills/{restoreId}",
    context_path = api::REGROW_V1,
    operation_id = "getDrill",
    tag = "Regrow Drills",
    responses((status = 200, description = "The drill.", body = Drill)),
)]
pub(crate) async fn get(
    ask: Ask,
    Place((group, name, id)): Place<(String, String, String)>,
) -> Answer {
    let (project, id) = (project_id(&group)?, restore_id(&id)?);
    let drills = ask.engine().drills();
    let (_, drill) = drills.get(ask.caller(), project, &name, id).await?;
    let progress = progress_of(&ask, &drill).await?;
    ask.found(&wire(&ask, &drill, progress))
}

/// Asks for a drill of one snapshot.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/drills",
    context_path = api::REGROW_V1,
    operation_id = "startDrill",
    tag = "Regrow Drills",
    request_body = StartDrill,
    responses((status = 201, description = "The drill.", body = Drill)),
)]
pub(crate) async fn start(
    ask: Ask,
    Place((group, name)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    let body = StartDrill::parse(&body)?;
    let request = DrillRequest {
        project: project_id(&group)?,
        cluster: name,
        snapshot: body.snapshot_id.map(snapshot_of),
        target: body.target_cluster_name,
    };
    let (_, drill) = ask
        .engine()
        .drills()
        .request(ask.caller(), &request)
        .await?;
    ask.one(StatusCode::CREATED, &wire(&ask, &drill, None))
}

pub(super) fn wire(ask: &Ask, drill: &RestoreJob, now: Option<model::Progress>) -> Drill {
    let url = ask.own_cluster_url(drill.project_id, &drill.cluster_name);
    let snapshot_url = format!("{url}/snapshots/{}", drill.snapshot_id);
    let report = drill.report.as_ref().map(|report| &report.collections);
    let duration_ms = drill
        .finished_at
        .map(|end| end.millis_since(drill.created_at));
    Drill {
        cluster_name: drill.cluster_name.clone(),
        created_at: date(drill.created_at),
        documents: report.map(|rows| rows.iter().map(|row| row.documents).sum()),
        duration_ms: duration_ms.map(|ms| ms.max(0).cast_unsigned()),
        failure_reason: drill.failure.clone(),
        finished_at: drill.finished_at.map(date),
        group_id: wire_id!(drill.project_id),
        id: wire_id!(drill.id),
        links: vec![
            Link::to_self(format!("{url}/drills/{}", drill.id)),
            Link::new(link::SNAPSHOT, snapshot_url),
            Link::new(link::CLUSTER, url),
        ],
        progress: now.map(progress),
        report: report.map(|rows| rows.iter().map(row).collect()),
        snapshot_id: wire_id!(drill.snapshot_id),
        status: status(drill.status),
        target_cluster_name: (!drill.is_on_scratch_server()).then(|| drill.target_name.clone()),
    }
}
