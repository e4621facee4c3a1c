//! From where a project's downloads may be fetched.

use api::access_list::{CreateEntry, ProjectEntry};
use api::link::{Link, segment};
use api::{ApiError, Code, List};
use axum::http::StatusCode;
use model::{AccessEntry, Cidr, Page, ProjectId, Timestamp};
use serde_json::json;

use super::super::error::{Answer, Failure, entry};
use super::super::extract::{Ask, Payload, Place, block, project_id};
use super::super::respond::{self, nothing};
use super::{date, wire_id};

/// Returns the access list of one project.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/accessList",
    context_path = api::ATLAS_V1,
    operation_id = "listProjectIpAccessLists",
    tag = "Project IP Access List",
    responses((status = 200, description = "One page.", body = List<ProjectEntry>)),
)]
pub(crate) async fn list(ask: Ask, Place(group): Place<String>) -> Answer {
    let project = project_id(&group)?;
    let listed = ask
        .engine()
        .projects()
        .access(ask.caller(), project, ask.page())
        .await?;
    ask.list(listed, |entry| wire(&ask, project, &entry))
}

/// Returns one entry of the access list of one project.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/accessList/{entryValue}",
    context_path = api::ATLAS_V1,
    operation_id = "getProjectIpAccessListEntry",
    tag = "Project IP Access List",
    responses((status = 200, description = "The entry.", body = ProjectEntry)),
)]
pub(crate) async fn get(ask: Ask, Place((group, value)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let found = find(&ask, project, &value).await?;
    ask.found(&wire(&ask, project, &found))
}

/// Returns whether one entry of the access list of one project is in effect.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/accessList/{entryValue}/status",
    context_path = api::ATLAS_V1,
    operation_id = "getProjectIpAccessListEntryStatus",
    tag = "Project IP Access List",
    responses((status = 200, description = "An object with the member `STATUS`.")),
)]
pub(crate) async fn status(ask: Ask, Place((group, value)): Place<(String, String)>) -> Answer {
    find(&ask, project_id(&group)?, &value).await?;
    ask.found(&json!({ "STATUS": "ACTIVE" }))
}

/// Adds entries to the access list of one project.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/accessList",
    context_path = api::ATLAS_V1,
    operation_id = "createProjectIpAccessList",
    tag = "Project IP Access List",
    request_body = Vec<CreateEntry>,
    responses((status = 201, description = "The whole list.", body = List<ProjectEntry>)),
)]
pub(crate) async fn create(
    ask: Ask,
    Place(group): Place<String>,
    Payload(body): Payload,
) -> Answer {
    let project = project_id(&group)?;
    let now = ask.engine().now();
    let entries = CreateEntry::parse_for_project(&body)?;
    let entries: Result<Vec<_>, _> = entries.iter().map(|entry| read(entry, now)).collect();
    let projects = ask.engine().projects();
    projects
        .access_add(ask.caller(), project, &entries?)
        .await?;
    let listed = projects.access(ask.caller(), project, ask.page()).await?;
    let written = ask.page_of(listed, |entry| wire(&ask, project, &entry));
    Ok(respond::json(StatusCode::CREATED, written.bytes))
}

/// Removes one entry from the access list of one project.
#[utoipa::path(
    delete,
    path = "/groups/{groupId}/accessList/{entryValue}",
    context_path = api::ATLAS_V1,
    operation_id = "deleteProjectIpAccessList",
    tag = "Project IP Access List",
    responses((status = 204, description = "Nothing.")),
)]
pub(crate) async fn delete(ask: Ask, Place((group, value)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let removed = ask
        .engine()
        .projects()
        .access_remove(ask.caller(), project, block(&value)?)
        .await;
    removed.map_err(entry(Code::AtlasNetworkPermissionEntryNotFound, project))?;
    nothing()
}

async fn find(ask: &Ask, project: ProjectId, value: &str) -> Result<AccessEntry, Failure> {
    let wanted: Cidr = block(value)?;
    let entries = ask
        .engine()
        .projects()
        .access(ask.caller(), project, Page::ALL)
        .await?;
    let found = entries
        .items
        .into_iter()
        .find(|entry| entry.block == wanted);
    found.ok_or_else(|| {
        let parameters = [value.to_owned(), project.to_string()];
        Failure(ApiError::new(
            Code::AtlasNetworkPermissionEntryNotFound,
            parameters,
        ))
    })
}

fn read(entry: &CreateEntry, now: Timestamp) -> Result<AccessEntry, Failure> {
    let delete_after = entry.delete_after_date;
    Ok(AccessEntry {
        block: block(entry.address())?,
        comment: entry.comment.clone().unwrap_or_default(),
        created_at: now,
        delete_after: delete_after.map(|date| Timestamp::from_millis(date.seconds() * 1000)),
    })
}

fn wire(ask: &Ask, project: ProjectId, entry: &AccessEntry) -> ProjectEntry {
    let cidr_block = entry.block.to_string();
    let name = segment(&cidr_block);
    let url = format!("{}/accessList/{name}", ask.group_url(project));
    ProjectEntry {
        cidr_block,
        comment: entry.comment.clone(),
        delete_after_date: entry.delete_after.map(date),
        group_id: wire_id!(project),
        ip_address: entry.block.as_single().map(|address| address.to_string()),
        links: vec![Link::to_self(url)],
    }
}
