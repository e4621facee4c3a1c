//! Projects.

use api::List;
use api::group::{CreateGroup, Group};
use api::link::{self, Link};
use axum::http::StatusCode;
use model::{OrgId, Project};
use serde_json::json;

use super::super::error::Answer;
use super::super::extract::{Ask, Payload, Place, project_id};
use super::{date, wire_id};

/// Returns the projects that the key may read.
#[utoipa::path(
    get,
    path = "/groups",
    context_path = api::ATLAS_V1,
    operation_id = "listProjects",
    tag = "Projects",
    responses((status = 200, description = "One page.", body = List<Group>)),
)]
pub(crate) async fn list(ask: Ask) -> Answer {
    let listed = ask
        .engine()
        .projects()
        .list(ask.caller(), None, ask.page())
        .await?;
    ask.list(listed, |project| wire(&ask, &project))
}

/// Returns one project.
#[utoipa::path(
    get,
    path = "/groups/{groupId}",
    context_path = api::ATLAS_V1,
    operation_id = "getProject",
    tag = "Projects",
    responses((status = 200, description = "The project.", body = Group)),
)]
pub(crate) async fn get(ask: Ask, Place(group): Place<String>) -> Answer {
    let project = ask
        .engine()
        .projects()
        .get(ask.caller(), project_id(&group)?)
        .await?;
    ask.found(&wire(&ask, &project))
}

/// Returns the project of that name.
#[utoipa::path(
    get,
    path = "/groups/byName/{groupName}",
    context_path = api::ATLAS_V1,
    operation_id = "getProjectByName",
    tag = "Projects",
    responses((status = 200, description = "The project.", body = Group)),
)]
pub(crate) async fn by_name(ask: Ask, Place(name): Place<String>) -> Answer {
    let project = ask.engine().projects().by_name(ask.caller(), &name).await?;
    ask.found(&wire(&ask, &project))
}

/// Makes a project.
#[utoipa::path(
    post,
    path = "/groups",
    context_path = api::ATLAS_V1,
    operation_id = "createProject",
    tag = "Projects",
    request_body = CreateGroup,
    responses((status = 201, description = "The project.", body = Group)),
)]
pub(crate) async fn create(ask: Ask, Payload(body): Payload) -> Answer {
    let request = CreateGroup::parse(&body)?;
    let org = OrgId::from_bytes(request.org_id.bytes());
    let project = ask
        .engine()
        .projects()
        .create(ask.caller(), org, &request.name)
        .await?;
    ask.one(StatusCode::CREATED, &wire(&ask, &project))
}

/// Removes a project that has no clusters.
#[utoipa::path(
    delete,
    path = "/groups/{groupId}",
    context_path = api::ATLAS_V1,
    operation_id = "deleteProject",
    tag = "Projects",
    responses((status = 202, description = "An empty object.")),
)]
pub(crate) async fn delete(ask: Ask, Place(group): Place<String>) -> Answer {
    ask.engine()
        .projects()
        .delete(ask.caller(), project_id(&group)?)
        .await?;
    ask.one(StatusCode::ACCEPTED, &json!({}))
}

pub(super) fn wire(ask: &Ask, project: &Project) -> Group {
    let url = ask.group_url(project.id);
    Group {
        cluster_count: project.cluster_count.into(),
        created: date(project.created_at),
        id: wire_id!(project.id),
        links: vec![
            Link::to_self(url.clone()),
            Link::new(link::CLUSTERS, format!("{url}/clusters")),
        ],
        name: project.name.clone(),
        org_id: wire_id!(project.org_id),
        tags: Vec::new(),
    }
}
