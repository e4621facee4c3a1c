//! Drills: a snapshot restored, compared and thrown away, to prove that it can be restored.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CollectionReport, Progress};
use crate::body::Body;
use crate::date::Date;
use crate::error::ApiError;
use crate::id::Id;
use crate::link::Link;
use crate::tenant::Status;

/// The body of a request for a drill, which may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartDrill {
    /// Names the snapshot; the newest completed one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<Id>,
    /// Name of another cluster of the project, which is overwritten and then emptied; a server
    /// that is thrown away when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_cluster_name: Option<String>,
}

impl StartDrill {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut body = Body::parse(bytes, &["snapshotId", "targetClusterName"])?;
        Ok(Self {
            snapshot_id: body.id("snapshotId")?,
            target_cluster_name: body.filled_text("targetClusterName")?,
        })
    }
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowDrill)]
pub struct Drill {
    /// Name of the cluster that the snapshot was taken from.
    pub cluster_name: String,
    /// When the drill was asked for.
    pub created_at: Date,
    /// Documents that were restored and found equal; completed drills only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Milliseconds from the request to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why the drill failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When the drill ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Date>,
    /// Names the cluster's project.
    pub group_id: Id,
    /// Names the drill.
    pub id: Id,
    /// The drill itself, its snapshot and its cluster.
    #[serde(default)]
    pub links: Vec<Link>,
    /// How far the drill is, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One row for each collection that was compared; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Vec<CollectionReport>>,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// Where the drill stands.
    pub status: Status,
    /// Name of the cluster that was overwritten; absent for a server that was thrown away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cluster_name: Option<String>,
}
