//! Snapshots, from the request to the deletion.

use model::policy::SET_BACK_MS;
use model::{
    Actor, ClusterId, ClusterTime, Consistency, Error, Job, JobKind, Lease, Listed, Page, Snapshot,
    SnapshotId, SnapshotOutcome, Status, Timestamp, Trigger,
};
use serde_json::json;

use crate::change::Change;
use crate::engine::{Connection, Constraint, Row, query, violated};
use crate::generation::Altered;
use crate::row::{Columns, During, all, millis, nonsense, stored_count, stored_object};
use crate::{Meta, clusters, jobs};

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
    /// `Stale` for a scheduled one that is not due later than the latest stored before, unless
    /// that one is so far ahead of the job's creation that a wrong clock must have noted it.
    pub async fn snapshot_request(
        &self,
        snapshot: &Snapshot,
        job: &Job,
        actor: &Actor,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        insert(&mut change, snapshot, job, actor).await?;
        change.commit(Altered::Work).await
    }

    /// Returns a snapshot of that cluster.
    pub async fn snapshot(
        &self,
        cluster: ClusterId,
        id: SnapshotId,
    ) -> Result<Option<Snapshot>, Error> {
        let found = self.snapshot_by_id(id).await?;
        Ok(found.filter(|snapshot| snapshot.cluster_id == cluster))
    }

    /// Returns a snapshot of whichever cluster.
    pub async fn snapshot_by_id(&self, id: SnapshotId) -> Result<Option<Snapshot>, Error> {
        let row = query("SELECT * FROM snapshots WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read snapshot")?;
        row.as_ref().map(snapshot).transpose()
    }

    /// Returns a cluster's snapshots in the order of `scheduled_at`.
    pub async fn snapshots(
        &self,
        cluster: ClusterId,
        order: Order,
        page: Page,
    ) -> Result<Listed<Snapshot>, Error> {
        let count = "SELECT COUNT(*) AS total FROM snapshots WHERE cluster_id = $1";
        let rows = match order {
            Order::OldestFirst => {
                "SELECT * FROM snapshots WHERE cluster_id = $1
                 ORDER BY scheduled_at_ms, id LIMIT $2 OFFSET $3"
            }
            Order::NewestFirst => {
                "SELECT * FROM snapshots WHERE cluster_id = $1
                 ORDER BY scheduled_at_ms DESC, id DESC LIMIT $2 OFFSET $3"
            }
        };
        self.page_of(cluster, page, count, rows, snapshot).await
    }

    /// Returns all of a cluster's snapshots, the oldest first.
    pub async fn all_snapshots(&self, cluster: ClusterId) -> Result<Vec<Snapshot>, Error> {
        let rows =
            query("SELECT * FROM snapshots WHERE cluster_id = $1 ORDER BY scheduled_at_ms, id")
                .bind(cluster.to_string())
                .fetch_all(&self.shared.pools.read)
                .await
                .during("read all snapshots")?;
        all(&rows, snapshot)
    }

    /// Returns when the latest scheduled snapshot ever requested was due, also if that
    /// snapshot has been deleted since.
    pub async fn latest_scheduled(&self, cluster: ClusterId) -> Result<Option<Timestamp>, Error> {
        query("SELECT last_scheduled_ms FROM clusters WHERE id = $1")
            .bind(cluster.to_string())
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read latest scheduled snapshot")?
            .ok_or_else(|| Error::cluster_gone(cluster))?
            .time_or_none("last_scheduled_ms")
    }

    /// Returns a cluster's snapshots that an open restore or an unexpired download link names.
    pub async fn snapshots_in_use(
        &self,
        cluster: ClusterId,
        now: Timestamp,
    ) -> Result<Vec<SnapshotId>, Error> {
        let rows = query(
            "SELECT DISTINCT snapshot_id FROM restores
             WHERE cluster_id = $1 AND (
                 status IN ('PENDING', 'QUEUED', 'RUNNING')
                 OR (delivery = 'DOWNLOAD' AND expires_at_ms > $2))
             ORDER BY snapshot_id",
        )
        .bind(cluster.to_string())
        .bind(now.as_millis())
        .fetch_all(&self.shared.pools.read)
        .await
        .during("read snapshots in use")?;
        all(&rows, |row| row.word("snapshot_id"))
    }

    /// Completes the snapshot of a leased job and ends the job; `Stale` if the lease is lost.
    pub async fn snapshot_completed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        mongodb_version: &str,
        outcome: &SnapshotOutcome,
    ) -> Result<(), Error> {
        let id = subject(lease)?;
        let mut change = self.change().await?;
        jobs::end(change.connection(), lease).await?;
        complete(
            change.connection(),
            id,
            finished_at,
            mongodb_version,
            outcome,
        )
        .await?;
        let detail = json!({
            "documents": outcome.documents,
            "sizeBytes": outcome.size_bytes,
            "storedBytes": outcome.stored_bytes,
            "attempt": lease.job.attempts,
        });
        change
            .record(&Actor::Worker, "snapshot.complete", id, finished_at, detail)
            .await?;
        change.commit(Altered::Work).await
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
        let mut change = self.change().await?;
        let snapshot = read(change.connection(), id).await?.ok_or(Error::Stale)?;
        if !snapshot.status.is_final() {
            return Err(Error::SnapshotUnfinished(id));
        }
        let restored = query(
            "SELECT 1 FROM restores WHERE snapshot_id = $1
                 AND status IN ('PENDING', 'QUEUED', 'RUNNING') LIMIT 1",
        )
        .bind(id.to_string())
        .fetch_optional(change.connection())
        .await
        .during("look for open restores")?;
        if restored.is_some() {
            return Err(Error::SnapshotInUse(id));
        }
        query("INSERT INTO manifests_to_forget (snapshot_id) VALUES ($1)")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("note the manifest to forget")?;
        query("DELETE FROM snapshots WHERE id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("delete snapshot")?;
        let detail = json!({
            "clusterId": snapshot.cluster_id,
            "status": snapshot.status,
            "reason": reason,
        });
        change
            .record(actor, "snapshot.delete", id, now, detail)
            .await?;
        change.commit(Altered::Work).await
    }

    /// Returns deleted snapshots whose manifests are still to be removed from the store.
    pub async fn manifests_to_forget(&self) -> Result<Vec<SnapshotId>, Error> {
        let mut view = self.view().await?;
        let rows = query("SELECT snapshot_id FROM manifests_to_forget ORDER BY snapshot_id")
            .fetch_all(&mut *view)
            .await
            .during("read manifests to forget")?;
        all(&rows, |row| row.word("snapshot_id"))
    }

    /// Notes that a deleted snapshot's manifest is gone from the store.
    pub async fn manifest_forgotten(&self, id: SnapshotId) -> Result<(), Error> {
        let mut change = self.change().await?;
        query("DELETE FROM manifests_to_forget WHERE snapshot_id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("note a forgotten manifest")?;
        change.commit(Altered::Neither).await
    }
}

/// Inserts a pending snapshot and its job within a change.
pub(crate) async fn insert(
    change: &mut Change,
    snapshot: &Snapshot,
    job: &Job,
    actor: &Actor,
) -> Result<(), Error> {
    let cluster = clusters::require(change.connection(), snapshot.cluster_id).await?;
    if snapshot.trigger == Trigger::Scheduled {
        advance_schedule(change.connection(), snapshot, job.created_at).await?;
    }
    let inserted = query(
        "INSERT INTO snapshots (id, cluster_id, project_id, status, trigger_word,
             scheduled_at_ms, started_at_ms, finished_at_ms, expires_at_ms, mongodb_version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(snapshot.id.to_string())
    .bind(snapshot.cluster_id.to_string())
    .bind(snapshot.project_id.to_string())
    .bind(snapshot.status.as_str())
    .bind(trigger_word(snapshot.trigger))
    .bind(snapshot.scheduled_at.as_millis())
    .bind(millis(snapshot.started_at))
    .bind(millis(snapshot.finished_at))
    .bind(snapshot.expires_at.as_millis())
    .bind(&snapshot.mongodb_version)
    .execute(change.connection())
    .await;
    if let Err(error) = &inserted
        && violated(error) == Some(Constraint::SnapshotsOpenOnDemand)
    {
        return Err(Error::SnapshotInProgress(cluster.name));
    }
    inserted.during("insert snapshot")?;
    jobs::insert(change.connection(), job).await?;
    let detail = json!({
        "clusterId": snapshot.cluster_id,
        "trigger": trigger_word(snapshot.trigger),
        "scheduledAtMs": snapshot.scheduled_at,
    });
    change
        .record(
            actor,
            "snapshot.request",
            snapshot.id,
            job.created_at,
            detail,
        )
        .await
}

/// Refuses a second snapshot for the same due time, whoever asks. A due time that a wrong clock
/// noted far ahead is no obstacle.
async fn advance_schedule(
    connection: &mut Connection,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<(), Error> {
    let advanced = query(
        "UPDATE clusters SET last_scheduled_ms = $2
         WHERE id = $1 AND (last_scheduled_ms IS NULL OR last_scheduled_ms < $2
             OR last_scheduled_ms > $3)",
    )
    .bind(snapshot.cluster_id.to_string())
    .bind(snapshot.scheduled_at.as_millis())
    .bind(now.plus_millis(SET_BACK_MS).as_millis())
    .execute(connection)
    .await
    .during("advance schedule")?;
    if advanced.rows_affected() == 0 {
        return Err(Error::Stale);
    }
    Ok(())
}

async fn read(connection: &mut Connection, id: SnapshotId) -> Result<Option<Snapshot>, Error> {
    let row = query("SELECT * FROM snapshots WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .during("read snapshot")?;
    row.as_ref().map(snapshot).transpose()
}

/// Fails unless a restore may read the snapshot.
pub(crate) async fn require_completed(
    connection: &mut Connection,
    id: SnapshotId,
    cluster: ClusterId,
    cluster_name: &str,
) -> Result<(), Error> {
    let found = read(connection, id).await?;
    let Some(snapshot) = found.filter(|snapshot| snapshot.cluster_id == cluster) else {
        return Err(Error::SnapshotNotFound {
            snapshot: id,
            cluster: cluster_name.to_owned(),
        });
    };
    if snapshot.status != Status::Completed {
        return Err(Error::SnapshotIncomplete(id));
    }
    Ok(())
}

async fn complete(
    connection: &mut Connection,
    id: SnapshotId,
    finished_at: Timestamp,
    mongodb_version: &str,
    outcome: &SnapshotOutcome,
) -> Result<(), Error> {
    let (consistency, time) = match outcome.consistency {
        Consistency::Snapshot(time) => ("SNAPSHOT", Some(time)),
        Consistency::None => ("NONE", None),
    };
    query(
        "UPDATE snapshots SET status = 'COMPLETED', finished_at_ms = $2, mongodb_version = $3,
             consistency = $4, cluster_time_seconds = $5, cluster_time_increment = $6,
             documents = $7, size_bytes = $8, stored_bytes = $9, collections = $10,
             cost = $11
         WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(finished_at.as_millis())
    .bind(mongodb_version)
    .bind(consistency)
    .bind(time.map(|time| i64::from(time.seconds)))
    .bind(time.map(|time| i64::from(time.increment)))
    .bind(stored_count(outcome.documents)?)
    .bind(stored_count(outcome.size_bytes)?)
    .bind(stored_count(outcome.stored_bytes)?)
    .bind(i64::from(outcome.collections))
    .bind(outcome.cost.as_ref().map(stored_object).transpose()?)
    .execute(connection)
    .await
    .during("complete snapshot")?;
    Ok(())
}

fn subject(lease: &Lease) -> Result<SnapshotId, Error> {
    match lease.job.kind {
        JobKind::Snapshot(id) => Ok(id),
        JobKind::Restore(id) => Err(Error::internal(format!(
            "the lease is for restore {id}, not for a snapshot"
        ))),
    }
}

fn trigger_word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Scheduled => "SCHEDULED",
        Trigger::OnDemand => "ON_DEMAND",
    }
}

fn snapshot(row: &Row) -> Result<Snapshot, Error> {
    let status: Status = row.word("status")?;
    Ok(Snapshot {
        id: row.word("id")?,
        cluster_id: row.word("cluster_id")?,
        project_id: row.word("project_id")?,
        status,
        trigger: match row.text("trigger_word")? {
            "SCHEDULED" => Trigger::Scheduled,
            "ON_DEMAND" => Trigger::OnDemand,
            other => return Err(nonsense("trigger_word", other)),
        },
        scheduled_at: row.time("scheduled_at_ms")?,
        started_at: row.time_or_none("started_at_ms")?,
        finished_at: row.time_or_none("finished_at_ms")?,
        expires_at: row.time("expires_at_ms")?,
        mongodb_version: row.text("mongodb_version")?.to_owned(),
        outcome: match status {
            Status::Completed => Some(outcome(row)?),
            _ => None,
        },
        failure: row.text_or_none("failure")?.map(str::to_owned),
    })
}

fn outcome(row: &Row) -> Result<SnapshotOutcome, Error> {
    let consistency = match row.text("consistency")? {
        "SNAPSHOT" => Consistency::Snapshot(ClusterTime {
            seconds: row.number("cluster_time_seconds")?,
            increment: row.number("cluster_time_increment")?,
        }),
        "NONE" => Consistency::None,
        other => return Err(nonsense("consistency", other)),
    };
    Ok(SnapshotOutcome {
        consistency,
        documents: row.number("documents")?,
        size_bytes: row.number("size_bytes")?,
        stored_bytes: row.number("stored_bytes")?,
        collections: row.number("collections")?,
        cost: match row.text_or_none("cost")? {
            Some(_) => Some(row.object("cost")?),
            None => None,
        },
    })
}
