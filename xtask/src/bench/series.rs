//! One data set, and all that is measured with it: the first snapshot, later ones after changes,
//! putting back, reading single documents. The stock tools run between, where they are there.

use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use testkit::{BenchChange, BenchData, BenchLoaded, RealMongo};

use super::meter::cpu_ms;
use super::{Bench, CLUSTER, DATABASE, in_mb, report, tools};
use crate::service::{Cli, Service};

/// One document in so many is changed.
const ONE_IN: u64 = 100;
/// Documents that are read one at a time.
const PEEKS: u32 = 20;

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
}

impl Series<'_> {
    /// Measures everything.
    pub(super) async fn run(&self, stock: Option<&tools::Stock>) -> anyhow::Result<()> {
        let size = self.loaded.size_bytes;
        let (first, first_seconds) = self.snapshot("first_snapshot").await?;
        let dumps = match stock {
            Some(stock) => stock.dump(self.mongo, self.bench.scratch, size)?,
            None => Vec::new(),
        };
        self.ratios("first_snapshot", first_seconds, &dumps);
        self.snapshot("next_snapshot_unchanged").await?;
        for (change, figure) in [
            (BenchChange::Uniform, "next_snapshot_1_percent_uniform"),
            (BenchChange::Recent, "next_snapshot_1_percent_recent"),
            (BenchChange::Append, "next_snapshot_1_percent_appended"),
        ] {
            self.change(change, ONE_IN).await?;
            let (_, seconds) = self.snapshot(figure).await?;
            self.ratios(figure, seconds, &dumps);
        }
        let (last, _) = self.snapshot("next_snapshot_unchanged_again").await?;
        self.peek(&last).await?;
        self.change(BenchChange::Uniform, ONE_IN).await?;
        let rewound = self.restore("rewind_1_percent", &last, "rewind").await?;
        let loads = match stock {
            Some(stock) => stock.restore(self.mongo, self.bench.scratch, size)?,
            None => Vec::new(),
        };
        self.ratios("rewind_1_percent", rewound, &loads);
        for (figure, mode) in [("restore_safe", "safe"), ("restore_in_place", "in-place")] {
            let seconds = self.restore(figure, &first, mode).await?;
            self.ratios(figure, seconds, &loads);
        }
        self.bench
            .measure_download(self.cli, self.service, &last, size)
            .await
    }

    /// Says how many times as long the stock tools took in this run.
    fn ratios(&self, figure: &str, seconds: f64, stock: &[(&str, f64)]) {
        for (tool, tool_seconds) in stock {
            let times = (tool_seconds / seconds * 100.0).round() / 100.0;
            super::print(&json!({
                "figure": "ratio", "of": figure, "against": tool, "times_as_fast": times,
                "data": self.label,
            }));
        }
    }

    /// Measures the next snapshot after a change of so many documents, whatever the size.
    pub(super) async fn same_change(&self, one_in: u64) -> anyhow::Result<()> {
        self.snapshot("first_snapshot").await?;
        self.change(BenchChange::Uniform, one_in).await?;
        self.snapshot("next_snapshot_same_change").await?;
        Ok(())
    }

    /// Takes a snapshot and puts it back, so that there is a restore job.
    pub(super) async fn one_restore(&self) -> anyhow::Result<()> {
        let (snapshot, _) = self.snapshot("first_snapshot").await?;
        self.restore("restore_safe", &snapshot, "safe").await?;
        Ok(())
    }

    async fn change(&self, change: BenchChange, one_in: u64) -> anyhow::Result<()> {
        let client = self.mongo.client().await?;
        self.data
            .change(&client, DATABASE, self.loaded, change, one_in)
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
        let start = ["restore", "start", CLUSTER, "--snapshot", snapshot];
        let how = ["--target", CLUSTER, "--mode", mode, "--yes", "--wait"];
        let command = [&start[..], &how[..]].concat();
        Ok(self.measured(figure, &command).await?.1)
    }

    /// Runs a command that waits for a job, and reports what both sides spent on it.
    async fn measured(&self, figure: &str, command: &[&str]) -> anyhow::Result<(Value, f64)> {
        let server = self.mongo.pid().context("the server runs")?;
        let own = self.service.pid();
        let (server_before, own_before) = (cpu_ms(server)?, cpu_ms(own)?);
        let started = Instant::now();
        let job = self.cli.run(command).await?;
        let seconds = started.elapsed().as_secs_f64();
        let megabytes = in_mb(self.loaded.size_bytes);
        let per_mb =
            |before: f64, after: f64| ((after - before) / megabytes * 100.0).round() / 100.0;
        let mut more = json!({
            "data": self.label,
            "own_seconds": self.bench.last_job_seconds()?,
            "own_cpu_ms_per_mb": per_mb(own_before, cpu_ms(own)?),
            "mongod_cpu_ms_per_mb": per_mb(server_before, cpu_ms(server)?),
            "peak_mb": self.service.peak_memory_mb()?,
        });
        if let Some(stored) = job["storedBytes"].as_u64() {
            more["stored_mb"] = json!((in_mb(stored) * 100.0).round() / 100.0);
        }
        report(figure, self.loaded.size_bytes, seconds, more);
        Ok((job, seconds))
    }

    /// Reads single documents by `_id`, each by a command of its own.
    async fn peek(&self, snapshot: &str) -> anyhow::Result<()> {
        let started = Instant::now();
        for number in 0..PEEKS {
            let id = self.data.id_of(u64::from(number));
            let filter = format!(r#"{{"_id": {{"$oid": "{id}"}}}}"#);
            let find = ["find", CLUSTER, "--snapshot", snapshot, "bench.c0", &filter];
            if let Err(error) = self.cli.run(&find).await {
                eprintln!("left out: reading single documents: {error:#}");
                return Ok(());
            }
        }
        let each = started.elapsed().as_secs_f64() * 1_000.0 / f64::from(PEEKS);
        super::print(&json!({
            "figure": "find_by_id", "data": self.label, "milliseconds": each.round(),
            "mb": in_mb(self.loaded.size_bytes).round(),
        }));
        Ok(())
    }
}
