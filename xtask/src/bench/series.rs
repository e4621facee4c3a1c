//! One data set, and all that is measured with it: the first snapshot, later ones after changes,
//! putting back, drills, looking into snapshots. Others run between, each beside what it is
//! compared with.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::{BenchChange, BenchData, BenchLoaded, RealMongo, Share};

use super::meter::cpu_ms;
use super::tools::{Others, Stock, Taken};
use super::{Bench, CLUSTER, DATABASE, in_mb, per_mb, report};
use crate::service::{Cli, Service};

/// One document in so many is changed.
const ONE_IN: u64 = 100;
/// Documents that are read one at a time.
const PEEKS: u32 = 20;
/// The exit code of `regrow diff` where something differs.
const DIFFERENT: i32 = 9;
/// For how long a server keeps the past, in seconds: as it comes, and while converging is measured.
const WINDOW_SECONDS: u32 = 300;
const SHORT_WINDOW_SECONDS: u32 = 1;
/// Pause between two writes while converging is measured.
const PAUSE: Duration = Duration::from_millis(5);

/// A data set that is loaded, and the service that backs it up.
pub(super) struct Series<'a> {
    pub(super) bench: &'a Bench<'a>,
    pub(super) mongo: &'a RealMongo,
    pub(super) service: &'a Service,
    pub(super) cli: &'a Cli,
    pub(super) data: BenchData,
    pub(super) loaded: BenchLoaded,
    /// What tells this data set from others in the figures.
    pub(super) label: String,
    /// How many changes were made.
    pub(super) changes: Cell<u32>,
}

