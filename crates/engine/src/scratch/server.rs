//! One scratch server: started, waited for, ended, and never left behind.
//!
//! It is a standalone server, because it then needs neither an oplog (which doubles what a load
//! costs) nor a step before another `mongod` starts on its files. It never listens on a port.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mongo::{ConnectOptions, Deployment};

use super::{Error, OwnDirectory};

/// Longest that a server may take to start or to end in good order.
const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(120);

/// Longest that `mongod --version` may take.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// How often it is looked whether something has happened.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longest path of a socket (`sun_path` in `unix(7)`), its closing zero aside.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How much of a log's last line is shown.
const LAST_WORDS_CHARACTERS: usize = 400;

/// A running server; dropping it kills it and removes its files.
#[derive(Debug)]
pub(crate) struct Server {
    // Dropped first, so that nobody writes below the directory while that is removed.
    process: Process,
    deployment: Deployment,
    version: String,
    directory: OwnDirectory,
}

/// What a server that ended in good order leaves; goes when dropped.
#[derive(Debug)]
pub(crate) struct Files {
    directory: OwnDirectory,
    version: String,
}

/// Returns where the files of the server in `directory` lie.
pub(super) fn data_path(directory: &Path) -> PathBuf {
    directory.join("data")
}

impl Server {
    /// Starts `mongod` in a directory that is made for it, and waits until it answers.
    pub(super) async fn start(mongod: &Path, directory: PathBuf) -> Result<Self, Error> {
        // The driver knows a socket by the end of its name.
        let socket = directory.join("mongod.sock");
        let length = socket.as_os_str().len();
        if length > SOCKET_PATH_BYTES_MAX {
            let excess = length - SOCKET_PATH_BYTES_MAX;
            return Err(Error::PathTooLong { excess });
        }
        let failed = Error::io("create", &directory);
        let directory = OwnDirectory::make(directory.clone()).map_err(failed)?;
        let data = data_path(&directory.0);
        fs::create_dir(&data).map_err(Error::io("create", &data))?;
        let log = directory.0.join("log");
        let mut process = Process::spawn(mongod, &data, &socket, &log)?;
        let deployment = process.wait_until_ready(&socket, &log).await?;
        let version = deployment.describe().await?.version.text;
        tracing::info!(path = %directory.0.display(), version, "scratch server started");
        Ok(Self {
            process,
            deployment,
            version,
            directory,
        })
    }

    /// Returns the connection to it.
    pub(crate) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Ends it at once and removes its files, without keeping others waiting.
    pub(crate) async fn discard(self) {
        // A panic in there was a drop's, which the next start makes good.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Ends it in good order, so that any server of its release series starts on its files.
    pub(crate) async fn shut_down(self) -> Result<Files, Error> {
        let Self {
            mut process,
            deployment,
            version,
            directory,
        } = self;
        deployment.shut_down().await?;
        let status = process.wait_until_ended(END_LIMIT).await?;
        if !status.is_some_and(|status| status.success()) {
            let status = status.map_or("it runs on".to_owned(), |status| status.to_string());
            return Err(Error::UncleanEnd { status });
        }
        Ok(Files { directory, version })
    }
}

impl Files {
    /// Returns the `--dbpath`.
    pub(crate) fn data(&self) -> PathBuf {
        data_path(&self.directory.0)
    }

