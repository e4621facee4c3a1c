//! Projects.

use model::{Actor, Error, Listed, OrgId, Page, Project, ProjectId, Timestamp};

use crate::Meta;

impl Meta {
    /// Returns projects, the oldest first; of one organization or of all.
    pub async fn projects(&self, org: Option<OrgId>, page: Page) -> Result<Listed<Project>, Error> {
        let _ = (org, page);
        unimplemented!()
    }

    /// Returns a project.
    pub async fn project(&self, id: ProjectId) -> Result<Option<Project>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Returns the project of that name in `org`; without `org`, the oldest of that name.
    pub async fn project_by_name(
        &self,
        org: Option<OrgId>,
        name: &str,
    ) -> Result<Option<Project>, Error> {
        let _ = (org, name);
        unimplemented!()
    }

    /// Stores a project; its `cluster_count` is not read.
    ///
    /// Fails with `ProjectExists` or `OrganizationNotFound`.
    pub async fn project_insert(&self, project: &Project, actor: &Actor) -> Result<(), Error> {
        let _ = (project, actor);
        unimplemented!()
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
        let _ = (id, actor, now);
        unimplemented!()
    }
}
