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

/// Writes a name as one segment of a path: all but unreserved characters are percent-encoded.
pub fn segment(name: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 0x0f)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(segment("aws-cluster_1.x~"), "aws-cluster_1.x~");
        assert_eq!(segment("192.0.2.0/24"), "192.0.2.0%2F24");
        assert_eq!(segment("2001:db8::/32"), "2001:db8::%2F32");
        assert_eq!(segment("Vögel & Co?"), "V%C3%B6gel%20%26%20Co%3F");
    }
}
