//! Who makes a request, and what becomes of it where their roles do not reach.

use std::net::IpAddr;

use model::{Action, Actor, Error, Principal, Project};

/// An authenticated caller and where the request came from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// The peer's address, once trusted proxies are looked through.
    pub address: IpAddr,
}

impl Caller {
    /// Returns who is named in the audit.
    pub fn actor(&self) -> Actor {
        Actor::Key {
            id: self.principal.key.id,
            address: self.address.to_string(),
        }
    }

    /// Fails with `NotInProject` where the caller has no part in the project, with `Denied`
    /// where its roles there do not allow `action`.
    pub fn require(&self, action: Action, project: &Project) -> Result<(), Error> {
        if !self.principal.is_in_project(project.org_id, project.id) {
            return Err(Error::NotInProject(project.id));
        }
        if !self
            .principal
            .may_in_project(action, project.org_id, project.id)
        {
            return Err(Error::Denied);
        }
        Ok(())
    }

    /// Fails with `NotInOrganization` or `Denied`.
    pub fn require_in_org(&self, action: Action, org: model::OrgId) -> Result<(), Error> {
        if !self.principal.is_in_org(org) {
            return Err(Error::NotInOrganization(org));
        }
        if !self.principal.may_in_org(action, org) {
            return Err(Error::Denied);
        }
        Ok(())
    }
}
