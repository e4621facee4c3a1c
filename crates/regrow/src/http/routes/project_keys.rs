//! API keys with a role on a project.

use api::List;
use api::api_key::{ApiKey, CreateApiKey};

use super::super::error::Answer;
use super::super::extract::{Ask, Payload, Place, key_id, project_id};
use super::super::respond::nothing;
use super::org_keys::{named_roles, wire, wire_new};

/// Returns the API keys that have a role on one project.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/apiKeys",
    context_path = api::ATLAS_V1,
    operation_id = "listProjectApiKeys",
    tag = "API Keys",
    responses((status = 200, description = "One page.", body = List<ApiKey>)),
)]
pub(crate) async fn list(ask: Ask, Place(group): Place<String>) -> Answer {
    let keys = ask.engine().keys();
    let listed = keys
        .of_project(ask.caller(), project_id(&group)?, ask.page())
        .await?;
    ask.list(listed, |key| wire(&ask, &key))
}

/// Makes an API key with roles on one project; only this answer has its private key.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/apiKeys",
    context_path = api::ATLAS_V1,
    operation_id = "createProjectApiKey",
    tag = "API Keys",
    request_body = CreateApiKey,
    responses((status = 200, description = "The key with its secret.", body = ApiKey)),
)]
pub(crate) async fn create(
    ask: Ask,
    Place(group): Place<String>,
    Payload(body): Payload,
) -> Answer {
    let project = project_id(&group)?;
    let request = CreateApiKey::parse(&body)?;
    let roles = named_roles(&request)?;
    let keys = ask.engine().keys();
    let new = keys
        .create_for_project(ask.caller(), project, &request.desc, &roles)
        .await?;
    ask.found(&wire_new(&ask, &new))
}

/// Takes an API key's roles on one project away.
#[utoipa::path(
    delete,
    path = "/groups/{groupId}/apiKeys/{apiUserId}",
    context_path = api::ATLAS_V1,
    operation_id = "removeProjectApiKey",
    tag = "API Keys",
    responses((status = 204, description = "Nothing.")),
)]
pub(crate) async fn delete(ask: Ask, Place((group, key)): Place<(String, String)>) -> Answer {
    let (project, key) = (project_id(&group)?, key_id(&key)?);
    ask.engine()
        .keys()
        .remove_from_project(ask.caller(), project, key)
        .await?;
    nothing()
}
