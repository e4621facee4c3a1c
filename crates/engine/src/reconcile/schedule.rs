//! Asks for the snapshots that are due.

use meta::Order;
use model::policy::{self, RETRY_AFTER_MS};
use model::{Actor, Cluster, Error, Page, Status, Timestamp, Trigger};

use crate::Engine;
use crate::usecase::snapshots;

/// Asks for a snapshot of every cluster that is due for one.
pub(crate) async fn reconcile(engine: &Engine) -> Result<(), Error> {
    let meta = &engine.parts.meta;
    let now = engine.now();
    for cluster in meta.all_clusters().await? {
        let Some(due) = due(engine, &cluster, now).await? else {
            continue;
        };
        let (snapshot, job) = snapshots::scheduled(&cluster, due, now);
        match meta
            .snapshot_request(&snapshot, &job, &Actor::Scheduler)
            .await
        {
            Ok(()) => {
                tracing::info!(cluster.id = %cluster.id, snapshot.id = %snapshot.id,
                    "scheduled snapshot of {}", cluster.name);
                engine.parts.work.notify_one();
            }
            // Someone else has asked for it meanwhile, or the cluster is gone.
            Err(Error::Stale) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns since when a scheduled snapshot is due, if one is.
async fn due(
    engine: &Engine,
    cluster: &Cluster,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let meta = &engine.parts.meta;
    let last = meta.latest_scheduled(cluster.id).await?;
    let due = policy::next_due(cluster.tier, cluster.created_at, last, now);
    if due <= now {
        return Ok(Some(due));
    }
    // After a failure there is nothing to show for this interval: try again, not every time.
    let newest = meta.snapshots(cluster.id, Order::NewestFirst, Page { number: 1, size: 1 });
    let failed_long_ago = newest.await?.items.first().is_some_and(|newest| {
        let ended = newest.finished_at.unwrap_or(now);
        newest.trigger == Trigger::Scheduled
            && newest.status == Status::Failed
            && now.millis_since(ended) >= RETRY_AFTER_MS
    });
    Ok(failed_long_ago.then_some(now))
}
