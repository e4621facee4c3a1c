//! The only place that turns an error of the domain into a status and a code.
//!
//! Clients branch on the code. The sentence beside it is the domain's own message where that
//! says more than the table. What the caller can do nothing about is logged here, once, and
//! leaves the process only as `UNEXPECTED_ERROR`.

use api::{ApiError, Code};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{DeploymentFault, Error, ProjectId};

/// What every handler answers.
pub(crate) type Answer = Result<Response, Failure>;

/// An error on its way out; written by `frame`, which knows how the request wants it.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) ApiError);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).expect("the table has valid statuses");
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

/// The codes for requests that no family of clusters is part of.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        serverless(error)
    }
}

/// Returns the failure of a request about an M2 or M5 cluster.
pub(crate) fn tenant(error: Error) -> Failure {
    match &error {
        Error::SnapshotNotFound { snapshot, cluster } => {
            let parameters = [snapshot.to_string(), cluster.clone()];
            Failure(ApiError::new(Code::TenantSnapshotNotFound, parameters))
        }
        Error::RestoreNotFound { restore, cluster } => {
            let parameters = [restore.to_string(), cluster.clone()];
            Failure(ApiError::new(Code::TenantRestoreNotFound, parameters))
        }
        _ => serverless(error),
    }
}

/// Returns the failure of a request for a download, given that of its family.
pub(crate) fn download(family: fn(Error) -> Failure) -> impl Fn(Error) -> Failure {
    move |error| match error {
        Error::SnapshotIncomplete(_) => worded(Code::CannotDownloadIncompleteSnapshot, &error),
        other => family(other),
    }
}

/// Returns the failure of a request to attach a cluster to a project.
pub(crate) fn attach(project: ProjectId) -> impl Fn(Error) -> Failure {
    move |error| match error {
        Error::ClusterExists(name) => Failure(ApiError::new(
            Code::DuplicateClusterName,
            [name, project.to_string()],
        )),
        other => serverless(other),
    }
}

/// Returns the failure of a request about the entry of an access list; `code` takes the entry and
/// the `owner` of the list.
pub(crate) fn entry(code: Code, owner: impl ToString) -> impl Fn(Error) -> Failure {
    move |error| match error {
        Error::AccessEntryNotFound { entry } => {
            Failure(ApiError::new(code, [entry, owner.to_string()]))
        }
        other => serverless(other),
    }
}

/// Returns the failure of a request about a serverless instance; the widest of the tables.
pub(crate) fn serverless(error: Error) -> Failure {
    let with = |code, parameter: &dyn ToString| {
        Failure(ApiError::new(code, [parameter.to_string()]).with_detail(sentence(&error)))
    };
    let pair = |code, first: &dyn ToString, second: &dyn ToString| {
        Failure(ApiError::new(code, [first.to_string(), second.to_string()]))
    };
    match &error {
        Error::OrganizationNotFound(id) => with(Code::OrgNotFound, id),
        Error::ProjectNotFound(id) => with(Code::GroupNotFound, id),
        Error::ProjectNameNotFound(name) => with(Code::GroupNameNotFound, name),
        Error::ClusterNotFound { name, project } => pair(Code::ClusterNotFound, name, project),
        Error::SnapshotNotFound { snapshot, cluster } => {
            pair(Code::SnapshotNotFound, snapshot, cluster)
        }
        Error::RestoreNotFound { restore, cluster } => {
            pair(Code::RestoreJobNotFound, restore, cluster)
        }
        Error::NamespaceNotFound {
            namespace,
            snapshot,
        } => pair(Code::NamespaceNotFound, namespace, snapshot),
        Error::KeyNotFound(id) => with(Code::ApiKeyNotFound, id),
        Error::AccessEntryNotFound { entry } => with(Code::ResourceNotFound, entry),
        Error::DownloadNotFound => with(Code::ResourceNotFound, &"download"),
        Error::DownloadExpired => Failure(ApiError::plain(Code::DownloadLinkExpired)),
        Error::Denied => Failure(ApiError::plain(Code::UserUnauthorized)),
        Error::NotInProject(_) => Failure(ApiError::plain(Code::NotInGroup)),
        Error::NotInOrganization(_) => Failure(ApiError::plain(Code::UserCannotAccessOrg)),
        Error::AccessListDenied => Failure(ApiError::plain(Code::ApiKeyAccessListAccessDenied)),
        Error::TargetDenied => Failure(ApiError::plain(Code::CannotRestoreToTarget)),
        Error::AccessEntryExists(entry) => with(Code::AddressAlreadyInAccessList, entry),
        Error::CallerLockedOut(entry) => with(Code::CannotRemoveCallerFromAccessList, entry),
        Error::ProjectExists(name) => with(Code::GroupAlreadyExists, name),
        Error::TerminationProtected(name) => with(Code::CannotTerminateProtectedCluster, name),
        Error::SnapshotUnfinished(id) => with(Code::CannotDeleteInProgressSnapshot, id),
        Error::InvalidAttribute { attribute, .. } => with(Code::InvalidAttribute, attribute),
        Error::InvalidAddress(text) => with(Code::InvalidIpAddressOrCidrNotation, text),
        Error::Internal(source) => {
            tracing::error!(
                error = chain(source.as_ref()),
                "request failed: {}",
                chain(source.as_ref())
            );
            Failure(ApiError::plain(Code::UnexpectedError))
        }
        _ => worded(without_parameters(&error), &error),
    }
}

