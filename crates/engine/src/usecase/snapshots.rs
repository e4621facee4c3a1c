//! Taking, listing and deleting snapshots.

use meta::Order;
use model::{
    Action, Cluster, Error, Family, Job, JobId, JobKind, Listed, Page, Progress, ProjectId,
    Snapshot, SnapshotId, Status, Timestamp, Trigger, retention,
};

use crate::{Caller, Engine, entropy, reconcile};

/// How long an on-demand snapshot is kept unless asked otherwise, in days.
const RETENTION_DAYS_DEFAULT: u32 = 8;
const RETENTION_DAYS_MAX: u32 = 36_500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Use cases about snapshots.
pub struct Snapshots<'a>(pub(crate) &'a Engine);

fn pending(
    cluster: &Cluster,
    trigger: Trigger,
    scheduled_at: Timestamp,
    expires_at: Timestamp,
    now: Timestamp,
) -> (Snapshot, Job) {
    let snapshot = Snapshot {
        id: SnapshotId::generate(now, entropy::bytes()),
        cluster_id: cluster.id,
        project_id: cluster.project_id,
        status: Status::Pending,
        trigger,
        scheduled_at,
        started_at: None,
        finished_at: None,
        expires_at,
        mongodb_version: cluster.mongodb_version.clone(),
        outcome: None,
        failure: None,
    };
    let job = Job::of_snapshot(JobId::generate(now, entropy::bytes()), &snapshot, now);
    (snapshot, job)
}

/// Makes the rows of a scheduled snapshot that was due at `scheduled_at`.
pub(crate) fn scheduled(
    cluster: &Cluster,
    scheduled_at: Timestamp,
    now: Timestamp,
) -> (Snapshot, Job) {
    let expires_at = retention::expiry(cluster, scheduled_at);
    pending(cluster, Trigger::Scheduled, scheduled_at, expires_at, now)
}

impl Snapshots<'_> {
    /// Returns a cluster's snapshots.
    pub async fn list(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        family: Option<Family>,
        order: Order,
        page: Page,
    ) -> Result<(Cluster, Listed<Snapshot>), Error> {
        let cluster = self
            .0
            .clusters()
            .get(caller, project, cluster, family)
            .await?;
        let listed = self.0.parts.meta.snapshots(cluster.id, order, page).await?;
        Ok((cluster, listed))
    }

    /// Returns one snapshot.
    pub async fn get(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        family: Option<Family>,
        id: SnapshotId,
    ) -> Result<(Cluster, Snapshot), Error> {
        let cluster = self
            .0
            .clusters()
            .get(caller, project, cluster, family)
            .await?;
        let snapshot = self.of(&cluster, id).await?;
        Ok((cluster, snapshot))
    }

    /// Returns a snapshot of `cluster`.
    pub(crate) async fn of(&self, cluster: &Cluster, id: SnapshotId) -> Result<Snapshot, Error> {
        let found = self.0.parts.meta.snapshot(cluster.id, id).await?;
        found.ok_or_else(|| Error::SnapshotNotFound {
            snapshot: id,
            cluster: cluster.name.clone(),
        })
    }

    /// Returns the newest snapshot of `cluster` that is complete.
    pub(crate) async fn newest(&self, cluster: &Cluster) -> Result<Option<Snapshot>, Error> {
        let snapshots = self.0.parts.meta.all_snapshots(cluster.id).await?;
        Ok(snapshots
            .into_iter()
            .filter(|snapshot| snapshot.status == Status::Completed)
            .max_by_key(|snapshot| (snapshot.finished_at, snapshot.id)))
    }

    /// Asks for a snapshot now, kept for `retention_days`.
    pub async fn take(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        retention_days: Option<u32>,
    ) -> Result<(Cluster, Snapshot), Error> {
        let clusters = self.0.clusters();
        let cluster = clusters
            .require(caller, project, cluster, None, Action::OwnProject)
            .await?;
        let days = retention_days.unwrap_or(RETENTION_DAYS_DEFAULT);
        if !(1..=RETENTION_DAYS_MAX).contains(&days) {
            let reason = format!("it takes 1 to {RETENTION_DAYS_MAX} days");
            return Err(Error::InvalidAttribute {
                attribute: "retentionInDays",
                reason,
            });
        }
        let now = self.0.now();
        let expires_at = now.plus_millis(i64::from(days) * DAY_MS);
        let (snapshot, job) = pending(&cluster, Trigger::OnDemand, now, expires_at, now);
        self.0
            .parts
            .meta
            .snapshot_request(&snapshot, &job, &caller.actor())
            .await?;
        self.0.parts.work.notify_one();
        Ok((cluster, snapshot))
    }

    /// Deletes a snapshot that is not in progress and not being restored.
    pub async fn delete(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        id: SnapshotId,
    ) -> Result<(), Error> {
        let clusters = self.0.clusters();
        let cluster = clusters
            .require(caller, project, cluster, None, Action::OwnProject)
            .await?;
        self.of(&cluster, id).await?;
        let (actor, now) = (caller.actor(), self.0.now());
        self.0
            .parts
            .meta
            .snapshot_delete(id, &actor, now, "asked for")
            .await?;
        reconcile::retention::forget(self.0, id).await;
        Ok(())
    }

    /// Returns how far a snapshot in progress is.
    pub async fn progress(&self, id: SnapshotId) -> Result<Option<Progress>, Error> {
        self.0.parts.meta.job_progress(JobKind::Snapshot(id)).await
    }
}
