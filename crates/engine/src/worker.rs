//! Claims jobs, runs them under a lease, and says how they ended.
//!
//! A slot takes one job at a time. While it runs, the lease is renewed every few seconds; a
//! lost lease drops the job where it stands, since another worker may have it. On shutdown
//! jobs in progress are dropped and their leases given back: the next start goes on with
//! them. A panic in a job fails the job, not the process.

use std::time::{Duration, Instant};

use futures::FutureExt;
use model::job::LEASE_MS;
use model::{Delivery, Error, JobKind, Lease, Status};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pump::{Counter, SharedCounter};
use crate::{Engine, job, reconcile};

/// How often a lease is renewed, and so progress shown.
const RENEWAL: Duration = Duration::from_secs(2);

/// How often a free slot looks for work without being told of any.
const IDLE: Duration = Duration::from_secs(5);

/// The running workers and reconcilers.
#[derive(Debug)]
pub struct Running {
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Ends everything and waits for it; jobs in progress are left for the next start.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
    }
}

/// Starts the slots and reconcilers.
pub(crate) fn start(engine: Engine) -> Running {
    let running = Running {
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    for slot in 0..engine.parts.config.slots.max(1) {
        let name = format!("worker-{slot}");
        running
            .tasks
            .spawn(run_slot(engine.clone(), name, running.shutdown.clone()));
    }
    running
        .tasks
        .spawn(reconcile::run(engine, running.shutdown.clone()));
    running.tasks.close();
    running
}

async fn run_slot(engine: Engine, name: String, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        // Interest is registered before looking, so that no notice is lost in between.
        let told = engine.parts.work.notified();
        match claim(&engine, &name).await {
            Ok(Some(lease)) => {
                // Another slot may find the next one.
                engine.parts.work.notify_one();
                run_job(&engine, lease, &shutdown).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(error = ?error, "looking for jobs failed"),
        }
        tokio::select! {
            () = told => {}
            () = tokio::time::sleep(IDLE) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn claim(engine: &Engine, worker: &str) -> Result<Option<Lease>, Error> {
    let meta = &engine.parts.meta;
    let claimed = meta.job_claim(worker, engine.now(), LEASE_MS).await?;
    // What could not be claimed was seen, and now waits.
    meta.jobs_mark_queued(engine.now()).await?;
    Ok(claimed)
}

async fn run_job(engine: &Engine, lease: Lease, shutdown: &CancellationToken) {
    let counter = SharedCounter::default();
    let began = Instant::now();
    let work = std::panic::AssertUnwindSafe(perform(engine, &lease, &counter));
    let ended = tokio::select! {
        ended = work.catch_unwind() => Some(ended),
        lost = keep_lease(engine, &lease, &counter) => {
            tracing::warn!(job.id = %lease.job.id, error = ?lost, "a job's lease was lost");
            None
        }
        () = shutdown.cancelled() => {
            if let Err(error) = engine.parts.meta.job_release(&lease, engine.now()).await {
                tracing::warn!(job.id = %lease.job.id, error = ?error, "a lease was kept");
            }
            None
        }
    };
    let status = match ended {
        None => return,
        Some(Ok(Ok(()))) => Status::Completed,
        Some(Ok(Err(reason))) => fail(engine, &lease, reason).await,
        Some(Err(_)) => {
            fail(
                engine,
                &lease,
                "an unexpected error ended the job".to_owned(),
            )
            .await
        }
    };
    let counted = counter.progress();
    engine
        .parts
        .metrics
        .job_ended(lease.delivery, status, counted.size_bytes, began.elapsed());
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(
        job.id = %lease.job.id, job.kind = ?lease.job.kind, job.attempt = lease.job.attempts,
        documents = counted.documents, size_bytes = counted.size_bytes, duration_ms,
        "job ended {status}"
    );
    if lease.delivery == Some(Delivery::Drill) {
        reconcile::drills::measure(engine).await;
    }
    // Its cluster is free for another.
    engine.parts.work.notify_waiters();
}

/// Returns only when the lease is lost.
async fn keep_lease(engine: &Engine, lease: &Lease, counter: &Counter) -> Error {
    let mut lease = lease.clone();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let now = engine.now();
        match engine
            .parts
            .meta
            .job_renew(&lease, now, LEASE_MS, &counter.progress())
            .await
        {
            Ok(renewed) => lease = renewed,
            // A write that fails for another reason is tried again until time is up.
            Err(error) if matches!(error, Error::Stale) || now >= lease.until => return error,
            Err(error) => tracing::warn!(error = ?error, "a lease was not renewed"),
        }
    }
}

/// Says in the metadata that the job failed, and in the log why.
async fn fail(engine: &Engine, lease: &Lease, reason: String) -> Status {
    tracing::error!(job.id = %lease.job.id, job.kind = ?lease.job.kind, "job failed: {reason}");
    let now = engine.now();
    if let Err(error) = engine.parts.meta.job_failed(lease, now, &reason).await {
        tracing::error!(job.id = %lease.job.id, error = ?error, "a failure was not recorded");
    }
    Status::Failed
}

/// Does the job and records its success; returns why it failed, in words for people.
async fn perform(engine: &Engine, lease: &Lease, counter: &SharedCounter) -> Result<(), String> {
    match lease.job.kind {
        JobKind::Snapshot(id) => perform_snapshot(engine, lease, id, counter).await,
        JobKind::Restore(id) => perform_restore(engine, lease, id, counter).await,
    }
}

async fn perform_snapshot(
    engine: &Engine,
    lease: &Lease,
    id: model::SnapshotId,
    counter: &Counter,
) -> Result<(), String> {
    let meta = &engine.parts.meta;
    let cluster = meta.cluster(lease.job.cluster_id).await.map_err(shown)?;
    let cluster = cluster.ok_or("the cluster is gone")?;
    let taken = job::snapshot::take(engine, &cluster, id, counter).await;
    let job::snapshot::Taken { version, outcome } = match taken {
        Ok(taken) => taken,
        Err(error) => {
            // What it wrote is of no use to anyone, and a full disk needs the space now.
            reconcile::retention::discard_checkpoint(engine, id).await;
            reconcile::retention::sweep(engine, Duration::ZERO).await;
            return Err(in_words(&error));
        }
    };
    let recorded = meta
        .snapshot_completed(lease, engine.now(), &version, &outcome)
        .await;
    recorded.map_err(shown)?;
    engine.parts.metrics.stored(outcome.stored_bytes);
    engine.parts.retention_due.notify_one();
    Ok(())
}

async fn perform_restore(
    engine: &Engine,
    lease: &Lease,
    id: model::RestoreId,
    counter: &SharedCounter,
) -> Result<(), String> {
    let meta = &engine.parts.meta;
    let restore = meta.restore_by_id(id).await.map_err(shown)?;
    let restore = restore.ok_or("the restore job is gone")?;
    let snapshot = meta.snapshot(restore.cluster_id, restore.snapshot_id).await;
    let snapshot = snapshot.map_err(shown)?.ok_or("the snapshot is gone")?;
    let report = match restore.delivery {
        Delivery::Restore => {
            let target = meta.cluster(restore.target_cluster_id).await;
            let target = target.map_err(shown)?.ok_or("the target is gone")?;
            let planned = job::restore::plan(engine, &restore, &snapshot, &target, counter).await;
            let planned = planned.map_err(|error| in_words(&error))?;
            meta.restore_chosen(lease, planned.chosen())
                .await
                .map_err(shown)?;
            planned.run().await.map_err(|error| in_words(&error))?
        }
        Delivery::Drill => {
            let proved = job::drill::run(engine, &restore, &snapshot, counter).await;
            proved.map_err(|error| in_words(&error))?
        }
        Delivery::DataFiles => {
            let built = job::data_files::build(engine, &restore, &snapshot, counter).await;
            built.map_err(|error| in_words(&error))?
        }
        Delivery::Download => return Err("a dump has no job: it is made as it is fetched".into()),
    };
    meta.restore_completed(lease, engine.now(), &report)
        .await
        .map_err(shown)
}

/// Returns an error with its causes in one line. Errors of the metadata are not among them:
/// what they chain is for the log.
pub(crate) fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries repeat their cause in their own words.
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

/// Logs an error of the metadata and returns what may be shown of it.
fn shown(error: Error) -> String {
    tracing::error!(error = ?error, "the metadata could not be used");
    error.to_string()
}
