//! Serverless instances.

use api::List;
use api::cluster::ConnectionStrings;
use api::link::{self, Link};
use api::serverless::{BackupOptions, Instance, ProviderSettings};

use super::super::error::Answer;
use super::super::extract::{Ask, Place};
use super::backups::{OfCluster, SERVERLESS};
use super::{addresses, date, state_name, wire_id};

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
    let listed = ask.clusters(SERVERLESS, &group).await?;
    ask.list(listed, |instance| wire(&ask, &instance))
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
pub(crate) async fn get(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    let instance = ask.cluster(SERVERLESS, &place).await?;
    ask.found(&wire(&ask, &instance))
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
