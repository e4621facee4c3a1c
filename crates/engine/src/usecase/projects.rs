//! Organizations, projects and the projects' access lists.

use model::organization::check_name;
use model::{
    AccessEntry, Action, Cidr, Error, Listed, OrgId, Organization, Page, Project, ProjectId,
};

use crate::{Caller, Engine, entropy};

/// Use cases about organizations, projects and their access lists.
pub struct Projects<'a>(pub(crate) &'a Engine);

impl Projects<'_> {
    /// Returns the organizations that the caller belongs to.
    pub async fn organizations(&self, caller: &Caller) -> Result<Vec<Organization>, Error> {
        let all = self.0.parts.meta.organizations().await?;
        Ok(all
            .into_iter()
            .filter(|org| caller.principal.is_in_org(org.id))
            .collect())
    }

    /// Returns one organization.
    pub async fn organization(&self, caller: &Caller, id: OrgId) -> Result<Organization, Error> {
        let found = self.0.parts.meta.organization(id).await?;
        let org = found.ok_or(Error::OrganizationNotFound(id))?;
        caller.require_in_org(Action::ReadOrg, id)?;
        Ok(org)
    }

    /// Returns the projects that the caller may read; of one organization, or of all.
    pub async fn list(
        &self,
        caller: &Caller,
        org: Option<OrgId>,
        page: Page,
    ) -> Result<Listed<Project>, Error> {
        if let Some(org) = org {
            self.organization(caller, org).await?;
        }
        let all = self.0.parts.meta.projects(org, Page::ALL).await?;
        let visible = |project: &Project| caller.require(Action::ReadProject, project).is_ok();
        Ok(Listed::cut(
            all.items.into_iter().filter(visible).collect(),
            page,
        ))
    }

    /// Returns a project in which the caller may do `action`.
    pub async fn require(
        &self,
        caller: &Caller,
        id: ProjectId,
        action: Action,
    ) -> Result<Project, Error> {
        let found = self.0.parts.meta.project(id).await?;
        let project = found.ok_or(Error::ProjectNotFound(id))?;
        caller.require(action, &project)?;
        Ok(project)
    }

    /// Returns a project that the caller may read.
    pub async fn get(&self, caller: &Caller, id: ProjectId) -> Result<Project, Error> {
        self.require(caller, id, Action::ReadProject).await
    }

    /// Returns the project of that name among those the caller may read.
    pub async fn by_name(&self, caller: &Caller, name: &str) -> Result<Project, Error> {
        let visible = self.list(caller, None, Page::ALL).await?;
        let found = visible
            .items
            .into_iter()
            .find(|project| project.name == name);
        found.ok_or_else(|| Error::ProjectNameNotFound(name.to_owned()))
    }

    /// Makes a project.
    pub async fn create(
        &self,
        caller: &Caller,
        org_id: OrgId,
        name: &str,
    ) -> Result<Project, Error> {
        self.organization(caller, org_id).await?;
        caller.require_in_org(Action::CreateProject, org_id)?;
        check_name("name", name)?;
        let now = self.0.now();
        let project = Project {
            id: ProjectId::generate(now, entropy::bytes()),
            org_id,
            name: name.to_owned(),
            created_at: now,
            cluster_count: 0,
        };
        self.0
            .parts
            .meta
            .project_insert(&project, &caller.actor())
            .await?;
        Ok(project)
    }

    /// Deletes a project that has no clusters.
    pub async fn delete(&self, caller: &Caller, id: ProjectId) -> Result<(), Error> {
        self.require(caller, id, Action::OwnProject).await?;
        self.0
            .parts
            .meta
            .project_delete(id, &caller.actor(), self.0.now())
            .await
    }

    /// Returns a project's access list: where its downloads may be fetched from. An empty
    /// list means anywhere.
    pub async fn access(
        &self,
        caller: &Caller,
        id: ProjectId,
        page: Page,
    ) -> Result<Listed<AccessEntry>, Error> {
        self.get(caller, id).await?;
        let now = self.0.now();
        let mut entries = self.0.parts.meta.project_access(id).await?;
        entries.retain(|entry| entry.delete_after.is_none_or(|end| now < end));
        Ok(Listed::cut(entries, page))
    }

    /// Adds to a project's access list.
    pub async fn access_add(
        &self,
        caller: &Caller,
        id: ProjectId,
        entries: &[AccessEntry],
    ) -> Result<(), Error> {
        self.require(caller, id, Action::OwnProject).await?;
        self.0
            .parts
            .meta
            .project_access_add(id, entries, &caller.actor(), self.0.now())
            .await
    }

    /// Takes a block off a project's access list.
    pub async fn access_remove(
        &self,
        caller: &Caller,
        id: ProjectId,
        block: Cidr,
    ) -> Result<(), Error> {
        self.require(caller, id, Action::OwnProject).await?;
        self.0
            .parts
            .meta
            .project_access_remove(id, block, &caller.actor(), self.0.now())
            .await
    }
}
