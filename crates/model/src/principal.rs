//! Who asks, and what they may do.

use crate::id::{KeyId, OrgId, ProjectId};
use crate::time::Timestamp;

/// A role on an organization or a project; Atlas' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]

pub enum Role {
    OrgOwner,
    OrgGroupCreator,
    OrgMember,
    OrgReadOnly,
    GroupOwner,
    GroupClusterManager,
    GroupReadOnly,
    GroupDataAccessAdmin,
    GroupDataAccessReadWrite,
    GroupDataAccessReadOnly,
}

impl Role {
    /// All roles, organization roles first.
    pub const ALL: [Role; 10] = [
        Role::OrgOwner,
        Role::OrgGroupCreator,
        Role::OrgMember,
        Role::OrgReadOnly,
        Role::GroupOwner,
        Role::GroupClusterManager,
        Role::GroupReadOnly,
        Role::GroupDataAccessAdmin,
        Role::GroupDataAccessReadWrite,
        Role::GroupDataAccessReadOnly,
    ];

    /// Returns Atlas' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::OrgOwner => "ORG_OWNER",
            Role::OrgGroupCreator => "ORG_GROUP_CREATOR",
            Role::OrgMember => "ORG_MEMBER",
            Role::OrgReadOnly => "ORG_READ_ONLY",
            Role::GroupOwner => "GROUP_OWNER",
            Role::GroupClusterManager => "GROUP_CLUSTER_MANAGER",
            Role::GroupReadOnly => "GROUP_READ_ONLY",
            Role::GroupDataAccessAdmin => "GROUP_DATA_ACCESS_ADMIN",
            Role::GroupDataAccessReadWrite => "GROUP_DATA_ACCESS_READ_WRITE",
            Role::GroupDataAccessReadOnly => "GROUP_DATA_ACCESS_READ_ONLY",
        }
    }

    /// Returns whether it is given on an organization rather than a project.
    pub fn is_org_role(self) -> bool {
        matches!(
            self,
            Role::OrgOwner | Role::OrgGroupCreator | Role::OrgMember | Role::OrgReadOnly
        )
    }
}

impl std::str::FromStr for Role {
    type Err = crate::error::UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| crate::error::UnknownWord::new("role", word))
    }
}

/// A role and where it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoleAssignment {
    /// On an organization.
    Org(OrgId, Role),
    /// On a project.
    Project(ProjectId, Role),
}

/// A programmatic API key. Its secret half is not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// The organization that owns it.
    pub org_id: OrgId,
    /// What it is for, in its owner's words.
    pub description: String,
    /// The user name of digest authentication.
    pub public_key: String,
    /// The last characters of the private key, to tell keys apart.
    pub private_key_tail: String,
    /// Its roles.
    pub roles: Vec<RoleAssignment>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What someone wants to do, as far as roles decide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See the organization and its projects.
    ReadOrg,
    /// Change keys of the organization.
    ManageOrg,
    /// Make a project.
    CreateProject,
    /// See the project, its clusters, snapshots and tenant restore jobs.
    ReadProject,
    /// Anything in the project: restores, downloads, attaching, keys, access lists; seeing
    /// serverless restore jobs asks for it as well, as Atlas documents.
    OwnProject,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key it came with.
    pub key: ApiKey,
}

impl Principal {
    /// Returns whether it has any role on the project (or an all-seeing one on `org`).
    pub fn is_in_project(&self, org: OrgId, project: ProjectId) -> bool {
        self.may_in_project(Action::ReadProject, org, project)
    }

    /// Returns whether it belongs to the organization.
    pub fn is_in_org(&self, org: OrgId) -> bool {
        self.key.org_id == org
    }

    /// Returns whether it may do `action` on the organization itself.
    pub fn may_in_org(&self, action: Action, org: OrgId) -> bool {
        let roles = self
            .key
            .roles
            .iter()
            .filter_map(|assignment| match assignment {
                RoleAssignment::Org(id, role) if *id == org => Some(*role),
                _ => None,
            });
        let mut roles = roles.collect::<Vec<_>>().into_iter();
        match action {
            Action::ReadOrg => self.is_in_org(org),
            Action::CreateProject => {
                roles.any(|role| matches!(role, Role::OrgOwner | Role::OrgGroupCreator))
            }
            Action::ManageOrg | Action::OwnProject => roles.any(|role| role == Role::OrgOwner),
            Action::ReadProject => {
                roles.any(|role| matches!(role, Role::OrgOwner | Role::OrgReadOnly))
            }
        }
    }

    /// Returns whether it may do `action` in the project, which belongs to `org`.
    ///
    /// An organization owner owns all its projects; an organization reader reads them.
    pub fn may_in_project(&self, action: Action, org: OrgId, project: ProjectId) -> bool {
        if self.may_in_org(action, org) && action != Action::ReadOrg {
            return true;
        }
        self.key.roles.iter().any(|assignment| match assignment {
            RoleAssignment::Project(id, role) if *id == project => match action {
                Action::ReadProject => true,
                Action::OwnProject => *role == Role::GroupOwner,
                Action::ReadOrg | Action::ManageOrg | Action::CreateProject => false,
            },
            _ => false,
        })
    }
}

/// On whose behalf a change is made; kept with every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A caller with an API key, from an address.
    Key {
        /// The key.
        id: KeyId,
        /// The peer's address, once proxies are looked through.
        address: String,
    },
    /// The schedule.
    Scheduler,
    /// A worker, about the job it holds.
    Worker,
    /// `regrow init` on the machine itself.
    Local,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::Key { id, address } => write!(f, "key {id} from {address}"),
            Actor::Scheduler => f.write_str("scheduler"),
            Actor::Worker => f.write_str("worker"),
            Actor::Local => f.write_str("local"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: OrgId = OrgId::from_bytes([1; 12]);
    const PROJECT: ProjectId = ProjectId::from_bytes([2; 12]);
    const OTHER: ProjectId = ProjectId::from_bytes([3; 12]);

    fn check(roles: &[RoleAssignment], action: Action, project: ProjectId, expected: bool) {
        let key = ApiKey {
            id: KeyId::from_bytes([9; 12]),
            org_id: ORG,
            description: String::new(),
            public_key: String::new(),
            private_key_tail: String::new(),
            roles: roles.to_vec(),
            created_at: Timestamp::from_millis(0),
        };
        let may = Principal { key }.may_in_project(action, ORG, project);
        assert_eq!(may, expected, "{roles:?} {action:?}");
    }

    #[test]
    fn a_reader_of_one_project_reads_that_one_only() {
        let reader = [RoleAssignment::Project(PROJECT, Role::GroupReadOnly)];
        check(&reader, Action::ReadProject, PROJECT, true);
        check(&reader, Action::OwnProject, PROJECT, false);
        check(&reader, Action::ReadProject, OTHER, false);
    }

    #[test]
    fn organization_roles_reach_into_projects_only_where_documented() {
        let owner = [RoleAssignment::Org(ORG, Role::OrgOwner)];
        check(&owner, Action::OwnProject, PROJECT, true);
        let reader = [RoleAssignment::Org(ORG, Role::OrgReadOnly)];
        check(&reader, Action::ReadProject, PROJECT, true);
        check(&reader, Action::OwnProject, PROJECT, false);
        let member = [RoleAssignment::Org(ORG, Role::OrgMember)];
        check(&member, Action::ReadProject, PROJECT, false);
        let foreign = [RoleAssignment::Org(
            OrgId::from_bytes([8; 12]),
            Role::OrgOwner,
        )];
        check(&foreign, Action::ReadProject, PROJECT, false);
    }
}
