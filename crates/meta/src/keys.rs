//! API keys, their sealed secrets and their roles.

use std::collections::HashMap;

use model::{
    AccessEntry, Actor, ApiKey, Error, KeyId, Listed, OrgId, Page, ProjectId, Role, RoleAssignment,
    Timestamp,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::change::Change;
use crate::engine::{Connection, Row, query};
use crate::generation::Altered;
use crate::row::{Columns, During, nonsense};
use crate::seal::{Place, Sealer};
use crate::{Meta, access, organizations, projects};

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
        let mut view = self.view().await?;
        let row = query("SELECT * FROM api_keys WHERE public_key = $1")
            .bind(public_key)
            .fetch_optional(&mut *view)
            .await
            .during("read key by its public half")?;
        let Some(row) = row else { return Ok(None) };
        let id: KeyId = row.word("id")?;
        let ha1 = self
            .shared
            .sealer
            .open(ha1_place(&id.to_string()), row.text("ha1_sealed")?)
            .map_err(Error::internal)?;
        let roles = roles_of(&mut view, id).await?;
        Ok(Some(StoredKey {
            key: key(&row, roles)?,
            ha1,
            access: access::of_key(&mut view, id).await?,
        }))
    }

    /// Returns a key.
    pub async fn key(&self, id: KeyId) -> Result<Option<ApiKey>, Error> {
        let mut view = self.view().await?;
        read(&mut view, id).await
    }

    /// Returns an organization's keys, the oldest first.
    pub async fn keys_of_org(&self, org: OrgId, page: Page) -> Result<Listed<ApiKey>, Error> {
        let mut view = self.view().await?;
        let rows = query("SELECT * FROM api_keys WHERE org_id = $1 ORDER BY created_at_ms, id")
            .bind(org.to_string())
            .fetch_all(&mut *view)
            .await
            .during("read keys of organization")?;
        let roles = query(
            "SELECT r.* FROM key_roles r JOIN api_keys k ON k.id = r.key_id
             WHERE k.org_id = $1 ORDER BY r.key_id, r.position",
        )
        .bind(org.to_string())
        .fetch_all(&mut *view)
        .await
        .during("read roles of organization")?;
        Ok(Listed::cut(with_roles(&rows, &roles)?, page))
    }

    /// Returns the keys that have a role on the project, the oldest first.
    pub async fn keys_of_project(
        &self,
        project: ProjectId,
        page: Page,
    ) -> Result<Listed<ApiKey>, Error> {
        let mut view = self.view().await?;
        let rows = query(
            "SELECT * FROM api_keys
             WHERE id IN (SELECT key_id FROM key_roles WHERE project_id = $1)
             ORDER BY created_at_ms, id",
        )
        .bind(project.to_string())
        .fetch_all(&mut *view)
        .await
        .during("read keys of project")?;
        let roles = query(
            "SELECT * FROM key_roles
             WHERE key_id IN (SELECT key_id FROM key_roles WHERE project_id = $1)
             ORDER BY key_id, position",
        )
        .bind(project.to_string())
        .fetch_all(&mut *view)
        .await
        .during("read roles of project")?;
        Ok(Listed::cut(with_roles(&rows, &roles)?, page))
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
        let mut change = self.change().await?;
        let sealer = &self.shared.sealer;
        insert(&mut change, sealer, key, ha1, actor, key.created_at).await?;
        change.commit(Altered::Keys).await
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
        let mut change = self.change().await?;
        require(change.connection(), id).await?;
        query("DELETE FROM key_roles WHERE key_id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("delete roles")?;
        insert_roles(change.connection(), id, &roles).await?;
        let detail = json!({ "roles": roles_in_words(&roles) });
        change
            .record(actor, "key.set_roles", id, now, detail)
            .await?;
        change.commit(Altered::Keys).await
    }

    /// Deletes a key with its roles and access list, or fails with `KeyNotFound`.
    pub async fn key_delete(&self, id: KeyId, actor: &Actor, now: Timestamp) -> Result<(), Error> {
        let mut change = self.change().await?;
        let key = read(change.connection(), id)
            .await?
            .ok_or(Error::KeyNotFound(id))?;
        query("DELETE FROM api_keys WHERE id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("delete key")?;
        let detail = json!({ "publicKey": key.public_key });
        change.record(actor, "key.delete", id, now, detail).await?;
        change.commit(Altered::Keys).await
    }
}

/// Inserts a key within a change.
pub(crate) async fn insert(
    change: &mut Change,
    sealer: &Sealer,
    key: &ApiKey,
    ha1: &SecretString,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    organizations::require(change.connection(), key.org_id).await?;
    let id = key.id.to_string();
    let ha1_sealed = sealer
        .seal(ha1_place(&id), ha1.expose_secret())
        .map_err(Error::internal)?;
    query(
        "INSERT INTO api_keys (id, org_id, description, public_key, private_key_tail,
             ha1_sealed, created_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(key.org_id.to_string())
    .bind(&key.description)
    .bind(&key.public_key)
    .bind(&key.private_key_tail)
    .bind(ha1_sealed)
    .bind(key.created_at.as_millis())
    .execute(change.connection())
    .await
    .during("insert key")?;
    insert_roles(change.connection(), key.id, &key.roles).await?;
    let detail = json!({
        "publicKey": key.public_key,
        "description": key.description,
        "roles": roles_in_words(&key.roles),
    });
    change
        .record(actor, "key.insert", key.id, now, detail)
        .await
}

/// Fails with `KeyNotFound` unless it exists.
pub(crate) async fn require(connection: &mut Connection, id: KeyId) -> Result<(), Error> {
    query("SELECT 1 FROM api_keys WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .during("look for key")?
        .map(drop)
        .ok_or(Error::KeyNotFound(id))
}

async fn read(connection: &mut Connection, id: KeyId) -> Result<Option<ApiKey>, Error> {
    let row = query("SELECT * FROM api_keys WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut *connection)
        .await
        .during("read key")?;
    let Some(row) = row else { return Ok(None) };
    let roles = roles_of(connection, id).await?;
    key(&row, roles).map(Some)
}

async fn roles_of(connection: &mut Connection, id: KeyId) -> Result<Vec<RoleAssignment>, Error> {
    let rows = query("SELECT * FROM key_roles WHERE key_id = $1 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(connection)
        .await
        .during("read roles")?;
    rows.iter().map(role).collect()
}

async fn insert_roles(
    connection: &mut Connection,
    id: KeyId,
    roles: &[RoleAssignment],
) -> Result<(), Error> {
    for (position, assignment) in (0i64..).zip(roles) {
        let (org, project, role) = match *assignment {
            RoleAssignment::Org(org, role) => {
                organizations::require(connection, org).await?;
                (Some(org.to_string()), None, role)
            }
            RoleAssignment::Project(project, role) => {
                projects::require(connection, project).await?;
                (None, Some(project.to_string()), role)
            }
        };
        query(
            "INSERT INTO key_roles (key_id, position, org_id, project_id, role)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id.to_string())
        .bind(position)
        .bind(org)
        .bind(project)
        .bind(role.as_str())
        .execute(&mut *connection)
        .await
        .during("insert role")?;
    }
    Ok(())
}

fn ha1_place(row: &str) -> Place<'_> {
    Place {
        table: "api_keys",
        column: "ha1_sealed",
        row,
    }
}

fn key(row: &Row, roles: Vec<RoleAssignment>) -> Result<ApiKey, Error> {
    Ok(ApiKey {
        id: row.word("id")?,
        org_id: row.word("org_id")?,
        description: row.text("description")?.to_owned(),
        public_key: row.text("public_key")?.to_owned(),
        private_key_tail: row.text("private_key_tail")?.to_owned(),
        roles,
        created_at: row.time("created_at_ms")?,
    })
}

fn with_roles(keys: &[Row], roles: &[Row]) -> Result<Vec<ApiKey>, Error> {
    let mut roles_by_key: HashMap<&str, Vec<RoleAssignment>> = HashMap::new();
    for row in roles {
        let of_key = roles_by_key.entry(row.text("key_id")?).or_default();
        of_key.push(role(row)?);
    }
    let mut found = Vec::with_capacity(keys.len());
    for row in keys {
        let roles = roles_by_key.remove(row.text("id")?).unwrap_or_default();
        found.push(key(row, roles)?);
    }
    Ok(found)
}

fn role(row: &Row) -> Result<RoleAssignment, Error> {
    let role: Role = row.word("role")?;
    let org = row.word_or_none("org_id")?;
    let project = row.word_or_none("project_id")?;
    match (org, project) {
        (Some(org), None) => Ok(RoleAssignment::Org(org, role)),
        (None, Some(project)) => Ok(RoleAssignment::Project(project, role)),
        _ => Err(nonsense("org_id", "a role holds in one place")),
    }
}

fn roles_in_words(roles: &[RoleAssignment]) -> Vec<String> {
    let in_words = |assignment: &RoleAssignment| match assignment {
        RoleAssignment::Org(org, role) => format!("{} on organization {org}", role.as_str()),
        RoleAssignment::Project(project, role) => {
            format!("{} on project {project}", role.as_str())
        }
    };
    roles.iter().map(in_words).collect()
}
