//! What can go wrong, in words that know no transport.
//!
//! `Display` is the external message: it may leave the process. The `source` chain is
//! context for the log and never does. Only `regrow::http::error` turns a variant into a
//! status, only `main` turns an error into an exit code.

use crate::RestoreMode;
use crate::id::{ClusterId, KeyId, OrgId, ProjectId, RestoreId, SnapshotId};

/// A stored or sent word that is none of those expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a {what}")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
}

impl UnknownWord {
    /// Says that `word` is no `what`.
    pub fn new(what: &'static str, word: impl Into<String>) -> Self {
        Self {
            what,
            word: word.into(),
        }
    }
}

/// Why a MongoDB deployment cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentFault {
    /// The connection string cannot be read.
    InvalidUri,
    /// No server answered in time.
    Unreachable,
    /// The server refused the user or password.
    AuthenticationFailed,
    /// The user lacks a privilege; the message names it.
    MissingPrivilege,
    /// A topology or version that Regrow does not handle.
    Unsupported,
}

/// An error of a use case; each variant is one that a caller branches on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such organization.
    #[error("no organization has the id {0}")]
    OrganizationNotFound(OrgId),
    /// No such project.
    #[error("no project has the id {0}")]
    ProjectNotFound(ProjectId),
    /// No project of that name.
    #[error("no project is named `{0}`")]
    ProjectNameNotFound(String),
    /// No such cluster or serverless instance in the project.
    #[error("no cluster named `{name}` exists in project {project}")]
    ClusterNotFound {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        project: ProjectId,
    },
    /// No such snapshot of that cluster.
    #[error("no snapshot {snapshot} of cluster `{cluster}` exists")]
    SnapshotNotFound {
        /// The id asked for.
        snapshot: SnapshotId,
        /// The cluster's name.
        cluster: String,
    },
    /// No such collection in the snapshot.
    #[error("there is no {namespace} in snapshot {snapshot}")]
    NamespaceNotFound {
        /// Database and collection.
        namespace: String,
        /// Where it was looked for.
        snapshot: SnapshotId,
    },
    /// No such restore job of that cluster.
    #[error("no restore job {restore} of cluster `{cluster}` exists")]
    RestoreNotFound {
        /// The id asked for.
        restore: RestoreId,
        /// The cluster's name.
        cluster: String,
    },
    /// No such API key.
    #[error("no API key has the id {0}")]
    KeyNotFound(KeyId),
    /// The address is not on the access list.
    #[error("`{entry}` is not on the access list")]
    AccessEntryNotFound {
        /// The address or block.
        entry: String,
    },
    /// No download answers to that link.
    #[error("no download answers to this link")]
    DownloadNotFound,
    /// The download's link has expired.
    #[error("this download link has expired")]
    DownloadExpired,

    /// The caller's roles do not allow the action.
    #[error("this API key's roles do not allow the action")]
    Denied,
    /// The project exists, but the caller has no part in it.
    #[error("this API key has no access to project {0}")]
    NotInProject(ProjectId),
    /// The organization exists, but the caller has no part in it.
    #[error("this API key has no access to organization {0}")]
    NotInOrganization(OrgId),
    /// The access list is that of another key, and the caller doesn't own the organization.
    #[error("only the key itself or an organization owner may use this access list")]
    AccessListDenied,
    /// The caller may not restore that snapshot onto that target.
    #[error("this API key may not restore to the requested target")]
    TargetDenied,

    /// Another restore onto the same target has not ended.
    #[error("a restore to `{0}` is already in progress")]
    RestoreInProgress(String),
    /// Another drill of the cluster's snapshots has not ended.
    #[error("a drill of `{0}` is already queued or in progress")]
    DrillInProgress(String),
    /// A scratch server is needed and cannot be had.
    #[error("{0}")]
    ScratchUnavailable(String),
    /// Another on-demand snapshot of the cluster has not ended.
    #[error("an on-demand snapshot of `{0}` is already queued or in progress")]
    SnapshotInProgress(String),
    /// The snapshot is queued or running, so it cannot be deleted.
    #[error("snapshot {0} is still in progress")]
    SnapshotUnfinished(SnapshotId),
    /// A restore that has not ended needs the snapshot.
    #[error("snapshot {0} is being restored")]
    SnapshotInUse(SnapshotId),
    /// The snapshot did not complete, so nothing can be restored from it.
    #[error("snapshot {0} is not complete")]
    SnapshotIncomplete(SnapshotId),
    /// The project has a cluster of that name.
    #[error("a cluster named `{0}` already exists in this project")]
    ClusterExists(String),
    /// Jobs that have not ended keep the cluster.
    #[error("`{0}` has jobs in progress")]
    ClusterBusy(String),
    /// A new connection string leads somewhere else than the one before.
    #[error("the connection string leads to another deployment than that of `{name}`: {what}")]
    AnotherDeployment {
        /// The cluster's name.
        name: String,
        /// By what it differs.
        what: String,
    },
    /// The cluster is protected from deletion.
    #[error("`{0}` has termination protection enabled")]
    TerminationProtected(String),
    /// The organization has a project of that name.
    #[error("a project named `{0}` already exists")]
    ProjectExists(String),
    /// A project with clusters cannot be deleted.
    #[error("project {0} still has clusters")]
    ProjectHasClusters(ProjectId),
    /// The address is on the list already.
    #[error("`{0}` is already on the access list")]
    AccessEntryExists(String),
    /// The change would lock the caller out.
    #[error("removing `{0}` would lock this caller out")]
    CallerLockedOut(String),

    /// A member's value cannot be accepted.
    #[error("`{attribute}` is not valid: {reason}")]
    InvalidAttribute {
        /// The member.
        attribute: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An address or CIDR block that cannot be read.
    #[error("`{0}` is not an IP address or CIDR block")]
    InvalidAddress(String),
    /// What of a snapshot is to be put back cannot be.
    #[error("{0}")]
    InvalidSelection(String),
    /// A restore cannot be done in the mode that was asked for.
    #[error("{mode} is not possible: {reason}")]
    ModeImpossible {
        /// The mode.
        mode: RestoreMode,
        /// Why not.
        reason: String,
    },
    /// The snapshot's server is newer than the target's.
    #[error("the snapshot was taken from MongoDB {snapshot}, but the target runs {target}")]
    VersionMismatch {
        /// Version of the snapshot's source.
        snapshot: String,
        /// Version of the target.
        target: String,
    },
    /// The target is a sharded cluster.
    #[error("the target `{0}` is a sharded cluster")]
    TargetSharded(String),
    /// The target cannot be used now.
    #[error("the target `{name}` is not available: {reason}")]
    TargetUnavailable {
        /// The target's name.
        name: String,
        /// Why, without secrets.
        reason: String,
    },
    /// A deployment that is to be attached cannot be used.
    #[error("{message}")]
    Deployment {
        /// What kind of fault.
        fault: DeploymentFault,
        /// What and what to do, without secrets.
        message: String,
    },

    /// The change is based on a state that is no longer there (a lost lease, a raced update).
    #[error("the state changed meanwhile")]
    Stale,
    /// Nothing the caller can mend.
    #[error("an unexpected error occurred")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps what the caller can do nothing about.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::Internal(source.into())
    }

    /// Says that `cluster` is unknown by its id; only a raced deletion leads here.
    pub fn cluster_gone(id: ClusterId) -> Self {
        Error::internal(format!("cluster {id} is gone"))
    }
}