    /// Returns the version of the server that wrote them, like `6.0.5`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

/// A child process that is killed, and waited for, when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn spawn(mongod: &Path, data: &Path, socket: &Path, log: &Path) -> Result<Self, Error> {
        let mut command = Command::new(mongod);
        command
            .args(["--dbpath".as_ref(), data.as_os_str()])
            .args(["--bind_ip".as_ref(), socket.as_os_str()])
            .args(["--logpath".as_ref(), log.as_os_str()])
            // Not another one in `/tmp` as well.
            .arg("--nounixsocket")
            .args(["--filePermissions", "0600"])
            .args(["--wiredTigerCacheSizeGB", "0.25"])
            // Nothing may expire before it was compared, or packed.
            .args(["--setParameter", "ttlMonitorEnabled=false"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C in a terminal is for the service, which ends its servers itself.
            .process_group(0);
        command.spawn().map(Self).map_err(|source| {
            let path = mongod.to_owned();
            Error::NotRunnable { path, source }
        })
    }

    async fn wait_until_ready(&mut self, socket: &Path, log: &Path) -> Result<Deployment, Error> {
        let uri = uri(socket).into();
        let options = ConnectOptions {
            server_selection_timeout: Duration::from_secs(1),
            app_name: "regrow scratch".to_owned(),
            ..ConnectOptions::default()
        };
        let began = Instant::now();
        let mut last_error = None;
        loop {
            if let Some(status) = self.0.try_wait().map_err(Error::io("wait for", socket))? {
                let status = status.to_string();
                let last_words = last_words(log);
                return Err(Error::Ended { status, last_words });
            }
            if socket.exists() {
                match Deployment::connect(&uri, options.clone()).await {
                    Ok(deployment) => return Ok(deployment),
                    Err(error) => last_error = Some(error),
                }
            }
            if began.elapsed() > START_LIMIT {
                return Err(Error::Silent {
                    seconds: START_LIMIT.as_secs(),
                    source: last_error,
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns how it ended, or nothing where it runs on.
    async fn wait_until_ended(&mut self, limit: Duration) -> Result<Option<ExitStatus>, Error> {
        let began = Instant::now();
        loop {
            let ended = self.0.try_wait();
            let ended = ended.map_err(Error::io("wait for", Path::new("mongod")))?;
            if ended.is_some() || began.elapsed() > limit {
                return Ok(ended);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the connection string of a socket.
fn uri(socket: &Path) -> String {
    let mut uri = "mongodb://".to_owned();
    for byte in socket.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || *byte == b'.' {
            uri.push(char::from(*byte));
        } else {
            write!(uri, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    uri + "/?directConnection=true"
}

/// Returns the end of what the server wrote before it ended.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let important = |line: &&str| line.contains(r#""s":"E""#) || line.contains(r#""s":"F""#);
    let last = text.lines().rfind(important).or(text.lines().last());
    let last = last.unwrap_or("it wrote nothing");
    last.chars().take(LAST_WORDS_CHARACTERS).collect()
}

/// Asks a `mongod` for its version, like `6.0.5`.
pub(super) async fn version_of(mongod: &Path) -> Result<String, Error> {
    let path = || mongod.to_owned();
    let mut command = tokio::process::Command::new(mongod);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(VERSION_LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => {
            return Err(Error::NotRunnable {
                path: path(),
                source,
            });
        }
        Err(_) => return Err(Error::NotMongod { path: path() }),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("db version v"));
    match version {
        Some(version) if output.status.success() => Ok(version.trim().to_owned()),
        _ => Err(Error::NotMongod { path: path() }),
    }
}

/// Fails unless a server of version `found` can take what one of version `needed` had.
pub(super) fn require_series(found: &str, needed: &str) -> Result<(), Error> {
    match (series(found), series(needed)) {
        (Some(have), Some(need)) if have < need => Err(Error::TooOld {
            snapshot: needed.to_owned(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn series(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_release_series_is_refused() {
        assert!(require_series("6.0.5", "6.0.27").is_ok());
        assert!(require_series("7.0.0", "6.0.5").is_ok());
        let refused = require_series("6.0.5", "7.0.2").unwrap_err().to_string();
        assert!(refused.contains("7.0.2") && refused.contains("6.0.5"));
    }

    #[test]
    fn the_connection_string_of_a_socket_hides_no_host() {
        assert_eq!(
            uri(Path::new("/a@b/s.sock")),
            "mongodb://%2Fa%40b%2Fs.sock/?directConnection=true"
        );
    }

    #[tokio::test]
    async fn what_is_no_mongod_is_refused_by_its_path() {
        let missing = version_of(Path::new("/nowhere/mongod")).await.unwrap_err();
        assert!(missing.to_string().contains("/nowhere/mongod"), "{missing}");
        let other = version_of(Path::new("/bin/true")).await.unwrap_err();
        assert!(matches!(other, Error::NotMongod { .. }), "{other}");
    }
}
