//! Organizations and their projects.

use crate::error::Error;
use crate::id::{OrgId, ProjectId};
use crate::time::Timestamp;

/// The owner of projects and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrgId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A group of clusters; Atlas' paths call it a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The organization it belongs to.
    pub org_id: OrgId,
    /// Its name, unique within the organization.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How many clusters and serverless instances it has.
    pub cluster_count: u32,
}

/// Checks a project's or a cluster's name: 1 to 64 letters, digits or `-_.(),:&@+'`, as Atlas
/// does for projects (the pattern is in its specification).
pub fn check_name(attribute: &'static str, name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_alphanumeric() || "-_.(),:&@+'".contains(c);
    if (1..=64).contains(&name.chars().count()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::InvalidAttribute {
        attribute,
        reason: "it takes 1 to 64 letters, digits or any of -_.(),:&@+'".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_letters_of_any_script_but_no_slashes() {
        assert!(check_name("name", "aws-cluster-1").is_ok());
        assert!(check_name("name", "Überschrift_2").is_ok());
        for bad in ["", "a/b", "a b", "a\nb", &"x".repeat(65)] {
            assert!(check_name("name", bad).is_err(), "{bad:?}");
        }
    }
}
