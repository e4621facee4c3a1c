//! What goes wrong, as the API says it: the table of error codes and the error document.
//!
//! Codes, statuses and parameter counts are those of Atlas where it has a code; the wording of
//! every detail is Regrow's own. A code of Regrow's own is marked as such. Only this file knows
//! which status belongs to a code; only `regrow::http::error` chooses the code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($(
        $(#[$doc:meta])*
        $name:ident $text:literal $status:literal $count:literal $detail:literal;
    )*) => {
        /// The error codes that the service emits.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the code as the wire has it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the HTTP status that belongs to the code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Returns how many parameters the code has.
            pub const fn parameter_count(self) -> usize {
                match self { $(Self::$name => $count,)* }
            }

            const fn template(self) -> &'static str {
                match self { $(Self::$name => $detail,)* }
            }
        }
    };
}

// name, code on the wire, status, number of parameters, detail; `{0}` is the first parameter.
codes! {
    /// Address, once more.
    AddressAlreadyInAccessList "ADDRESS_ALREADY_IN_ACCESS_LIST" 409 1
        "The address {0} is already in the access list.";
    /// Key's list asked for by another key without the right.
    ApiKeyAccessListAccessDenied "API_KEY_ACCESS_LIST_ACCESS_DENIED" 401 0
        "Only the key itself or an organization owner may use this access list.";
    /// Address, key.
    ApiKeyAccessListNotFound "API_KEY_ACCESS_LIST_NOT_FOUND" 404 2
        "The address {0} is not in the access list of API key {1}.";
    /// Key id. Atlas answers this one with 400, and clients look at the code only.
    ApiKeyNotFound "API_KEY_NOT_FOUND" 400 1 "There is no API key with id {0}.";
    /// The target has an unfinished restore.
    AtlasClusterRestoreInProgress "ATLAS_CLUSTER_RESTORE_IN_PROGRESS" 409 0
        "The target cluster is already being restored; wait until that restore has ended.";
    /// Entry, project.
    AtlasNetworkPermissionEntryNotFound "ATLAS_NETWORK_PERMISSION_ENTRY_NOT_FOUND" 404 2
        "The address {0} is not in the access list of project {1}.";
    /// Attribute name.
    AttributeNegativeOrZero "ATTRIBUTE_NEGATIVE_OR_ZERO" 400 1
        "The attribute {0} must be greater than zero.";
    /// An access list entry that names no address, or an address and a block.
    BadAccessListAddRequest "BAD_ACCESS_LIST_ADD_REQUEST" 400 0
        "Each entry must have either ipAddress or cidrBlock, and not both.";
    /// The archive is asked of a snapshot that is not complete.
    CannotDownloadIncompleteSnapshot "CANNOT_DOWNLOAD_INCOMPLETE_SNAPSHOT" 409 0
        "The snapshot is not complete, so it cannot be downloaded.";
    /// Address.
    CannotRemoveCallerFromAccessList "CANNOT_REMOVE_CALLER_FROM_ACCESS_LIST" 400 1
        "The address {0} is the one this request came from; remove it from another address.";
    /// Regrow cannot delete what is not finished; snapshot.
    CannotDeleteInProgressSnapshot "CANNOT_DELETE_IN_PROGRESS_SNAPSHOT" 400 1
        "The snapshot {0} is still in progress.";
    /// A project with clusters.
    CannotCloseGroupActiveAtlasClusters "CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS" 409 0
        "The project still has clusters; remove them first.";
    /// Cluster.
    CannotTerminateProtectedCluster
        "CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED" 400 1
        "The cluster {0} is protected from removal; take its termination protection off first.";
    /// No right on the source or on the target.
    CannotRestoreToTarget "CANNOT_RESTORE_TO_TARGET" 403 0
        "The API key may not restore this snapshot to this target.";
    /// The snapshot is not complete.
    CannotStartRestoreJobForIncompleteClusterSnapshot
        "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT" 409 0
        "The snapshot is not complete, so it cannot be restored.";
    /// Cluster, project.
    ClusterNotFound "CLUSTER_NOT_FOUND" 404 2
        "There is no cluster named {0} in project {1}.";
    /// Regrow's own: a connection string leads elsewhere than the one before.
    ConnectionStringOfAnother "CONNECTION_STRING_OF_ANOTHER_DEPLOYMENT" 409 0
        "The connection string leads to another deployment.";
    /// Regrow's own: what was found does not allow the change.
    Conflict "CONFLICT" 409 0 "The request conflicts with the present state.";
    /// Regrow's own: the deployment refused the user or password.
    DeploymentAuthenticationFailed "DEPLOYMENT_AUTHENTICATION_FAILED" 400 0
        "The deployment refused the user or password.";
    /// Regrow's own: the user lacks a privilege.
    DeploymentPrivilegeMissing "DEPLOYMENT_PRIVILEGE_MISSING" 400 0
        "The deployment's user lacks a privilege.";
    /// Regrow's own: no server answered.
    DeploymentUnreachable "DEPLOYMENT_UNREACHABLE" 400 0
        "No server of the deployment answered.";
    /// Regrow's own: a topology or version that is not handled.
    DeploymentUnsupported "DEPLOYMENT_UNSUPPORTED" 400 0
        "The deployment is of a kind that is not supported.";
    /// Regrow's own: the link of a download has expired.
    DownloadLinkExpired "DOWNLOAD_LINK_EXPIRED" 410 0
        "This download link has expired; request a new download.";
    /// Name, project.
    DuplicateClusterName "DUPLICATE_CLUSTER_NAME" 400 2
        "There is already a cluster named {0} in project {1}.";
    /// Project name.
    GroupAlreadyExists "GROUP_ALREADY_EXISTS" 409 1 "There is already a project named {0}.";
    /// Project name.
    GroupNameNotFound "GROUP_NAME_NOT_FOUND" 404 1 "There is no project named {0}.";
    /// Project id.
    GroupNotFound "GROUP_NOT_FOUND" 404 1 "There is no project with id {0}.";
    /// Attribute name.
    InvalidAttribute "INVALID_ATTRIBUTE" 400 1 "The attribute {0} is not allowed.";
    /// Regrow's own: the connection string cannot be read.
    InvalidConnectionString "INVALID_CONNECTION_STRING" 400 0
        "The connection string cannot be read.";
    /// Text.
    InvalidDateFormat "INVALID_DATE_FORMAT" 400 1
        "{0} is not a date in the form 2006-01-02T15:04:05Z.";
    /// Value.
    InvalidEnumValue "INVALID_ENUM_VALUE" 400 1 "{0} is not an allowed value.";
    /// Project id.
    InvalidGroupId "INVALID_GROUP_ID" 404 1
        "{0} is not a project id: 24 hexadecimal digits are expected.";
    /// Address.
    InvalidIpAddressOrCidrNotation "INVALID_IP_ADDRESS_OR_CIDR_NOTATION" 400 1
        "{0} is neither an IP address nor a block in CIDR notation.";
    /// Job id.
    InvalidJobId "INVALID_JOB_ID" 404 1
        "{0} is not a restore job id: 24 hexadecimal digits are expected.";
    /// The body has the wrong kind at the top.
    InvalidJson "INVALID_JSON" 400 0 "The body is JSON of the wrong kind for this request.";
    /// Attribute name.
    InvalidJsonAttribute "INVALID_JSON_ATTRIBUTE" 400 1
        "The attribute {0} has a value of the wrong type.";
    /// Key id.
    InvalidKeyId "INVALID_KEY_ID" 404 1
        "{0} is not an API key id: 24 hexadecimal digits are expected.";
    /// Organization id.
    InvalidOrgId "INVALID_ORG_ID" 404 1
        "{0} is not an organization id: 24 hexadecimal digits are expected.";
    /// Name of the path parameter.
    InvalidPathParameter "INVALID_PATH_PARAMETER" 400 1
        "The path parameter {0} is not valid.";
    /// Name of the query parameter.
    InvalidQueryParameter "INVALID_QUERY_PARAMETER" 400 1
        "The query parameter {0} is not valid.";
    /// Regrow's own: what of a snapshot is to be put back cannot be.
    InvalidRestoreSelection "INVALID_RESTORE_SELECTION" 400 0
        "The selection cannot be followed.";
    /// Snapshot id.
    InvalidSnapshotId "INVALID_SNAPSHOT_ID" 404 1
        "{0} is not a snapshot id: 24 hexadecimal digits are expected.";
    /// Address.
    IpAddressNotOnAccessList "IP_ADDRESS_NOT_ON_ACCESS_LIST" 403 1
        "The address {0} is not in the access list of this API key.";
    /// The body is no JSON.
    MalformedJson "MALFORMED_JSON" 400 0 "The body is not JSON.";
    /// Regrow's own: method, path.
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 2 "{1} does not answer {0}.";
    /// A key must have a role.
    MissingApiKeyRoles "MISSING_API_KEY_ROLES" 400 0 "An API key needs at least one role.";
    /// Attribute name.
    MissingAttribute "MISSING_ATTRIBUTE" 400 1 "The attribute {0} is required.";
    /// Regrow's own: database and collection, snapshot.
    NamespaceNotFound "NAMESPACE_NOT_FOUND" 404 2
        "There is no collection {0} in snapshot {1}.";
    /// The key belongs to an organization that does not have the project.
    NotInGroup "NOT_IN_GROUP" 401 0 "The API key has no access to this project.";
    /// Organization id.
    OrgNotFound "ORG_NOT_FOUND" 404 1 "There is no organization with id {0}.";
    /// Regrow's own: most bytes that a body may have.
    PayloadTooLarge "PAYLOAD_TOO_LARGE" 413 1 "The body is larger than {0} bytes.";
    /// Regrow's own: the target or the snapshot does not allow that mode.
    RestoreModeNotPossible "RESTORE_MODE_NOT_POSSIBLE" 409 0
        "The restore cannot be done in the requested mode.";
    /// Regrow's own: seconds.
    RequestTimeout "REQUEST_TIMEOUT" 503 1
        "The request was given up after {0} seconds; try again.";
    /// What was asked for.
    ResourceNotFound "RESOURCE_NOT_FOUND" 404 1 "There is nothing at {0}.";
    /// Address.
    ResourceRequiresAccessList "RESOURCE_REQUIRES_ACCESS_LIST" 403 1
        "This needs an API key with an access list; the request came from {0}.";
    /// Job, cluster.
    RestoreJobNotFound "RESTORE_JOB_NOT_FOUND" 404 2
        "There is no restore job {0} of cluster {1}.";
    /// Snapshot, cluster.
    SnapshotNotFound "SNAPSHOT_NOT_FOUND" 404 2 "There is no snapshot {0} of cluster {1}.";
    /// The target cannot be reached.
    TenantRestoreDestinationUnavailable "TENANT_RESTORE_DESTINATION_UNAVAILABLE" 400 0
        "The target cluster is not available now; try again when it is.";
    /// The target is sharded.
    TenantRestoreIncompatibleTopology "TENANT_RESTORE_INCOMPATIBLE_TOPOLOGY" 400 0
        "The target cluster is sharded; only a replica set can be restored to.";
    /// Job, cluster.
    TenantRestoreNotFound "TENANT_RESTORE_NOT_FOUND" 404 2
        "There is no restore job {0} of cluster {1}.";
    /// The target runs a version that cannot take the snapshot.
    TenantRestoreVersionMismatch "TENANT_RESTORE_VERSION_MISMATCH" 400 0
        "The target cluster runs another MongoDB version than the snapshot.";
    /// Snapshot, cluster.
    TenantSnapshotNotFound "TENANT_SNAPSHOT_NOT_FOUND" 404 2
        "There is no snapshot {0} of cluster {1}.";
    /// Our fault.
    UnexpectedError "UNEXPECTED_ERROR" 500 0
        "Something went wrong in the service; its log has more under this request's id.";
    /// Another on-demand snapshot is not finished.
    UnfinishedOnDemandSnapshot "UNFINISHED_ON_DEMAND_SNAPSHOT" 400 0
        "Another snapshot of this cluster is queued or in progress.";
    /// The delivery type is not offered for this kind of cluster.
    UnsupportedDeliveryMethod "UNSUPPORTED_DELIVERY_METHOD" 400 0
        "This delivery type is not offered for this cluster.";
    /// Regrow's own: the type that was sent.
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" 415 1
        "A body must be sent as application/json, not as {0}.";
    /// The key has no access to the organization.
    UserCannotAccessOrg "USER_CANNOT_ACCESS_ORG" 401 0
        "The API key has no access to this organization.";
    /// The key lacks the role.
    UserUnauthorized "USER_UNAUTHORIZED" 401 0
        "The API key does not have the role that this needs.";
    /// Name of what is not valid.
    ValidationError "VALIDATION_ERROR" 400 1 "{0} is not valid.";
}

