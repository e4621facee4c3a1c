//! What must eventually be true: input-free, idempotent, woken by time or by notice.

pub(crate) mod drills;
pub(crate) mod retention;
pub(crate) mod schedule;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Engine, scratch};

/// How often schedules are looked at.
const SCHEDULE_EVERY: Duration = Duration::from_secs(10);

/// How often retention is looked at without notice.
const RETENTION_EVERY: Duration = Duration::from_secs(15 * 60);

/// How often packs of which little is live are written anew; every page is read for it.
const REPACK_EVERY_MS: i64 = 24 * 60 * 60 * 1000;

/// Runs the reconcilers until shutdown.
pub(crate) async fn run(engine: Engine, shutdown: CancellationToken) {
    let schedules = async {
        loop {
            if let Err(error) = schedule::reconcile(&engine).await {
                tracing::error!(error = ?error, "looking at schedules failed");
            }
            if let Err(error) = drills::reconcile(&engine).await {
                tracing::error!(error = ?error, "looking at the schedules of drills failed");
            }
            tokio::time::sleep(SCHEDULE_EVERY).await;
        }
    };
    let retention = async {
        let mut repack_due = engine.now();
        loop {
            if engine.parts.config.repack && engine.now() >= repack_due {
                retention::repack(&engine).await;
                repack_due = engine.now().plus_millis(REPACK_EVERY_MS);
            }
            scratch::sweep(&engine).await;
            drills::measure(&engine).await;
            let due = engine.parts.retention_due.notified();
            if let Err(error) = retention::reconcile(&engine).await {
                tracing::error!(error = ?error, "looking at retention failed");
            }
            tokio::select! {
                () = due => {}
                () = tokio::time::sleep(RETENTION_EVERY) => {}
            }
        }
    };
    tokio::select! {
        () = schedules => {}
        () = retention => {}
        () = shutdown.cancelled() => {}
    }
}
