//! What a cluster's policy keeps, and giving up what it does not.

use api::regrow::retention::{Decision, Retention};
use engine::Planned;

use super::super::error::Answer;
use super::super::extract::{Ask, Place, project_id};
use super::serverless_snapshots::snapshot_type;
use super::{date, status, wire_id};

/// Returns what the policy says of each snapshot of a cluster now; gives up none.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}/retention",
    context_path = api::REGROW_V1,
    operation_id = "getRetention",
    tag = "Regrow Snapshots",
    responses((status = 200, description = "What stays and why.", body = Retention)),
)]
pub(crate) async fn get(ask: Ask, Place((group, name)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let snapshots = ask.engine().snapshots();
    let (_, planned) = snapshots.retention(ask.caller(), project, &name).await?;
    ask.found(&wire(planned))
}

/// Gives up the snapshots of a cluster that its policy does not keep.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters/{clusterName}/retention",
    context_path = api::REGROW_V1,
    operation_id = "applyRetention",
    tag = "Regrow Snapshots",
    responses((status = 200, description = "What stayed and why.", body = Retention)),
)]
pub(crate) async fn apply(ask: Ask, Place((group, name)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let snapshots = ask.engine().snapshots();
    let (_, planned) = snapshots.prune(ask.caller(), project, &name).await?;
    ask.found(&wire(planned))
}

fn wire(planned: Vec<Planned>) -> Retention {
    let decision = |Planned {
                        snapshot,
                        keep,
                        reason,
                    }: Planned| Decision {
        keep,
        reason: reason.to_owned(),
        scheduled_at: date(snapshot.scheduled_at),
        snapshot_id: wire_id!(snapshot.id),
        snapshot_type: snapshot_type(snapshot.trigger),
        status: status(snapshot.status),
    };
    Retention {
        decisions: planned.into_iter().map(decision).collect(),
    }
}
