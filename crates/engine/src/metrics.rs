//! What is counted and timed, in one struct that is passed in.

use std::time::Duration;

use model::{JobKind, Status};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    kind: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The engine's metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    jobs: Family<JobLabels, Counter>,
    job_bytes: Family<KindLabel, Counter>,
    job_seconds: Seconds,
    stored_bytes: Counter,
}

#[derive(Debug, Clone)]
struct Seconds(Family<KindLabel, Histogram>);

impl Default for Seconds {
    fn default() -> Self {
        // From a tenth of a second to about a day.
        Self(Family::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.1, 4.0, 10))
        }))
    }
}

fn kind(job: JobKind) -> &'static str {
    match job {
        JobKind::Snapshot(_) => "snapshot",
        JobKind::Restore(_) => "restore",
    }
}

impl Metrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("regrow_jobs", "Jobs that ended", self.jobs.clone());
        registry.register_with_unit(
            "regrow_job_size",
            "Documents read or written by jobs that ended, as BSON",
            Unit::Bytes,
            self.job_bytes.clone(),
        );
        registry.register_with_unit(
            "regrow_job_duration",
            "How long jobs that ended took",
            Unit::Seconds,
            self.job_seconds.0.clone(),
        );
        registry.register_with_unit(
            "regrow_stored",
            "Added to the snapshot store, compressed and sealed",
            Unit::Bytes,
            self.stored_bytes.clone(),
        );
    }

    pub(crate) fn job_ended(
        &self,
        job: JobKind,
        status: Status,
        size_bytes: u64,
        duration: Duration,
    ) {
        let kind = kind(job);
        self.jobs
            .get_or_create(&JobLabels {
                kind,
                status: status.as_str(),
            })
            .inc();
        self.job_bytes
            .get_or_create(&KindLabel { kind })
            .inc_by(size_bytes);
        self.job_seconds
            .0
            .get_or_create(&KindLabel { kind })
            .observe(duration.as_secs_f64());
    }

    pub(crate) fn stored(&self, size_bytes: u64) {
        self.stored_bytes.inc_by(size_bytes);
    }
}
