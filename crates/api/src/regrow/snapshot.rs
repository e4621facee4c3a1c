//! Snapshots of any cluster: the request for one now, and how far it is and what it found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Progress;
use crate::body::Body;
use crate::date::Date;
use crate::error::{ApiError, Code};
use crate::id::Id;
use crate::link::Link;
use crate::snapshot::SnapshotType;
use crate::tenant::Status;

/// The body of a request for a snapshot on demand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TakeSnapshot {
    /// How many days the snapshot is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_in_days: Option<u32>,
}

impl TakeSnapshot {
    /// Reads the body, which may be empty.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        const DAYS: &str = "retentionInDays";
        let mut body = Body::parse(bytes, &[DAYS])?;
        let days = body.number(DAYS)?.map(|days| match u32::try_from(days) {
            Ok(0) | Err(_) => Err(ApiError::new(Code::AttributeNegativeOrZero, [DAYS])),
            Ok(days) => Ok(days),
        });
        Ok(Self {
            retention_in_days: days.transpose()?,
        })
    }
}

/// A moment in the order of the source's writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterTime {
    /// Count of operations within the second.
    pub increment: u32,
    /// Seconds since 1970.
    pub time: u32,
}

/// What holds between the collections of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// All collections are as they were at one cluster time.
    Snapshot,
    /// Nothing: each document is as it was when it was read.
    None,
}

/// A snapshot of any cluster, with what the documented shapes have no room for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowSnapshot)]
pub struct Snapshot {
    /// Bytes of documents in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes of documents read from the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_read: Option<u64>,
    /// Name of the cluster.
    pub cluster_name: String,
    /// The one moment at which all of it is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_time: Option<ClusterTime>,
    /// Collections in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collections: Option<u64>,
    /// What holds between the collections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Documents in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Documents read from the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents_read: Option<u64>,
    /// Documents that an earlier snapshot had stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents_shared: Option<u64>,
    /// Documents that had to be stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents_stored: Option<u64>,
    /// When the snapshot will be deleted.
    pub expires_at: Date,
    /// Why the snapshot failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When the snapshot ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Date>,
    /// Names the cluster's project.
    pub group_id: Id,
    /// Names the snapshot.
    pub id: Id,
    /// The snapshot itself and its cluster.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Version of the server that the snapshot was taken from.
    #[serde(rename = "mongoDBVersion")]
    pub mongodb_version: String,
    /// How far the snapshot is, while it is being taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When all of it was last read whole from the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned_at: Option<Date>,
    /// When the snapshot was to begin.
    pub scheduled_at: Date,
    /// What caused the snapshot.
    pub snapshot_type: SnapshotType,
    /// When the snapshot began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Date>,
    /// Where the snapshot stands.
    pub status: Status,
    /// Bytes that the snapshot added to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// How the documents were come by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<SnapshotWay>,
    /// Why it was not done with less work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_reason: Option<String>,
}

/// How a snapshot came by its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotWay {
    /// Every collection was read whole at one time.
    Scan,
    /// Only what changed since the snapshot before was read.
    Follow,
    /// Every collection was read over a longer time, and what changed meanwhile again.
    Converge,
}
