//! Links to related resources, and the relation names that answers carry.
//!
//! Clients interpret `self`, `next` and `previous` only; the others are opaque names.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One link: where, and how what is there relates to this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Absolute address.
    pub href: String,
    /// Name of the relation.
    pub rel: String,
}

impl Link {
    /// Makes a link from its relation and its address.
    pub fn new(rel: &str, href: impl Into<String>) -> Self {
        Self {
            href: href.into(),
            rel: rel.to_owned(),
        }
    }

    /// Makes the link that every resource carries to itself.
    pub fn to_self(href: impl Into<String>) -> Self {
        Self::new(SELF, href)
    }
}

/// Relation of a resource to itself.
pub const SELF: &str = "self";
/// Relation to the page after this one.
pub const NEXT: &str = "next";
/// Relation to the page before this one.
pub const PREVIOUS: &str = "previous";
/// Relation to a cluster.
pub const CLUSTER: &str = "https://cloud.mongodb.com/cluster";
/// Relation to the clusters of a project.
pub const CLUSTERS: &str = "https://cloud.mongodb.com/clusters";
/// Relation to a project.
pub const GROUP: &str = "https://cloud.mongodb.com/group";
/// Relation to the projects of an organization.
pub const GROUPS: &str = "https://cloud.mongodb.com/groups";
/// Relation to a snapshot.
pub const SNAPSHOT: &str = "https://cloud.mongodb.com/snapshot";
/// Relation to the snapshots of a cluster.
pub const SNAPSHOTS: &str = "https://cloud.mongodb.com/snapshots";
/// Relation to the restore jobs of a cluster.
pub const RESTORE_JOBS: &str = "https://cloud.mongodb.com/restoreJobs";
