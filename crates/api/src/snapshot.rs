//! Snapshots of serverless instances, as version 1.0 shapes them.
//!
//! Some clients change the case of these words without looking: none of them may be null.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::date::Date;
use crate::id::Id;
use crate::link::Link;

/// Where a snapshot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SnapshotStatus)]
pub enum Status {
    /// Planned, or due and waiting for a free slot.
    Queued,
    /// At work.
    InProgress,
    /// Ended in success.
    Completed,
    /// Ended in failure.
    Failed,
}

/// What caused a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SnapshotType {
    /// Somebody asked for it.
    OnDemand,
    /// The schedule.
    Scheduled,
}

/// How often a schedule takes such a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FrequencyType {
    /// Every so many hours.
    Hourly,
    /// Every day.
    Daily,
    /// Every so many weeks.
    Weekly,
    /// Every so many months.
    Monthly,
    /// Never: somebody asked for it. Not in the documentation, but in live answers.
    OnDemand,
}

/// A snapshot of a serverless instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerlessSnapshot)]
pub struct Snapshot {
    /// When the snapshot was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Date>,
    /// When the snapshot will be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    /// How often the schedule takes such a snapshot.
    pub frequency_type: FrequencyType,
    /// Names the snapshot.
    pub id: Id,
    /// The snapshot itself and its instance.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Version of the server that the snapshot was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongod_version: Option<String>,
    /// Name of the instance.
    pub serverless_instance_name: String,
    /// What caused the snapshot.
    pub snapshot_type: SnapshotType,
    /// Where the snapshot stands.
    pub status: Status,
    /// What the snapshot added to the store, in bytes.
    pub storage_size_bytes: u64,
}
