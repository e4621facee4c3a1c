//! Attached deployments: the requests that attach and change one, and what is shown of it.
//!
//! A connection string goes in and never comes out.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Drill;
use crate::body::{Body, required};
use crate::cluster::StateName;
use crate::date::Date;
use crate::error::{ApiError, Code};
use crate::id::Id;
use crate::link::Link;

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

/// How to reach a deployment, often with a password; it does not show what it holds.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConnectionString(pub String);

impl fmt::Debug for ConnectionString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ConnectionString(..)")
    }
}

fn connection_string(body: &mut Body) -> Result<Option<ConnectionString>, ApiError> {
    let text = body.filled_text("connectionString")?;
    Ok(text.map(ConnectionString))
}

/// The body of a request to attach a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachCluster {
    /// How to reach the deployment, with user and password where it wants them.
    #[schema(value_type = String)]
    pub connection_string: ConnectionString,
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
            connection_string: required(connection_string(&mut body)?, "connectionString")?,
            continuous_backup: body.flag("continuousBackup")?,
            name: required(body.filled_text("name")?, "name")?,
            take_snapshot: body.flag("takeSnapshot")?,
            termination_protection: body.flag("terminationProtection")?,
            tier: required(body.choice("tier", &TIERS)?, "tier")?,
        })
    }
}

/// The body of a request to change a cluster; absent members stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeCluster {
    /// Whether a new connection string may lead to another deployment; it may not when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_another_deployment: Option<bool>,
    /// How to reach the deployment from now on.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<ConnectionString>,
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
        let known = [
            "allowAnotherDeployment",
            "connectionString",
            "continuousBackup",
            DAYS,
            "terminationProtection",
        ];
        let mut body = Body::parse(bytes, &known)?;
        let days = body.number(DAYS)?.map(|days| match u32::try_from(days) {
            Ok(days) if days <= DRILL_DAYS_MAX => Ok(days),
            _ => Err(ApiError::new(Code::InvalidAttribute, [DAYS])),
        });
        Ok(Self {
            allow_another_deployment: body.flag("allowAnotherDeployment")?,
            connection_string: connection_string(&mut body)?,
            continuous_backup: body.flag("continuousBackup")?,
            drill_every_days: days.transpose()?,
            termination_protection: body.flag("terminationProtection")?,
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
