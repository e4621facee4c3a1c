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
#[derive(Debug, Clone, Default)]
pub struct ChangeCluster {
    /// How to reach it from now on.
    pub uri: Option<SecretString>,
    /// Whether that may be another deployment than before.
    pub allow_another: bool,
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
        let found = self.reach(request.uri).await?;
        let now = self.0.now();
        let cluster = Cluster {
            id: ClusterId::generate(now, entropy::bytes()),
            project_id: project,
            name: request.name,
            tier: request.tier,
            created_at: now,
            hosts: found.hosts,
            replica_set: found.replica_set,
            mongodb_version: found.mongodb_version,
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
            .cluster_insert(&cluster, &found.uri, first, &actor)
            .await?;
        self.0.parts.work.notify_one();
        Ok(cluster)
    }

    /// Changes options and the connection string.
    ///
    /// The deployment has to be reached by a new connection string, and its user to be able to
    /// back it up. Fails with `AnotherDeployment` where it is not the one of before, as far as
    /// replica set and hosts tell, unless that is allowed.
    pub async fn change(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &str,
        wanted: ChangeCluster,
    ) -> Result<Cluster, Error> {
        let cluster = self
            .require(caller, project, name, None, Action::OwnProject)
            .await?;
        if wanted.drill_every_days.is_some_and(|days| days > 0) {
            self.0.parts.scratch.require_configured()?;
        }
        let connection = match wanted.uri {
            None => None,
            Some(uri) => {
                let mut found = self.reach(uri).await?;
                let differs = differs(&cluster, &found);
                found.is_another = differs.is_some();
                if let Some(what) = differs.filter(|_| !wanted.allow_another) {
                    return Err(Error::AnotherDeployment {
                        name: cluster.name,
                        what,
                    });
                }
                Some(found)
            }
        };
        let change = meta::ClusterChange {
            continuous_backup: wanted.continuous_backup,
            termination_protection: wanted.termination_protection,
            drill_every_days: wanted.drill_every_days,
            connection,
        };
        let (actor, now) = (caller.actor(), self.0.now());
        let meta = &self.0.parts.meta;
        meta.cluster_change(cluster.id, change, &actor, now).await
    }

    /// Connects by a connection string and finds out whether what is there can be backed up.
    async fn reach(&self, uri: SecretString) -> Result<meta::Connection, Error> {
        let refused = deployment::refused;
        let reached = self.0.connect_to(&uri).await.map_err(refused)?;
        let description = reached.describe().await.map_err(refused)?;
        let replica_set = match description.topology {
            Topology::ReplicaSet { name } => Some(name),
            Topology::Standalone => None,
            Topology::Sharded => return Err(sharded()),
        };
        reached.require_source().await.map_err(refused)?;
        Ok(meta::Connection {
            uri,
            hosts: description.hosts,
            replica_set,
            mongodb_version: description.version.text,
            is_another: false,
        })
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

/// Returns by what a deployment differs from the one that was attached. Passwords and members may
/// change and the rest be the same, so one common host under the same set's name is enough.
fn differs(attached: &Cluster, found: &meta::Connection) -> Option<String> {
    let kind = |set: &Option<String>| match set {
        Some(name) => format!("replica set `{name}`"),
        None => "a standalone server".to_owned(),
    };
    if found.replica_set != attached.replica_set {
        let (now, before) = (kind(&found.replica_set), kind(&attached.replica_set));
        return Some(format!("it is {now} instead of {before}"));
    }
    let is_known = |host: &String| attached.hosts.contains(host);
    if found.hosts.iter().any(is_known) {
        return None;
    }
    let (now, before) = (found.hosts.join(", "), attached.hosts.join(", "));
    Some(format!("it has the hosts {now} instead of {before}"))
}

fn sharded() -> Error {
    Error::Deployment {
        fault: DeploymentFault::Unsupported,
        message: "sharded clusters are not supported yet; attach a replica set or a standalone \
                  server"
            .to_owned(),
    }
}
