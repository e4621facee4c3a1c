//! Attaching deployments, changing and removing them; clusters of any tier.

use api::List;
use api::link::{self, Link};
use api::regrow::{AttachCluster, ChangeCluster, Cluster, Tier};
use axum::http::StatusCode;
use engine::ClusterOptions;

use super::super::error::{Answer, attach as attach_to};
use super::super::extract::{Ask, Payload, Place, project_id};
use super::super::respond::nothing;
use super::{date, state_name, wire_id};

/// Returns the clusters of one project, whatever their tier.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters",
    context_path = api::REGROW_V1,
    operation_id = "listProtectedClusters",
    tag = "Regrow Clusters",
    responses((status = 200, description = "One page.", body = List<Cluster>)),
)]
pub(crate) async fn list(ask: Ask, Place(group): Place<String>) -> Answer {
    let project = project_id(&group)?;
    let listed = ask
        .engine()
        .clusters()
        .list(ask.caller(), project, None, ask.page())
        .await?;
    ask.list(listed, |cluster| wire(&ask, &cluster))
}

/// Returns one cluster.
#[utoipa::path(
    get,
    path = "/groups/{groupId}/clusters/{clusterName}",
    context_path = api::REGROW_V1,
    operation_id = "getProtectedCluster",
    tag = "Regrow Clusters",
    responses((status = 200, description = "The cluster.", body = Cluster)),
)]
pub(crate) async fn get(ask: Ask, Place((group, name)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    let cluster = ask
        .engine()
        .clusters()
        .get(ask.caller(), project, &name, None)
        .await?;
    ask.found(&wire(&ask, &cluster))
}

/// Attaches a deployment, once it was reached and its user was found able to back it up.
#[utoipa::path(
    post,
    path = "/groups/{groupId}/clusters",
    context_path = api::REGROW_V1,
    operation_id = "attachCluster",
    tag = "Regrow Clusters",
    request_body = AttachCluster,
    responses((status = 201, description = "The cluster.", body = Cluster)),
)]
pub(crate) async fn attach(
    ask: Ask,
    Place(group): Place<String>,
    Payload(body): Payload,
) -> Answer {
    let project = project_id(&group)?;
    let request = read(AttachCluster::parse(&body)?);
    let attached = ask
        .engine()
        .clusters()
        .attach(ask.caller(), project, request)
        .await;
    ask.one(
        StatusCode::CREATED,
        &wire(&ask, &attached.map_err(attach_to(project))?),
    )
}

/// Changes options of one cluster.
#[utoipa::path(
    patch,
    path = "/groups/{groupId}/clusters/{clusterName}",
    context_path = api::REGROW_V1,
    operation_id = "changeCluster",
    tag = "Regrow Clusters",
    request_body = ChangeCluster,
    responses((status = 200, description = "The cluster.", body = Cluster)),
)]
pub(crate) async fn change(
    ask: Ask,
    Place((group, name)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    let project = project_id(&group)?;
    let request = ChangeCluster::parse(&body)?;
    let options = ClusterOptions {
        continuous_backup: request.continuous_backup,
        termination_protection: request.termination_protection,
        drill_every_days: None,
    };
    let clusters = ask.engine().clusters();
    let cluster = clusters
        .set_options(ask.caller(), project, &name, None, options)
        .await?;
    ask.found(&wire(&ask, &cluster))
}

/// Detaches one cluster: its snapshots and jobs go, the deployment is not touched.
#[utoipa::path(
    delete,
    path = "/groups/{groupId}/clusters/{clusterName}",
    context_path = api::REGROW_V1,
    operation_id = "detachCluster",
    tag = "Regrow Clusters",
    responses((status = 204, description = "Nothing.")),
)]
pub(crate) async fn detach(ask: Ask, Place((group, name)): Place<(String, String)>) -> Answer {
    let project = project_id(&group)?;
    ask.engine()
        .clusters()
        .detach(ask.caller(), project, &name, None)
        .await?;
    nothing()
}

fn read(request: AttachCluster) -> engine::AttachCluster {
    engine::AttachCluster {
        name: request.name,
        uri: request.connection_string.into(),
        tier: match request.tier {
            Tier::M2 => model::Tier::M2,
            Tier::M5 => model::Tier::M5,
            Tier::Serverless => model::Tier::Serverless,
        },
        continuous_backup: request.continuous_backup.unwrap_or(false),
        termination_protection: request.termination_protection.unwrap_or(false),
        take_snapshot: request.take_snapshot.unwrap_or(true),
    }
}

fn wire(ask: &Ask, cluster: &model::Cluster) -> Cluster {
    let url = ask.own_cluster_url(cluster.project_id, &cluster.name);
    Cluster {
        continuous_backup: cluster.continuous_backup,
        create_date: date(cluster.created_at),
        group_id: wire_id!(cluster.project_id),
        hosts: cluster.hosts.clone(),
        id: wire_id!(cluster.id),
        links: vec![
            Link::to_self(url.clone()),
            Link::new(link::RESTORE_JOBS, format!("{url}/restores")),
            Link::new(link::SNAPSHOTS, format!("{url}/snapshots")),
        ],
        mongodb_version: cluster.mongodb_version.clone(),
        name: cluster.name.clone(),
        replica_set: cluster.replica_set.clone(),
        state_name: state_name(cluster.state),
        termination_protection: cluster.termination_protection,
        tier: match cluster.tier {
            model::Tier::M2 => Tier::M2,
            model::Tier::M5 => Tier::M5,
            model::Tier::Serverless => Tier::Serverless,
        },
    }
}
