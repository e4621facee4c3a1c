//! Serverless instances.

use api::List;
use api::cluster::ConnectionStrings;
use api::link::{self, Link};
use api::serverless::{BackupOptions, Instance, ProviderSettings};

use super::super::error::{Answer, serverless};
use super::super::extract::{Ask, Place, project_id};
use super::{SERVERLESS, addresses, date, state_name, wire_id};

/// Returns the serverless instances of one project.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/serverless",
    context_path = api::ATLAS_V1,
    operation_id = "listServerlessInstances",
    tag = "Serverless Instances",
    responses((status = 200, description = "One page.", body = List<Instance>)),
)]
pub(crate) async fn list(ask: Ask, Place(group): Place<String>) -> Answer {
    let project = project_id(&group)?;
    let listed = ask
        .engine()
        .clusters()
        .list(ask.caller(), project, SERVERLESS, ask.page())
        .await;
    ask.list(listed.map_err(serverless)?, |instance| {
        wire(&ask, &instance)
    })
}

/// Returns one serverless instance.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/serverless/{name}",
    context_path = api::ATLAS_V1,
    operation_id = "getServerlessInstance",
    tag = "Serverless Instances",
    responses((status = 200, description = "The instance.", body = Instance)),
)]
pub(crate) async fn get(ask: Ask, Place((group, name)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let found = ask
        .engine()
        .clusters()
        .get(ask.caller(), project, &name, SERVERLESS)
        .await;
    ask.found(&wire(&ask, &found.map_err(serverless)?))
}

fn wire(ask: &Ask, instance: &model::Cluster) -> Instance {
    let url = ask.instance_url(instance.project_id, &instance.name);
    let (_, standard) = addresses(instance);
    Instance {
        connection_strings: ConnectionStrings {
            standard: Some(standard),
            standard_srv: None,
        },
        create_date: date(instance.created_at),
        group_id: wire_id!(instance.project_id),
        id: wire_id!(instance.id),
        links: vec![
            Link::to_self(url.clone()),
            Link::new(link::RESTORE_JOBS, format!("{url}/backup/restoreJobs")),
            Link::new(link::SNAPSHOTS, format!("{url}/backup/snapshots")),
        ],
        mongodb_version: Some(instance.mongodb_version.clone()),
        name: instance.name.clone(),
        provider_settings: ProviderSettings {
            provider_name: "SERVERLESS".to_owned(),
        },
        serverless_backup_options: BackupOptions {
            serverless_continuous_backup_enabled: instance.continuous_backup,
        },
        state_name: state_name(instance.state),
        tags: Vec::new(),
        termination_protection_enabled: instance.termination_protection,
    }
}
