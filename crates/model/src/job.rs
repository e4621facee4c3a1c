//! A unit of work, and the lease that lets one worker at a time do it.
//!
//! A claim takes a lease and raises the fence; every later write of that attempt names the
//! fence, so a worker that lost its lease finds out at its next write and can do no harm.

use crate::id::{ClusterId, JobId, RestoreId, SnapshotId};
use crate::restore::{Delivery, RestoreJob};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;

/// What the work is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// Take a snapshot.
    Snapshot(SnapshotId),
    /// Put a snapshot onto a target.
    Restore(RestoreId),
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Free to be claimed, or claimed under a lease that has run out.
    Open,
    /// Ended.
    Done,
}

/// A unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it is for.
    pub kind: JobKind,
    /// The cluster it reads (snapshot) or writes (restore); one job at a time works on it.
    pub cluster_id: ClusterId,
    /// Whether it works on a scratch server instead: it then neither waits for the cluster nor
    /// keeps others from it, but one such job runs at a time.
    pub scratch: bool,
    /// Where it stands.
    pub state: JobState,
    /// How many times it was claimed.
    pub attempts: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
}

impl Job {
    /// Returns the job of a snapshot that nobody has begun to take.
    pub fn of_snapshot(id: JobId, snapshot: &Snapshot, now: Timestamp) -> Job {
        Job {
            id,
            kind: JobKind::Snapshot(snapshot.id),
            cluster_id: snapshot.cluster_id,
            scratch: false,
            state: JobState::Open,
            attempts: 0,
            created_at: now,
        }
    }

    /// Returns the job of a restore, a drill or an archive of data files that nobody has begun.
    pub fn of_restore(id: JobId, restore: &RestoreJob) -> Job {
        Job {
            id,
            kind: JobKind::Restore(restore.id),
            cluster_id: restore.target_cluster_id,
            scratch: restore.is_on_scratch_server(),
            state: JobState::Open,
            attempts: 0,
            created_at: restore.created_at,
        }
    }
}

/// A claimed job: proof of the right to write about it until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: Job,
    /// What it delivers; none for a snapshot.
    pub delivery: Option<Delivery>,
    /// Raised by each claim.
    pub fence: i64,
    /// When it runs out unless renewed.
    pub until: Timestamp,
}

/// How far a running job is; for showing only, nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    /// Documents done.
    pub documents: u64,
    /// Documents in all; 0 while unknown.
    pub documents_total: u64,
    /// Bytes of BSON done.
    pub size_bytes: u64,
    /// Bytes of BSON in all; 0 while unknown.
    pub size_bytes_total: u64,
}

/// Longest a worker may be silent before its job is taken over.
pub const LEASE_MS: i64 = 30_000;

/// How often a job whose worker vanished is tried again before it is failed.
pub const ATTEMPTS_MAX: u32 = 5;
