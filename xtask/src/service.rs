//! The product as its users have it: a binary that is started and called, by the command lines
//! and the environment that are promised to scripts. Nothing of its code is linked here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use testkit::{OwnedChild, wait_for};

use crate::http::Connection;
use crate::shell;

/// How long the service may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the service may take to end in good order.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How long one command may take; the longest waits for a job.
const COMMAND_LIMIT: Duration = Duration::from_secs(1_800);

/// Builds `regrow` and returns the path of the binary.
pub(crate) fn build(release: bool) -> anyhow::Result<PathBuf> {
    let mut line = vec!["build", "--package", "regrow", "--bin", "regrow"];
    line.extend(["--message-format", "json-render-diagnostics"]);
    if release {
        line.push("--release");
    }
    let messages = shell::output(shell::cargo(&line).stderr(Stdio::inherit()))?;
    for message in messages.lines() {
        let message: Value = serde_json::from_str(message).context("read what cargo says")?;
        if let Some(path) = message["executable"].as_str() {
            return Ok(PathBuf::from(path));
        }
    }
    bail!("cargo built no binary `regrow`")
}

/// What `regrow init` prints.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) project_id: String,
    pub(crate) public: String,
    pub(crate) private: String,
}

/// Makes the data directory.
pub(crate) fn init(binary: &Path, data_dir: &Path) -> anyhow::Result<Key> {
    let mut command = Command::new(binary);
    command
        .arg("init")
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--output", "json"]);
    let printed = shell::output(&mut command)?;
    let printed: Value = serde_json::from_str(&printed).context("read what init prints")?;
    let member = |name: &str| {
        let value = printed[name].as_str().map(str::to_owned);
        value.with_context(|| format!("init prints no {name}: {printed}"))
    };
    Ok(Key {
        project_id: member("projectId")?,
        public: member("publicKey")?,
        private: member("privateKey")?,
    })
}

/// A running `regrow serve`; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Service {
    child: OwnedChild,
    address: String,
}

impl Service {
    /// Starts it on a port of the loopback address and returns when `/healthz` answers.
    pub(crate) async fn start(
        binary: &Path,
        data_dir: &Path,
        port: u16,
        log: &Path,
    ) -> anyhow::Result<Self> {
        Self::configured(binary, data_dir, port, log, None).await
    }

    /// As [`Service::start`], with a file of settings.
    pub(crate) async fn configured(
        binary: &Path,
        data_dir: &Path,
        port: u16,
        log: &Path,
        config: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{port}");
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--listen", &address]);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        command.stdout(output.try_clone()?).stderr(output);
        let mut child = OwnedChild::spawn(&mut command, &data_dir.to_string_lossy(), None)?;
        let healthy = wait_for(START_LIMIT, "the service to answer", || {
            let ended = child.try_wait();
            let address = address.clone();
            async move {
                if let Ok(Some(status)) = ended {
                    return Ok(Some(status));
                }
                let mut connection = Connection::open(&address).await?;
                match connection.get("/healthz", None).await?.status {
                    200 => Ok(None),
                    status => bail!("/healthz answers {status}"),
                }
            }
        });
        let ended = healthy
            .await
            .with_context(|| format!("see {}", log.display()))?;
        if let Some(status) = ended {
            bail!("the service ended with {status}; see {}", log.display());
        }
        Ok(Self { child, address })
    }

    /// Returns the address, such as `127.0.0.1:8080`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Returns the most memory that the process ever had in use, in MB of 10^6 bytes.
    pub(crate) fn peak_memory_mb(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Ok(kib.with_context(|| format!("read VmHWM in {path}"))? * 1_024 / 1_000_000)
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let status = self
            .child
            .stop(STOP_LIMIT)
            .await
            .context("stop the service")?;
        if !status.success() {
            bail!("the service ended with {status} when it was asked to end");
        }
        Ok(())
    }

    /// Lets it run on after this process is gone.
    pub(crate) fn detach(self) {
        self.child.detach();
    }
}

/// The command line, pointed at a running service.
#[derive(Clone, Debug)]
pub(crate) struct Cli {
    binary: PathBuf,
    environment: [(&'static str, String); 4],
    /// Whether the command lines are shown.
    echo: bool,
}

impl Cli {
    pub(crate) fn new(binary: &Path, address: &str, key: &Key, echo: bool) -> Self {
        let environment = [
            ("REGROW_URL", format!("http://{address}")),
            ("REGROW_PUBLIC_KEY", key.public.clone()),
            ("REGROW_PRIVATE_KEY", key.private.clone()),
            ("REGROW_PROJECT_ID", key.project_id.clone()),
        ];
        Self {
            binary: binary.to_owned(),
            environment,
            echo,
        }
    }

    /// Returns the environment that the command line needs.
    pub(crate) fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// Runs a command with `--output json` and returns what it prints.
    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        self.run_to(0, arguments).await
    }

    /// As [`Cli::run`], of a command that ends with another code than 0 when all is well.
    pub(crate) async fn run_to(&self, code: i32, arguments: &[&str]) -> anyhow::Result<Value> {
        let line: Vec<String> = arguments.iter().map(|word| shell::quoted(word)).collect();
        let line = format!("regrow {}", line.join(" "));
        if self.echo {
            eprintln!("  $ {line}");
        }
        let mut command = tokio::process::Command::new(&self.binary);
        command
            .args(arguments)
            .args(["--output", "json"])
            .kill_on_drop(true);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        let output = tokio::time::timeout(COMMAND_LIMIT, command.output()).await;
        let output =
            output.with_context(|| format!("`{line}` took more than {COMMAND_LIMIT:?}"))?;
        let output = output.with_context(|| format!("start `{line}`"))?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        if output.status.code() != Some(code) {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`{line}` ended with {}: {} {}",
                output.status,
                stderr.trim(),
                stdout.trim()
            );
        }
        if stdout.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&stdout).with_context(|| format!("read what `{line}` prints"))
    }
}

/// Returns the preferred port of the loopback address if it is free, any free one otherwise.
pub(crate) fn free_port(preferred: u16) -> anyhow::Result<u16> {
    let bind = |port| std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port));
    let listener = bind(preferred)
        .or_else(|_| bind(0))
        .context("look for a free port")?;
    Ok(listener.local_addr()?.port())
}
