//! Jobs: claim, renew, release. See `model::job` for what lease and fence promise.
//!
//! A lease is held while `worker` is set; it is live until `lease_until_ms`. A held lease
//! that ran out may still finish its job as long as nobody took it over, which the fence
//! tells.

use model::job::ATTEMPTS_MAX;
use model::{Actor, Delivery, Error, Job, JobKind, JobState, Lease, Progress, Status, Timestamp};
use serde_json::json;

use crate::change::Change;
use crate::engine::{Connection, Row, query};
use crate::generation::Altered;
use crate::row::{Columns, During, nonsense, stored_object};
use crate::{Meta, restores};

impl Meta {
    /// Makes the pending snapshots and restores of open jobs queued, and returns how many.
    pub async fn jobs_mark_queued(&self, now: Timestamp) -> Result<u64, Error> {
        let mut change = self.change().await?;
        let snapshots = query(
            "UPDATE snapshots SET status = 'QUEUED' WHERE status = 'PENDING'
                 AND id IN (SELECT snapshot_id FROM jobs WHERE state = 'OPEN')",
        )
        .execute(change.connection())
        .await
        .during("queue snapshots")?
        .rows_affected();
        let restores = query(
            "UPDATE restores SET status = 'QUEUED' WHERE status = 'PENDING'
                 AND id IN (SELECT restore_id FROM jobs WHERE state = 'OPEN')",
        )
        .execute(change.connection())
        .await
        .during("queue restores")?
        .rows_affected();
        if snapshots + restores == 0 {
            return Ok(0);
        }
        let detail = json!({ "snapshots": snapshots, "restores": restores });
        change
            .record(&Actor::Worker, "jobs.queue", "jobs", now, detail)
            .await?;
        change.commit(Altered::Work).await?;
        Ok(snapshots + restores)
    }

    /// Ends every lease, its subject being queued again, and returns how many there were.
    ///
    /// Only for a process that has just taken the data directory's lock: whoever held a
    /// lease is then known to be dead, and waiting for its end would be idle. Their attempts
    /// stay counted, since a job may be what killed them.
    pub async fn leases_revoke_all(&self, now: Timestamp) -> Result<u64, Error> {
        let mut change = self.change().await?;
        let rows = query("SELECT * FROM jobs WHERE state = 'OPEN' AND worker IS NOT NULL")
            .fetch_all(change.connection())
            .await
            .during("read leases")?;
        for row in &rows {
            let job = job(row)?;
            query("UPDATE jobs SET worker = NULL, lease_until_ms = NULL WHERE id = $1")
                .bind(job.id.to_string())
                .execute(change.connection())
                .await
                .during("revoke lease")?;
            set_status(change.connection(), job.kind, Status::Queued, now).await?;
            let detail = json!({ "worker": row.text("worker")?, "attempt": job.attempts });
            change
                .record(&Actor::Worker, "job.revoke", job.id, now, detail)
                .await?;
        }
        if rows.is_empty() {
            return Ok(0);
        }
        change.commit(Altered::Work).await?;
        Ok(rows.len() as u64)
    }

    /// Claims the oldest open job that nobody has a live lease on and whose cluster no other
    /// live lease works on; its subject is then running. Jobs on scratch servers leave their
    /// cluster to others, and wait for each other instead.
    ///
    /// A job that was claimed `ATTEMPTS_MAX` times is failed instead, with a reason.
    pub async fn job_claim(
        &self,
        worker: &str,
        now: Timestamp,
        lease_ms: i64,
    ) -> Result<Option<Lease>, Error> {
        let mut change = self.change().await?;
        let mut given_up = Vec::new();
        let claimed = loop {
            let found = next_claimable(change.connection(), now).await?;
            let Some((job, delivery)) = found else {
                break None;
            };
            if job.attempts < ATTEMPTS_MAX {
                let mut lease = Lease {
                    job,
                    delivery,
                    fence: 0,
                    until: now.plus_millis(lease_ms),
                };
                take(&mut change, &mut lease, worker, now).await?;
                break Some(lease);
            }
            give_up(&mut change, &job, now).await?;
            given_up.push(job);
        };
        if claimed.is_some() || !given_up.is_empty() {
            change.commit(Altered::Work).await?;
        }
        for job in given_up {
            // Nobody holds a lease on it, so nobody else would tell.
            tracing::warn!(job.id = %job.id, cluster.id = %job.cluster_id, kind = ?job.kind,
                attempts = job.attempts, "gave up a job none of whose attempts came to an end");
        }
        Ok(claimed)
    }

