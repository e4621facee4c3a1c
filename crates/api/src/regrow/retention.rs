//! Which snapshots of a cluster its policy keeps, and why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::date::Date;
use crate::id::Id;
use crate::snapshot::SnapshotType;
use crate::tenant::Status;

/// What the policy says of all of a cluster's snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowRetention)]
pub struct Retention {
    /// One row for each snapshot, the newest first.
    pub decisions: Vec<Decision>,
}

/// What the policy says of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowRetentionDecision)]
pub struct Decision {
    /// Whether the snapshot stays.
    pub keep: bool,
    /// Why, in words for people.
    pub reason: String,
    /// When the snapshot was to begin.
    pub scheduled_at: Date,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// What caused the snapshot.
    pub snapshot_type: SnapshotType,
    /// Where the snapshot stands, or stood.
    pub status: Status,
}
