//! Projects.

use model::{Actor, Error, Listed, OrgId, Page, Project, ProjectId, Timestamp};
use serde_json::json;

use crate::Meta;
use crate::change::Change;
use crate::engine::{Connection, Constraint, Row, query, violated};
use crate::generation::Altered;
use crate::organizations;
use crate::row::{Columns, During, all, offset};

/// A `SELECT` of projects with the given ending.
macro_rules! select_projects {
    ($ending:literal) => {
        concat!(
            "SELECT p.*, (SELECT COUNT(*) FROM clusters c WHERE c.project_id = p.id)
                 AS cluster_count
             FROM projects p ",
            $ending
        )
    };
}

impl Meta {
    /// Returns projects, the oldest first; of one organization or of all.
    pub async fn projects(&self, org: Option<OrgId>, page: Page) -> Result<Listed<Project>, Error> {
        let org = org.map_or_else(String::new, |id| id.to_string());
        let mut view = self.view().await?;
        let total =
            query("SELECT COUNT(*) AS total FROM projects p WHERE $1 = '' OR p.org_id = $1")
                .bind(&org)
                .fetch_one(&mut *view)
                .await
                .during("count projects")?
                .number("total")?;
        let rows = query(select_projects!(
            "WHERE $1 = '' OR p.org_id = $1 ORDER BY p.created_at_ms, p.id LIMIT $2 OFFSET $3"
        ))
        .bind(&org)
        .bind(i64::from(page.size))
        .bind(offset(page))
        .fetch_all(&mut *view)
        .await
        .during("read projects")?;
        let items = all(&rows, project)?;
        Ok(Listed { items, total })
    }

    /// Returns a project.
    pub async fn project(&self, id: ProjectId) -> Result<Option<Project>, Error> {
        let row = query(select_projects!("WHERE p.id = $1"))
            .bind(id.to_string())
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read project")?;
        row.as_ref().map(project).transpose()
    }

    /// Stores a project; its `cluster_count` is not read.
    ///
    /// Fails with `ProjectExists` or `OrganizationNotFound`.
    pub async fn project_insert(&self, project: &Project, actor: &Actor) -> Result<(), Error> {
        let mut change = self.change().await?;
        insert(&mut change, project, actor, project.created_at).await?;
        change.commit(Altered::Keys).await
    }

    /// Deletes a project with its access list and the roles on it.
    ///
    /// Fails with `ProjectNotFound` or `ProjectHasClusters`.
    pub async fn project_delete(
        &self,
        id: ProjectId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        let row = query(select_projects!("WHERE p.id = $1"))
            .bind(id.to_string())
            .fetch_optional(change.connection())
            .await
            .during("read project")?
            .ok_or(Error::ProjectNotFound(id))?;
        let project = project(&row)?;
        if project.cluster_count > 0 {
            return Err(Error::ProjectHasClusters(id));
        }
        query("DELETE FROM projects WHERE id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("delete project")?;
        let detail = json!({ "name": project.name });
        change
            .record(actor, "project.delete", id, now, detail)
            .await?;
        change.commit(Altered::Keys).await
    }
}

/// Inserts a project within a change.
pub(crate) async fn insert(
    change: &mut Change,
    project: &Project,
    actor: &Actor,
    now: Timestamp,
) -> Result<(), Error> {
    organizations::require(change.connection(), project.org_id).await?;
    let inserted =
        query("INSERT INTO projects (id, org_id, name, created_at_ms) VALUES ($1, $2, $3, $4)")
            .bind(project.id.to_string())
            .bind(project.org_id.to_string())
            .bind(&project.name)
            .bind(project.created_at.as_millis())
            .execute(change.connection())
            .await;
    if let Err(error) = &inserted
        && violated(error) == Some(Constraint::ProjectsName)
    {
        return Err(Error::ProjectExists(project.name.clone()));
    }
    inserted.during("insert project")?;
    let detail = json!({ "name": project.name, "orgId": project.org_id });
    change
        .record(actor, "project.insert", project.id, now, detail)
        .await
}

/// Fails with `ProjectNotFound` unless it exists.
pub(crate) async fn require(connection: &mut Connection, id: ProjectId) -> Result<(), Error> {
    query("SELECT 1 FROM projects WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .during("look for project")?
        .map(drop)
        .ok_or(Error::ProjectNotFound(id))
}

fn project(row: &Row) -> Result<Project, Error> {
    Ok(Project {
        id: row.word("id")?,
        org_id: row.word("org_id")?,
        name: row.text("name")?.to_owned(),
        created_at: row.time("created_at_ms")?,
        cluster_count: row.number("cluster_count")?,
    })
}
