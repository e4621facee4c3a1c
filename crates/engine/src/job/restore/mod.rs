//! Putting one snapshot onto a target and proving it.
//!
//! The target is marked unfinished before the first change and released after the last
//! proof, so it never looks finished when it is not. Every step can be done again: an attempt
//! that follows a crash finds on the target itself how far the last one was.

use std::sync::Arc;

use model::{ChosenMode, Cluster, RestoreJob, RestoreMode, RestoreReport, Snapshot};
use mongo::{Deployment, Description, Topology};
use vault::Manifest;

use crate::Engine;
use crate::namespace::InvalidEntry;
use crate::pump::{PumpError, SharedCounter};

mod beside;
mod choose;
#[cfg(test)]
mod crash_tests;
mod history;
mod in_place;
mod items;
mod merge;
mod proof;
#[cfg(test)]
mod proof_tests;
mod put;
mod rewind;
#[cfg(test)]
mod tests;
mod write_back;

use choose::Choice;
use items::Items;
pub(crate) use items::check_selection;
use put::Put;

/// Why a restore failed; what is shown of it holds no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Pump(PumpError),
    #[error(transparent)]
    Manifest(#[from] InvalidEntry),
    #[error(transparent)]
    Refused(#[from] model::Error),
    #[error("{namespace} is not what the snapshot holds: {what}")]
    Mismatch { namespace: String, what: String },
    #[error(transparent)]
    Match(#[from] mongo::MatchError),
    #[error(
        "{0}; some of the documents that match may have been put back, and nothing else changed"
    )]
    Partly(String),
    #[error("{0}; the target is as it was before the restore")]
    Untouched(String),
    #[error("{0}; what was loaded beside the target's data is dropped by the next restore")]
    NotUndone(String),
    #[error(
        "{0}; the target is incomplete, and marked so, until a restore of everything ends well"
    )]
    Incomplete(String),
}

impl<E: Into<PumpError>> From<E> for Error {
    fn from(error: E) -> Self {
        Error::Pump(error.into())
    }
}

impl Error {
    /// Returns whether the same step may succeed when it is done again without any change.
    fn is_transient(&self) -> bool {
        matches!(self, Error::Pump(error) if error.is_transient())
    }
}

/// Fails unless a target of that name and description can take the snapshot: not sharded, and of
/// the same or a later release series than the snapshot's source.
pub(crate) fn check_compatible(
    snapshot: &Snapshot,
    target: &str,
    description: &Description,
) -> Result<(), model::Error> {
    if description.topology == Topology::Sharded {
        return Err(model::Error::TargetSharded(target.to_owned()));
    }
    let found = (description.version.major, description.version.minor);
    match release_series(&snapshot.mongodb_version) {
        Some(needed) if found < needed => Err(model::Error::VersionMismatch {
            snapshot: snapshot.mongodb_version.clone(),
            target: description.version.text.clone(),
        }),
        _ => Ok(()),
    }
}

fn release_series(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

/// A restore of which it is known what goes where and how; the target is untouched so far.
pub(crate) struct Planned<'a> {
    put: Put<'a>,
    filter: Option<mongo::Filter>,
    choice: Choice,
}

/// Reads the snapshot's manifest, looks at the target, and decides how to put the one onto the
/// other. Changes nothing.
pub(crate) async fn plan<'a>(
    engine: &'a Engine,
    job: &RestoreJob,
    snapshot: &Snapshot,
    target: &Cluster,
    counter: &'a SharedCounter,
) -> Result<Planned<'a>, Error> {
    let (manifest, items) = read(engine, snapshot, job.selection.as_ref()).await?;
    let deployment = engine.connect(target.id).await?;
    check_compatible(snapshot, &target.name, &deployment.describe().await?)?;
    deployment.require_target().await?;
    let held = deployment.target(&job.id.to_string()).await?;
    let mut put = Put::new(engine, manifest, items, held, counter);
    put.reads_whole = job.reads_whole;
    let filter = match &job.selection {
        Some(selection) => merge::filter(selection)?,
        None => None,
    };
    let choice = choose::mode(job, &put, &deployment).await?;
    Ok(Planned {
        put,
        filter,
        choice,
    })
}

impl Planned<'_> {
    /// Returns the mode that was chosen, and why.
    pub(crate) fn chosen(&self) -> &ChosenMode {
        &self.choice.mode
    }

    /// Does it; returns a row per collection once all was found equal.
    pub(crate) async fn run(self) -> Result<RestoreReport, Error> {
        let ChosenMode { mode, because } = &self.choice.mode;
        tracing::info!(%mode, because, "restoring");
        if let Some(filter) = &self.filter {
            return merge::put(&self.put, filter).await;
        }
        match (mode, self.choice.history) {
            (RestoreMode::Safe, _) => beside::put(&self.put).await,
            (RestoreMode::InPlace, _) => in_place::put(&self.put).await,
            (RestoreMode::Rewind, history) => {
                let history = history.expect("a rewind is chosen by its history");
                rewind::put(&self.put, history).await
            }
        }
    }
}

/// Replaces everything on `deployment`, called `target` in messages, by `snapshot`, in place.
pub(crate) async fn put_onto(
    engine: &Engine,
    restore: model::RestoreId,
    snapshot: &Snapshot,
    target: &str,
    deployment: &Deployment,
    counter: &SharedCounter,
) -> Result<RestoreReport, Error> {
    let (manifest, items) = read(engine, snapshot, None).await?;
    check_compatible(snapshot, target, &deployment.describe().await?)?;
    deployment.require_target().await?;
    let held = deployment.target(&restore.to_string()).await?;
    let put = Put::new(engine, manifest, items, held, counter);
    in_place::onto_nothing_of_value(&put).await
}

/// Reads everything that is needed of the manifest, before any target is touched.
async fn read(
    engine: &Engine,
    snapshot: &Snapshot,
    selection: Option<&model::Selection>,
) -> Result<(Arc<Manifest>, Items), Error> {
    let stored_id = vault::SnapshotId(snapshot.id.to_bytes());
    let manifest = engine.parts.repository.manifest(stored_id).await?;
    let items = Items::of(&manifest, selection)?;
    Ok((Arc::new(manifest), items))
}
