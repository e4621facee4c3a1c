//! What CI runs, in the order in which it fails fastest. It must never pass with a test that was
//! not run: the counts of the test runner are read, and an ignored or filtered test is a failure.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::test_report::TestReport;
use crate::{shell, tidy};

/// Runs everything; the first failure ends it.
pub(crate) fn run() -> anyhow::Result<()> {
    let started = Instant::now();
    step("tidy", tidy::run)?;
    step("formatting", || {
        shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))
    })?;
    step("lints", lints)?;
    let passed = step("tests", tests)?;
    step("generated files", generated_files)?;
    step("demonstration", demonstration)?;
    eprintln!("ci: all passed in {} s", started.elapsed().as_secs());
    say(&format!("tests: {passed} passed, 0 failed"));
    Ok(())
}

/// Writes a line that other programs read: what the test runner says, and the sum of it.
#[expect(
    clippy::disallowed_macros,
    reason = "the one place of ci that writes to standard output"
)]
fn say(line: &str) {
    println!("{line}");
}

/// Runs one step and says how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    eprintln!("ci: {name}");
    let started = Instant::now();
    let result = work().with_context(|| format!("the step `{name}` of ci"))?;
    eprintln!("ci: {name} passed in {} s", started.elapsed().as_secs());
    Ok(result)
}

fn lints() -> anyhow::Result<()> {
    let line = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(&mut shell::cargo(&line))
}

/// Runs all tests of the workspace and returns how many passed.
fn tests() -> anyhow::Result<u64> {
    let mut cargo = shell::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    let report = run_reported(&mut cargo)?;
    ensure!(report.failed == 0, "{report}");
    ensure!(
        report.left_out == 0,
        "{} tests were ignored or filtered out",
        report.left_out
    );
    ensure!(report.passed > 0, "no test was run");
    Ok(report.passed)
}

/// Runs a test command, shows what it prints, and returns what that says.
fn run_reported(command: &mut Command) -> anyhow::Result<TestReport> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("start the tests")?;
    let stdout = child.stdout.take().context("read what the tests print")?;
    let mut report = TestReport::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("read what the tests print")?;
        say(&line);
        report.add(&line);
    }
    let status = child.wait().context("wait for the tests")?;
    if !status.success() && report.failed == 0 {
        bail!("the tests ended with {status}");
    }
    Ok(report)
}

/// Checks that committed files which a command generates are what it generates now.
fn generated_files() -> anyhow::Result<()> {
    let path = shell::root().join("docs/openapi.json");
    let committed = fs::read_to_string(&path).context("read docs/openapi.json")?;
    let line = [
        "run",
        "--quiet",
        "--locked",
        "--package",
        "regrow",
        "--",
        "openapi",
    ];
    let generated = shell::output(&mut shell::cargo(&line)).context("generate openapi.json")?;
    ensure!(
        committed == generated,
        "docs/openapi.json is not what `regrow openapi` prints: run `cargo run -p regrow -- \
         openapi > docs/openapi.json` and commit it"
    );
    Ok(())
}

/// Runs the demonstration in a folder of its own; it fails unless every step was proved.
fn demonstration() -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("make a folder")?;
    // Not by the path of this program: the tests have built another in its place by now.
    let line = ["run", "--quiet", "--locked", "--package", "xtask", "--"];
    let mut demo = shell::cargo(&line);
    demo.args(["demo", "--exit", "--folder"])
        .arg(folder.path().join("demo"));
    shell::run(&mut demo)
}