    /// Prolongs a lease and keeps the progress; `Stale` if the lease is lost, also where it
    /// ran out and another job that excludes it was begun since.
    pub async fn job_renew(
        &self,
        lease: &Lease,
        now: Timestamp,
        lease_ms: i64,
        progress: &Progress,
    ) -> Result<Lease, Error> {
        let until = now.plus_millis(lease_ms);
        let mut change = self.change().await?;
        let renewed = query(
            "UPDATE jobs SET lease_until_ms = $3, progress = $4
             WHERE id = $1 AND fence = $2 AND state = 'OPEN' AND worker IS NOT NULL
                 AND (lease_until_ms > $5 OR NOT EXISTS (
                     SELECT 1 FROM jobs o
                     WHERE o.id <> jobs.id AND o.scratch = jobs.scratch
                         AND (o.scratch OR o.cluster_id = jobs.cluster_id)
                         AND o.state = 'OPEN' AND o.lease_until_ms > $5))",
        )
        .bind(lease.job.id.to_string())
        .bind(lease.fence)
        .bind(until.as_millis())
        .bind(stored_object(progress)?)
        .bind(now.as_millis())
        .execute(change.connection())
        .await
        .during("renew lease")?;
        if renewed.rows_affected() == 0 {
            return Err(Error::Stale);
        }
        change.commit(Altered::Neither).await?;
        Ok(Lease {
            until,
            ..lease.clone()
        })
    }

    /// Gives a job back unfinished: its subject is queued again and the attempt not counted.
    /// `Stale` if the lease is lost.
    pub async fn job_release(&self, lease: &Lease, now: Timestamp) -> Result<(), Error> {
        let mut change = self.change().await?;
        let released = query(
            "UPDATE jobs SET worker = NULL, lease_until_ms = NULL, attempts = attempts - 1
             WHERE id = $1 AND fence = $2 AND state = 'OPEN' AND worker IS NOT NULL",
        )
        .bind(lease.job.id.to_string())
        .bind(lease.fence)
        .execute(change.connection())
        .await
        .during("release job")?;
        if released.rows_affected() == 0 {
            return Err(Error::Stale);
        }
        set_status(change.connection(), lease.job.kind, Status::Queued, now).await?;
        let detail = json!({ "fence": lease.fence });
        change
            .record(&Actor::Worker, "job.release", lease.job.id, now, detail)
            .await?;
        change.commit(Altered::Work).await
    }

    /// Fails the subject of a leased job and ends the job; `Stale` if the lease is lost.
    pub async fn job_failed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        reason: &str,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        end(change.connection(), lease).await?;
        fail(&mut change, lease.job.kind, finished_at, reason).await?;
        change.commit(Altered::Work).await
    }

    /// Returns how far the job for `kind` said it was.
    pub async fn job_progress(&self, kind: JobKind) -> Result<Option<Progress>, Error> {
        let (sql, subject) = match kind {
            JobKind::Snapshot(id) => (
                "SELECT progress FROM jobs WHERE snapshot_id = $1",
                id.to_string(),
            ),
            JobKind::Restore(id) => (
                "SELECT progress FROM jobs WHERE restore_id = $1",
                id.to_string(),
            ),
        };
        let row = query(sql)
            .bind(subject)
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read progress")?;
        let Some(row) = row else { return Ok(None) };
        if row.text_or_none("progress")?.is_none() {
            return Ok(None);
        }
        row.object("progress").map(Some)
    }
}

/// Inserts an open job within a change.
pub(crate) async fn insert(connection: &mut Connection, job: &Job) -> Result<(), Error> {
    let (snapshot, restore) = match job.kind {
        JobKind::Snapshot(id) => (Some(id.to_string()), None),
        JobKind::Restore(id) => (None, Some(id.to_string())),
    };
    query(
        "INSERT INTO jobs (id, snapshot_id, restore_id, cluster_id, state, attempts, fence,
             created_at_ms, scratch)
         VALUES ($1, $2, $3, $4, 'OPEN', 0, 0, $5, $6)",
    )
    .bind(job.id.to_string())
    .bind(snapshot)
    .bind(restore)
    .bind(job.cluster_id.to_string())
    .bind(job.created_at.as_millis())
    .bind(job.scratch)
    .execute(connection)
    .await
    .during("insert job")?;
    Ok(())
}

/// Ends a leased job within the change that ends its subject, or fails with `Stale`.
pub(crate) async fn end(connection: &mut Connection, lease: &Lease) -> Result<(), Error> {
    let ended = query(
        "UPDATE jobs SET state = 'DONE', worker = NULL, lease_until_ms = NULL
         WHERE id = $1 AND fence = $2 AND state = 'OPEN' AND worker IS NOT NULL",
    )
    .bind(lease.job.id.to_string())
    .bind(lease.fence)
    .execute(connection)
    .await
    .during("end job")?;
    if ended.rows_affected() == 0 {
        return Err(Error::Stale);
    }
    Ok(())
}

/// Fails with `Stale` unless the lease is still the one that counts.
pub(crate) async fn require_held(connection: &mut Connection, lease: &Lease) -> Result<(), Error> {
    query(
        "SELECT 1 FROM jobs WHERE id = $1 AND fence = $2 AND state = 'OPEN' AND worker IS NOT NULL",
    )
    .bind(lease.job.id.to_string())
    .bind(lease.fence)
    .fetch_optional(connection)
    .await
    .during("look for lease")?
    .map(drop)
    .ok_or(Error::Stale)
}

