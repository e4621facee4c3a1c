//! Snapshots and restore jobs of M2 and M5 clusters, as version 1.0 shapes them.
//!
//! Items carry no links of their own. Where the table and the example of the documentation name a
//! member differently, both names are written, with the same value; clients skip what they don't
//! know.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::date::Date;
use crate::error::ApiError;
use crate::id::Id;

/// Where a snapshot or a restore job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Planned.
    Pending,
    /// Due, and waiting for a free slot.
    Queued,
    /// At work.
    Running,
    /// Ended in failure.
    Failed,
    /// Ended in success.
    Completed,
}

/// A snapshot of an M2 or M5 cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantSnapshot)]
pub struct Snapshot {
    /// When the snapshot will be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Date>,
    /// When the snapshot ended, in success or in failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<Date>,
    /// Names the snapshot.
    pub id: Id,
    /// Version of the server that the snapshot was taken from.
    #[serde(
        default,
        rename = "mongoDBVersion",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongodb_version: Option<String>,
    /// When the snapshot was to begin.
    pub scheduled_time: Date,
    /// When the snapshot began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Date>,
    /// Where the snapshot stands.
    pub status: Status,
}

/// What a restore job delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = TenantDeliveryType)]
pub enum DeliveryType {
    /// An archive behind a link.
    Download,
    /// The snapshot's data in a target cluster.
    Restore,
}

/// A restore or download job of an M2 or M5 cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantRestoreJob)]
pub struct RestoreJob {
    /// Name of the cluster that the snapshot was taken from.
    pub cluster_name: String,
    /// What the job delivers.
    pub delivery_type: DeliveryType,
    /// When the job or its download link expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_date: Option<Date>,
    /// The same as `restoreFinishedDate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_date: Option<Date>,
    /// Names the job.
    pub id: Id,
    /// Names the project of the source cluster.
    pub project_id: Id,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_finished_date: Option<Date>,
    /// When the job was asked for.
    pub restore_scheduled_date: Date,
    /// When the snapshot was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_finished_date: Option<Date>,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// Where the archive is to be had; downloads only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_url: Option<String>,
    /// Where the job stands.
    pub status: Status,
    /// The same as `restoreScheduledDate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<Date>,
    /// Name of the target cluster; of the source cluster for a download.
    pub target_deployment_item_name: String,
    /// Names the project of the target cluster.
    pub target_project_id: Id,
    /// The same as `snapshotFinishedDate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Date>,
}

impl RestoreJob {
    /// Fills in the names that only version 1.0 has.
    #[must_use]
    pub fn with_aliases(mut self) -> Self {
        self.finished_date = self.restore_finished_date;
        self.submitted_at = Some(self.restore_scheduled_date);
        self.timestamp = self.snapshot_finished_date;
        self
    }
}

/// Members that answers have and requests may repeat; they are ignored.
const READ_ONLY: [&str; 14] = [
    "clusterName",
    "deliveryType",
    "expirationDate",
    "id",
    "instanceName",
    "links",
    "projectId",
    "restoreFinishedDate",
    "restoreScheduledDate",
    "snapshotFinishedDate",
    "snapshotId",
    "snapshotUrl",
    "status",
    "targetDeploymentItemName",
];

fn body(bytes: &[u8]) -> Result<Body, ApiError> {
    let mut known = READ_ONLY.to_vec();
    known.push("targetProjectId");
    Body::parse(bytes, &known)
}

/// The body of a request for a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantDownloadRequest)]
pub struct CreateDownload {
    /// Names the snapshot.
    pub snapshot_id: Id,
}

impl CreateDownload {
    /// Reads the body; the target that some clients send is ignored.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut body = body(bytes)?;
        Ok(Self {
            snapshot_id: required(body.id("snapshotId")?, "snapshotId")?,
        })
    }
}

/// The body of a request for a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TenantRestoreRequest)]
pub struct CreateRestore {
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// Name of the target cluster.
    pub target_deployment_item_name: String,
    /// Names the project of the target cluster; the source's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_project_id: Option<Id>,
}

impl CreateRestore {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        const TARGET: &str = "targetDeploymentItemName";
        let mut body = body(bytes)?;
        Ok(Self {
            snapshot_id: required(body.id("snapshotId")?, "snapshotId")?,
            target_deployment_item_name: required(body.filled_text(TARGET)?, TARGET)?,
            target_project_id: body.id("targetProjectId")?,
        })
    }
}