impl Series<'_> {
    /// Measures everything.
    pub(super) async fn run(&self, stock: Option<&Stock>) -> anyhow::Result<()> {
        let others = Others {
            stock,
            mongo: self.mongo,
            scratch: self.bench.scratch,
            label: &self.label,
            size_bytes: self.loaded.size_bytes,
            documents: self.loaded.documents,
        };
        let (first, seconds) = self.snapshot("first_snapshot").await?;
        let dumps = others.dump().await?;
        self.ratios("first_snapshot", seconds, &dumps);
        let mut last = self.later_snapshots(&dumps).await?;
        self.find(&last).await?;
        // Nothing is to be put back, so that all of it is comparing.
        let whole = ["--mode", "rewind", "--read-whole"];
        self.restored("verify", &last, &whole).await?;
        let mut rewound = Vec::new();
        for (change, figure) in [
            (BenchChange::Uniform, "rewind_1_percent_uniform"),
            (BenchChange::Recent, "rewind_1_percent_recent"),
        ] {
            self.change(change, ONE_IN).await?;
            rewound.push((figure, self.restore(figure, &last, "rewind").await?));
            // A rewind follows the history since its snapshot: this one's must not be in the next.
            (last, _) = self.snapshot("next_snapshot_after_rewind").await?;
        }
        self.drill().await?;
        let loads = others.load().await?;
        for (figure, seconds) in rewound {
            self.ratios(figure, seconds, &loads);
        }
        self.converge().await?;
        for (figure, mode) in [("restore_safe", "safe"), ("restore_in_place", "in-place")] {
            let seconds = self.restore(figure, &first, mode).await?;
            self.ratios(figure, seconds, &loads);
        }
        self.bench
            .measure_download(self.cli, self.service, &last, self.loaded.size_bytes)
            .await
    }

    /// Snapshots after changes of each kind, and a comparison; returns the id of the last.
    async fn later_snapshots(&self, dumps: &Taken) -> anyhow::Result<String> {
        let (mut before, _) = self.snapshot("next_snapshot_unchanged").await?;
        for (change, figure) in [
            (BenchChange::Uniform, "next_snapshot_1_percent_uniform"),
            (BenchChange::Recent, "next_snapshot_1_percent_recent"),
            (BenchChange::Append, "next_snapshot_1_percent_appended"),
        ] {
            self.change(change, ONE_IN).await?;
            let (id, seconds) = self.snapshot(figure).await?;
            self.ratios(figure, seconds, dumps);
            if change == BenchChange::Uniform {
                self.diff(&before, &id).await?;
            }
            before = id;
        }
        Ok(self.snapshot("next_snapshot_unchanged_again").await?.0)
    }

    /// Says how many times as long others took in this run.
    fn ratios(&self, figure: &str, seconds: f64, others: &Taken) {
        for (other, other_seconds) in others {
            let times = (other_seconds / seconds * 100.0).round() / 100.0;
            super::print(&json!({
                "figure": "ratio", "of": figure, "against": other, "times_as_fast": times,
                "data": self.label,
            }));
        }
    }

    /// Measures the next snapshot after a change of so many documents, whatever the size.
    pub(super) async fn same_change(&self, one_in: u64) -> anyhow::Result<()> {
        self.snapshot("first_snapshot").await?;
        for (change, figure) in [
            (BenchChange::Uniform, "next_snapshot_same_change_uniform"),
            (BenchChange::Recent, "next_snapshot_same_change_recent"),
        ] {
            self.change(change, one_in).await?;
            self.snapshot(figure).await?;
        }
        Ok(())
    }

    /// Takes a snapshot and puts it back, so that there is a restore job.
    pub(super) async fn one_restore(&self) -> anyhow::Result<()> {
        let (snapshot, _) = self.snapshot("first_snapshot").await?;
        self.restore("restore_safe", &snapshot, "safe").await?;
        Ok(())
    }

    /// Changes documents that no change of the same kind has changed before, where it can be.
    async fn change(&self, change: BenchChange, one_in: u64) -> anyhow::Result<()> {
        let client = self.mongo.client().await?;
        let turn = self.changes.replace(self.changes.get() + 1);
        let share = Share { one_in, turn };
        self.data
            .change(&client, DATABASE, self.loaded, change, share)
            .await
    }

    /// Takes a snapshot; returns its id and how long it took in seconds.
    async fn snapshot(&self, figure: &str) -> anyhow::Result<(String, f64)> {
        let take = ["snapshot", "take", CLUSTER, "--wait"];
        let (taken, seconds) = self.measured(figure, &take).await?;
        let id = taken["id"].as_str().context("the snapshot has no id")?;
        Ok((id.to_owned(), seconds))
    }

    /// Puts a snapshot back; returns how long it took in seconds.
    async fn restore(&self, figure: &str, snapshot: &str, mode: &str) -> anyhow::Result<f64> {
        self.restored(figure, snapshot, &["--mode", mode]).await
    }

    /// As [`Series::restore`], in any way.
    async fn restored(&self, figure: &str, snapshot: &str, how: &[&str]) -> anyhow::Result<f64> {
        let start = ["restore", "start", CLUSTER, "--snapshot", snapshot];
        let onto = ["--target", CLUSTER, "--yes", "--wait"];
        let command = [&start[..], &onto[..], how].concat();
        Ok(self.measured(figure, &command).await?.1)
    }

    /// Restores the newest snapshot onto a server that is thrown away.
    async fn drill(&self) -> anyhow::Result<()> {
        self.measured("drill", &["drill", CLUSTER, "--wait"])
            .await?;
        Ok(())
    }

    /// Takes a snapshot of collections that are all new, while documents change and the server
    /// keeps little of the past. The figure says which way it was: a scan of little data is fast
    /// enough all the same.
    async fn converge(&self) -> anyhow::Result<()> {
        let client = self.mongo.client().await?;
        let (data, loaded) = (self.data, self.loaded);
        self.keep_the_past(SHORT_WINDOW_SECONDS).await?;
        let changing = data.keep_changing(&client, DATABASE, loaded, PAUSE);
        let done = tokio::select! {
            done = self.snapshot("converge") => done.map(drop),
            stopped = changing => stopped,
        };
        self.keep_the_past(WINDOW_SECONDS).await?;
        done
    }

    async fn keep_the_past(&self, seconds: u32) -> anyhow::Result<()> {
        self.mongo
            .set_parameter("minSnapshotHistoryWindowInSeconds", seconds)
            .await
    }

    /// Runs a command that waits for a job, and reports what both sides spent on it.
    async fn measured(&self, figure: &str, command: &[&str]) -> anyhow::Result<(Value, f64)> {
        self.mongo.settle().await?;
        let server = self.mongo.pid().context("the server runs")?;
        let own = self.service.pid();
        let (server_before, own_before) = (cpu_ms(server)?, cpu_ms(own)?);
        let started = Instant::now();
        let job = self.cli.run(command).await?;
        let seconds = started.elapsed().as_secs_f64();
        let megabytes = in_mb(self.loaded.size_bytes);
        let mut more = json!({
            "data": self.label,
            "own_seconds": self.bench.last_job_seconds()?,
            "own_cpu_ms_per_mb": per_mb(cpu_ms(own)? - own_before, megabytes),
            "mongod_cpu_ms_per_mb": per_mb(cpu_ms(server)? - server_before, megabytes),
            "peak_mb": self.service.peak_memory_mb()?,
        });
        for (name, member) in [("stored_mb", "storedBytes"), ("read_mb", "bytesRead")] {
            if let Some(bytes) = job[member].as_u64() {
                more[name] = json!((in_mb(bytes) * 100.0).round() / 100.0);
            }
        }
        if let Some(way) = job["way"].as_str() {
            more["way"] = json!(way);
        }
        report(figure, self.loaded.size_bytes, seconds, more);
        Ok((job, seconds))
    }

    /// Reads single documents by `_id`, each by a command of its own, and then those of a
    /// collection that match a filter.
    async fn find(&self, snapshot: &str) -> anyhow::Result<()> {
        let find = ["find", CLUSTER, "--snapshot", snapshot, "bench.c0"];
        let started = Instant::now();
        for number in 0..PEEKS {
            let id = self.data.id_of(u64::from(number));
            let filter = format!(r#"{{"_id": {{"$oid": "{id}"}}}}"#);
            let command = [&find[..], &[&filter, "--count"]].concat();
            let found = self.cli.run(&command).await?;
            ensure!(found["count"] == 1, "{id} is not found: {found}");
        }
        self.say("find_by_id", started.elapsed() / PEEKS);
        let started = Instant::now();
        let filter = r#"{"group": {"$lt": 10}}"#;
        self.cli
            .run(&[&find[..], &[filter, "--count"]].concat())
            .await?;
        self.say("find_by_filter_in_one_collection", started.elapsed());
        Ok(())
    }

    /// Counts what differs between two snapshots.
    async fn diff(&self, first: &str, second: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        let diff = ["diff", CLUSTER, first, second];
        self.cli.run_to(DIFFERENT, &diff).await?;
        self.say("diff_1_percent_uniform", started.elapsed());
        Ok(())
    }

    /// Reports a command that no job runs for.
    fn say(&self, figure: &str, took: Duration) {
        super::print(&json!({
            "figure": figure, "data": self.label,
            "milliseconds": (took.as_secs_f64() * 10_000.0).round() / 10.0,
            "mb": in_mb(self.loaded.size_bytes).round(),
        }));
    }
}
