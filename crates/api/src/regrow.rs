//! What Atlas has no request for: attaching a deployment, snapshots on demand, and how far a job
//! is and what it found.
//!
//! Same style as the documented API. A connection string goes in and never comes out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::cluster::StateName;
use crate::date::Date;
use crate::error::ApiError;
use crate::id::Id;
use crate::link::Link;
use crate::snapshot::SnapshotType;
use crate::tenant::{DeliveryType, Status};

/// What a cluster is treated as: which API shows it, which schedule it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Tier {
    /// Shared cluster, one snapshot a day, eight kept.
    M2,
    /// Shared cluster, one snapshot a day, eight kept.
    M5,
    /// Serverless instance, a snapshot every six hours.
    Serverless,
}

const TIERS: [(&str, Tier); 3] = [
    ("M2", Tier::M2),
    ("M5", Tier::M5),
    ("SERVERLESS", Tier::Serverless),
];

/// The body of a request to attach a deployment.
#[derive(Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachCluster {
    /// How to reach the deployment, with user and password where it wants them.
    pub connection_string: String,
    /// Whether a serverless instance keeps its snapshots for 35 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuous_backup: Option<bool>,
    /// Name of the cluster within its project.
    pub name: String,
    /// Whether the first snapshot is taken at once; it is when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub take_snapshot: Option<bool>,
    /// What the cluster is treated as.
    pub tier: Tier,
}

/// Leaves the connection string out.
impl std::fmt::Debug for AttachCluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AttachCluster")
            .field("name", &self.name)
            .field("tier", &self.tier)
            .field("continuous_backup", &self.continuous_backup)
            .field("take_snapshot", &self.take_snapshot)
            .finish_non_exhaustive()
    }
}

impl AttachCluster {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let known = [
            "connectionString",
            "continuousBackup",
            "name",
            "takeSnapshot",
            "tier",
        ];
        let mut body = Body::parse(bytes, &known)?;
        Ok(Self {
            connection_string: required(body.filled_text("connectionString")?, "connectionString")?,
            continuous_backup: body.flag("continuousBackup")?,
            name: required(body.filled_text("name")?, "name")?,
            take_snapshot: body.flag("takeSnapshot")?,
            tier: required(body.choice("tier", &TIERS)?, "tier")?,
        })
    }
}

/// A protected cluster, whatever its tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowCluster)]
pub struct Cluster {
    /// Whether a serverless instance keeps its snapshots for 35 days.
    pub continuous_backup: bool,
    /// When the cluster was attached.
    pub create_date: Date,
    /// Names the cluster's project.
    pub group_id: Id,
    /// Names the cluster.
    pub id: Id,
    /// The cluster itself and its snapshots.
    #[serde(default)]
    pub links: Vec<Link>,
    /// The server's version when it was last seen.
    #[serde(
        default,
        rename = "mongoDBVersion",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongodb_version: Option<String>,
    /// Name of the cluster.
    pub name: String,
    /// When the schedule takes the next snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_snapshot_at: Option<Date>,
    /// What the cluster is doing.
    pub state_name: StateName,
    /// What the cluster is treated as.
    pub tier: Tier,
    /// `REPLICASET`, `STANDALONE` or `SHARDED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
}

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
    /// What the job is at, in a word.
    pub phase: String,
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
    /// When the snapshot will be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
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
    #[serde(
        default,
        rename = "mongoDBVersion",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongodb_version: Option<String>,
    /// How far the snapshot is, while it is being taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
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
}

/// What a restore found when it compared one collection of the target with the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionReport {
    /// Documents in the target.
    pub documents: u64,
    /// Whether all of it is as in the snapshot: documents, options, indexes.
    pub exact: bool,
    /// What differs, when something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<String>,
    /// Database and collection.
    pub namespace: String,
}

/// A restore or download of any cluster, with what the documented shapes have no room for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowRestore)]
pub struct Restore {
    /// Name of the cluster that the snapshot was taken from.
    pub cluster_name: String,
    /// When the job was asked for.
    pub created_at: Date,
    /// What the job delivers.
    pub delivery_type: DeliveryType,
    /// When the job or its link expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
    /// Why the job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Date>,
    /// Names the project of the source cluster.
    pub group_id: Id,
    /// Names the job.
    pub id: Id,
    /// The job itself and its snapshot.
    #[serde(default)]
    pub links: Vec<Link>,
    /// How far the job is, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One row for each collection that was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Vec<CollectionReport>>,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// When the job began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Date>,
    /// Where the job stands.
    pub status: Status,
    /// Name of the target cluster.
    pub target_cluster_name: String,
    /// Names the project of the target cluster.
    pub target_group_id: Id,
}
