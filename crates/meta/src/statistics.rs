//! Counts for metrics.

use model::Error;

use crate::Meta;
use crate::engine::query;
use crate::row::{Columns, During};

/// Jobs that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenJobs {
    /// Snapshots that no worker has.
    pub snapshots_waiting: u64,
    /// Snapshots that a worker has.
    pub snapshots_running: u64,
    /// Restores that no worker has.
    pub restores_waiting: u64,
    /// Restores that a worker has.
    pub restores_running: u64,
}

impl Meta {
    /// Returns how many jobs have not ended.
    pub async fn jobs_open(&self) -> Result<OpenJobs, Error> {
        let row = query(
            "SELECT
                 COUNT(CASE WHEN snapshot_id IS NOT NULL AND worker IS NULL THEN 1 END)
                     AS snapshots_waiting,
                 COUNT(CASE WHEN snapshot_id IS NOT NULL AND worker IS NOT NULL THEN 1 END)
                     AS snapshots_running,
                 COUNT(CASE WHEN restore_id IS NOT NULL AND worker IS NULL THEN 1 END)
                     AS restores_waiting,
                 COUNT(CASE WHEN restore_id IS NOT NULL AND worker IS NOT NULL THEN 1 END)
                     AS restores_running
             FROM jobs WHERE state = 'OPEN'",
        )
        .fetch_one(&self.shared.pools.read)
        .await
        .during("count open jobs")?;
        Ok(OpenJobs {
            snapshots_waiting: row.number("snapshots_waiting")?,
            snapshots_running: row.number("snapshots_running")?,
            restores_waiting: row.number("restores_waiting")?,
            restores_running: row.number("restores_running")?,
        })
    }
}