/// Returns the code of an error whose code has no parameters.
fn without_parameters(error: &Error) -> Code {
    match error {
        Error::AnotherDeployment { .. } => Code::ConnectionStringOfAnother,
        Error::RestoreInProgress(_) => Code::AtlasClusterRestoreInProgress,
        Error::SnapshotInProgress(_) => Code::UnfinishedOnDemandSnapshot,
        Error::SnapshotIncomplete(_) => Code::CannotStartRestoreJobForIncompleteClusterSnapshot,
        Error::ProjectHasClusters(_) => Code::CannotCloseGroupActiveAtlasClusters,
        Error::InvalidSelection(_) => Code::InvalidRestoreSelection,
        Error::ModeImpossible { .. } => Code::RestoreModeNotPossible,
        Error::VersionMismatch { .. } => Code::TenantRestoreVersionMismatch,
        Error::TargetSharded(_) => Code::TenantRestoreIncompatibleTopology,
        Error::TargetUnavailable { .. } => Code::TenantRestoreDestinationUnavailable,
        Error::Deployment { fault, .. } => match fault {
            DeploymentFault::InvalidUri => Code::InvalidConnectionString,
            DeploymentFault::Unreachable => Code::DeploymentUnreachable,
            DeploymentFault::AuthenticationFailed => Code::DeploymentAuthenticationFailed,
            DeploymentFault::MissingPrivilege => Code::DeploymentPrivilegeMissing,
            DeploymentFault::Unsupported => Code::DeploymentUnsupported,
        },
        _ => Code::Conflict,
    }
}

fn worded(code: Code, error: &Error) -> Failure {
    Failure(ApiError::plain(code).with_detail(sentence(error)))
}

/// Writes the domain's message as a sentence, since those of the table are.
fn sentence(error: &Error) -> String {
    let message = error.to_string();
    let mut letters = message.chars();
    let first = letters.next().map(char::to_uppercase);
    let stop = if message.ends_with('.') { "" } else { "." };
    first
        .into_iter()
        .flatten()
        .chain(letters)
        .chain(stop.chars())
        .collect()
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use model::{DeploymentFault, Error, ProjectId, SnapshotId};

    use super::{attach, download, serverless, tenant};

    const PROJECT: ProjectId = ProjectId::from_bytes([1; 12]);
    const SNAPSHOT: SnapshotId = SnapshotId::from_bytes([2; 12]);

    fn check(failure: super::Failure, status: u16, code: &str, parameters: usize) {
        let document = failure.0.document();
        assert_eq!(
            (document.error, document.error_code.as_str()),
            (status, code)
        );
        assert_eq!(document.parameters.unwrap().len(), parameters, "{code}");
    }

    fn no_snapshot() -> Error {
        Error::SnapshotNotFound {
            snapshot: SNAPSHOT,
            cluster: "crow".to_owned(),
        }
    }

    #[test]
    fn codes_follow_the_family_and_the_request() {
        check(tenant(no_snapshot()), 404, "TENANT_SNAPSHOT_NOT_FOUND", 2);
        check(serverless(no_snapshot()), 404, "SNAPSHOT_NOT_FOUND", 2);
        let incomplete = || Error::SnapshotIncomplete(SNAPSHOT);
        check(
            download(tenant)(incomplete()),
            409,
            "CANNOT_DOWNLOAD_INCOMPLETE_SNAPSHOT",
            0,
        );
        check(
            download(tenant)(no_snapshot()),
            404,
            "TENANT_SNAPSHOT_NOT_FOUND",
            2,
        );
        let code = "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT";
        check(tenant(incomplete()), 409, code, 0);
        let exists = Error::ClusterExists("crow".to_owned());
        check(attach(PROJECT)(exists), 400, "DUPLICATE_CLUSTER_NAME", 2);
    }

    #[test]
    fn refusals_are_401_where_atlas_says_so() {
        check(serverless(Error::Denied), 401, "USER_UNAUTHORIZED", 0);
        check(
            serverless(Error::NotInProject(PROJECT)),
            401,
            "NOT_IN_GROUP",
            0,
        );
        check(
            serverless(Error::ProjectNotFound(PROJECT)),
            404,
            "GROUP_NOT_FOUND",
            1,
        );
        check(
            serverless(Error::TargetDenied),
            403,
            "CANNOT_RESTORE_TO_TARGET",
            0,
        );
    }

    #[test]
    fn a_deployment_fault_keeps_the_words_that_help() {
        let message = "the user lacks `find` on `zoo`; hint: grant the role `backup`".to_owned();
        let error = Error::Deployment {
            fault: DeploymentFault::MissingPrivilege,
            message,
        };
        let failure = serverless(error);
        assert_eq!(
            failure.0.detail(),
            "The user lacks `find` on `zoo`; hint: grant the role `backup`."
        );
        check(failure, 400, "DEPLOYMENT_PRIVILEGE_MISSING", 0);
    }

    #[test]
    fn what_went_wrong_inside_stays_inside() {
        let failure = serverless(Error::internal("no such table: secrets"));
        assert!(!failure.0.detail().contains("table"));
        check(failure, 500, "UNEXPECTED_ERROR", 0);
    }
}
