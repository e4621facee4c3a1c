//! The project's own commands: `cargo xtask ci`, `tidy`, `demo`, `bench`.
//!
//! They build and drive the product from outside, as a person would; none of it is in the product.

mod bench;
mod ci;
mod demo;
mod http;
mod service;
mod shell;
mod test_report;
mod tidy;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    about = "Commands for working on Regrow",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything that CI runs: tidy, formatting, lints, tests, generated files, demo
    Ci,
    /// Check what compilers don't: sizes of files, charters, arrows between crates, the lock file
    Tidy,
    /// Show and prove the whole product on two real servers
    Demo(demo::Options),
    /// Measure speed and memory, one JSON line per figure
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
        Command::Demo(options) => block_on(demo::run(options)),
        Command::Bench(options) => block_on(bench::run(options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reasons alone: a backtrace of this program would push them out of sight.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()
        .context("start the runtime")?
        .block_on(work)
}
