//! Asking for restores and downloads, and following them.

use model::restore::LIFETIME_MS;
use model::{
    Action, Actor, Cluster, Delivery, DeploymentFault, DownloadFormat, Error, Family, Job, JobId,
    JobKind, Listed, Page, Progress, ProjectId, RestoreId, RestoreJob, RestoreMode, Selection,
    Snapshot, SnapshotId, Status,
};

use crate::deployment::{self, ConnectError};
use crate::{Caller, Engine, entropy, job, scratch};

/// Use cases about restore jobs.
pub struct Restores<'a>(pub(crate) &'a Engine);

/// What is needed to put a snapshot onto a target.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// The project of the snapshot's cluster.
    pub project: ProjectId,
    /// That cluster's name.
    pub cluster: String,
    /// Which requests it came by; source and target are looked for among these.
    pub family: Option<Family>,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The target's project; the source's where absent.
    pub target_project: Option<ProjectId>,
    /// The target's name.
    pub target: String,
    /// How to do it; the best way where absent.
    pub mode: Option<RestoreMode>,
    /// What of the snapshot; all of it where absent.
    pub selection: Option<Selection>,
    /// Whether everything is read back in the end, also where history would prove it.
    pub reads_whole: bool,
}

impl Restores<'_> {
    /// Returns a cluster's restore jobs, downloads among them, newest first. Serverless jobs
    /// are for owners only, as Atlas documents.
    pub async fn list(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        family: Option<Family>,
        page: Page,
    ) -> Result<(Cluster, Listed<RestoreJob>), Error> {
        let action = reading(family);
        let cluster = self
            .0
            .clusters()
            .require(caller, project, cluster, family, action)
            .await?;
        let listed = self.0.parts.meta.restores(cluster.id, page).await?;
        Ok((cluster, listed))
    }

    /// Returns one restore job.
    pub async fn get(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        family: Option<Family>,
        id: RestoreId,
    ) -> Result<(Cluster, RestoreJob), Error> {
        let action = reading(family);
        let cluster = self
            .0
            .clusters()
            .require(caller, project, cluster, family, action)
            .await?;
        let restore = self.of(&cluster, id, false).await?;
        Ok((cluster, restore))
    }

    /// Returns a restore job of `cluster`, or a drill if one is meant.
    pub(crate) async fn of(
        &self,
        cluster: &Cluster,
        id: RestoreId,
        is_drill: bool,
    ) -> Result<RestoreJob, Error> {
        let found = self.0.parts.meta.restore(cluster.id, id).await?;
        let found = found.filter(|job| (job.delivery == Delivery::Drill) == is_drill);
        found.ok_or_else(|| Error::RestoreNotFound {
            restore: id,
            cluster: cluster.name.clone(),
        })
    }

    /// Asks for a snapshot to be put onto a target, once that was found able to take it.
    pub async fn request(
        &self,
        caller: &Caller,
        request: &RestoreRequest,
    ) -> Result<(Cluster, RestoreJob), Error> {
        let (source, snapshot) = self
            .source(
                caller,
                request.project,
                &request.cluster,
                request.family,
                Some(request.snapshot),
            )
            .await?;
        let target = self.target(caller, request).await?;
        self.check_mode(request, &source, &target)?;
        if let Some(selection) = &request.selection {
            self.check_selection(&snapshot, selection).await?;
        }
        self.check_target(&snapshot, &target).await?;
        let mut restore = new_job(self.0, &source, &snapshot, &target, Delivery::Restore)?;
        restore.mode = request.mode;
        restore.selection = request.selection.clone();
        restore.reads_whole = request.reads_whole;
        self.store(&restore, &caller.actor()).await?;
        Ok((source, restore))
    }

    /// Offers a snapshot for download, as `format` or as the configuration says.
    ///
    /// A dump is complete with the first answer, since it is made while it is downloaded; data
    /// files have to be built first. Fails with `ScratchUnavailable` where they cannot be.
    pub async fn download(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        family: Option<Family>,
        id: SnapshotId,
        format: Option<DownloadFormat>,
    ) -> Result<(Cluster, RestoreJob), Error> {
        let (source, snapshot) = self
            .source(caller, project, cluster, family, Some(id))
            .await?;
        let offer = match format.unwrap_or(self.0.parts.config.download_format) {
            DownloadFormat::Dump => {
                let offer = new_job(self.0, &source, &snapshot, &source, Delivery::Download)?;
                RestoreJob {
                    status: Status::Completed,
                    finished_at: Some(offer.created_at),
                    ..offer
                }
            }
            DownloadFormat::DataFiles => {
                self.check_scratch(&snapshot).await?;
                new_job(self.0, &source, &snapshot, &source, Delivery::DataFiles)?
            }
        };
        self.store(&offer, &caller.actor()).await?;
        Ok((source, offer))
    }

    /// Stores what was asked for, with a job unless it is complete already.
    pub(crate) async fn store(&self, restore: &RestoreJob, actor: &Actor) -> Result<(), Error> {
        let job = (!restore.status.is_final()).then(|| {
            let id = JobId::generate(restore.created_at, entropy::bytes());
            Job::of_restore(id, restore)
        });
        let meta = &self.0.parts.meta;
        meta.restore_request(restore, job.as_ref(), actor).await?;
        self.0.parts.work.notify_one();
        Ok(())
    }

    /// Returns how far a restore or drill in progress is.
    pub async fn progress(&self, id: RestoreId) -> Result<Option<Progress>, Error> {
        self.0.parts.meta.job_progress(JobKind::Restore(id)).await
    }

    /// Returns a complete snapshot, the newest unless `id` names one, for a caller who may have
    /// its documents.
    pub(crate) async fn source(
        &self,
        caller: &Caller,
        project: ProjectId,
        name: &str,
        family: Option<Family>,
        id: Option<SnapshotId>,
    ) -> Result<(Cluster, Snapshot), Error> {
        let clusters = self.0.clusters();
        let source = clusters
            .require(caller, project, name, family, Action::OwnProject)
            .await?;
        let snapshots = self.0.snapshots();
        let snapshot = match id {
            Some(id) => snapshots.of(&source, id).await?,
            None => {
                let newest = snapshots.newest(&source).await?;
                newest.ok_or_else(|| no_snapshot(&source))?
            }
        };
        if snapshot.status != Status::Completed {
            return Err(Error::SnapshotIncomplete(snapshot.id));
        }
        Ok((source, snapshot))
    }

    async fn target(&self, caller: &Caller, request: &RestoreRequest) -> Result<Cluster, Error> {
        let project = request.target_project.unwrap_or(request.project);
        let found = self
            .0
            .clusters()
            .require(
                caller,
                project,
                &request.target,
                request.family,
                Action::OwnProject,
            )
            .await;
        match found {
            Err(Error::Denied | Error::NotInProject(_)) => Err(Error::TargetDenied),
            other => other,
        }
    }

    /// Refuses what no look at the target is needed for.
    fn check_mode(
        &self,
        request: &RestoreRequest,
        source: &Cluster,
        target: &Cluster,
    ) -> Result<(), Error> {
        let has_query = request
            .selection
            .as_ref()
            .is_some_and(|one| one.query.is_some());
        if has_query && request.mode == Some(RestoreMode::Safe) {
            return Err(Error::ModeImpossible {
                mode: RestoreMode::Safe,
                reason: "documents that match a query are put among those that are there"
                    .to_owned(),
            });
        }
        if request.mode != Some(RestoreMode::Rewind) {
            return Ok(());
        }
        let reason = if request.selection.is_some() {
            "a selection is put back beside the rest, which stays as it is"
        } else if source.id != target.id {
            "only the cluster that the snapshot was taken from can be rewound to it"
        } else {
            return Ok(());
        };
        Err(Error::ModeImpossible {
            mode: RestoreMode::Rewind,
            reason: reason.to_owned(),
        })
    }

    async fn check_selection(
        &self,
        snapshot: &Snapshot,
        selection: &Selection,
    ) -> Result<(), Error> {
        let stored = vault::SnapshotId(snapshot.id.to_bytes());
        let manifest = self.0.parts.repository.manifest(stored).await;
        let manifest = manifest.map_err(Error::internal)?;
        job::restore::check_selection(&manifest, selection)
    }

    /// Fails with `ScratchUnavailable` where no scratch server can take the snapshot.
    pub(crate) async fn check_scratch(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let able = self.0.parts.scratch.require_able(snapshot).await;
        able.map_err(|error| scratch::refused(&error))
    }

    /// Fails unless the target can be reached and can take the snapshot.
    pub(crate) async fn check_target(
        &self,
        snapshot: &Snapshot,
        target: &Cluster,
    ) -> Result<(), Error> {
        let unavailable = |error: &mongo::Error| Error::TargetUnavailable {
            name: target.name.clone(),
            reason: error.to_string(),
        };
        let reached = match self.0.connect(target.id).await {
            Ok(reached) => reached,
            Err(ConnectError::Record(error)) => return Err(error),
            Err(ConnectError::Deployment(error)) => return Err(unavailable(&error)),
        };
        let description = reached
            .describe()
            .await
            .map_err(|error| unavailable(&error))?;
        job::restore::check_compatible(snapshot, &target.name, &description)?;
        let permitted = reached.require_target().await;
        permitted.map_err(|error| match deployment::fault(&error) {
            Some(DeploymentFault::MissingPrivilege) => deployment::refused(error),
            _ => unavailable(&error),
        })
    }
}

