//! A protected deployment and its tier.

use crate::error::UnknownWord;
use crate::id::{ClusterId, ProjectId};
use crate::time::Timestamp;

/// Which of Atlas' documented tiers a deployment is shown as; it decides schedule, retention
/// and which requests serve it, not how it is backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Shared tier M2.
    M2,
    /// Shared tier M5.
    M5,
    /// A serverless instance.
    Serverless,
}

/// Which backup requests serve a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// M2 and M5, under `/clusters/{name}/backup/tenant`.
    Tenant,
    /// Serverless instances, under `/serverless/{name}/backup`.
    Serverless,
}

impl Tier {
    /// Returns the requests that serve it.
    pub fn family(self) -> Family {
        match self {
            Tier::M2 | Tier::M5 => Family::Tenant,
            Tier::Serverless => Family::Serverless,
        }
    }

    /// Returns the word used in storage and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::M2 => "M2",
            Tier::M5 => "M5",
            Tier::Serverless => "SERVERLESS",
        }
    }
}

impl std::fmt::Display for Tier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the word in any case, since people type `serverless`.
impl std::str::FromStr for Tier {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Tier::M2, Tier::M5, Tier::Serverless]
            .into_iter()
            .find(|tier| tier.as_str().eq_ignore_ascii_case(word))
            .ok_or_else(|| UnknownWord::new("tier", word))
    }
}

/// What is happening to a cluster's record; Atlas' `stateName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterState {
    /// Nothing.
    Idle,
    /// A restore onto it is in progress.
    Updating,
}

/// A protected deployment. Its connection string is a secret and is not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: ClusterId,
    /// The project it belongs to.
    pub project_id: ProjectId,
    /// Its name, unique within the project.
    pub name: String,
    /// What it is shown as.
    pub tier: Tier,
    /// When it was attached.
    pub created_at: Timestamp,
    /// `host:port` of each member named in the connection string, without credentials.
    pub hosts: Vec<String>,
    /// Name of the replica set, absent for a standalone server.
    pub replica_set: Option<String>,
    /// The server's version, like `6.0.5`, as last seen.
    pub mongodb_version: String,
    /// Serverless only: keep snapshots 35 days instead of the last two.
    pub continuous_backup: bool,
    /// Whether deletion is refused.
    pub termination_protection: bool,
    /// Days between two drills that are asked for by themselves; absent for never.
    pub drill_every_days: Option<u32>,
    /// What is happening to it.
    pub state: ClusterState,
}