/// An error on its way to a client: a code, its parameters, and the sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct ApiError {
    code: Code,
    parameters: Vec<String>,
    detail: String,
}

impl ApiError {
    /// Makes the error of a code with its parameters, worded by the table.
    ///
    /// # Panics
    /// When the number of parameters is not the code's, in a debug build.
    pub fn new<P: Into<String>>(code: Code, parameters: impl IntoIterator<Item = P>) -> Self {
        let parameters: Vec<String> = parameters.into_iter().map(Into::into).collect();
        debug_assert_eq!(
            parameters.len(),
            code.parameter_count(),
            "{}",
            code.as_str()
        );
        let detail = fill(code.template(), &parameters);
        Self {
            code,
            parameters,
            detail,
        }
    }

    /// Makes the error of a code that has no parameters.
    pub fn plain(code: Code) -> Self {
        Self::new(code, [] as [String; 0])
    }

    /// Replaces the table's wording where the caller knows more.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Returns the code; its text is also the value of the `X-Error-Code` header.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.code.status()
    }

    /// Returns the sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the document that goes into the body.
    pub fn document(&self) -> ErrorDocument {
        ErrorDocument {
            detail: Some(self.detail.clone()),
            error: self.status(),
            error_code: self.code.as_str().to_owned(),
            parameters: Some(self.parameters.clone()),
            reason: Some(reason(self.status()).to_owned()),
        }
    }
}

