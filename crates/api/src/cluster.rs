//! M2 and M5 clusters, as version 1.0 shapes them, as far as it is true of a server that somebody
//! else runs.
//!
//! What belongs to a hosting provider (disk, region, price) is left out rather than made up.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::date::Date;
use crate::id::Id;
use crate::link::Link;

/// What a cluster is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StateName {
    /// Nothing but serving.
    Idle,
    /// Being attached.
    Creating,
    /// Being restored to.
    Updating,
    /// Being detached.
    Deleting,
    /// Not reachable.
    Repairing,
}

/// Where a cluster can be reached; never with user or password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStrings {
    /// `mongodb://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard: Option<String>,
    /// `mongodb+srv://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_srv: Option<String>,
}

/// Who provides a cluster, and of which size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSettings {
    /// The tier, `M2` or `M5`.
    pub instance_size_name: String,
    /// Always `TENANT`.
    pub provider_name: String,
}

/// Whether a cluster grows by itself; clients look into it without asking whether it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoScaling {
    /// Growth of the instance.
    pub compute: ComputeAutoScaling,
    /// Whether the disk grows; always false.
    #[serde(rename = "diskGBEnabled")]
    pub disk_gb_enabled: bool,
}

/// Whether an instance grows by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComputeAutoScaling {
    /// Whether the instance grows; always false.
    pub enabled: bool,
    /// Whether the instance shrinks; always false.
    pub scale_down_enabled: bool,
}

/// Whether a cluster has a connector for business intelligence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BiConnector {
    /// Always false.
    pub enabled: bool,
}

/// A cluster that Regrow protects as an M2 or M5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Whether the cluster grows by itself.
    pub auto_scaling: AutoScaling,
    /// Always false: that is the backup of larger tiers.
    pub backup_enabled: bool,
    /// Whether there is a connector for business intelligence.
    pub bi_connector: BiConnector,
    /// `REPLICASET`, or `SHARDED`.
    pub cluster_type: String,
    /// Where the cluster can be reached.
    pub connection_strings: ConnectionStrings,
    /// When the cluster was attached.
    pub create_date: Date,
    /// Names the cluster's project.
    pub group_id: Id,
    /// Names the cluster.
    pub id: Id,
    /// Always empty.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The cluster itself, its restore jobs and its snapshots.
    #[serde(default)]
    pub links: Vec<Link>,
    /// First two numbers of the server's version.
    #[serde(
        default,
        rename = "mongoDBMajorVersion",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongodb_major_version: Option<String>,
    /// The server's version.
    #[serde(
        default,
        rename = "mongoDBVersion",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongodb_version: Option<String>,
    /// Addresses of the servers, without user, password and options.
    #[serde(default, rename = "mongoURI", skip_serializing_if = "Option::is_none")]
    pub mongo_uri: Option<String>,
    /// The same with options.
    #[serde(
        default,
        rename = "mongoURIWithOptions",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongo_uri_with_options: Option<String>,
    /// Name of the cluster.
    pub name: String,
    /// How many shards there are.
    pub num_shards: u32,
    /// Always false.
    pub paused: bool,
    /// Whether any moment can be restored.
    pub pit_enabled: bool,
    /// Always true: Regrow takes snapshots of it.
    pub provider_backup_enabled: bool,
    /// Who provides the cluster.
    pub provider_settings: ProviderSettings,
    /// What the cluster is doing.
    pub state_name: StateName,
    /// Always empty.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether removal is refused.
    pub termination_protection_enabled: bool,
}
