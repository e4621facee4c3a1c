//! A child process that ends when its owner does, however that goes: a test that is killed leaves
//! no server behind. It must never end a process that is not the child it was made for.
//!
//! A guardian shell waits at the reading end of a pipe whose writing end only this process holds.
//! When the pipe closes, it ends the child, if the child's command line still has the child's
//! mark in it.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::wait_for;

/// How long a process may take to be gone after it was killed.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// `$1` process id, `$2` a text that its command line contains, `$3` a folder to remove or empty.
const WATCH: &str = r#"read -r _
if tr '\0' ' ' < "/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2"; then kill -9 "$1"; fi
if [ -n "$3" ]; then sleep 0.2; rm -rf -- "$3"; fi"#;

/// A running child and who watches it; dropping it kills the child.
#[derive(Debug)]
pub struct OwnedChild {
    /// Nothing once the child was let go.
    child: Option<Child>,
    guardian: Option<Child>,
}

impl OwnedChild {
    /// Starts a command that has `mark`, such as the path of its folder, in its command line.
    ///
    /// `remove` is a folder that is to go with the child when this process is killed. The child
    /// is in a process group of its own: Ctrl-C in a terminal reaches the owner only, which then
    /// ends the child.
    pub fn spawn(command: &mut Command, mark: &str, remove: Option<&Path>) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let pid = child.id().to_string();
        // From here on dropping it kills the child.
        let mut owned = Self {
            child: Some(child),
            guardian: None,
        };
        let guardian = Command::new("sh")
            .args(["-c", WATCH, "guardian", &pid, mark])
            .arg(remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the guardian of a child process")?;
        owned.guardian = Some(guardian);
        Ok(owned)
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child
            .as_ref()
            .expect("only `detach` takes it, and consumes the value")
            .id()
    }

    /// Returns how the child ended, or nothing while it runs.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let child = self.child.as_mut().context("the child was let go")?;
        child
            .try_wait()
            .context("ask for the state of a child process")
    }

    /// Asks the child to end in good order (SIGTERM) and waits; kills it at the limit and fails.
    pub async fn stop(mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        let pid = self.pid();
        let mut ask = Command::new("sh");
        ask.args(["-c", "kill -TERM \"$1\"", "stop"])
            .arg(pid.to_string());
        let asked = ask.status().context("ask a child process to end")?;
        if !asked.success() && self.try_wait()?.is_none() {
            bail!("process {pid} could not be asked to end");
        }
        wait_for(limit, "the end of a child process", || {
            let state = self.try_wait();
            async move {
                match state {
                    Ok(Some(status)) => Ok(status),
                    Ok(None) => Err(format!("process {pid} is running")),
                    Err(error) => Err(error.to_string()),
                }
            }
        })
        .await
    }

    /// Kills the child at once, as a power cut would, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Lets the child run on after this process is gone; returns its process id.
    pub fn detach(mut self) -> u32 {
        let pid = self.pid();
        self.child = None;
        pid
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "runs in `Drop`, where nothing can be awaited"
    )]
    fn end(&mut self) {
        // The guardian goes first, so that it never acts on a process id that is free again.
        if let Some(mut guardian) = self.guardian.take() {
            let _ = guardian.kill();
            let _ = guardian.wait();
        }
        let Some(mut child) = self.child.take() else {
            return;
        };
        // An error means that it has ended already.
        let _ = child.kill();
        let started = Instant::now();
        while started.elapsed() < KILL_LIMIT {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        eprintln!("process {} does not end", child.id());
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.end();
    }
}
