//! The project's own commands: `cargo xtask ci`, `tidy`, `demo`, `bench`, `tools`.
//!
//! They build and drive the product from outside, as a person would; none of it is in the product.

mod ci;
mod shell;
mod tidy;

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
    /// Runs everything that CI runs: tidy, formatting, lints, tests, generated files, demo
    Ci,
    /// Checks what compilers don't: sizes of files, charters, arrows between crates, the lock file
    Tidy,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
    }
}
