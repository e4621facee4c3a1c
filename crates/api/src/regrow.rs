//! What Atlas has no request for: attaching a deployment, snapshots on demand, and how far a job
//! is and what it found.
//!
//! Same style as the documented API. A connection string goes in and never comes out.

pub mod cluster;
pub mod drill;
pub mod peek;
pub mod restore;
pub mod retention;
pub mod snapshot;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use cluster::{AttachCluster, ChangeCluster, Cluster, ConnectionString, Tier};
pub use drill::{Drill, StartDrill};
pub use restore::{
    CollectionAction, CollectionReport, DownloadFormat, Proof, Rename, Restore, RestoreMode,
    Selection, StartDownload, StartRestore,
};
pub use snapshot::{ClusterTime, Consistency, Snapshot, SnapshotWay, TakeSnapshot};

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Bytes of documents done.
    pub bytes_done: u64,
    /// Bytes of documents expected, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_total: Option<u64>,
    /// Documents done.
    pub documents_done: u64,
    /// Documents expected, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents_total: Option<u64>,
}
