//! Drills: asking for the proof that a snapshot can be restored, and how the last ones went.

use model::{
    Action, Actor, Cluster, Delivery, Error, Listed, Page, ProjectId, RestoreId, RestoreJob,
    SnapshotId,
};

use crate::usecase::restores;
use crate::{Caller, Engine};

/// Use cases about drills.
pub struct Drills<'a>(pub(crate) &'a Engine);

/// What is needed to ask for a drill.
#[derive(Debug, Clone)]
pub struct DrillRequest {
    /// The project of the snapshot's cluster.
    pub project: ProjectId,
    /// That cluster's name.
    pub cluster: String,
    /// The snapshot; the newest completed one where absent.
    pub snapshot: Option<SnapshotId>,
    /// Another cluster of the project to overwrite and empty; a scratch server where absent.
    pub target: Option<String>,
}

impl Drills<'_> {
    /// Asks for a drill, once it was found that it could be done.
    ///
    /// Fails with `DrillInProgress` while another one of the cluster has not ended, with
    /// `ScratchUnavailable` where no scratch server can take the snapshot.
    pub async fn request(
        &self,
        caller: &Caller,
        request: &DrillRequest,
    ) -> Result<(Cluster, RestoreJob), Error> {
        let (restores, project) = (self.0.restores(), request.project);
        let (source, snapshot) = restores
            .source(caller, project, &request.cluster, None, request.snapshot)
            .await?;
        let target = match &request.target {
            None => {
                restores.check_scratch(&snapshot).await?;
                source.clone()
            }
            Some(name) => {
                let clusters = self.0.clusters();
                let target = clusters
                    .require(caller, project, name, None, Action::OwnProject)
                    .await?;
                if target.id == source.id {
                    return Err(onto_itself());
                }
                restores.check_target(&snapshot, &target).await?;
                target
            }
        };
        let drill = restores::new_job(self.0, &source, &snapshot, &target, Delivery::Drill)?;
        restores.store(&drill, &caller.actor()).await?;
        Ok((source, drill))
    }

    /// Asks for a drill of the newest snapshot, if there is one, because it is due.
    pub(crate) async fn scheduled(&self, source: &Cluster) -> Result<Option<RestoreJob>, Error> {
        let Some(snapshot) = self.0.snapshots().newest(source).await? else {
            return Ok(None);
        };
        // What keeps it from being done is then the reason of a failed drill, for all to see.
        let drill = restores::new_job(self.0, source, &snapshot, source, Delivery::Drill)?;
        self.0.restores().store(&drill, &Actor::Scheduler).await?;
        Ok(Some(drill))
    }

    /// Returns a cluster's drills, the newest first.
    pub async fn list(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        page: Page,
    ) -> Result<(Cluster, Listed<RestoreJob>), Error> {
        let clusters = self.0.clusters();
        let cluster = clusters.get(caller, project, cluster, None).await?;
        let listed = self.0.parts.meta.drills(cluster.id, page).await?;
        Ok((cluster, listed))
    }

    /// Returns one drill.
    pub async fn get(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        id: RestoreId,
    ) -> Result<(Cluster, RestoreJob), Error> {
        let clusters = self.0.clusters();
        let cluster = clusters.get(caller, project, cluster, None).await?;
        let drill = self.0.restores().of(&cluster, id, true).await?;
        Ok((cluster, drill))
    }

    /// Returns the newest drill of `cluster` that has ended, with its report.
    pub async fn last(&self, cluster: &Cluster) -> Result<Option<RestoreJob>, Error> {
        let ended = self.0.parts.meta.drills_ended(cluster.id).await?;
        Ok(ended.last)
    }
}

fn onto_itself() -> Error {
    Error::InvalidAttribute {
        attribute: "targetClusterName",
        reason: "a drill overwrites its target, so it must not be the cluster itself".to_owned(),
    }
}
