//! A drill: proves that a snapshot can be restored, by restoring it.
//!
//! The same steps as for a restore in place, with the same proofs, onto a server that is thrown
//! away, or onto an attached cluster that somebody named for it and that is left empty.

use model::{RestoreJob, RestoreReport, Snapshot};

use super::restore;
use crate::Engine;
use crate::pump::SharedCounter;
use crate::scratch;

/// Why a drill, or an archive of data files, failed; what is shown of it holds no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Restore(#[from] restore::Error),
    #[error(transparent)]
    Scratch(#[from] scratch::Error),
}

/// What a scratch server is called where a target is named.
pub(super) const SCRATCH_SERVER: &str = "scratch server";

/// Restores, compares and throws away; returns a row per collection once all was found equal.
pub(crate) async fn run(
    engine: &Engine,
    drill: &RestoreJob,
    snapshot: &Snapshot,
    counter: &SharedCounter,
) -> Result<RestoreReport, Error> {
    if !drill.is_on_scratch_server() {
        return on_cluster(engine, drill, snapshot, counter).await;
    }
    let scratch = &engine.parts.scratch;
    let server = scratch.start(snapshot).await?;
    let (id, deployment) = (drill.id, server.deployment());
    let put = restore::put_onto(engine, id, snapshot, SCRATCH_SERVER, deployment, counter);
    let report = scratch.watched(put).await??;
    server.discard().await;
    Ok(report)
}

async fn on_cluster(
    engine: &Engine,
    drill: &RestoreJob,
    snapshot: &Snapshot,
    counter: &SharedCounter,
) -> Result<RestoreReport, Error> {
    let (id, name) = (drill.id, &drill.target_name);
    let deployment = engine.connect(drill.target_cluster_id).await;
    let deployment = deployment.map_err(restore::Error::from)?;
    let report = restore::put_onto(engine, id, snapshot, name, &deployment, counter).await?;
    let empty = async {
        let target = deployment.target(&id.to_string()).await?;
        target.begin().await?;
        target.wipe().await?;
        target.release().await
    };
    empty.await.map_err(restore::Error::from)?;
    Ok(report)
}
