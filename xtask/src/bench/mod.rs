//! Measures what the project promises about speed and memory, on one machine, with the database
//! server on the same cores. One JSON line per figure on standard output; all else goes to
//! standard error. It must never compare what did not run in the same run.

mod jobs;
mod requests;
mod tools;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use testkit::{BenchData, RealMongo};

use crate::service::{self, Cli, Key, Service};

/// The name of the cluster in the product.
const CLUSTER: &str = "bench";
/// The name of the database that is filled.
const DATABASE: &str = "bench";

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The size of the data set in MB of 10^6 bytes
    #[arg(long, value_name = "MB", default_value_t = 1_000)]
    megabytes: u64,
    /// How many collections it is spread over
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    collections: u32,
    /// How long each series of list requests runs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Measure only the list requests
    #[arg(long)]
    only_requests: bool,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs all measurements.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let binary = options.binary.map_or_else(|| service::build(true), Ok)?;
    let scratch = tempfile::Builder::new().prefix("regrow-bench-").tempdir()?;
    let mongo = RealMongo::replica_set()
        .cache_gb(1.5)
        .oplog_mb(1_000)
        .start()
        .await?;
    let client = mongo.client().await?;

    let megabytes = if options.only_requests {
        1
    } else {
        options.megabytes
    };
    let data = BenchData {
        size_bytes: megabytes * 1_000_000,
        collections: options.collections,
        seed: 1,
    };
    let started = Instant::now();
    let loaded = data
        .load(&client, DATABASE)
        .await
        .context("load the data set")?;
    report(
        "load_by_driver",
        loaded.size_bytes,
        started.elapsed().as_secs_f64(),
        json!({}),
    );

    let data_dir = scratch.path().join("data");
    let key = service::init(&binary, &data_dir)?;
    let bench = Bench {
        binary: &binary,
        data_dir: &data_dir,
        key: &key,
        scratch: scratch.path(),
    };
    let (service, cli) = bench.start().await?;
    let uri = mongo.uri();
    cli.run(&[
        "cluster",
        "add",
        CLUSTER,
        "--uri",
        &uri,
        "--tier",
        "M2",
        "--no-snapshot",
    ])
    .await?;
    let size = loaded.size_bytes;
    let take = ["snapshot", "take", CLUSTER, "--wait"];
    let snapshot = bench
        .measure_job(&cli, &service, "first_snapshot", &take, size)
        .await?;
    let id = snapshot["id"].as_str().context("the snapshot has no id")?;
    let restore = [
        "restore",
        "start",
        CLUSTER,
        "--snapshot",
        id,
        "--target",
        CLUSTER,
    ];
    let restore = [&restore[..], &["--yes", "--wait"]].concat();
    if !options.only_requests {
        bench
            .measure_job(&cli, &service, "next_snapshot_unchanged", &take, size)
            .await?;
    }
    bench
        .measure_job(&cli, &service, "restore_and_verify", &restore, size)
        .await?;
    if !options.only_requests {
        bench.measure_download(&cli, &service, id, size).await?;
        tools::measure(&mongo, scratch.path(), size).await?;
    }
    service.stop().await?;
    bench.measure_requests(options.seconds).await
}

/// What every measurement needs.
struct Bench<'a> {
    binary: &'a Path,
    data_dir: &'a Path,
    key: &'a Key,
    scratch: &'a Path,
}

