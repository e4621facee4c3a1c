//! M2 and M5 clusters.

use api::List;
use api::cluster::{AutoScaling, BiConnector, Cluster, ConnectionStrings, ProviderSettings};
use api::link::{self, Link};

use super::super::error::Answer;
use super::super::extract::{Ask, Place};
use super::backups::{OfCluster, TENANT};
use super::{addresses, date, state_name, wire_id};

/// Returns the M2 and M5 clusters of one project.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters",
    context_path = api::ATLAS_V1,
    operation_id = "listClusters",
    tag = "Clusters",
    responses((status = 200, description = "One page.", body = List<Cluster>)),
)]
pub(crate) async fn list(ask: Ask, Place(group): Place<String>) -> Answer {
    let listed = ask.clusters(TENANT, &group).await?;
    ask.list(listed, |cluster| wire(&ask, &cluster))
}

/// Returns one M2 or M5 cluster.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}",
    context_path = api::ATLAS_V1,
    operation_id = "getCluster",
    tag = "Clusters",
    responses((status = 200, description = "The cluster.", body = Cluster)),
)]
pub(crate) async fn get(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    let cluster = ask.cluster(TENANT, &place).await?;
    ask.found(&wire(&ask, &cluster))
}

fn wire(ask: &Ask, cluster: &model::Cluster) -> Cluster {
    let url = ask.cluster_url(cluster.project_id, &cluster.name);
    let (plain, with_options) = addresses(cluster);
    Cluster {
        auto_scaling: AutoScaling::default(),
        backup_enabled: false,
        bi_connector: BiConnector::default(),
        cluster_type: "REPLICASET".to_owned(),
        connection_strings: ConnectionStrings {
            standard: Some(with_options.clone()),
            standard_srv: None,
        },
        create_date: date(cluster.created_at),
        group_id: wire_id!(cluster.project_id),
        id: wire_id!(cluster.id),
        labels: Vec::new(),
        links: vec![
            Link::to_self(url.clone()),
            Link::new(link::RESTORE_JOBS, format!("{url}/backup/tenant/restores")),
            Link::new(link::SNAPSHOTS, format!("{url}/backup/tenant/snapshots")),
        ],
        mongodb_major_version: Some(major(&cluster.mongodb_version)),
        mongodb_version: Some(cluster.mongodb_version.clone()),
        mongo_uri: Some(plain),
        mongo_uri_with_options: Some(with_options),
        name: cluster.name.clone(),
        num_shards: 1,
        paused: false,
        pit_enabled: false,
        provider_backup_enabled: true,
        provider_settings: ProviderSettings {
            instance_size_name: cluster.tier.as_str().to_owned(),
            provider_name: "TENANT".to_owned(),
        },
        state_name: state_name(cluster.state),
        tags: Vec::new(),
        termination_protection_enabled: cluster.termination_protection,
    }
}

/// Returns the first two numbers of a version.
fn major(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}
