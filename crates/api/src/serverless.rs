//! Serverless instances, as version 1.0 shapes them, as far as it is true of a server that
//! somebody else runs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::cluster::{ConnectionStrings, StateName};
use crate::date::Date;
use crate::id::Id;
use crate::link::Link;

/// Who provides an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerlessProviderSettings)]
pub struct ProviderSettings {
    /// Always `SERVERLESS`.
    pub provider_name: String,
}

/// How an instance is backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupOptions {
    /// Whether snapshots are kept for 35 days rather than the last two.
    pub serverless_continuous_backup_enabled: bool,
}

/// A cluster that Regrow protects as a serverless instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ServerlessInstance)]
pub struct Instance {
    /// Where the instance can be reached.
    pub connection_strings: ConnectionStrings,
    /// When the instance was attached.
    pub create_date: Date,
    /// Names the instance's project.
    pub group_id: Id,
    /// Names the instance.
    pub id: Id,
    /// The instance itself, its restore jobs and its snapshots.
    #[serde(default)]
    pub links: Vec<Link>,
    /// The server's version.
    #[serde(
        default,
        rename = "mongoDBVersion",
        skip_serializing_if = "Option::is_none"
    )]
    pub mongodb_version: Option<String>,
    /// Name of the instance.
    pub name: String,
    /// Who provides the instance.
    pub provider_settings: ProviderSettings,
    /// How the instance is backed up.
    pub serverless_backup_options: BackupOptions,
    /// What the instance is doing.
    pub state_name: StateName,
    /// Always empty.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether removal is refused.
    pub termination_protection_enabled: bool,
}
