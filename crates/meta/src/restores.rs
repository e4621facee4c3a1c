//! Restore jobs, deliveries by download included.

use model::restore::LIFETIME_MS;
use model::{
    Actor, ChosenMode, ClusterId, Delivery, Error, Job, JobKind, Lease, Listed, Page, RestoreId,
    RestoreJob, RestoreMode, RestoreReport, Timestamp,
};
use serde_json::json;

use crate::engine::{Connection, Constraint, Row, query, violated};
use crate::generation::Altered;
use crate::row::{Columns, During, millis, nonsense, stored_object};
use crate::{Meta, jobs, snapshots};

/// How a cluster's drills ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillsEnded {
    /// The newest that ended, with its report.
    pub last: Option<RestoreJob>,
    /// When the newest that completed did so.
    pub last_success_at: Option<Timestamp>,
    /// How many have failed since.
    pub failures: u64,
}

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
        let mut change = self.change().await?;
        let snapshot = restore.snapshot_id;
        snapshots::require_completed(
            change.connection(),
            snapshot,
            restore.cluster_id,
            &restore.cluster_name,
        )
        .await?;
        require_target(change.connection(), restore).await?;
        require_free(change.connection(), restore).await?;
        insert(change.connection(), restore).await?;
        if let Some(job) = job {
            jobs::insert(change.connection(), job).await?;
        }
        let detail = json!({
            "delivery": delivery_word(restore.delivery),
            "snapshotId": snapshot,
            "clusterId": restore.cluster_id,
            "targetClusterId": restore.target_cluster_id,
        });
        change
            .record(
                actor,
                "restore.request",
                restore.id,
                restore.created_at,
                detail,
            )
            .await?;
        change.commit(Altered::Work).await
    }

    /// Returns a restore job of that cluster's snapshots.
    pub async fn restore(
        &self,
        cluster: ClusterId,
        id: RestoreId,
    ) -> Result<Option<RestoreJob>, Error> {
        let found = self.restore_by_id(id).await?;
        Ok(found.filter(|restore| restore.cluster_id == cluster))
    }

    /// Returns a restore job of whichever cluster.
    pub async fn restore_by_id(&self, id: RestoreId) -> Result<Option<RestoreJob>, Error> {
        let row = query(
            "SELECT r.*, p.report FROM restores r
             LEFT JOIN restore_reports p ON p.restore_id = r.id WHERE r.id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.shared.pools.read)
        .await
        .during("read restore")?;
        let Some(row) = row else { return Ok(None) };
        let mut restore = restore(&row)?;
        if row.text_or_none("report")?.is_some() {
            restore.report = Some(row.object("report")?);
        }
        Ok(Some(restore))
    }

    /// Returns the restore jobs of a cluster's snapshots, the newest first; drills are not among
    /// them. `report` is left out: it has a row per collection; [`Meta::restore`] returns it.
    pub async fn restores(
        &self,
        cluster: ClusterId,
        page: Page,
    ) -> Result<Listed<RestoreJob>, Error> {
        let count = "SELECT restore_count AS total FROM clusters WHERE id = $1";
        let rows = "SELECT * FROM restores WHERE cluster_id = $1 AND delivery <> 'DRILL'
             ORDER BY created_at_ms DESC, id DESC LIMIT $2 OFFSET $3";
        self.page_of(cluster, page, count, rows, restore).await
    }

    /// Returns the drills of a cluster's snapshots, the newest first, without their reports.
    pub async fn drills(
        &self,
        cluster: ClusterId,
        page: Page,
    ) -> Result<Listed<RestoreJob>, Error> {
        let count = "SELECT COUNT(*) AS total FROM restores
             WHERE cluster_id = $1 AND delivery = 'DRILL'";
        let rows = "SELECT * FROM restores WHERE cluster_id = $1 AND delivery = 'DRILL'
             ORDER BY created_at_ms DESC, id DESC LIMIT $2 OFFSET $3";
        self.page_of(cluster, page, count, rows, restore).await
    }

    /// Returns how a cluster's drills ended.
    pub async fn drills_ended(&self, cluster: ClusterId) -> Result<DrillsEnded, Error> {
        let row = query(
            "WITH ended AS (
                 SELECT id, status, created_at_ms, finished_at_ms FROM restores
                 WHERE cluster_id = $1 AND delivery = 'DRILL'
                     AND status IN ('COMPLETED', 'FAILED')
             ), success AS (
                 SELECT MAX(created_at_ms) AS at, MAX(finished_at_ms) AS finished
                 FROM ended WHERE status = 'COMPLETED'
             )
             SELECT (SELECT id FROM ended ORDER BY created_at_ms DESC, id DESC LIMIT 1) AS last,
                 (SELECT finished FROM success) AS success,
                 (SELECT COUNT(*) FROM ended WHERE status = 'FAILED'
                     AND created_at_ms > COALESCE((SELECT at FROM success), -1)) AS failures",
        )
        .bind(cluster.to_string())
        .fetch_one(&self.shared.pools.read)
        .await
        .during("read how drills ended")?;
        let last = match row.word_or_none("last")? {
            Some(id) => self.restore_by_id(id).await?,
            None => None,
        };
        Ok(DrillsEnded {
            last,
            last_success_at: row.time_or_none("success")?,
            failures: row.number("failures")?,
        })
    }

    /// Notes how the restore of a leased job is done, and why so; `Stale` if the lease is lost.
    pub async fn restore_chosen(&self, lease: &Lease, chosen: &ChosenMode) -> Result<(), Error> {
        let id = subject(lease)?;
        let mut change = self.change().await?;
        jobs::require_held(change.connection(), lease).await?;
        query("UPDATE restores SET chosen_mode = $2, chosen_because = $3 WHERE id = $1")
            .bind(id.to_string())
            .bind(chosen.mode.as_str())
            .bind(&chosen.because)
            .execute(change.connection())
            .await
            .during("note mode of restore")?;
        change.commit(Altered::Work).await
    }

    /// Completes the restore of a leased job and ends the job; `Stale` if the lease is lost.
    ///
    /// The link of an archive that had to be built lives from `finished_at` on.
    pub async fn restore_completed(
        &self,
        lease: &Lease,
        finished_at: Timestamp,
        report: &RestoreReport,
    ) -> Result<(), Error> {
        let id = subject(lease)?;
        let mut change = self.change().await?;
        jobs::end(change.connection(), lease).await?;
        query(
            "UPDATE restores SET status = 'COMPLETED', finished_at_ms = $2,
                 expires_at_ms = CASE delivery WHEN 'DATA_FILES' THEN $3 ELSE expires_at_ms END
             WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(finished_at.as_millis())
        .bind(finished_at.plus_millis(LIFETIME_MS).as_millis())
        .execute(change.connection())
        .await
        .during("complete restore")?;
        query("INSERT INTO restore_reports (restore_id, report) VALUES ($1, $2)")
            .bind(id.to_string())
            .bind(stored_object(report)?)
            .execute(change.connection())
            .await
            .during("insert restore report")?;
        let detail = json!({
            "collections": report.collections.len(),
            "attempt": lease.job.attempts,
        });
        change
            .record(&Actor::Worker, "restore.complete", id, finished_at, detail)
            .await?;
        change.commit(Altered::Work).await
    }
}

