//! Organizations, and the first one that a fresh store begins with.

use model::{ApiKey, Error, OrgId, Organization, Project, Timestamp};
use secrecy::SecretString;

use crate::Meta;

impl Meta {
    /// Stores the first organization, its first project and its first key.
    ///
    /// Fails with [`crate::Error::AlreadyInitialised`] when there is an organization.
    pub async fn bootstrap(
        &self,
        org: &Organization,
        project: &Project,
        key: &ApiKey,
        ha1: &SecretString,
        now: Timestamp,
    ) -> Result<(), crate::Error> {
        let _ = (org, project, key, ha1, now);
        unimplemented!()
    }

    /// Returns all organizations, the oldest first.
    pub async fn organizations(&self) -> Result<Vec<Organization>, Error> {
        unimplemented!()
    }

    /// Returns an organization.
    pub async fn organization(&self, id: OrgId) -> Result<Option<Organization>, Error> {
        let _ = id;
        unimplemented!()
    }
}
