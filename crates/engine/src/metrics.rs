//! What is counted and timed, in one struct that is passed in.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use model::{Delivery, ProjectId, Status, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    project: String,
    cluster: String,
}

/// How the last drills of one cluster went.
#[derive(Debug, Clone)]
pub(crate) struct DrillFigures {
    pub(crate) project: ProjectId,
    pub(crate) cluster: String,
    pub(crate) last_success_at: Option<Timestamp>,
    pub(crate) last_duration_ms: i64,
    pub(crate) failures: u64,
}

#[derive(Debug, Default)]
struct Drills {
    last_success: Family<ClusterLabels, Gauge>,
    last_duration: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    failures: Family<ClusterLabels, Gauge>,
}

/// The engine's metrics.
#[derive(Debug, Default)]
pub struct Metrics {
    jobs: Family<JobLabels, Counter>,
    job_bytes: Family<KindLabel, Counter>,
    job_seconds: Seconds,
    stored_bytes: Counter,
    drills: Drills,
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

/// Returns what a job is counted as, by what it delivers; a snapshot delivers nothing.
fn kind(delivery: Option<Delivery>) -> &'static str {
    match delivery {
        None => "snapshot",
        Some(Delivery::Restore) => "restore",
        Some(Delivery::Drill) => "drill",
        // A dump has no job.
        Some(Delivery::DataFiles | Delivery::Download) => "data_files",
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
        registry.register(
            "regrow_drill_last_success_timestamp_seconds",
            "When a drill of the cluster's snapshots last completed, in seconds since 1970",
            self.drills.last_success.clone(),
        );
        registry.register(
            "regrow_drill_last_duration_seconds",
            "How long the last drill took from its request to its end",
            self.drills.last_duration.clone(),
        );
        registry.register(
            "regrow_drill_failures",
            "Drills that have failed since the last one that completed",
            self.drills.failures.clone(),
        );
    }

    /// Replaces what is told of drills; clusters that are gone go.
    pub(crate) fn drills(&self, figures: Vec<DrillFigures>) {
        self.drills.last_success.clear();
        self.drills.last_duration.clear();
        self.drills.failures.clear();
        for of in figures {
            let labels = ClusterLabels {
                project: of.project.to_string(),
                cluster: of.cluster,
            };
            if let Some(at) = of.last_success_at {
                let gauge = self.drills.last_success.get_or_create(&labels);
                gauge.set(at.as_millis() / 1000);
            }
            let seconds = Duration::from_millis(of.last_duration_ms.max(0).cast_unsigned());
            let gauge = self.drills.last_duration.get_or_create(&labels);
            gauge.set(seconds.as_secs_f64());
            let failures = i64::try_from(of.failures).unwrap_or(i64::MAX);
            self.drills.failures.get_or_create(&labels).set(failures);
        }
    }

    pub(crate) fn job_ended(
        &self,
        delivery: Option<Delivery>,
        status: Status,
        size_bytes: u64,
        duration: Duration,
    ) {
        let kind = kind(delivery);
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
