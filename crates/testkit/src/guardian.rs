//! Ends a child process when this process is gone, however it went: a test that is killed leaves
//! no server behind. It must never end a process that is not the child it was made for.
//!
//! A shell waits at the reading end of a pipe whose writing end only this process holds. When the
//! pipe closes, it ends the child, if the child's command line still names the child's folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// `$1` process id, `$2` a text that its command line contains, `$3` a folder to remove or empty.
const WATCH: &str = r#"read -r _
if tr '\0' ' ' < "/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2"; then kill -9 "$1"; fi
if [ -n "$3" ]; then sleep 0.2; rm -rf -- "$3"; fi"#;

/// The shell that watches one child.
#[derive(Debug)]
pub(crate) struct Guardian {
    shell: Child,
}

impl Guardian {
    /// Starts watching process `pid`, whose command line contains `mark`; `remove` is a folder
    /// that goes with it.
    pub(crate) fn watch(pid: u32, mark: &str, remove: Option<&Path>) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;
        let shell = Command::new("sh")
            .args(["-c", WATCH, "guardian", &pid.to_string(), mark])
            .arg(remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start the guardian of a child process")?;
        Ok(Self { shell })
    }
}

impl Drop for Guardian {
    /// Ends the watch without touching the child.
    fn drop(&mut self) {
        // A shell that has ended already is as good as one that is ended here.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
