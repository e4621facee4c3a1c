//! Which mode a restore takes, and why.

use model::{ChosenMode, RestoreJob, RestoreMode};
use mongo::Deployment;

use super::history::History;
use super::put::Put;
use super::rewind::Cost;
use super::{Error, rewind};

/// How a restore is done.
pub(super) struct Choice {
    pub(super) mode: ChosenMode,
    /// What was read of the target's history to decide it; always there for a rewind.
    pub(super) history: Option<History>,
}

/// Decides; reads the source's history where that is worth it, and changes nothing.
pub(super) async fn mode(
    job: &RestoreJob,
    put: &Put<'_>,
    deployment: &Deployment,
) -> Result<Choice, Error> {
    if put.target.is_flipping().await? {
        return Ok(chosen(
            RestoreMode::Safe,
            "an earlier attempt had loaded and compared everything",
        ));
    }
    if job
        .selection
        .as_ref()
        .is_some_and(|one| one.query.is_some())
    {
        let because = "documents that match are put among those that are there";
        return Ok(chosen(RestoreMode::InPlace, because));
    }
    match job.mode {
        Some(RestoreMode::Rewind) => {
            let history = rewind::follow(put, deployment).await?;
            let choice = chosen(RestoreMode::Rewind, "it was asked for");
            Ok(Choice {
                history: Some(history.map_err(impossible)?),
                ..choice
            })
        }
        Some(mode) => Ok(chosen(mode, "it was asked for")),
        None => cheapest(job, put, deployment).await,
    }
}

async fn cheapest(
    job: &RestoreJob,
    put: &Put<'_>,
    deployment: &Deployment,
) -> Result<Choice, Error> {
    let safe = |because: String| Ok(chosen(RestoreMode::Safe, because));
    if put.items.is_part {
        return safe("only a part of the snapshot is put back".to_owned());
    }
    if job.target_cluster_id != job.cluster_id {
        return safe("the target is not the cluster that the snapshot was taken from".to_owned());
    }
    let history = match rewind::follow(put, deployment).await? {
        Ok(history) => history,
        Err(reason) => return safe(reason),
    };
    let cost = rewind::cost(put, &history).await?;
    if !cost.is_small {
        return safe(format!("too much is different: {}", words(&cost)));
    }
    Ok(Choice {
        history: Some(history),
        ..chosen(RestoreMode::Rewind, words(&cost))
    })
}

fn words(cost: &Cost) -> String {
    let mut words = format!("{} documents were written since", cost.changed);
    if cost.whole > 0 {
        words.push_str(&format!(
            ", and {} collections have to be loaded anew",
            cost.whole
        ));
    }
    words
}

fn chosen(mode: RestoreMode, because: impl Into<String>) -> Choice {
    let because = because.into();
    Choice {
        mode: ChosenMode { mode, because },
        history: None,
    }
}

/// Says that rewinding is not possible.
pub(super) fn impossible(reason: String) -> Error {
    Error::Refused(model::Error::ModeImpossible {
        mode: RestoreMode::Rewind,
        reason,
    })
}
