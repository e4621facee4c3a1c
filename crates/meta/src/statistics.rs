//! Counts for metrics.

use model::Error;

use crate::Meta;

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
        unimplemented!()
    }
}
