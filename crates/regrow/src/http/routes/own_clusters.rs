//! Attaching deployments, changing and removing them; clusters of any tier.

use api::List;
use api::link::{self, Link};
use api::regrow::{AttachCluster, ChangeCluster, Cluster, Drill, Tier};
use axum::http::StatusCode;
use model::{Listed, RestoreJob};

use super::super::error::{Answer, Failure, attach as attach_to};
use super::super::extract::{Ask, Payload, Place, project_id};
use super::super::respond::nothing;
use super::backups::{OWN, OfCluster};
use super::{date, own_drills, state_name, wire_id};

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
    let listed = ask.clusters(OWN, &group).await?;
    let mut items = Vec::new();
    for cluster in listed.items {
        items.push(with_drill(&ask, cluster).await?);
    }
    let total = listed.total;
    ask.list(Listed { items, total }, |item| wire(&ask, &item))
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
pub(crate) async fn get(ask: Ask, Place(place): Place<OfCluster>) -> Answer {
    let cluster = ask.cluster(OWN, &place).await?;
    ask.found(&wire(&ask, &with_drill(&ask, cluster).await?))
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
    let attached = attached.map_err(attach_to(project))?;
    ask.one(StatusCode::CREATED, &wire(&ask, &(attached, None)))
}

/// Changes options of one cluster, and how it is reached.
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
    let wanted = engine::ChangeCluster {
        uri: request.connection_string.map(|uri| uri.0.into()),
        allow_another: request.allow_another_deployment.unwrap_or(false),
        continuous_backup: request.continuous_backup,
        termination_protection: request.termination_protection,
        drill_every_days: request.drill_every_days,
    };
    let clusters = ask.engine().clusters();
    let cluster = clusters
        .change(ask.caller(), project, &name, wanted)
        .await?;
    ask.found(&wire(&ask, &with_drill(&ask, cluster).await?))
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
        uri: request.connection_string.0.into(),
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

/// A cluster with its newest drill that has ended.
type WithDrill = (model::Cluster, Option<RestoreJob>);

async fn with_drill(ask: &Ask, cluster: model::Cluster) -> Result<WithDrill, Failure> {
    let drill = ask.engine().drills().last(&cluster).await?;
    Ok((cluster, drill))
}

fn wire(ask: &Ask, (cluster, drill): &WithDrill) -> Cluster {
    let last_drill = drill
        .as_ref()
        .map(|drill| own_drills::wire(ask, drill, None));
    let url = ask.own_cluster_url(cluster.project_id, &cluster.name);
    Cluster {
        continuous_backup: cluster.continuous_backup,
        create_date: date(cluster.created_at),
        drill_every_days: cluster.drill_every_days,
        group_id: wire_id!(cluster.project_id),
        hosts: cluster.hosts.clone(),
        id: wire_id!(cluster.id),
        last_drill: last_drill.map(|drill| Drill {
            report: None,
            ..drill
        }),
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
