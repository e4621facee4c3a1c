//! Programmatic API keys, their roles and their access lists.

use model::{
    AccessEntry, Action, ApiKey, Cidr, Error, KeyId, Listed, OrgId, Page, ProjectId, Role,
    RoleAssignment,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{Caller, Config, Engine, entropy};

/// Use cases about API keys.
pub struct Keys<'a>(pub(crate) &'a Engine);

/// A key just made: the only moment its private half is known.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub key: ApiKey,
    /// Its private half.
    pub private_key: SecretString,
}

/// Makes a key and the secret that is stored for it.
pub(crate) fn generate(
    config: &Config,
    org_id: OrgId,
    description: &str,
    roles: Vec<RoleAssignment>,
    now: model::Timestamp,
) -> (NewKey, SecretString) {
    let public_key = entropy::public_key();
    let private_key = entropy::private_key();
    let ha1 = (config.digest_ha1)(&public_key, &private_key);
    let key = ApiKey {
        id: KeyId::generate(now, entropy::bytes()),
        org_id,
        description: description.to_owned(),
        public_key,
        private_key_tail: private_key[private_key.len() - 12..].to_owned(),
        roles,
        created_at: now,
    };
    (
        NewKey {
            key,
            private_key: private_key.into(),
        },
        ha1,
    )
}

fn check_description(description: &str) -> Result<(), Error> {
    if (1..=250).contains(&description.chars().count()) {
        return Ok(());
    }
    let reason = "it takes 1 to 250 characters".to_owned();
    Err(Error::InvalidAttribute {
        attribute: "desc",
        reason,
    })
}

fn check_roles(roles: &[Role], org_roles: bool) -> Result<(), Error> {
    let problem = if roles.is_empty() {
        Some("at least one role is needed".to_owned())
    } else {
        let misplaced = roles.iter().find(|role| role.is_org_role() != org_roles);
        misplaced.map(|role| format!("{} is not given here", role.as_str()))
    };
    match problem {
        Some(reason) => Err(Error::InvalidAttribute {
            attribute: "roles",
            reason,
        }),
        None => Ok(()),
    }
}

