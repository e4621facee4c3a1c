//! A snapshot as people see it. What it is made of is the store's manifest.

use crate::Status;
use crate::id::{ClusterId, ProjectId, SnapshotId};
use crate::time::{ClusterTime, Timestamp};

/// Who asked for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The cluster's schedule.
    Scheduled,
    /// A person or program.
    OnDemand,
}

/// What a snapshot promises about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// All collections are as they were at this majority-committed time.
    Snapshot(ClusterTime),
    /// A standalone server was read in one pass while others may have written.
    None,
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id, in the store as well.
    pub id: SnapshotId,
    /// The cluster it is of.
    pub cluster_id: ClusterId,
    /// The project of that cluster.
    pub project_id: ProjectId,
    /// How far it is.
    pub status: Status,
    /// Who asked.
    pub trigger: Trigger,
    /// When it was due or asked for.
    pub scheduled_at: Timestamp,
    /// When a worker began.
    pub started_at: Option<Timestamp>,
    /// When it completed or failed.
    pub finished_at: Option<Timestamp>,
    /// When it will be deleted, as far as is known; kept counts may decide otherwise.
    pub expires_at: Timestamp,
    /// Version of the server it was taken from.
    pub mongodb_version: String,
    /// What it became; only once completed.
    pub outcome: Option<SnapshotOutcome>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What a completed snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOutcome {
    /// What it promises about time.
    pub consistency: Consistency,
    /// Documents in it.
    pub documents: u64,
    /// Bytes of those documents as BSON.
    pub size_bytes: u64,
    /// Bytes it added to the store, compressed and sealed.
    pub stored_bytes: u64,
    /// Collections, views included.
    pub collections: u32,
    /// What it took; absent for snapshots of versions that did not note it.
    pub cost: Option<SnapshotCost>,
}

/// How a snapshot came by its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotWay {
    /// Every collection was read whole at one time.
    Scan,
    /// Only what changed since the snapshot before was read.
    Follow,
    /// Every collection was read over a longer time, and what changed meanwhile was read again
    /// at one time.
    Converge,
}

/// What a snapshot read, stored and shared.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SnapshotCost {
    /// How its documents were come by.
    pub way: SnapshotWay,
    /// Why it was not done with less work; one clause for people.
    pub reason: Option<String>,
    /// Documents read from the deployment.
    pub documents_read: u64,
    /// Bytes of those documents as BSON.
    pub size_bytes_read: u64,
    /// Its documents that had to be stored.
    pub documents_stored: u64,
    /// Its documents that an earlier snapshot had stored.
    pub documents_shared: u64,
    /// When all of it was last read whole; what follows a snapshot has that from it.
    pub scanned_at: Option<Timestamp>,
}
