//! Asks for the drills that are due, and tells the metrics how the last ones went.

use model::{Error, Page, Status, Timestamp};

use crate::Engine;
use crate::metrics::DrillFigures;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long after a failed drill the next one is tried, in days, where the schedule has more.
const RETRY_DAYS: u32 = 1;

/// Asks for a drill of every cluster that is due for one.
pub(crate) async fn reconcile(engine: &Engine) -> Result<(), Error> {
    let first = Page { number: 1, size: 1 };
    for cluster in engine.parts.meta.all_clusters().await? {
        let Some(days) = cluster.drill_every_days else {
            continue;
        };
        let newest = engine.parts.meta.drills(cluster.id, first).await?;
        let newest = newest.items.first();
        let newest = newest.map(|drill| (drill.status, drill.created_at));
        if !is_due(newest, days, engine.now()) {
            continue;
        }
        match engine.drills().scheduled(&cluster).await {
            Ok(None) => {}
            Ok(Some(drill)) => {
                tracing::info!(cluster.id = %cluster.id, restore.id = %drill.id,
                    "scheduled drill of {}", cluster.name);
            }
            // Somebody was quicker, or the snapshot or the cluster is gone: look again later.
            Err(Error::DrillInProgress(_) | Error::SnapshotNotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Decides by where the newest drill stands and when it was asked for.
fn is_due(newest: Option<(Status, Timestamp)>, days: u32, now: Timestamp) -> bool {
    let Some((status, asked_at)) = newest else {
        return true;
    };
    let wait_days = match status {
        Status::Failed => days.min(RETRY_DAYS),
        _ => days,
    };
    status.is_final() && now.millis_since(asked_at) >= i64::from(wait_days) * DAY_MS
}

/// Reads how the last drills of all clusters went; what fails is told by the next look.
pub(crate) async fn measure(engine: &Engine) {
    match figures(engine).await {
        Ok(figures) => engine.parts.metrics.drills(figures),
        Err(error) => tracing::warn!(?error, "the drills could not be counted"),
    }
}

async fn figures(engine: &Engine) -> Result<Vec<DrillFigures>, Error> {
    let mut figures = Vec::new();
    for cluster in engine.parts.meta.all_clusters().await? {
        let ended = engine.parts.meta.drills_ended(cluster.id).await?;
        let Some(last) = ended.last else { continue };
        let duration_ms = last
            .finished_at
            .map(|end| end.millis_since(last.created_at));
        figures.push(DrillFigures {
            project: cluster.project_id,
            cluster: cluster.name,
            last_success_at: ended.last_success_at,
            last_duration_ms: duration_ms.unwrap_or(0),
            failures: ended.failures,
        });
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_after(status: Status, days: i64) -> bool {
        let now = Timestamp::from_millis(days * DAY_MS);
        is_due(Some((status, Timestamp::from_millis(0))), 7, now)
    }

    #[test]
    fn one_is_due_when_the_last_is_old_or_failed_a_day_ago() {
        assert!(is_due(None, 7, Timestamp::from_millis(0)));
        assert!(due_after(Status::Completed, 7) && !due_after(Status::Completed, 6));
        assert!(due_after(Status::Failed, 1) && !due_after(Status::Failed, 0));
        assert!(!due_after(Status::Running, 9));
    }
}
