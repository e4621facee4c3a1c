//! What the service tells about itself: log lines on standard error, and metrics.
//!
//! Never in either: secrets, connection strings, contents of documents, whole bodies.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// The log filter cannot be read, or logging was set up before.
#[derive(Debug, thiserror::Error)]
#[error("set up logging with the filter `{filter}`")]
pub struct LogError {
    filter: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Sends log lines to standard error, from now to the end of the process.
///
/// `filter` is a level, or levels by module: `info`, `regrow=debug,warn`.
///
/// # Errors
/// When the filter cannot be read, or when this was called before.
pub fn log_to_stderr(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let failed = |source| LogError {
        filter: filter.to_owned(),
        source,
    };
    let levels = EnvFilter::try_new(filter).map_err(|error| failed(Box::new(error)))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_writer(io::stderr);
    let outcome = match format {
        LogFormat::Text => lines
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    outcome.map_err(failed)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// Counts and times requests, and writes all metrics of the process.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
}

impl HttpMetrics {
    /// Registers the engine's metrics beside its own.
    pub(crate) fn new(engine: &engine::Metrics) -> Self {
        let mut registry = Registry::default();
        engine.register(&mut registry);
        let requests = Family::default();
        registry.register(
            "regrow_http_requests",
            "Requests answered",
            requests.clone(),
        );
        // From half a millisecond to half a minute.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.0005, 4.0, 9));
        let seconds = Family::new_with_constructor(histogram);
        registry.register_with_unit(
            "regrow_http_request_duration",
            "Time until answers begin",
            Unit::Seconds,
            seconds.clone(),
        );
        Self {
            registry,
            requests,
            seconds,
        }
    }

    /// Notes one answer; `route` is a template, so that names and ids make no new series.
    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, duration: Duration) {
        let method = known_method(method);
        let labels = RequestLabels {
            method,
            route: route.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let label = RouteLabel {
            route: route.to_owned(),
        };
        self.seconds
            .get_or_create(&label)
            .observe(duration.as_secs_f64());
    }

    /// Writes all metrics in the text format of `OpenMetrics`.
    pub(crate) fn write(&self) -> String {
        let mut written = String::new();
        if let Err(error) = text::encode(&mut written, &self.registry) {
            written.clear();
            write!(written, "# {error}").expect("writing to memory succeeds");
        }
        written
    }
}

/// Anyone can send any method; only known ones make a series.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}
