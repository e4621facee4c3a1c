//! Organizations, and the first one that a fresh store begins with.

use model::{Actor, ApiKey, Error, OrgId, Organization, Project, Timestamp};
use secrecy::SecretString;
use serde_json::json;

use crate::Meta;
use crate::engine::{Connection, Row, query};
use crate::generation::Altered;
use crate::row::{Columns, During, all};
use crate::{keys, projects};

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
        let stored = self.store_first(org, project, key, ha1, now).await;
        match stored.map_err(|error| crate::Error::Other(Box::new(error)))? {
            true => Ok(()),
            false => Err(crate::Error::AlreadyInitialised),
        }
    }

    async fn store_first(
        &self,
        org: &Organization,
        project: &Project,
        key: &ApiKey,
        ha1: &SecretString,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut change = self.change().await?;
        let any = query("SELECT 1 FROM organizations LIMIT 1")
            .fetch_optional(change.connection())
            .await
            .during("look for an organization")?;
        if any.is_some() {
            return Ok(false);
        }
        query("INSERT INTO organizations (id, name, created_at_ms) VALUES ($1, $2, $3)")
            .bind(org.id.to_string())
            .bind(&org.name)
            .bind(org.created_at.as_millis())
            .execute(change.connection())
            .await
            .during("insert organization")?;
        let detail = json!({ "name": org.name });
        change
            .record(&Actor::Local, "organization.insert", org.id, now, detail)
            .await?;
        projects::insert(&mut change, project, &Actor::Local, now).await?;
        keys::insert(
            &mut change,
            &self.shared.sealer,
            key,
            ha1,
            &Actor::Local,
            now,
        )
        .await?;
        change.commit(Altered::Keys).await?;
        Ok(true)
    }

    /// Returns all organizations, the oldest first.
    pub async fn organizations(&self) -> Result<Vec<Organization>, Error> {
        let rows = query("SELECT * FROM organizations ORDER BY created_at_ms, id")
            .fetch_all(&self.shared.pools.read)
            .await
            .during("read organizations")?;
        all(&rows, organization)
    }

    /// Returns an organization.
    pub async fn organization(&self, id: OrgId) -> Result<Option<Organization>, Error> {
        let row = query("SELECT * FROM organizations WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read organization")?;
        row.as_ref().map(organization).transpose()
    }
}

/// Fails with `OrganizationNotFound` unless it exists.
pub(crate) async fn require(connection: &mut Connection, id: OrgId) -> Result<(), Error> {
    query("SELECT 1 FROM organizations WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .during("look for organization")?
        .map(drop)
        .ok_or(Error::OrganizationNotFound(id))
}

fn organization(row: &Row) -> Result<Organization, Error> {
    Ok(Organization {
        id: row.word("id")?,
        name: row.text("name")?.to_owned(),
        created_at: row.time("created_at_ms")?,
    })
}