/// Returns the next job, and what it delivers if it is that of a restore.
async fn next_claimable(
    connection: &mut Connection,
    now: Timestamp,
) -> Result<Option<(Job, Option<Delivery>)>, Error> {
    let row = query(
        "SELECT j.*, r.delivery FROM jobs j LEFT JOIN restores r ON r.id = j.restore_id
         WHERE j.state = 'OPEN' AND (j.lease_until_ms IS NULL OR j.lease_until_ms <= $1)
             AND NOT EXISTS (
                 SELECT 1 FROM jobs o
                 WHERE o.id <> j.id AND o.scratch = j.scratch
                     AND (o.scratch OR o.cluster_id = j.cluster_id)
                     AND o.state = 'OPEN' AND o.lease_until_ms > $1)
         ORDER BY j.created_at_ms, j.id LIMIT 1",
    )
    .bind(now.as_millis())
    .fetch_optional(connection)
    .await
    .during("find claimable job")?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((job(&row)?, restores::delivery_or_none(&row)?)))
}

/// Gives the lease its fence and counts the attempt.
async fn take(
    change: &mut Change,
    lease: &mut Lease,
    worker: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let job = &mut lease.job;
    lease.fence = query(
        "UPDATE jobs SET worker = $2, lease_until_ms = $3, fence = fence + 1,
             attempts = attempts + 1, progress = NULL
         WHERE id = $1 RETURNING fence",
    )
    .bind(job.id.to_string())
    .bind(worker)
    .bind(lease.until.as_millis())
    .fetch_one(change.connection())
    .await
    .during("claim job")?
    .number("fence")?;
    job.attempts += 1;
    set_status(change.connection(), job.kind, Status::Running, now).await?;
    let detail = json!({ "worker": worker, "attempt": job.attempts, "fence": lease.fence });
    change
        .record(&Actor::Worker, "job.claim", job.id, now, detail)
        .await
}

async fn give_up(change: &mut Change, job: &Job, now: Timestamp) -> Result<(), Error> {
    query(
        "UPDATE jobs SET state = 'DONE', worker = NULL, lease_until_ms = NULL, fence = fence + 1
         WHERE id = $1",
    )
    .bind(job.id.to_string())
    .execute(change.connection())
    .await
    .during("give up job")?;
    let reason = format!(
        "given up after {} attempts, none of which came to an end",
        job.attempts
    );
    fail(change, job.kind, now, &reason).await
}

/// Fails the subject of a job within the change that ends the job.
async fn fail(
    change: &mut Change,
    kind: JobKind,
    finished_at: Timestamp,
    reason: &str,
) -> Result<(), Error> {
    let (sql, action, subject) = match kind {
        JobKind::Snapshot(id) => (
            "UPDATE snapshots SET status = 'FAILED', finished_at_ms = $2, failure = $3
             WHERE id = $1",
            "snapshot.fail",
            id.to_string(),
        ),
        JobKind::Restore(id) => (
            "UPDATE restores SET status = 'FAILED', finished_at_ms = $2, failure = $3
             WHERE id = $1",
            "restore.fail",
            id.to_string(),
        ),
    };
    query(sql)
        .bind(subject.clone())
        .bind(finished_at.as_millis())
        .bind(reason)
        .execute(change.connection())
        .await
        .during("fail subject of job")?;
    let detail = json!({ "reason": reason });
    change
        .record(&Actor::Worker, action, subject, finished_at, detail)
        .await
}

/// Sets the status of an open job's subject; a snapshot keeps when it was first begun.
async fn set_status(
    connection: &mut Connection,
    kind: JobKind,
    status: Status,
    now: Timestamp,
) -> Result<(), Error> {
    let started = (status == Status::Running).then_some(now.as_millis());
    let statement = match kind {
        JobKind::Snapshot(id) => query(
            "UPDATE snapshots SET status = $2, started_at_ms = COALESCE(started_at_ms, $3)
             WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(status.as_str())
        .bind(started),
        JobKind::Restore(id) => query("UPDATE restores SET status = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(status.as_str()),
    };
    statement
        .execute(connection)
        .await
        .during("set status of subject")?;
    Ok(())
}

fn job(row: &Row) -> Result<Job, Error> {
    let snapshot = row.word_or_none("snapshot_id")?;
    let restore = row.word_or_none("restore_id")?;
    Ok(Job {
        id: row.word("id")?,
        kind: match (snapshot, restore) {
            (Some(id), None) => JobKind::Snapshot(id),
            (None, Some(id)) => JobKind::Restore(id),
            _ => return Err(nonsense("snapshot_id", "a job has one subject")),
        },
        cluster_id: row.word("cluster_id")?,
        scratch: row.flag("scratch")?,
        state: match row.text("state")? {
            "OPEN" => JobState::Open,
            "DONE" => JobState::Done,
            other => return Err(nonsense("state", other)),
        },
        attempts: row.number("attempts")?,
        created_at: row.time("created_at_ms")?,
    })
}
