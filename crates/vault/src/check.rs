//! Verifies a repository, independently of the writer.

use crate::id::SnapshotId;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Read every byte of every referenced pack and recompute all hashes and fingerprints, instead of
    /// the structure only.
    pub read_data: bool,
}

/// What was looked at and what was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Snapshots checked.
    pub snapshots: u64,
    /// Packs that they refer to.
    pub packs: u64,
    /// Live documents over all snapshots.
    pub documents: u64,
    /// Bytes read from the object store.
    pub bytes_read: u64,
    /// Packs no snapshot refers to; not a problem, the sweep removes them.
    pub packs_unreferenced: u64,
    /// What was wrong; empty when the repository is sound.
    pub problems: Vec<Problem>,
}

/// Something wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Full name of the object.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
    /// Every snapshot that cannot be fully restored because of it.
    pub snapshots: Vec<SnapshotId>,
}

pub(crate) async fn check(
    repository: &crate::repository::Inner,
    options: CheckOptions,
) -> Result<CheckReport, crate::error::Error> {
    let _ = (repository, options);
    unimplemented!()
}
