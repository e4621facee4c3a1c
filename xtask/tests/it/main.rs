//! The promise of `cargo xtask bench`: every figure of docs/performance.md comes out, each with a
//! number in it. It must never judge how large the numbers are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Every figure of a run with one data set, and the member that is its number.
const FIGURES: [(&str, &str); 26] = [
    ("load_by_driver", "mb_per_s"),
    ("first_snapshot", "own_cpu_ms_per_mb"),
    ("reference_dump", "seconds"),
    ("reference_dump_gzip", "own_cpu_ms_per_mb"),
    ("next_snapshot_unchanged", "stored_mb"),
    ("next_snapshot_1_percent_uniform", "stored_mb"),
    ("next_snapshot_1_percent_recent", "read_mb"),
    ("next_snapshot_1_percent_appended", "mongod_cpu_ms_per_mb"),
    ("next_snapshot_unchanged_again", "seconds"),
    ("diff_1_percent_uniform", "milliseconds"),
    ("find_by_id", "milliseconds"),
    ("find_by_filter_in_one_collection", "milliseconds"),
    ("verify", "mb_per_s"),
    ("rewind_1_percent_uniform", "own_seconds"),
    ("next_snapshot_after_rewind", "stored_mb"),
    ("rewind_1_percent_recent", "own_seconds"),
    ("drill", "own_seconds"),
    ("reference_load", "mongod_cpu_ms_per_mb"),
    ("converge", "own_seconds"),
    ("restore_safe", "mb_per_s"),
    ("restore_in_place", "peak_mb"),
    ("download", "archive_mb"),
    ("check_all_snapshots", "mb_per_s"),
    ("ratio", "times_as_fast"),
    ("list_requests", "per_second"),
    ("tools", "on_this_machine"),
];

/// Returns the product as it was built for these tests, and builds it where it was not.
fn product(beside: &Path) -> anyhow::Result<PathBuf> {
    let binary = beside.with_file_name("regrow");
    if !binary.exists() {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let built = cargo.args(["build", "--package", "regrow"]).status();
        ensure!(built?.success(), "regrow cannot be built");
    }
    Ok(binary)
}

#[test]
fn every_figure_comes_out_of_a_benchmark() -> anyhow::Result<()> {
    let xtask = Path::new(env!("CARGO_BIN_EXE_xtask"));
    let output = Command::new(xtask)
        .args(["bench", "--megabytes", "2", "--other-megabytes", "0"])
        .args(["--seconds", "1", "--binary"])
        .arg(product(xtask)?)
        .output()?;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{stderr}\n{stdout}");
    let mut figures: BTreeMap<String, Value> = BTreeMap::new();
    for line in stdout.lines() {
        let figure: Value = serde_json::from_str(line).context("a figure is a line of JSON")?;
        let name = figure["figure"].as_str().context("a figure has a name")?;
        figures.insert(name.to_owned(), figure);
    }
    for (name, number) in FIGURES {
        let figure = figures.get(name);
        let figure = figure.with_context(|| format!("{name} is missing:\n{stdout}\n{stderr}"))?;
        let found = &figure[number];
        ensure!(
            found.is_number() || found.is_boolean(),
            "no {number} in {figure}"
        );
    }
    Ok(())
}
