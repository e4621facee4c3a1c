//! `regrow serve`: API, schedule and workers in one process, until it is told to stop.
//!
//! SIGTERM and SIGINT stop it in good order: no new connections, answers in progress get a
//! while, jobs are left as they are for the next start. A second one ends it at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::digest::{self, Algorithm, REALM};
use engine::{DataDir, Engine, Running};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::allocator;
use super::args::Serve;
use super::exit::{Exit, Failure, with_causes};
use super::output::Output;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError, DEFAULT_FILE};
use crate::{http, telemetry};

/// What is printed once the service can be reached.
#[derive(Serialize)]
struct Listening<'a> {
    url: &'a str,
}

pub(super) async fn run(command: Serve, output: Output) -> Result<(), Failure> {
    if command.print_config {
        return output.text(DEFAULT_FILE);
    }
    let config = settings(command)?;
    let data_dir = config.data_dir.as_ref().ok_or_else(|| {
        Failure::usage("no data directory was named")
            .hint("--data-dir DIR, REGROW_DATA_DIR, or data_dir in the configuration file")
    })?;
    telemetry::log_to_stderr(&config.log.filter, config.log.format)
        .map_err(|error| Failure::usage(with_causes(&error)))?;
    allocator::bound();
    let mut signals = Signals::new()?;
    let data_dir = DataDir::open(data_dir)?;
    let engine = Engine::open(data_dir, Arc::new(SystemClock), engine_config(&config)).await?;
    let shutdown = CancellationToken::new();
    let server = http::Server::start(http_config(&config), engine.clone(), shutdown.clone()).await;
    let server = server.map_err(|error| start_failure(&error))?;
    let running = engine.start();
    announce(&server, output);
    let name = signals.next().await;
    tracing::info!("stopping, because of {name}; jobs in progress go on with the next start");
    shutdown.cancel();
    tokio::select! {
        () = stop(server, running, &engine) => {
            tracing::info!("stopped");
            Ok(())
        }
        name = signals.next() => {
            let why = format!("ended at once, because of a second {name}");
            Err(Failure::new(Exit::Interrupted, why))
        }
    }
}

async fn stop(server: http::Server, running: Running, engine: &Engine) {
    tokio::join!(server.ended(), running.stop());
    engine.close().await;
}

/// Puts file and flags together.
fn settings(command: Serve) -> Result<Config, Failure> {
    let mut config = match &command.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.data_dir = command.data_dir.or(config.data_dir);
    config.server.listen = command.listen.unwrap_or(config.server.listen);
    config.tls.certificate_file = command.tls_cert.or(config.tls.certificate_file);
    config.tls.key_file = command.tls_key.or(config.tls.key_file);
    config.log.format = command.log_format.unwrap_or(config.log.format);
    config.log.filter = command.log_filter.unwrap_or(config.log.filter);
    config.check()?;
    Ok(config)
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::usage(with_causes(&error))
            .hint("`regrow serve --print-config` prints a file with all settings")
    }
}

/// Makes the engine's settings of the configuration.
pub(super) fn engine_config(config: &Config) -> engine::Config {
    engine::Config {
        slots: config.work.slots.into(),
        cursors: config.work.cursors.into(),
        compression_level: config.work.compression_level.into(),
        deployment_timeout_ms: config.work.deployment_timeout_ms.into(),
        snapshot_way: None,
        scan_every_days: config.work.scan_every_days.into(),
        checkpoint_bytes: u64::from(config.work.checkpoint_mib) << 20,
        checkpoint_every: Duration::from_secs(config.work.checkpoint_seconds.into()),
        repack: config.work.repack,
        scratch: engine::ScratchConfig {
            mongod: config.scratch.mongod.clone(),
            directory: config.scratch.directory.clone(),
            limit_bytes: config.scratch.limit_bytes,
        },
        download_format: config.downloads.format,
        digest_ha1: |public, private| digest::ha1(Algorithm::Md5, public, REALM, private).into(),
    }
}

fn http_config(config: &Config) -> http::Config {
    let tls = |certificate: PathBuf, key: PathBuf| http::Tls { certificate, key };
    http::Config {
        listen: config.server.listen,
        tls: config
            .tls
            .certificate_file
            .clone()
            .zip(config.tls.key_file.clone())
            .map(|(certificate, key)| tls(certificate, key)),
        public_url: config.server.public_url.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        tenant_restores_need_access_list: config.access.tenant_restores_need_access_list,
    }
}

fn start_failure(error: &http::StartError) -> Failure {
    let failure = Failure::usage(with_causes(error));
    match error {
        http::StartError::Listen(..) => {
            failure.hint("is something else listening there? --listen takes another address")
        }
        http::StartError::Tls(_) => failure.hint("both files must be in PEM"),
    }
}

/// Says where the service is: to programs and people on standard output, and in the log.
fn announce(server: &http::Server, output: Output) {
    let url = server.url();
    tracing::info!(url, "listening on {url}");
    if !server.address().ip().is_loopback() && url.starts_with("http:") {
        tracing::warn!(
            "the service listens on a public address without TLS: whoever can read the traffic \
             can read snapshots and connection strings; set tls.certificate_file and tls.key_file"
        );
    }
    let written = if output.is_json() {
        output.json(&Listening { url: &url })
    } else {
        output.text(&format!("listening on {url}\n"))
    };
    // A service does not end because nobody reads that line; the log has it, too.
    if let Err(failure) = written
        && failure.exit() != Exit::Done
    {
        tracing::warn!("the address could not be written to standard output");
    }
}

/// The signals that stop the service.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let failed = |error| Failure::unexpected("listen for signals", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Waits for one, and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
