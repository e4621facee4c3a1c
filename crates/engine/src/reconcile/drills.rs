//! Asks for the drills that are due, and tells the metrics how the last ones went.

use model::{Error, Page, RestoreJob, Status, Timestamp};

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
        if !is_due(newest.items.first(), days, engine.now()) {
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

fn is_due(newest: Option<&RestoreJob>, days: u32, now: Timestamp) -> bool {
    let Some(newest) = newest else { return true };
    let wait_days = match newest.status {
        Status::Failed => days.min(RETRY_DAYS),
        _ => days,
    };
    newest.status.is_final() && now.millis_since(newest.created_at) >= i64::from(wait_days) * DAY_MS
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

    #[test]
    fn a_drill_that_never_was_is_due() {
        assert!(is_due(None, 7, Timestamp::from_millis(0)));
    }
}
