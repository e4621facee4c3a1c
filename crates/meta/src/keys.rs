//! API keys, their sealed secrets and their roles.

use model::{
    AccessEntry, Actor, ApiKey, Error, KeyId, Listed, OrgId, Page, ProjectId, RoleAssignment,
    Timestamp,
};
use secrecy::SecretString;

use crate::Meta;

/// A key with all that authenticating it takes.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// The key.
    pub key: ApiKey,
    /// Its digest HA1, which is as good as its private key.
    pub ha1: SecretString,
    /// Where it may be used from; empty when nothing was listed.
    pub access: Vec<AccessEntry>,
}

impl Meta {
    /// Returns the key that a caller names in its credentials.
    pub async fn key_by_public(&self, public_key: &str) -> Result<Option<StoredKey>, Error> {
        let _ = public_key;
        unimplemented!()
    }

    /// Returns a key.
    pub async fn key(&self, id: KeyId) -> Result<Option<ApiKey>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Returns an organization's keys, the oldest first.
    pub async fn keys_of_org(&self, org: OrgId, page: Page) -> Result<Listed<ApiKey>, Error> {
        let _ = (org, page);
        unimplemented!()
    }

    /// Returns the keys that have a role on the project, the oldest first.
    pub async fn keys_of_project(
        &self,
        project: ProjectId,
        page: Page,
    ) -> Result<Listed<ApiKey>, Error> {
        let _ = (project, page);
        unimplemented!()
    }

    /// Stores a key with its roles.
    ///
    /// Fails with `OrganizationNotFound` or `ProjectNotFound`.
    pub async fn key_insert(
        &self,
        key: &ApiKey,
        ha1: &SecretString,
        actor: &Actor,
    ) -> Result<(), Error> {
        let _ = (key, ha1, actor);
        unimplemented!()
    }

    /// Replaces a key's roles.
    ///
    /// Fails with `KeyNotFound`, `OrganizationNotFound` or `ProjectNotFound`.
    pub async fn key_set_roles(
        &self,
        id: KeyId,
        roles: Vec<RoleAssignment>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _ = (id, roles, actor, now);
        unimplemented!()
    }

    /// Deletes a key with its roles and access list, or fails with `KeyNotFound`.
    pub async fn key_delete(&self, id: KeyId, actor: &Actor, now: Timestamp) -> Result<(), Error> {
        let _ = (id, actor, now);
        unimplemented!()
    }
}
