//! Jobs: claim, renew, release. See `model::job` for what lease and fence promise.

use model::{Error, JobKind, Lease, Progress, Timestamp};

use crate::Meta;

/// Which kinds of job a worker has a free slot for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Accept {
    /// Snapshots.
    pub snapshots: bool,
    /// Restores.
    pub restores: bool,
}

impl Accept {
    /// Both kinds.
    pub const ANY: Accept = Accept {
        snapshots: true,
        restores: true,
    };
}

impl Meta {
    /// Makes the pending snapshots and restores of open jobs queued, and returns how many.
    pub async fn jobs_mark_queued(&self, now: Timestamp) -> Result<u64, Error> {
        let _ = now;
        unimplemented!()
    }

    /// Ends every lease, its subject being queued again, and returns how many there were.
    ///
    /// Only for a process that has just taken the data directory's lock: whoever held a
    /// lease is then known to be dead, and waiting for its end would be idle.
    pub async fn leases_revoke_all(&self, now: Timestamp) -> Result<u64, Error> {
        let _ = now;
        unimplemented!()
    }

    /// Claims the oldest open job that nobody has a live lease on and whose cluster no other
    /// live lease works on; its subject is then running.
    ///
    /// A job that was claimed `ATTEMPTS_MAX` times is failed instead, with a reason.
    pub async fn job_claim(
        &self,
        worker: &str,
        now: Timestamp,
        lease_ms: i64,
        accept: Accept,
    ) -> Result<Option<Lease>, Error> {
        let _ = (worker, now, lease_ms, accept);
        unimplemented!()
    }

    /// Prolongs a lease and keeps the progress; `Stale` if the lease is lost.
    pub async fn job_renew(
        &self,
        lease: &Lease,
        now: Timestamp,
        lease_ms: i64,
        progress: &Progress,
    ) -> Result<Lease, Error> {
        let _ = (lease, now, lease_ms, progress);
        unimplemented!()
    }

    /// Gives a job back unfinished: its subject is queued again and the attempt not counted.
    /// `Stale` if the lease is lost.
    pub async fn job_release(&self, lease: &Lease, now: Timestamp) -> Result<(), Error> {
        let _ = (lease, now);
        unimplemented!()
    }

    /// Returns how far the job for `kind` said it was.
    pub async fn job_progress(&self, kind: JobKind) -> Result<Option<Progress>, Error> {
        let _ = kind;
        unimplemented!()
    }
}
