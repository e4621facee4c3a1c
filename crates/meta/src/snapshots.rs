//! Snapshots, from the request to the deletion.

use model::{
    Actor, ClusterId, Error, Job, Lease, Listed, Page, Snapshot, SnapshotId, SnapshotOutcome,
    Timestamp,
};

use crate::Meta;

/// In which order snapshots are listed, by when they were due or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// As they came.
    OldestFirst,
    /// The latest first.
    NewestFirst,
}

impl Meta {
    /// Stores a pending snapshot and its job.
    ///
    /// Fails with `SnapshotInProgress` for a second on-demand one of a cluster, and with
    /// `Stale` for a scheduled one that is not due later than the latest stored before.
    pub async fn snapshot_request(
        &self,
        snapshot: &Snapshot,
        job: &Job,
        actor: &Actor,
    ) -> Result<(), Error> {
        let _ = (snapshot, job, actor);
        unimplemented!()
    }

    /// Returns a snapshot of that cluster.
    pub async fn snapshot(
        &self,
        cluster: ClusterId,
        id: SnapshotId,
    ) -> Result<Option<Snapshot>, Error> {
        let _ = (cluster, id);
        unimplemented!()
    }

    /// Returns a snapshot of whichever cluster.
    pub async fn snapshot_by_id(&self, id: SnapshotId) -> Result<Option<Snapshot>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Returns a cluster's snapshots in the order of `scheduled_at`.
    pub async fn snapshots(
        &self,
        cluster: ClusterId,
        order: Order,
        page: Page,
    ) -> Result<Listed<Snapshot>, Error> {
        let _ = (cluster, order, page);
        unimplemented!()
    }

    /// Returns all of a cluster's snapshots, the oldest first.
    pub async fn all_snapshots(&self, cluster: ClusterId) -> Result<Vec<Snapshot>, Error> {
        let _ = cluster;
        unimplemented!()
    }

    /// Returns when the latest scheduled snapshot ever requested was due, also if that
    /// snapshot has been deleted since.
    pub async fn latest_scheduled(&self, cluster: ClusterId) -> Result<Option<Timestamp>, Error> {
        let _ = cluster;
        unimplemented!()
    }

    /// Returns a cluster's snapshots that an open restore or an unexpired download link names.
    pub async fn snapshots_in_use(
        &self,
        cluster: ClusterId,
        now: Timestamp,
    ) -> Result<Vec<SnapshotId>, Error> {
        let _ = (cluster, now);
        unimplemented!()
    }

    /// Completes the snapshot of a leased job and ends the job; `Stale` if the lease is lost.
    pub async fn snapshot_completed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        mongodb_version: &str,
        outcome: &SnapshotOutcome,
    ) -> Result<(), Error> {
        let _ = (lease, finished_at, mongodb_version, outcome);
        unimplemented!()
    }

    /// Fails the snapshot of a leased job and ends the job; `Stale` if the lease is lost.
    pub async fn snapshot_failed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        reason: &str,
    ) -> Result<(), Error> {
        let _ = (lease, finished_at, reason);
        unimplemented!()
    }

    /// Deletes a snapshot's row and job; `reason` goes into the audit trail.
    ///
    /// Fails with `SnapshotUnfinished`, with `SnapshotInUse` while an open restore needs it,
    /// and with `Stale` when it is gone.
    pub async fn snapshot_delete(
        &self,
        id: SnapshotId,
        actor: &Actor,
        now: Timestamp,
        reason: &str,
    ) -> Result<(), Error> {
        let _ = (id, actor, now, reason);
        unimplemented!()
    }
}