fn fill(template: &str, parameters: &[String]) -> String {
    let mut detail = String::with_capacity(template.len() + 24 * parameters.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (index, after) = after.split_once('}').expect("the table closes every brace");
        let index: usize = index.parse().expect("the table has numbers in braces");
        detail.push_str(before);
        detail.push_str(parameters.get(index).map_or("", String::as_str));
        rest = after;
    }
    detail.push_str(rest);
    detail
}

/// Returns the reason phrase of a status that the table uses.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// The body of every answer that is an error, except the one without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDocument {
    /// A sentence for people; its wording may change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The HTTP status.
    pub error: u16,
    /// The code for programs.
    pub error_code: String,
    /// What the sentence speaks of, in the order of the code's definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<String>>,
    /// The reason phrase of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The body of a 401 to a request without valid credentials; always sent as it stands here.
///
/// The same for no credentials, an unknown key and a wrong secret: which one it was is nobody's
/// business. Members, their order and the style are those of recorded live answers.
pub const UNAUTHENTICATED: &str = r#"{
  "error" : 401,
  "reason" : "Unauthorized",
  "detail" : "You are not authorized for this resource.",
  "errorCode" : "UNEXPECTED_ERROR"
}"#;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{ApiError, Code, ErrorDocument, UNAUTHENTICATED, reason};
    use crate::pretty;

    #[test]
    fn every_code_has_a_row_that_holds_together() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            let parameters = ["first", "second"].into_iter().take(code.parameter_count());
            let error = ApiError::new(*code, parameters);
            assert!((400..=599).contains(&error.status()));
            assert!(error.status() == 500 || reason(error.status()) != reason(500));
            assert!(error.detail().ends_with('.') && !error.detail().contains(['{', '}']));
            for name in ["first", "second"].into_iter().take(code.parameter_count()) {
                assert!(error.detail().contains(name), "{}: {name}", code.as_str());
            }
        }
    }

    #[test]
    fn the_document_is_compact_and_alphabetical() {
        let error = ApiError::new(Code::GroupNotFound, ["5b69d0349b15c62cdfc38b78"]);
        let expected = concat!(
            r#"{"detail":"There is no project with id 5b69d0349b15c62cdfc38b78.","error":404,"#,
            r#""errorCode":"GROUP_NOT_FOUND","parameters":["5b69d0349b15c62cdfc38b78"],"#,
            r#""reason":"Not Found"}"#,
        );
        let bytes = pretty::to_bytes(&error.document(), false);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn no_parameters_are_an_empty_array_and_null_is_read() {
        let document = ApiError::plain(Code::UnexpectedError).document();
        assert_eq!(document.parameters, Some(vec![]));
        let text = r#"{"error":404,"errorCode":"X","parameters":null}"#;
        let read: ErrorDocument = serde_json::from_str(text).unwrap();
        assert_eq!(read.parameters, None);
    }

    #[test]
    fn parameters_with_braces_stay_as_they_are() {
        let error = ApiError::new(Code::ResourceNotFound, ["/a/{0}"]);
        assert_eq!(error.detail(), "There is nothing at /a/{0}.");
    }

    #[test]
    fn the_answer_without_credentials_can_be_read() {
        let document: ErrorDocument = serde_json::from_str(UNAUTHENTICATED).unwrap();
        assert_eq!((document.error, document.parameters), (401, None));
        assert_eq!(document.error_code, "UNEXPECTED_ERROR");
    }
}
