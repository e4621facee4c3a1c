//! Attaching deployments, and what is known of them.

use model::organization::check_name;
use model::{
    Action, Cluster, ClusterId, ClusterState, DeploymentFault, Error, Family, Listed, Page,
    ProjectId, Tier,
};
use mongo::Topology;
use secrecy::SecretString;

use crate::usecase::snapshots;
use crate::{Caller, Engine, deployment, entropy};

/// Use cases about clusters and serverless instances.
pub struct Clusters<'a>(pub(crate) &'a Engine);

/// What is needed to attach a deployment.
#[derive(Debug)]
pub struct AttachCluster {
    /// Its name here.
    pub name: String,
    /// How to reach it.
    pub uri: SecretString,
    /// What it is shown as.
    pub tier: Tier,
    /// Serverless: keep 35 days of snapshots.
    pub continuous_backup: bool,
    /// Whether deletion is refused until this is taken back.
    pub termination_protection: bool,
    /// Whether to take the first snapshot at once.
    pub take_snapshot: bool,
}

/// What can be changed of an attached deployment; absent members stay.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClusterOptions {
    /// Serverless: keep 35 days of snapshots.
    pub continuous_backup: Option<bool>,
    /// Whether deletion is refused.
    pub termination_protection: Option<bool>,
    /// Days between two drills; 0 for never.
    pub drill_every_days: Option<u32>,
}

impl Clusters<'_> {
    /// Returns a project's clusters; of one family, or all.
    pub async fn list(
        &self,
        caller: &Caller,
        project: ProjectId,
        family: Option<Family>,
        page: Page,
    ) -> Result<Listed<Cluster>, Error> {
        self.0.projects().get(caller, project).await?;
        self.0.parts.meta.clusters(project, family, page).await
    }

    /// Returns a cluster in whose project the caller may do `action`; one of `family`, or any.
    pub async fn require(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &str,
        family: Option<Family>,
        action: Action,
    ) -> Result<Cluster, Error> {
        self.0.projects().require(caller, project, action).await?;
        let cluster = self.0.parts.meta.cluster_by_name(project, name).await?;
        let of_family = |cluster: &Cluster| family.is_none_or(|f| cluster.tier.family() == f);
        cluster
            .filter(of_family)
            .ok_or_else(|| Error::ClusterNotFound {
                name: name.to_owned(),
                project,
            })
    }

    /// Returns a cluster that the caller may read.
    pub async fn get(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &str,
        family: Option<Family>,
    ) -> Result<Cluster, Error> {
        self.require(caller, project, name, family, Action::ReadProject)
            .await
    }

    /// Attaches a deployment once it was reached and its user was found able to back it up.
    pub async fn attach(
        &self,
        caller: &Caller,
        project: ProjectId,
        request: AttachCluster,
    ) -> Result<Cluster, Error> {
        self.0
            .projects()
            .require(caller, project, Action::OwnProject)
            .await?;
        check_name("name", &request.name)?;
        if self
            .0
            .parts
            .meta
            .cluster_by_name(project, &request.name)
            .await?
            .is_some()
        {
            return Err(Error::ClusterExists(request.name));
        }
        let reached = self
            .0
            .connect_to(&request.uri)
            .await
            .map_err(deployment::refused)?;
        let description = reached.describe().await.map_err(deployment::refused)?;
        let replica_set = match description.topology {
            Topology::ReplicaSet { name } => Some(name),
            Topology::Standalone => None,
            Topology::Sharded => return Err(sharded()),
        };
        reached
            .require_source()
            .await
            .map_err(deployment::refused)?;
        let now = self.0.now();
        let cluster = Cluster {
            id: ClusterId::generate(now, entropy::bytes()),
            project_id: project,
            name: request.name,
            tier: request.tier,
            created_at: now,
            hosts: description.hosts,
            replica_set,
            mongodb_version: description.version.text,
            continuous_backup: request.continuous_backup,
            termination_protection: request.termination_protection,
            drill_every_days: None,
            state: ClusterState::Idle,
        };
        let first = request
            .take_snapshot
            .then(|| snapshots::scheduled(&cluster, now, now));
        let first = first.as_ref().map(|(snapshot, job)| (snapshot, job));
        let actor = caller.actor();
        self.0
            .parts
            .meta
            .cluster_insert(&cluster, &request.uri, first, &actor)
            .await?;
        self.0.parts.work.notify_one();
        Ok(cluster)
    }

    /// Changes options.
    pub async fn set_options(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &str,
        family: Option<Family>,
        options: ClusterOptions,
    ) -> Result<Cluster, Error> {
        let cluster = self
            .require(caller, project, name, family, Action::OwnProject)
            .await?;
        if options.drill_every_days.is_some_and(|days| days > 0) {
            self.0.parts.scratch.require_configured()?;
        }
        let change = meta::ClusterChange {
            continuous_backup: options.continuous_backup,
            termination_protection: options.termination_protection,
            drill_every_days: options.drill_every_days,
        };
        let (actor, now) = (caller.actor(), self.0.now());
        let meta = &self.0.parts.meta;
        meta.cluster_set_options(cluster.id, change, &actor, now)
            .await
    }

    /// Detaches a deployment: its snapshots and jobs are deleted, the deployment is not touched.
    pub async fn detach(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &str,
        family: Option<Family>,
    ) -> Result<(), Error> {
        let cluster = self
            .require(caller, project, name, family, Action::OwnProject)
            .await?;
        if cluster.termination_protection {
            return Err(Error::TerminationProtected(cluster.name));
        }
        let (actor, now) = (caller.actor(), self.0.now());
        let snapshots = self
            .0
            .parts
            .meta
            .cluster_delete(cluster.id, &actor, now)
            .await?;
        for snapshot in snapshots {
            crate::reconcile::retention::forget(self.0, snapshot).await;
        }
        Ok(())
    }
}

fn sharded() -> Error {
    Error::Deployment {
        fault: DeploymentFault::Unsupported,
        message: "sharded clusters are not supported yet; attach a replica set or a standalone \
                  server"
            .to_owned(),
    }
}
