//! The domain: what a cluster, a snapshot, a restore and a principal *are*.
//!
//! Pure arithmetic and rules. This room does no input or output, runs nothing
//! asynchronously, reads no clock and no randomness: all of that is passed in. It knows
//! neither HTTP nor SQL nor MongoDB; the rooms that do translate into these types.

pub mod access;
pub mod cluster;
pub mod error;
pub mod id;
pub mod job;
pub mod organization;
pub mod page;
pub mod policy;
pub mod principal;
pub mod restore;
pub mod retention;
pub mod selection;
pub mod snapshot;
pub mod time;

pub use access::{AccessEntry, Cidr};
pub use cluster::{Cluster, ClusterState, Family, Tier};
pub use error::{DeploymentFault, Error};
pub use id::{ClusterId, JobId, KeyId, OrgId, ProjectId, RestoreId, SnapshotId};
pub use job::{Job, JobKind, JobState, Lease, Progress};
pub use organization::{Organization, Project};
pub use page::{Listed, Page};
pub use principal::{Action, Actor, ApiKey, Principal, Role, RoleAssignment};
pub use restore::{
    ChosenMode, CollectionAction, CollectionReport, Delivery, DownloadFormat, Proof, RestoreJob,
    RestoreMode, RestoreReport,
};
pub use selection::{InvalidSelection, Rename, Selection};
pub use snapshot::{Consistency, Snapshot, SnapshotCost, SnapshotOutcome, SnapshotWay, Trigger};
pub use time::{Clock, ClusterTime, Timestamp};

/// How far a snapshot or a restore has come; the API's words in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Accepted; no worker has looked at it yet.
    Pending,
    /// A worker knows of it and waits for a free slot or for another job to end.
    Queued,
    /// A worker holds its lease and works.
    Running,
    /// Ended well; everything it claims is durable.
    Completed,
    /// Ended otherwise; the reason is kept with it.
    Failed,
}

impl Status {
    /// Returns whether nothing will change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::Failed)
    }

    /// Returns the word used in storage and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Queued => "QUEUED",
            Status::Running => "RUNNING",
            Status::Completed => "COMPLETED",
            Status::Failed => "FAILED",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = error::UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [
            Status::Pending,
            Status::Queued,
            Status::Running,
            Status::Completed,
            Status::Failed,
        ]
        .into_iter()
        .find(|status| status.as_str() == word)
        .ok_or_else(|| error::UnknownWord::new("status", word))
    }
}