/// The row has no reference to its target, which may be deleted later; now it must be there.
async fn require_target(connection: &mut Connection, restore: &RestoreJob) -> Result<(), Error> {
    query("SELECT 1 FROM clusters WHERE id = $1")
        .bind(restore.target_cluster_id.to_string())
        .fetch_optional(connection)
        .await
        .during("look for target")?
        .map(drop)
        .ok_or_else(|| Error::ClusterNotFound {
            name: restore.target_name.clone(),
            project: restore.target_project_id,
        })
}

/// Fails while somebody overwrites the target that is to be overwritten, and while another drill
/// of the source is open. Two restores onto one target are kept apart by an index.
async fn require_free(connection: &mut Connection, restore: &RestoreJob) -> Result<(), Error> {
    let (source, target) = (restore.cluster_id, restore.target_cluster_id);
    match restore.delivery {
        Delivery::Download | Delivery::DataFiles => return Ok(()),
        Delivery::Restore => {}
        Delivery::Drill => {
            let drilled = "SELECT 1 FROM restores WHERE delivery = 'DRILL' AND cluster_id = $1
                 AND status IN ('PENDING', 'QUEUED', 'RUNNING')";
            if exists(connection, drilled, source).await? {
                return Err(Error::DrillInProgress(restore.cluster_name.clone()));
            }
        }
    }
    if restore.is_on_scratch_server() {
        return Ok(());
    }
    let drilled_onto = "SELECT 1 FROM restores WHERE delivery = 'DRILL'
         AND target_cluster_id = $1 AND cluster_id <> $1
         AND status IN ('PENDING', 'QUEUED', 'RUNNING')";
    if exists(connection, drilled_onto, target).await? {
        return Err(Error::DrillInProgress(restore.target_name.clone()));
    }
    let restored_onto = "SELECT 1 FROM restores WHERE delivery = 'RESTORE'
         AND target_cluster_id = $1 AND status IN ('PENDING', 'QUEUED', 'RUNNING')";
    if exists(connection, restored_onto, target).await? {
        return Err(Error::RestoreInProgress(restore.target_name.clone()));
    }
    Ok(())
}

