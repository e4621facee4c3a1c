//! Access lists of keys and of projects: two tables of one shape.

use model::{AccessEntry, Actor, Cidr, Error, KeyId, ProjectId, Timestamp};

use crate::Meta;

impl Meta {
    /// Returns a key's access list, the oldest entry first.
    pub async fn key_access(&self, id: KeyId) -> Result<Vec<AccessEntry>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Adds entries to a key's access list; all of them or none.
    ///
    /// Fails with `AccessEntryExists` or `KeyNotFound`.
    pub async fn key_access_add(
        &self,
        id: KeyId,
        entries: &[AccessEntry],
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _ = (id, entries, actor, now);
        unimplemented!()
    }

    /// Removes an entry from a key's access list, or fails with `AccessEntryNotFound`.
    pub async fn key_access_remove(
        &self,
        id: KeyId,
        block: Cidr,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _ = (id, block, actor, now);
        unimplemented!()
    }

    /// Returns a project's access list, the oldest entry first; entries whose `delete_after`
    /// has passed may still be among them.
    pub async fn project_access(&self, id: ProjectId) -> Result<Vec<AccessEntry>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Adds entries to a project's access list; all of them or none. An entry past its
    /// `delete_after` does not count as a duplicate: it is replaced.
    ///
    /// Fails with `AccessEntryExists` or `ProjectNotFound`.
    pub async fn project_access_add(
        &self,
        id: ProjectId,
        entries: &[AccessEntry],
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _ = (id, entries, actor, now);
        unimplemented!()
    }

    /// Removes an entry from a project's access list, or fails with `AccessEntryNotFound`.
    pub async fn project_access_remove(
        &self,
        id: ProjectId,
        block: Cidr,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _ = (id, block, actor, now);
        unimplemented!()
    }
}
