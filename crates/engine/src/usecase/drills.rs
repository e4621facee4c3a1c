//! Drills: asking for the proof that a snapshot can be restored, and how the last ones went.

use model::{
    Action, Actor, Cluster, Delivery, Error, Job, JobId, JobKind, JobState, Listed, Page, Progress,
    ProjectId, RestoreId, RestoreJob, Snapshot, SnapshotId, Status,
};

use crate::usecase::restores;
use crate::{Caller, Engine, entropy, scratch};

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
        let clusters = self.0.clusters();
        let (project, action) = (request.project, Action::OwnProject);
        let source = clusters
            .require(caller, project, &request.cluster, None, action)
            .await?;
        let snapshot = match request.snapshot {
            Some(id) => self.0.snapshots().of(&source, id).await?,
            None => self
                .newest(&source)
                .await?
                .ok_or_else(|| no_snapshot(&source))?,
        };
        if snapshot.status != Status::Completed {
            return Err(Error::SnapshotIncomplete(snapshot.id));
        }
        let target = match &request.target {
            None => {
                let able = self.0.parts.scratch.require_able(&snapshot).await;
                able.map_err(|error| scratch::refused(&error))?;
                source.clone()
            }
            Some(name) => {
                let target = clusters
                    .require(caller, project, name, None, action)
                    .await?;
                if target.id == source.id {
                    return Err(onto_itself());
                }
                self.0.restores().check_target(&snapshot, &target).await?;
                target
            }
        };
        let drill = self
            .store(&source, &snapshot, &target, &caller.actor())
            .await?;
        Ok((source, drill))
    }

    /// Asks for a drill of the newest snapshot, if there is one, because it is due.
    pub(crate) async fn scheduled(&self, source: &Cluster) -> Result<Option<RestoreJob>, Error> {
        let Some(snapshot) = self.newest(source).await? else {
            return Ok(None);
        };
        // What keeps it from being done is then the reason of a failed drill, for all to see.
        self.store(source, &snapshot, source, &Actor::Scheduler)
            .await
            .map(Some)
    }

    async fn store(
        &self,
        source: &Cluster,
        snapshot: &Snapshot,
        target: &Cluster,
        actor: &Actor,
    ) -> Result<RestoreJob, Error> {
        let drill = restores::new_job(self.0, source, snapshot, target, Delivery::Drill)?;
        let job = Job {
            id: JobId::generate(drill.created_at, entropy::bytes()),
            kind: JobKind::Restore(drill.id),
            cluster_id: target.id,
            scratch: drill.is_on_scratch_server(),
            state: JobState::Open,
            attempts: 0,
            created_at: drill.created_at,
        };
        self.0
            .parts
            .meta
            .restore_request(&drill, Some(&job), actor)
            .await?;
        self.0.parts.work.notify_one();
        Ok(drill)
    }

    async fn newest(&self, cluster: &Cluster) -> Result<Option<Snapshot>, Error> {
        let snapshots = self.0.parts.meta.all_snapshots(cluster.id).await?;
        Ok(snapshots
            .into_iter()
            .filter(|snapshot| snapshot.status == Status::Completed)
            .max_by_key(|snapshot| (snapshot.finished_at, snapshot.id)))
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
        let found = self.0.parts.meta.restore(cluster.id, id).await?;
        let drill = found.filter(|job| job.delivery == Delivery::Drill);
        let drill = drill.ok_or_else(|| Error::RestoreNotFound {
            restore: id,
            cluster: cluster.name.clone(),
        })?;
        Ok((cluster, drill))
    }

    /// Returns the newest drill of `cluster` that has ended, with its report.
    pub async fn last(&self, cluster: &Cluster) -> Result<Option<RestoreJob>, Error> {
        let ended = self.0.parts.meta.drills_ended(cluster.id).await?;
        Ok(ended.last)
    }

    /// Returns how far a drill in progress is.
    pub async fn progress(&self, id: RestoreId) -> Result<Option<Progress>, Error> {
        self.0.parts.meta.job_progress(JobKind::Restore(id)).await
    }
}

fn no_snapshot(cluster: &Cluster) -> Error {
    Error::InvalidAttribute {
        attribute: "snapshotId",
        reason: format!("`{}` has no completed snapshot yet", cluster.name),
    }
}

fn onto_itself() -> Error {
    Error::InvalidAttribute {
        attribute: "targetClusterName",
        reason: "a drill overwrites its target, so it must not be the cluster itself".to_owned(),
    }
}
