//! What Atlas has no request for: attaching a deployment, snapshots on demand, and how far a job
//! is and what it found.
//!
//! Same style as the documented API. A connection string goes in and never comes out.

pub mod drill;
pub mod peek;
pub mod restore;
pub mod retention;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::cluster::StateName;
use crate::date::Date;
use crate::error::{ApiError, Code};
use crate::id::Id;
use crate::link::Link;
use crate::snapshot::SnapshotType;
use crate::tenant::{DeliveryType, Status};

pub use drill::{Drill, StartDrill};
pub use restore::{CollectionAction, Rename, RestoreMode, Selection, StartRestore};

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
    /// Whether removal is refused; it is not when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_protection: Option<bool>,
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
            "terminationProtection",
            "tier",
        ];
        let mut body = Body::parse(bytes, &known)?;
        Ok(Self {
            connection_string: required(body.filled_text("connectionString")?, "connectionString")?,
            continuous_backup: body.flag("continuousBackup")?,
            name: required(body.filled_text("name")?, "name")?,
            take_snapshot: body.flag("takeSnapshot")?,
            termination_protection: body.flag("terminationProtection")?,
            tier: required(body.choice("tier", &TIERS)?, "tier")?,
        })
    }
}

/// The body of a request to change a cluster's options; absent members stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeCluster {
    /// Whether a serverless instance keeps its snapshots for 35 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuous_backup: Option<bool>,
    /// Days between two drills; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill_every_days: Option<u32>,
    /// Whether removal is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_protection: Option<bool>,
}

/// Most days between two drills.
const DRILL_DAYS_MAX: u32 = 366;

impl ChangeCluster {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        const DAYS: &str = "drillEveryDays";
        let known = ["continuousBackup", DAYS, "terminationProtection"];
        let mut body = Body::parse(bytes, &known)?;
        let days = body.number(DAYS)?.map(|days| match u32::try_from(days) {
            Ok(days) if days <= DRILL_DAYS_MAX => Ok(days),
            _ => Err(ApiError::new(Code::InvalidAttribute, [DAYS])),
        });
        Ok(Self {
            continuous_backup: body.flag("continuousBackup")?,
            drill_every_days: days.transpose()?,
            termination_protection: body.flag("terminationProtection")?,
        })
    }
}

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

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DownloadFormat {
    /// BSON and metadata, as `mongorestore` reads them; there at once.
    Dump,
    /// The files of a `--dbpath`; they are built first, and the link is there when that is done.
    DataFiles,
}

const DOWNLOAD_FORMATS: [(&str, DownloadFormat); 2] = [
    ("dump", DownloadFormat::Dump),
    ("dataFiles", DownloadFormat::DataFiles),
];

/// The body of a request for a download of any cluster's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartDownload {
    /// What the archive is to have; what the service is configured for when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<DownloadFormat>,
    /// Names the snapshot.
    pub snapshot_id: Id,
}

impl StartDownload {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut body = Body::parse(bytes, &["format", "snapshotId"])?;
        Ok(Self {
            format: body.choice("format", &DOWNLOAD_FORMATS)?,
            snapshot_id: required(body.id("snapshotId")?, "snapshotId")?,
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
    /// Days between two drills that are asked for by themselves; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_every_days: Option<u32>,
    /// Names the cluster's project.
    pub group_id: Id,
    /// Addresses of the servers.
    pub hosts: Vec<String>,
    /// Names the cluster.
    pub id: Id,
    /// The newest drill that has ended, without its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<Drill>,
    /// The cluster itself, its restores and its snapshots.
    #[serde(default)]
    pub links: Vec<Link>,
    /// The server's version when it was last seen.
    #[serde(rename = "mongoDBVersion")]
    pub mongodb_version: String,
    /// Name of the cluster.
    pub name: String,
    /// Name of the replica set; absent for a standalone server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<String>,
    /// What the cluster is doing.
    pub state_name: StateName,
    /// Whether removal is refused.
    pub termination_protection: bool,
    /// What the cluster is treated as.
    pub tier: Tier,
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

/// What a restore put into one collection of the target, and what it found when it compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionReport {
    /// What was done to it.
    pub action: CollectionAction,
    /// Bytes of documents that are there because of the snapshot.
    pub bytes: u64,
    /// Documents that were written or deleted.
    pub changed: u64,
    /// Documents that are there because of the snapshot.
    pub documents: u64,
    /// Database and collection.
    pub namespace: String,
    /// Whether count, fingerprint, options and indexes were found equal to the snapshot's.
    pub verified: bool,
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
    pub expires_at: Date,
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
    /// How it is done, once that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RestoreMode>,
    /// Why it is done so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// How far the job is, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One row for each collection that was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Vec<CollectionReport>>,
    /// How it was asked to be done; absent where that was left open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_mode: Option<RestoreMode>,
    /// What of the snapshot is put back; absent where all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// Where the archive is to be had; downloads only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_url: Option<String>,
    /// Where the job stands.
    pub status: Status,
    /// Name of the target cluster.
    pub target_cluster_name: String,
    /// Names the project of the target cluster.
    pub target_group_id: Id,
}
