//! Restore jobs of serverless instances, as version 1.0 shapes them.
//!
//! There is no status: clients conclude it from `failed`, `cancelled`, `expired` (always there)
//! and `finishedAt` (there when the job has ended). `deliveryUrl` is always there, too.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::date::Date;
use crate::error::ApiError;
use crate::id::Id;
use crate::link::Link;

/// What a restore job delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryType {
    /// A snapshot's data in a target cluster.
    Automated,
    /// An archive behind a link.
    Download,
    /// The data of a moment in a target cluster.
    PointInTime,
}

/// A restore job of a serverless instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerlessRestoreJob)]
pub struct RestoreJob {
    /// Whether somebody cancelled the job.
    pub cancelled: bool,
    /// When the job was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Date>,
    /// What the job delivers.
    pub delivery_type: DeliveryType,
    /// Where the archive is to be had; empty for all but downloads.
    #[serde(default)]
    pub delivery_url: Vec<String>,
    /// Whether the job has expired.
    pub expired: bool,
    /// When the job expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    /// Whether the job failed.
    pub failed: bool,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Date>,
    /// Names the job.
    pub id: Id,
    /// The job itself, its snapshot, its instance and its project.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Names the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<Id>,
    /// Name of the target cluster or instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cluster_name: Option<String>,
    /// The same as `targetClusterName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_deployment_item_name: Option<String>,
    /// Names the project of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group_id: Option<Id>,
    /// When the snapshot was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Date>,
}

/// The body of a request for a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerlessRestoreRequest)]
pub struct CreateRestore {
    /// What the job delivers.
    pub delivery_type: DeliveryType,
    /// Count of operations within the second of `oplogTs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oplog_inc: Option<i64>,
    /// Second of the oplog to restore to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oplog_ts: Option<i64>,
    /// Moment to restore to, in seconds since 1970.
    #[serde(
        rename = "pointInTimeUTCSeconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub point_in_time_utc_seconds: Option<i64>,
    /// Names the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<Id>,
    /// Name of the target cluster or instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_cluster_name: Option<String>,
    /// Names the project of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_id: Option<Id>,
}

const DELIVERY_TYPES: [(&str, DeliveryType); 3] = [
    ("automated", DeliveryType::Automated),
    ("download", DeliveryType::Download),
    ("pointInTime", DeliveryType::PointInTime),
];

const KNOWN: [&str; 22] = [
    "cancelled",
    "clusterName",
    "createdAt",
    "deliveryType",
    "deliveryUrl",
    "desiredTimestamp",
    "expired",
    "expiresAt",
    "failed",
    "finishedAt",
    "id",
    "instanceName",
    "links",
    "oplogInc",
    "oplogTs",
    "pointInTimeUTCSeconds",
    "snapshotId",
    "targetClusterName",
    "targetDeploymentItemName",
    "targetGroupId",
    "timestamp",
    "components",
];

impl CreateRestore {
    /// Reads the body. Which members a delivery type needs is checked here, too.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut body = Body::parse(bytes, &KNOWN)?;
        let delivery_type = body.choice("deliveryType", &DELIVERY_TYPES)?;
        let request = Self {
            delivery_type: required(delivery_type, "deliveryType")?,
            oplog_inc: body.number("oplogInc")?,
            oplog_ts: body.number("oplogTs")?,
            point_in_time_utc_seconds: body.number("pointInTimeUTCSeconds")?,
            snapshot_id: body.id("snapshotId")?,
            target_cluster_name: body.filled_text("targetClusterName")?,
            target_group_id: body.id("targetGroupId")?,
        };
        if request.delivery_type == DeliveryType::Automated {
            required(request.snapshot_id, "snapshotId")?;
        }
        if request.delivery_type != DeliveryType::Download {
            required(request.target_cluster_name.as_deref(), "targetClusterName")?;
            required(request.target_group_id, "targetGroupId")?;
        }
        Ok(request)
    }
}
