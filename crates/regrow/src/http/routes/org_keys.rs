//! API keys of an organization.

use api::api_key::{ApiKey, CreateApiKey, RoleAssignment};
use api::link::Link;
use api::{ApiError, Code, List};
use model::Role;

use super::super::error::{Answer, Failure};
use super::super::extract::{Ask, Payload, Place, key_id, org_id};
use super::super::respond::nothing;
use super::wire_id;

/// Returns the API keys of one organization.
#[utoipa::path(
    get,
    path = "/orgs/{orgId}/apiKeys",
    context_path = api::ATLAS_V1,
    operation_id = "listApiKeys",
    tag = "API Keys",
    responses((status = 200, description = "One page.", body = List<ApiKey>)),
)]
pub(crate) async fn list(ask: Ask, Place(org): Place<String>) -> Answer {
    let keys = ask.engine().keys();
    let listed = keys
        .of_organization(ask.caller(), org_id(&org)?, ask.page())
        .await?;
    ask.list(listed, |key| wire(&ask, &key))
}

/// Returns one API key of one organization.
#[utoipa::path(
    get,
    path = "/orgs/{orgId}/apiKeys/{apiUserId}",
    context_path = api::ATLAS_V1,
    operation_id = "getApiKey",
    tag = "API Keys",
    responses((status = 200, description = "The key.", body = ApiKey)),
)]
pub(crate) async fn get(ask: Ask, Place((org, key)): Place<(String, String)>) -> Answer {
    let key = ask
        .engine()
        .keys()
        .get(ask.caller(), org_id(&org)?, key_id(&key)?)
        .await?;
    ask.found(&wire(&ask, &key))
}

/// Makes an API key; only this answer has its private key.
#[utoipa::path(
    post,
    path = "/orgs/{orgId}/apiKeys",
    context_path = api::ATLAS_V1,
    operation_id = "createApiKey",
    tag = "API Keys",
    request_body = CreateApiKey,
    responses((status = 200, description = "The key with its secret.", body = ApiKey)),
)]
pub(crate) async fn create(ask: Ask, Place(org): Place<String>, Payload(body): Payload) -> Answer {
    let org = org_id(&org)?;
    let request = CreateApiKey::parse(&body)?;
    let roles = named_roles(&request)?;
    let keys = ask.engine().keys();
    let new = keys
        .create_for_organization(ask.caller(), org, &request.desc, &roles)
        .await?;
    ask.found(&wire_new(&ask, &new))
}

/// Removes an API key.
#[utoipa::path(
    delete,
    path = "/orgs/{orgId}/apiKeys/{apiUserId}",
    context_path = api::ATLAS_V1,
    operation_id = "deleteApiKey",
    tag = "API Keys",
    responses((status = 204, description = "Nothing.")),
)]
pub(crate) async fn delete(ask: Ask, Place((org, key)): Place<(String, String)>) -> Answer {
    ask.engine()
        .keys()
        .delete(ask.caller(), org_id(&org)?, key_id(&key)?)
        .await?;
    nothing()
}

/// Reads the names of roles.
pub(super) fn named_roles(request: &CreateApiKey) -> Result<Vec<Role>, Failure> {
    let role = |name: &String| {
        name.parse().map_err(|_| {
            let detail = format!("{name} is not a role.");
            Failure(ApiError::new(Code::InvalidEnumValue, [name]).with_detail(detail))
        })
    };
    request.roles.iter().map(role).collect()
}

/// Writes a key, its secret masked but for the end that tells keys apart.
pub(super) fn wire(ask: &Ask, key: &model::ApiKey) -> ApiKey {
    let url = format!("{}/apiKeys/{}", ask.org_url(key.org_id), key.id);
    ApiKey {
        desc: key.description.clone(),
        id: wire_id!(key.id),
        links: vec![Link::to_self(url)],
        private_key: Some(format!("********-****-****-{}", key.private_key_tail)),
        public_key: key.public_key.clone(),
        roles: roles(key),
    }
}

/// Writes a key that was just made, with its secret.
pub(super) fn wire_new(ask: &Ask, new: &engine::NewKey) -> ApiKey {
    let private_key = Some(new.expose_private_key().to_owned());
    ApiKey {
        private_key,
        ..wire(ask, &new.key)
    }
}

/// Writes a key's roles.
pub(super) fn roles(key: &model::ApiKey) -> Vec<RoleAssignment> {
    let role = |assignment: &model::RoleAssignment| match assignment {
        model::RoleAssignment::Org(org, role) => RoleAssignment {
            group_id: None,
            org_id: Some(wire_id!(org)),
            role_name: role.as_str().to_owned(),
        },
        model::RoleAssignment::Project(project, role) => RoleAssignment {
            group_id: Some(wire_id!(project)),
            org_id: None,
            role_name: role.as_str().to_owned(),
        },
    };
    key.roles.iter().map(role).collect()
}
