//! Restore jobs, deliveries by download included.

use model::{
    Actor, ClusterId, Error, Job, Lease, Listed, Page, RestoreId, RestoreJob, RestoreReport,
    Timestamp,
};

use crate::Meta;

impl Meta {
    /// Stores a restore job: pending with its `job`, or a download, completed without one.
    ///
    /// Fails with `RestoreInProgress` while another restore has the same target, with
    /// `SnapshotNotFound` or `SnapshotIncomplete`, and with `ClusterNotFound` when the target
    /// is gone.
    pub async fn restore_request(
        &self,
        restore: &RestoreJob,
        job: Option<&Job>,
        actor: &Actor,
    ) -> Result<(), Error> {
        let _ = (restore, job, actor);
        unimplemented!()
    }

    /// Returns a restore job of that cluster's snapshots.
    pub async fn restore(
        &self,
        cluster: ClusterId,
        id: RestoreId,
    ) -> Result<Option<RestoreJob>, Error> {
        let _ = (cluster, id);
        unimplemented!()
    }

    /// Returns a restore job of whichever cluster.
    pub async fn restore_by_id(&self, id: RestoreId) -> Result<Option<RestoreJob>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Returns the restore jobs of a cluster's snapshots, the newest first. `report` is left
    /// out of them: it has a row per collection; [`Meta::restore`] returns it.
    pub async fn restores(
        &self,
        cluster: ClusterId,
        page: Page,
    ) -> Result<Listed<RestoreJob>, Error> {
        let _ = (cluster, page);
        unimplemented!()
    }

    /// Completes the restore of a leased job and ends the job; `Stale` if the lease is lost.
    pub async fn restore_completed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        report: &RestoreReport,
    ) -> Result<(), Error> {
        let _ = (lease, finished_at, report);
        unimplemented!()
    }

    /// Fails the restore of a leased job and ends the job; `Stale` if the lease is lost.
    pub async fn restore_failed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        reason: &str,
        report: Option<&RestoreReport>,
    ) -> Result<(), Error> {
        let _ = (lease, finished_at, reason, report);
        unimplemented!()
    }
}