/// Makes the row of a job that nobody has begun.
pub(crate) fn new_job(
    engine: &Engine,
    source: &Cluster,
    snapshot: &Snapshot,
    target: &Cluster,
    delivery: Delivery,
) -> Result<RestoreJob, Error> {
    let finished_at = snapshot
        .finished_at
        .ok_or(Error::SnapshotIncomplete(snapshot.id))?;
    let now = engine.now();
    Ok(RestoreJob {
        id: RestoreId::generate(now, entropy::bytes()),
        delivery,
        status: Status::Pending,
        cluster_id: source.id,
        cluster_name: source.name.clone(),
        project_id: source.project_id,
        snapshot_id: snapshot.id,
        snapshot_finished_at: finished_at,
        target_cluster_id: target.id,
        target_name: target.name.clone(),
        target_project_id: target.project_id,
        mode: None,
        chosen: None,
        selection: None,
        reads_whole: false,
        created_at: now,
        finished_at: None,
        expires_at: now.plus_millis(LIFETIME_MS),
        failure: None,
        report: None,
    })
}

fn no_snapshot(cluster: &Cluster) -> Error {
    Error::InvalidAttribute {
        attribute: "snapshotId",
        reason: format!("`{}` has no completed snapshot yet", cluster.name),
    }
}

fn reading(family: Option<Family>) -> Action {
    match family {
        Some(Family::Serverless) => Action::OwnProject,
        Some(Family::Tenant) | None => Action::ReadProject,
    }
}
