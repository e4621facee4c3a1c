//! Access lists of keys and of projects: two tables of one shape.

use model::{AccessEntry, Actor, Cidr, Error, KeyId, ProjectId, Timestamp};
use serde_json::json;

use crate::change::Change;
use crate::engine::{Connection, Constraint, Row, query, violated};
use crate::generation::Altered;
use crate::row::{Columns, During, all, millis};
use crate::{Meta, keys, projects};

impl Meta {
    /// Returns a key's access list, the oldest entry first.
    pub async fn key_access(&self, id: KeyId) -> Result<Vec<AccessEntry>, Error> {
        of_key(&mut *self.view().await?, id).await
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
        let mut change = self.change().await?;
        keys::require(change.connection(), id).await?;
        add(&mut change, &KEY, &id.to_string(), entries, actor, now).await?;
        change.commit(Altered::Keys).await
    }

    /// Removes an entry from a key's access list, or fails with `AccessEntryNotFound`.
    pub async fn key_access_remove(
        &self,
        id: KeyId,
        block: Cidr,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        remove(&mut change, &KEY, &id.to_string(), block, actor, now).await?;
        change.commit(Altered::Keys).await
    }

    /// Returns a project's access list, the oldest entry first; entries whose `delete_after`
    /// has passed may still be among them.
    pub async fn project_access(&self, id: ProjectId) -> Result<Vec<AccessEntry>, Error> {
        list(&mut *self.view().await?, &PROJECT, &id.to_string()).await
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
        let mut change = self.change().await?;
        projects::require(change.connection(), id).await?;
        add(&mut change, &PROJECT, &id.to_string(), entries, actor, now).await?;
        change.commit(Altered::Keys).await
    }

    /// Removes an entry from a project's access list, or fails with `AccessEntryNotFound`.
    pub async fn project_access_remove(
        &self,
        id: ProjectId,
        block: Cidr,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        remove(&mut change, &PROJECT, &id.to_string(), block, actor, now).await?;
        change.commit(Altered::Keys).await
    }
}

/// The statements on one of the two tables.
struct Table {
    select: &'static str,
    insert: &'static str,
    delete: &'static str,
    delete_expired: &'static str,
    duplicate: Constraint,
    added: &'static str,
    removed: &'static str,
}

macro_rules! table {
    ($name:literal, $duplicate:expr) => {
        Table {
            select: concat!(
                "SELECT * FROM ",
                $name,
                " WHERE owner_id = $1 ORDER BY created_at_ms, block"
            ),
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (owner_id, block, comment, created_at_ms, delete_after_ms)
                 VALUES ($1, $2, $3, $4, $5)"
            ),
            delete: concat!("DELETE FROM ", $name, " WHERE owner_id = $1 AND block = $2"),
            delete_expired: concat!(
                "DELETE FROM ",
                $name,
                " WHERE owner_id = $1 AND delete_after_ms <= $2"
            ),
            duplicate: $duplicate,
            added: concat!($name, ".add"),
            removed: concat!($name, ".remove"),
        }
    };
}

const KEY: Table = table!("key_access", Constraint::KeyAccess);
const PROJECT: Table = table!("project_access", Constraint::ProjectAccess);

/// Reads a key's access list within a transaction.
pub(crate) async fn of_key(
    connection: &mut Connection,
    id: KeyId,
) -> Result<Vec<AccessEntry>, Error> {
    list(connection, &KEY, &id.to_string()).await
}

async fn list(
    connection: &mut Connection,
    table: &Table,
    owner: &str,
) -> Result<Vec<AccessEntry>, Error> {
    let rows = query(table.select)
        .bind(owner)
        .fetch_all(connection)
        .await
        .during("read access list")?;
    all(&rows, entry)
}

async fn add(
    change: &mut Change,
    table: &Table,
    owner: &str,
    entries: &[AccessEntry],
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    query(table.delete_expired)
        .bind(owner)
        .bind(now.as_millis())
        .execute(change.connection())
        .await
        .during("delete expired access entries")?;
    for entry in entries {
        let block = entry.block.to_string();
        let inserted = query(table.insert)
            .bind(owner)
            .bind(&block)
            .bind(&entry.comment)
            .bind(entry.created_at.as_millis())
            .bind(millis(entry.delete_after))
            .execute(change.connection())
            .await;
        if let Err(error) = &inserted
            && violated(error) == Some(table.duplicate)
        {
            return Err(Error::AccessEntryExists(block));
        }
        inserted.during("insert access entry")?;
        let detail = json!({ "block": block, "comment": entry.comment });
        change
            .record(actor, table.added, owner, now, detail)
            .await?;
    }
    Ok(())
}

async fn remove(
    change: &mut Change,
    table: &Table,
    owner: &str,
    block: Cidr,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    let block = block.to_string();
    let deleted = query(table.delete)
        .bind(owner)
        .bind(&block)
        .execute(change.connection())
        .await
        .during("delete access entry")?;
    if deleted.rows_affected() == 0 {
        return Err(Error::AccessEntryNotFound { entry: block });
    }
    let detail = json!({ "block": block });
    change
        .record(actor, table.removed, owner, now, detail)
        .await
}

fn entry(row: &Row) -> Result<AccessEntry, Error> {
    Ok(AccessEntry {
        block: row.word("block")?,
        comment: row.text("comment")?.to_owned(),
        created_at: row.time("created_at_ms")?,
        delete_after: row.time_or_none("delete_after_ms")?,
    })
}
