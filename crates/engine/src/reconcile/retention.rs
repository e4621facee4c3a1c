//! Gives up snapshots that a policy no longer keeps, and the space they alone needed.
//!
//! The order is the reverse of writing: the row first, so that nothing shown is ever
//! missing, then the manifest, then packs that no manifest refers to. A crash in between
//! leaves garbage, never a gap.

use std::time::{Duration, SystemTime};

use model::{Actor, Cluster, Error, Snapshot, SnapshotId, retention};

use crate::Engine;

/// How long a pack must have been seen unreferenced before it is deleted. Packs of snapshots in
/// progress are spared by the store itself.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// Decides about every cluster's snapshots, then frees space.
pub(crate) async fn reconcile(engine: &Engine) -> Result<(), Error> {
    for cluster in engine.parts.meta.all_clusters().await? {
        apply(engine, &cluster, &Actor::Scheduler).await?;
    }
    // Deleted before, and a crash or an error kept the manifest.
    for id in engine.parts.meta.manifests_to_forget().await? {
        forget(engine, id).await;
    }
    discard_checkpoints(engine).await?;
    sweep(engine, GRACE).await;
    Ok(())
}

/// Removes the checkpoints of snapshots that will not be attempted again: a crash kept them, or the
/// last attempt was given up without being run.
async fn discard_checkpoints(engine: &Engine) -> Result<(), Error> {
    let checkpoints = engine.parts.repository.checkpoints().await;
    let listed = checkpoints.inspect_err(|error| {
        tracing::warn!(error = ?error, "checkpoints cannot be listed");
    });
    for id in listed.unwrap_or_default() {
        let id = SnapshotId::from_bytes(id.0);
        let snapshot = engine.parts.meta.snapshot_by_id(id).await?;
        if snapshot.is_none_or(|snapshot| snapshot.status.is_final()) {
            discard_checkpoint(engine, id).await;
        }
    }
    Ok(())
}

/// Removes the checkpoints of one snapshot; what fails is tried again later.
pub(crate) async fn discard_checkpoint(engine: &Engine, id: SnapshotId) {
    let stored_id = vault::SnapshotId(id.to_bytes());
    let repository = &engine.parts.repository;
    if let Err(error) = repository.discard_checkpoints(stored_id).await {
        tracing::warn!(snapshot.id = %id, error = ?error, "a checkpoint was not removed");
    }
}

/// What is to be done with one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Whether it stays.
    pub keep: bool,
    /// One clause for people.
    pub reason: &'static str,
}

/// Decides about each of a cluster's snapshots, the newest first; does nothing.
pub(crate) async fn plan(engine: &Engine, cluster: &Cluster) -> Result<Vec<Planned>, Error> {
    let meta = &engine.parts.meta;
    let now = engine.now();
    let snapshots = meta.all_snapshots(cluster.id).await?;
    let in_use = meta.snapshots_in_use(cluster.id, now).await?;
    let mut planned = Vec::with_capacity(snapshots.len());
    for decision in retention::decide(cluster, &snapshots, now) {
        let id = decision.snapshot;
        let snapshot = snapshots.iter().find(|snapshot| snapshot.id == id);
        let snapshot = snapshot.expect("decided about above").clone();
        let used = !decision.keep && in_use.contains(&id);
        planned.push(Planned {
            snapshot,
            keep: decision.keep || used,
            reason: match used {
                true => "a restore or a download link uses it",
                false => decision.reason,
            },
        });
    }
    Ok(planned)
}

/// Gives up what is not kept; returns what was decided, as far as it could be done.
pub(crate) async fn apply(
    engine: &Engine,
    cluster: &Cluster,
    actor: &Actor,
) -> Result<Vec<Planned>, Error> {
    let meta = &engine.parts.meta;
    let mut planned = plan(engine, cluster).await?;
    for decision in planned.iter_mut().filter(|decision| !decision.keep) {
        let (id, reason) = (decision.snapshot.id, decision.reason);
        match meta.snapshot_delete(id, actor, engine.now(), reason).await {
            Ok(()) => {
                tracing::info!(cluster.id = %cluster.id, snapshot.id = %id,
                    "snapshot given up: {reason}");
                forget(engine, id).await;
            }
            // A restore reads it, or it was deleted meanwhile: there will be another look.
            Err(Error::SnapshotUnfinished(_) | Error::SnapshotInUse(_) | Error::Stale) => {
                decision.keep = true;
                decision.reason = "it is being used at this moment";
            }
            Err(error) => return Err(error),
        }
    }
    Ok(planned)
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

/// Writes packs anew of which less than half is needed; the sweeps then give their space back.
pub(crate) async fn repack(engine: &Engine) {
    let options = vault::RepackOptions {
        compression_level: engine.parts.config.compression_level,
        ..vault::RepackOptions::default()
    };
    match engine.parts.repository.repack(&options).await {
        Ok(repacked) if repacked.packs > 0 => tracing::info!(
            packs = repacked.packs,
            size_bytes = repacked.bytes,
            size_bytes_written = repacked.bytes_written,
            "packs of which little is needed were written anew"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(error = ?error, "writing packs anew failed"),
    }
}