impl Bench<'_> {
    async fn start(&self) -> anyhow::Result<(Service, Cli)> {
        let port = service::free_port(0)?;
        let log = self.scratch.join("serve.log");
        let service = Service::start(self.binary, self.data_dir, port, &log).await?;
        let cli = Cli::new(self.binary, service.address(), self.key, false);
        Ok((service, cli))
    }

    /// Runs a command that waits for a job and reports it: by the clock on the wall from the
    /// command's start to its end, and by the job's own clock.
    async fn measure_job(
        &self,
        cli: &Cli,
        service: &Service,
        figure: &str,
        command: &[&str],
        size_bytes: u64,
    ) -> anyhow::Result<Value> {
        let started = Instant::now();
        let job = cli.run(command).await?;
        let seconds = started.elapsed().as_secs_f64();
        let own_seconds = self.last_job_seconds()?;
        let mut more = json!({
            "own_seconds": own_seconds,
            "own_mb_per_s": (in_mb(size_bytes) / own_seconds).round(),
            "peak_mb": service.peak_memory_mb()?,
        });
        if let Some(stored) = job["storedBytes"].as_u64() {
            more["stored_mb"] = json!(in_mb(stored).round());
        }
        report(figure, size_bytes, seconds, more);
        Ok(job)
    }

    /// Returns how long the last job took by the service's own log.
    fn last_job_seconds(&self) -> anyhow::Result<f64> {
        let log =
            std::fs::read_to_string(self.scratch.join("serve.log")).context("read the log")?;
        let last = log.rsplit_once("duration_ms=").map(|(_, after)| after);
        let digits = last.and_then(|after| after.split_whitespace().next());
        let milliseconds: f64 = digits
            .and_then(|digits| digits.parse().ok())
            .context("find how long the job took in the log")?;
        Ok(milliseconds / 1_000.0)
    }

    async fn measure_download(
        &self,
        cli: &Cli,
        service: &Service,
        snapshot: &str,
        size_bytes: u64,
    ) -> anyhow::Result<()> {
        let file = self.scratch.join("snapshot.tar.gz");
        let to = file.to_string_lossy();
        let started = Instant::now();
        cli.run(&["download", CLUSTER, "--snapshot", snapshot, "--to", &to])
            .await?;
        let seconds = started.elapsed().as_secs_f64();
        let archive = std::fs::metadata(&file)
            .context("look at the archive")?
            .len();
        let more =
            json!({ "archive_mb": archive / 1_000_000, "peak_mb": service.peak_memory_mb()? });
        report("download", size_bytes, seconds, more);
        std::fs::remove_file(&file).context("remove the archive")
    }

    /// Measures the list at few and at many jobs, with pages of the same length and of 100.
    async fn measure_requests(&self, seconds: u64) -> anyhow::Result<()> {
        for count in [10, 10_000] {
            jobs::fill(self.data_dir, count)?;
            let (service, _) = self.start().await?;
            for page in [10, 100] {
                let target = format!(
                    "/api/atlas/v1.0/groups/{}/clusters/{CLUSTER}/backup/tenant/restores\
                     ?itemsPerPage={page}",
                    self.key.project_id
                );
                let per_second =
                    requests::per_second(service.address(), self.key, &target, seconds, count)
                        .await?;
                print(&json!({
                    "figure": "list_requests", "jobs": count, "page": page,
                    "per_second": per_second.round(), "peak_mb": service.peak_memory_mb()?,
                }));
            }
            service.stop().await?;
        }
        Ok(())
    }
}

/// Prints one figure; `mb_per_s` is of 10^6 bytes of documents, by the clock on the wall.
fn report(figure: &str, size_bytes: u64, seconds: f64, more: Value) {
    let megabytes = in_mb(size_bytes);
    let mut line = json!({
        "figure": figure, "mb": megabytes.round(), "seconds": (seconds * 100.0).round() / 100.0,
        "mb_per_s": (megabytes / seconds).round(),
    });
    if let (Some(line), Some(more)) = (line.as_object_mut(), more.as_object()) {
        line.extend(more.clone());
    }
    print(&line);
}

#[expect(
    clippy::disallowed_macros,
    reason = "the one place that writes figures"
)]
fn print(line: &Value) {
    println!("{line}");
}

/// Returns a size in MB of 10^6 bytes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn in_mb(size_bytes: u64) -> f64 {
    size_bytes as f64 / 1e6
}
