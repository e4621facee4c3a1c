//! The binary: parses, makes the runtime, runs, and turns a failure into an exit code.

use std::process::ExitCode;
use std::time::Duration;

use regrow::cli::{self, Failure};

fn main() -> ExitCode {
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(stopped) => return stopped.report(),
    };
    let format = arguments.output;
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(cli::run(arguments));
        // Whoever asks twice to end it doesn't want to wait for a slow disk.
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(format),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing has installed another provider before");
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build();
    runtime.map_err(|error| Failure::unexpected("start the runtime", &error))
}
