//! `regrow completions`: what a shell needs to complete commands and flags.

use clap::CommandFactory as _;

use super::args::{Arguments, Completions};
use super::exit::Failure;
use super::output::Output;

pub(super) fn run(command: Completions, output: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        command.shell,
        &mut Arguments::command(),
        "regrow",
        &mut script,
    );
    output.text(&String::from_utf8_lossy(&script))
}
