//! Gives up snapshots that a policy no longer keeps, and the space they alone needed.
//!
//! The order is the reverse of writing: the row first, so that nothing shown is ever
//! missing, then the manifest, then packs that no manifest refers to. A crash in between
//! leaves garbage, never a gap.

use std::time::{Duration, SystemTime};

use model::{Actor, Cluster, Error, SnapshotId, retention};

use crate::Engine;

/// How long a pack must have been seen unreferenced before it is deleted. Packs of snapshots in
/// progress are spared by the store itself.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// Decides about every cluster's snapshots, then frees space.
pub(crate) async fn reconcile(engine: &Engine) -> Result<(), Error> {
    for cluster in engine.parts.meta.all_clusters().await? {
        reconcile_cluster(engine, &cluster).await?;
    }
    // Deleted before, and a crash or an error kept the manifest.
    for id in engine.parts.meta.manifests_to_forget().await? {
        forget(engine, id).await;
    }
    sweep(engine, GRACE).await;
    Ok(())
}

async fn reconcile_cluster(engine: &Engine, cluster: &Cluster) -> Result<(), Error> {
    let meta = &engine.parts.meta;
    let now = engine.now();
    let snapshots = meta.all_snapshots(cluster.id).await?;
    let in_use = meta.snapshots_in_use(cluster.id, now).await?;
    for decision in retention::decide(cluster, &snapshots, now) {
        if decision.keep || in_use.contains(&decision.snapshot) {
            continue;
        }
        let (id, reason) = (decision.snapshot, decision.reason);
        match meta
            .snapshot_delete(id, &Actor::Scheduler, now, reason)
            .await
        {
            Ok(()) => {
                tracing::info!(cluster.id = %cluster.id, snapshot.id = %id,
                    "snapshot given up: {reason}");
                forget(engine, id).await;
            }
            // A restore reads it, or it was deleted meanwhile: there will be another look.
            Err(Error::SnapshotUnfinished(_) | Error::SnapshotInUse(_) | Error::Stale) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes the manifest of a snapshot whose row is gone; what fails is tried again later.
pub(crate) async fn forget(engine: &Engine, id: SnapshotId) {
    let stored_id = vault::SnapshotId(id.to_bytes());
    match engine.parts.repository.forget(stored_id).await {
        Ok(()) => {}
        Err(error) if error.kind() == vault::ErrorKind::Missing => {}
        Err(error) => {
            tracing::warn!(snapshot.id = %id, error = ?error, "a manifest was not removed");
            return;
        }
    }
    if let Err(error) = engine.parts.meta.manifest_forgotten(id).await {
        tracing::warn!(snapshot.id = %id, error = ?error, "a removed manifest was not noted");
    }
}

/// Deletes packs that have been seen without any manifest for `grace`; with none, at once. A
/// download of a snapshot that was just deleted breaks off where that takes its packs.
pub(crate) async fn sweep(engine: &Engine, grace: Duration) {
    // The object store stamps objects by the machine's clock, not by the engine's.
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with the object store's own times"
    )]
    let now = SystemTime::now();
    match engine.parts.repository.sweep(grace, now).await {
        Ok(swept) if swept.packs > 0 => {
            tracing::info!(
                packs = swept.packs,
                size_bytes = swept.bytes,
                "space given back"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(error = ?error, "freeing space failed"),
    }
}
