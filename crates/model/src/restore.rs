//! A restore job: a snapshot put onto a target, or offered for download.

use crate::Status;
use crate::id::{ClusterId, ProjectId, RestoreId, SnapshotId};
use crate::time::Timestamp;

/// How long a restore job, and so a download link, lives: 4 hours, the documented figure.
pub const LIFETIME_MS: i64 = 4 * 60 * 60 * 1000;

/// How the snapshot reaches whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Put onto the target cluster.
    Restore,
    /// Offered as an archive behind a link.
    Download,
}

/// A restore job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreJob {
    /// Its id.
    pub id: RestoreId,
    /// How it is delivered.
    pub delivery: Delivery,
    /// How far it is.
    pub status: Status,
    /// The cluster the snapshot is of.
    pub cluster_id: ClusterId,
    /// That cluster's name.
    pub cluster_name: String,
    /// That cluster's project.
    pub project_id: ProjectId,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// When that snapshot was completed.
    pub snapshot_finished_at: Timestamp,
    /// The cluster it goes to; its source for a download.
    pub target_cluster_id: ClusterId,
    /// That cluster's name.
    pub target_name: String,
    /// That cluster's project.
    pub target_project_id: ProjectId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it completed or failed.
    pub finished_at: Option<Timestamp>,
    /// When the job, and so its link, expires.
    pub expires_at: Timestamp,
    /// Why it failed.
    pub failure: Option<String>,
    /// What was put where and proved; only once verified.
    pub report: Option<RestoreReport>,
}

impl RestoreJob {
    /// Returns whether its link is no longer good at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// What a restore put back, a row per collection.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct RestoreReport {
    /// One row per collection.
    pub collections: Vec<CollectionReport>,
}

/// One collection of a restore's report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CollectionReport {
    /// `database.collection`.
    pub namespace: String,
    /// Documents loaded.
    pub documents: u64,
    /// Their bytes as BSON.
    pub size_bytes: u64,
    /// Whether count, fingerprint, options and indexes were found equal on the target.
    pub verified: bool,
}
