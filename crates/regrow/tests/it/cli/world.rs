//! A data directory, a service in a process of its own, and the command line pointed at it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::{OwnedChild, RealMongo, wait_for};
use tokio::io::AsyncWriteExt as _;

/// Longest that a job on a small data set, or the start of the service, may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

const BINARY: &str = env!("CARGO_BIN_EXE_regrow");

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{} {}", self.stdout, self.stderr);
        self
    }

    /// Asserts success and reads what was printed for programs.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.is(0);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("no JSON: {}", ran.stdout))
    }

    /// Asserts a failure told to people, with these words in it.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) {
        let ran = self.is(code);
        let is_told = ran.stderr.lines().any(|line| line.starts_with("error: "));
        assert!(is_told, "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "no {word} in {}", ran.stderr);
        }
    }
}

/// Describes a call of the binary that inherits nothing of this machine's settings.
pub(crate) fn regrow(arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null());
    for name in ["URL", "PUBLIC_KEY", "PRIVATE_KEY", "PROJECT_ID", "DATA_DIR"] {
        command.env_remove(format!("REGROW_{name}"));
    }
    command.kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(crate) async fn ended(command: &mut tokio::process::Command) -> Ran {
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.expect("the command ends").unwrap();
    Ran {
        code: output.status.code().expect("no signal ended it"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What `init` printed.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) public: String,
    pub(crate) private: String,
}

/// A data directory with a service that can be started, stopped and killed.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) key: Key,
    /// Where the service listens, once it was started.
    pub(crate) url: String,
    running: Option<OwnedChild>,
    starts: u32,
}

impl World {
    /// Makes a data directory and starts the service on a free port.
    pub(crate) async fn new() -> Self {
        let mut world = Self::initialised().await;
        world.start(&[]).await;
        world
    }

    /// Makes a data directory.
    pub(crate) async fn initialised() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let init = ["init", "--output", "json", "--data-dir"];
        let printed = ended(regrow(&init).arg(&data_dir)).await.json();
        let text = |name: &str| printed[name].as_str().unwrap().to_owned();
        let key = Key {
            org: text("orgId"),
            project: text("projectId"),
            public: text("publicKey"),
            private: text("privateKey"),
        };
        Self {
            folder,
            key,
            url: String::new(),
            running: None,
            starts: 0,
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the service: on the same port as before, or on a free one the first time.
    pub(crate) async fn start(&mut self, more: &[&str]) {
        self.starts += 1;
        let stdout = self.path(&format!("stdout.{}", self.starts));
        let listen = self.url.split("//").nth(1).unwrap_or("127.0.0.1:0");
        let mut command = Command::new(BINARY);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen", listen])
            .args(more)
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(self.log_path()).unwrap());
        let mark = self.folder.path().to_string_lossy();
        self.running = Some(OwnedChild::spawn(&mut command, &mark, None).unwrap());
        let url = wait_for(LIMIT, "the service to listen", || async {
            let text = std::fs::read_to_string(&stdout).unwrap();
            match text.trim().strip_prefix("listening on ") {
                Some(url) if text.ends_with('\n') => Ok(url.to_owned()),
                _ => Err(self.log()),
            }
        });
        self.url = url.await.unwrap();
    }

    fn log_path(&self) -> PathBuf {
        self.path(&format!("stderr.{}", self.starts))
    }

    /// Returns what the last start of the service has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Ends the service as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// Ends the service in good order.
    pub(crate) async fn stop(&mut self) {
        let status = self.running.take().unwrap().stop(LIMIT).await.unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Describes a call of the command line with all that it needs in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = regrow(arguments);
        command
            .env("REGROW_URL", &self.url)
            .env("REGROW_PUBLIC_KEY", &self.key.public)
            .env("REGROW_PRIVATE_KEY", &self.key.private)
            .env("REGROW_PROJECT_ID", &self.key.project);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        ended(&mut self.command(arguments)).await
    }

    /// Runs a command for a program; it must succeed.
    #[track_caller]
    pub(crate) fn json<'a>(&'a self, arguments: &'a [&'a str]) -> impl Future<Output = Value> + 'a {
        let called = std::panic::Location::caller();
        async move {
            let mut command = self.command(arguments);
            let ran = ended(command.args(["--output", "json"])).await;
            assert_eq!(ran.code, 0, "{called}: {arguments:?}: {}", ran.stderr);
            serde_json::from_str(&ran.stdout).unwrap()
        }
    }

    /// Runs a command with a text on its standard input.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `check` on the data directory.
    pub(crate) async fn check(&self) -> Ran {
        let check = ["check", "--read-data", "--output", "json", "--data-dir"];
        ended(regrow(&check).arg(self.data_dir())).await
    }

    /// Attaches a server without a first snapshot.
    pub(crate) async fn attach(&self, name: &str, mongo: &RealMongo) -> Value {
        let uri = mongo.uri();
        let add = ["cluster", "add", name, "--tier", "M2", "--no-snapshot"];
        self.json(&[&add[..], &["--uri", &uri]].concat()).await
    }

    /// Takes a snapshot; returns its id.
    pub(crate) async fn snapshot(&self, cluster: &str) -> String {
        let taken = self.json(&["snapshot", "take", cluster, "--wait"]).await;
        assert_eq!(taken["status"], "COMPLETED", "{taken}");
        taken["id"].as_str().unwrap().to_owned()
    }
}

/// Returns the names in a `.tar.gz`, read by the system's own tar.
pub(crate) fn names_in(archive: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("-tzf").arg(archive).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}