impl Keys<'_> {
    /// Returns the stored key of a public key, for authentication.
    pub async fn by_public(&self, public_key: &str) -> Result<Option<meta::StoredKey>, Error> {
        self.0.parts.meta.key_by_public(public_key).await
    }

    /// Returns an organization's keys.
    pub async fn of_organization(
        &self,
        caller: &Caller,
        org: OrgId,
        page: Page,
    ) -> Result<Listed<ApiKey>, Error> {
        self.0.projects().organization(caller, org).await?;
        self.0.parts.meta.keys_of_org(org, page).await
    }

    /// Returns the keys with a role on a project.
    pub async fn of_project(
        &self,
        caller: &Caller,
        project: ProjectId,
        page: Page,
    ) -> Result<Listed<ApiKey>, Error> {
        self.0.projects().get(caller, project).await?;
        self.0.parts.meta.keys_of_project(project, page).await
    }

    /// Returns one of an organization's keys.
    pub async fn get(&self, caller: &Caller, org: OrgId, id: KeyId) -> Result<ApiKey, Error> {
        self.0.projects().organization(caller, org).await?;
        let key = self.0.parts.meta.key(id).await?;
        key.filter(|key| key.org_id == org)
            .ok_or(Error::KeyNotFound(id))
    }

    async fn require_managed(
        &self,
        caller: &Caller,
        org: OrgId,
        id: KeyId,
    ) -> Result<ApiKey, Error> {
        let key = self.get(caller, org, id).await?;
        caller.require_in_org(Action::ManageOrg, org)?;
        Ok(key)
    }

    /// Makes a key with roles on the organization.
    pub async fn create_for_organization(
        &self,
        caller: &Caller,
        org: OrgId,
        description: &str,
        roles: &[Role],
    ) -> Result<NewKey, Error> {
        self.0.projects().organization(caller, org).await?;
        caller.require_in_org(Action::ManageOrg, org)?;
        check_roles(roles, true)?;
        let roles = roles
            .iter()
            .map(|role| RoleAssignment::Org(org, *role))
            .collect();
        self.create(caller, org, description, roles).await
    }

    /// Makes a key with roles on a project; it becomes a member of the organization as well.
    pub async fn create_for_project(
        &self,
        caller: &Caller,
        project: ProjectId,
        description: &str,
        roles: &[Role],
    ) -> Result<NewKey, Error> {
        let project = self
            .0
            .projects()
            .require(caller, project, Action::OwnProject)
            .await?;
        check_roles(roles, false)?;
        let on_project = roles
            .iter()
            .map(|role| RoleAssignment::Project(project.id, *role));
        let member = RoleAssignment::Org(project.org_id, Role::OrgMember);
        let roles = std::iter::once(member).chain(on_project).collect();
        self.create(caller, project.org_id, description, roles)
            .await
    }

    async fn create(
        &self,
        caller: &Caller,
        org: OrgId,
        description: &str,
        roles: Vec<RoleAssignment>,
    ) -> Result<NewKey, Error> {
        check_description(description)?;
        let now = self.0.now();
        let (new, ha1) = generate(&self.0.parts.config, org, description, roles, now);
        self.0
            .parts
            .meta
            .key_insert(&new.key, &ha1, &caller.actor())
            .await?;
        Ok(new)
    }

    /// Deletes one of an organization's keys.
    pub async fn delete(&self, caller: &Caller, org: OrgId, id: KeyId) -> Result<(), Error> {
        self.require_managed(caller, org, id).await?;
        self.0
            .parts
            .meta
            .key_delete(id, &caller.actor(), self.0.now())
            .await
    }

    /// Takes a key's roles on a project away.
    pub async fn remove_from_project(
        &self,
        caller: &Caller,
        project: ProjectId,
        id: KeyId,
    ) -> Result<(), Error> {
        let project = self
            .0
            .projects()
            .require(caller, project, Action::OwnProject)
            .await?;
        let key = self.0.parts.meta.key(id).await?;
        let key = key
            .filter(|key| key.org_id == project.org_id)
            .ok_or(Error::KeyNotFound(id))?;
        let on_project = |role: &RoleAssignment| match role {
            RoleAssignment::Project(on, _) => *on == project.id,
            RoleAssignment::Org(..) => false,
        };
        if !key.roles.iter().any(on_project) {
            return Err(Error::KeyNotFound(id));
        }
        let rest = key
            .roles
            .into_iter()
            .filter(|role| !on_project(role))
            .collect();
        self.0
            .parts
            .meta
            .key_set_roles(id, rest, &caller.actor(), self.0.now())
            .await
    }

    /// Returns a key's access list. Fails with `AccessListDenied` unless the caller is the key
    /// itself or owns the organization.
    pub async fn access(
        &self,
        caller: &Caller,
        org: OrgId,
        id: KeyId,
        page: Page,
    ) -> Result<Listed<AccessEntry>, Error> {
        let principal = &caller.principal;
        let is_own = principal.key.id == id;
        if !is_own && principal.is_in_org(org) && !principal.may_in_org(Action::ManageOrg, org) {
            return Err(Error::AccessListDenied);
        }
        self.get(caller, org, id).await?;
        Ok(Listed::cut(self.0.parts.meta.key_access(id).await?, page))
    }

    /// Adds to a key's access list; afterwards it works from listed addresses only.
    pub async fn access_add(
        &self,
        caller: &Caller,
        org: OrgId,
        id: KeyId,
        blocks: &[Cidr],
    ) -> Result<(), Error> {
        self.require_managed(caller, org, id).await?;
        let now = self.0.now();
        let entry = |block: &Cidr| AccessEntry {
            block: *block,
            comment: String::new(),
            created_at: now,
            delete_after: None,
        };
        let entries: Vec<AccessEntry> = blocks.iter().map(entry).collect();
        self.0
            .parts
            .meta
            .key_access_add(id, &entries, &caller.actor(), now)
            .await
    }

    /// Takes a block off a key's access list; not the one that the caller itself needs.
    pub async fn access_remove(
        &self,
        caller: &Caller,
        org: OrgId,
        id: KeyId,
        block: Cidr,
    ) -> Result<(), Error> {
        self.require_managed(caller, org, id).await?;
        let now = self.0.now();
        let mut rest = self.0.parts.meta.key_access(id).await?;
        rest.retain(|entry| entry.block != block);
        let admitted = rest.iter().any(|entry| entry.admits(caller.address, now));
        if caller.principal.key.id == id && !rest.is_empty() && !admitted {
            return Err(Error::CallerLockedOut(block.to_string()));
        }
        self.0
            .parts
            .meta
            .key_access_remove(id, block, &caller.actor(), now)
            .await
    }
}

impl NewKey {
    /// Returns the private half, to be shown once.
    pub fn expose_private_key(&self) -> &str {
        self.private_key.expose_secret()
    }
}
