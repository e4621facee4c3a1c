//! Measures what the project promises about speed and memory, on one machine, with the database
//! server on the same cores. One JSON line per figure on standard output; all else goes to
//! standard error. It must never compare what did not run in the same run.

mod jobs;
mod meter;
mod requests;
mod series;
mod tools;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use testkit::{BenchData, RealMongo};

use self::series::Series;
use crate::service::{self, Cli, Key, Service};
use crate::shell;

/// The name of the cluster in the product.
const CLUSTER: &str = "bench";
/// The name of the database that is filled.
const DATABASE: &str = "bench";

/// Sizes of documents that are measured beside the main data set, in bytes.
const OTHER_SIZES: [u64; 2] = [200, 100_000];
/// The larger data set is so many times the smaller, and has the same change made to it.
const TIMES: u64 = 10;
/// The server's history: more than any series writes between two snapshots.
const OPLOG_MB: u32 = 2_000;
/// What the list requests need: a cluster with a restore job.
const TINY_BYTES: u64 = 1_000_000;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The size of the main data set in MB of 10^6 bytes
    #[arg(long, value_name = "MB", default_value_t = 300)]
    megabytes: u64,
    /// The size of the other data sets: random `_id`s, small and large documents, and the smaller
    /// of those with the same change; 0 leaves them out
    #[arg(long, value_name = "MB", default_value_t = 50)]
    other_megabytes: u64,
    /// How many collections a data set is spread over
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

/// What is measured with one data set.
#[derive(Clone, Copy, Debug)]
enum What {
    /// Every figure about documents.
    All,
    /// The next snapshot after one in so many documents was changed.
    SameChange(u64),
    /// List requests, for so many seconds each.
    Requests(u64),
}

/// Runs all measurements.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let binary = options.binary.clone();
    let binary = binary.map_or_else(|| service::build(true), Ok)?;
    let stock = tools::Stock::find();
    print(&json!({ "figure": "tools", "on_this_machine": stock.is_some() }));
    for (data, what) in plan(&options) {
        with_data(&binary, data, stock.as_ref(), what).await?;
    }
    Ok(())
}

/// Returns the data sets in their order, and what is measured with each.
fn plan(options: &Options) -> Vec<(BenchData, What)> {
    let main = BenchData {
        size_bytes: options.megabytes * 1_000_000,
        collections: options.collections,
        seed: 1,
        document_bytes: 1_000,
        random_ids: false,
    };
    let tiny = BenchData {
        size_bytes: TINY_BYTES,
        ..main
    };
    let requests = (tiny, What::Requests(options.seconds));
    if options.only_requests {
        return vec![requests];
    }
    let mut plan = vec![(main, What::All)];
    let other = BenchData {
        size_bytes: options.other_megabytes * 1_000_000,
        ..main
    };
    if other.size_bytes > 0 {
        let random_ids = true;
        plan.push((
            BenchData {
                random_ids,
                ..other
            },
            What::All,
        ));
        for document_bytes in OTHER_SIZES {
            plan.push((
                BenchData {
                    document_bytes,
                    ..other
                },
                What::All,
            ));
        }
        for times in [1, TIMES] {
            let size_bytes = other.size_bytes * times;
            plan.push((
                BenchData {
                    size_bytes,
                    ..other
                },
                What::SameChange(100 * times),
            ));
        }
    }
    plan.push(requests);
    plan
}

/// Loads a data set into a server of its own and measures with it.
async fn with_data(
    binary: &Path,
    data: BenchData,
    stock: Option<&tools::Stock>,
    what: What,
) -> anyhow::Result<()> {
    let scratch = tempfile::Builder::new().prefix("regrow-bench-").tempdir()?;
    let mongo = RealMongo::replica_set().cache_as_it_comes();
    let mongo = mongo.oplog_mb(OPLOG_MB);
    let mongo = mongo.start().await?;
    let client = mongo.client().await?;
    let started = Instant::now();
    let loaded = data.load(&client, DATABASE).await;
    let loaded = loaded.context("load the data set")?;
    let seconds = started.elapsed().as_secs_f64();
    let order = if data.random_ids {
        "random"
    } else {
        "sequential"
    };
    let label = format!("{} B, {order} _id", data.document_bytes);
    let more = json!({ "data": label, "documents": loaded.documents });
    report("load_by_driver", loaded.size_bytes, seconds, more);

    let data_dir = scratch.path().join("data");
    let key = service::init(binary, &data_dir)?;
    let bench = Bench {
        binary,
        data_dir: &data_dir,
        key: &key,
        scratch: scratch.path(),
    };
    let (service, cli) = bench.start().await?;
    let uri = mongo.uri();
    let add = ["cluster", "add", CLUSTER, "--uri", &uri];
    let how = ["--tier", "M2", "--no-snapshot"];
    cli.run(&[&add[..], &how[..]].concat()).await?;
    let series = Series {
        bench: &bench,
        mongo: &mongo,
        service: &service,
        cli: &cli,
        data,
        loaded,
        label,
        changes: Cell::new(0),
    };
    match what {
        What::All => series.run(stock).await?,
        What::SameChange(one_in) => series.same_change(one_in).await?,
        What::Requests(_) => series.one_restore().await?,
    }
    service.stop().await?;
    match what {
        What::All => bench.check(loaded.size_bytes),
        What::SameChange(_) => Ok(()),
        What::Requests(seconds) => bench.measure_requests(seconds).await,
    }
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
        let config = self.scratch.join("config.toml");
        let mongod = testkit::find_mongod()?.0;
        let settings = format!("[scratch]\nmongod = {:?}\n", mongod.to_string_lossy());
        std::fs::write(&config, settings).context("write the settings")?;
        let (binary, data_dir) = (self.binary, self.data_dir);
        let service = Service::configured(binary, data_dir, port, &log, Some(&config)).await?;
        let cli = Cli::new(self.binary, service.address(), self.key, false);
        Ok((service, cli))
    }

    /// Measures reading all of the store, and fails where anything is wrong with it.
    fn check(&self, size_bytes: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut command = Command::new(self.binary);
        command.args(["check", "--read-data", "--data-dir"]);
        shell::output(command.arg(self.data_dir)).context("check the store")?;
        let seconds = started.elapsed().as_secs_f64();
        report("check_all_snapshots", size_bytes, seconds, json!({}));
        Ok(())
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

/// Returns milliseconds per MB as a figure for people.
fn per_mb(milliseconds: f64, megabytes: f64) -> f64 {
    (milliseconds / megabytes * 100.0).round() / 100.0
}

/// Returns a size in MB of 10^6 bytes.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn in_mb(size_bytes: u64) -> f64 {
    size_bytes as f64 / 1e6
}