async fn exists(
    connection: &mut Connection,
    sql: &'static str,
    cluster: ClusterId,
) -> Result<bool, Error> {
    query(sql)
        .bind(cluster.to_string())
        .fetch_optional(connection)
        .await
        .during("look for open restores and drills")
        .map(|row| row.is_some())
}

async fn insert(connection: &mut Connection, restore: &RestoreJob) -> Result<(), Error> {
    let selection = restore.selection.as_ref().map(stored_object).transpose()?;
    let inserted = query(
        "INSERT INTO restores (id, delivery, status, cluster_id, cluster_name, project_id,
             snapshot_id, snapshot_finished_at_ms, target_cluster_id, target_name,
             target_project_id, created_at_ms, finished_at_ms, expires_at_ms, mode, selection,
             reads_whole)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(restore.id.to_string())
    .bind(delivery_word(restore.delivery))
    .bind(restore.status.as_str())
    .bind(restore.cluster_id.to_string())
    .bind(&restore.cluster_name)
    .bind(restore.project_id.to_string())
    .bind(restore.snapshot_id.to_string())
    .bind(restore.snapshot_finished_at.as_millis())
    .bind(restore.target_cluster_id.to_string())
    .bind(&restore.target_name)
    .bind(restore.target_project_id.to_string())
    .bind(restore.created_at.as_millis())
    .bind(millis(restore.finished_at))
    .bind(restore.expires_at.as_millis())
    .bind(restore.mode.map(RestoreMode::as_str))
    .bind(selection)
    .bind(restore.reads_whole)
    .execute(&mut *connection)
    .await;
    if let Err(error) = &inserted
        && violated(error) == Some(Constraint::RestoresOpenTarget)
    {
        return Err(Error::RestoreInProgress(restore.target_name.clone()));
    }
    inserted.during("insert restore")?;
    if restore.delivery == Delivery::Drill {
        // It is in a list of its own.
        return Ok(());
    }
    query("UPDATE clusters SET restore_count = restore_count + 1 WHERE id = $1")
        .bind(restore.cluster_id.to_string())
        .execute(connection)
        .await
        .during("count restore")?;
    Ok(())
}

fn subject(lease: &Lease) -> Result<RestoreId, Error> {
    match lease.job.kind {
        JobKind::Restore(id) => Ok(id),
        JobKind::Snapshot(id) => Err(Error::internal(format!(
            "the lease is for snapshot {id}, not for a restore"
        ))),
    }
}

fn chosen(row: &Row) -> Result<Option<ChosenMode>, Error> {
    let Some(mode) = row.word_or_none("chosen_mode")? else {
        return Ok(None);
    };
    let because = row.text("chosen_because")?.to_owned();
    Ok(Some(ChosenMode { mode, because }))
}

fn delivery_word(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::Restore => "RESTORE",
        Delivery::Download => "DOWNLOAD",
        Delivery::DataFiles => "DATA_FILES",
        Delivery::Drill => "DRILL",
    }
}

/// Reads the column `delivery` of a restore, absent where the row is of something else.
pub(crate) fn delivery_or_none(row: &Row) -> Result<Option<Delivery>, Error> {
    Ok(match row.text_or_none("delivery")? {
        None => None,
        Some("RESTORE") => Some(Delivery::Restore),
        Some("DOWNLOAD") => Some(Delivery::Download),
        Some("DATA_FILES") => Some(Delivery::DataFiles),
        Some("DRILL") => Some(Delivery::Drill),
        Some(other) => return Err(nonsense("delivery", other)),
    })
}

fn restore(row: &Row) -> Result<RestoreJob, Error> {
    Ok(RestoreJob {
        id: row.word("id")?,
        delivery: delivery_or_none(row)?.ok_or_else(|| nonsense("delivery", "absent"))?,
        status: row.word("status")?,
        cluster_id: row.word("cluster_id")?,
        cluster_name: row.text("cluster_name")?.to_owned(),
        project_id: row.word("project_id")?,
        snapshot_id: row.word("snapshot_id")?,
        snapshot_finished_at: row.time("snapshot_finished_at_ms")?,
        target_cluster_id: row.word("target_cluster_id")?,
        target_name: row.text("target_name")?.to_owned(),
        target_project_id: row.word("target_project_id")?,
        mode: row.word_or_none("mode")?,
        chosen: chosen(row)?,
        selection: match row.text_or_none("selection")? {
            Some(_) => Some(row.object("selection")?),
            None => None,
        },
        reads_whole: row.flag("reads_whole")?,
        created_at: row.time("created_at_ms")?,
        finished_at: row.time_or_none("finished_at_ms")?,
        expires_at: row.time("expires_at_ms")?,
        failure: row.text_or_none("failure")?.map(str::to_owned),
        report: None,
    })
}
