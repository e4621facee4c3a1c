//! The one folder of the demonstration, and the processes that an earlier run left behind.
//!
//! It must never end a process that is not one of its own: a process counts only if its id is in a
//! file here and its command line names this folder. It must never remove a folder that it did
//! not make: the mark is in it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::service::Key;
use crate::shell;

/// The file that says whose folder this is.
const MARK: &str = "made-by-the-demonstration";
/// How long a leftover may take to end in good order before it is killed.
const END_LIMIT: Duration = Duration::from_secs(20);

/// The file that is locked while a demonstration runs; it stays when the folder is emptied.
const LOCK: &str = "lock";

/// The folder, empty at first; nobody else uses it while this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Ends what an earlier run left, and empties the folder.
    pub(super) fn renew(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            let is_ours = path.join(MARK).is_file() || fs::read_dir(path)?.next().is_none();
            ensure!(
                is_ours,
                "{} was not made by the demonstration; move it away",
                path.display()
            );
        }
        fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        // The mark comes first: a run that ends here must not bar the next one.
        fs::write(path.join(MARK), "").context("mark the folder")?;
        let lock = lock(path)?;
        stop_leftovers(path)?;
        empty(path).with_context(|| format!("empty {}", path.display()))?;
        fs::create_dir(path.join("pids")).context("create the folder for process ids")?;
        Ok(Self {
            path: path.canonicalize()?,
            _lock: lock,
        })
    }

    /// Returns the path of something in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Remembers a process for the next run.
    pub(super) fn remember(&self, name: &str, pid: u32) -> anyhow::Result<()> {
        fs::write(self.path("pids").join(name), pid.to_string()).context("write a process id")
    }

    /// Keeps the key, for this user's eyes only.
    pub(super) fn write_key(&self, key: &Key) -> anyhow::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options
            .open(self.path("key"))
            .context("create the key's file")?;
        writeln!(file, "{}", key.user()).context("write the key's file")
    }
}

/// Takes the lock of a folder, or says who has it.
pub(super) fn lock(path: &Path) -> anyhow::Result<File> {
    let lock = File::create(path.join(LOCK)).context("create the lock")?;
    if lock.try_lock().is_err() {
        bail!(
            "another demonstration is running in {}; wait or interrupt it",
            path.display()
        );
    }
    Ok(lock)
}

/// Removes all but the mark and the lock.
fn empty(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == MARK || entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Ends the processes that an earlier run left running; returns how many there were.
pub(super) fn stop_leftovers(path: &Path) -> anyhow::Result<usize> {
    let Ok(folder) = path.canonicalize() else {
        return Ok(0);
    };
    let Ok(entries) = fs::read_dir(folder.join("pids")) else {
        return Ok(0);
    };
    let mut stopped = 0;
    // The service goes before the servers that it talks to.
    let mut names: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    names.sort_by_key(|name| !name.ends_with("serve"));
    for name in names {
        let Ok(pid) = fs::read_to_string(&name)
            .unwrap_or_default()
            .trim()
            .parse::<u32>()
        else {
            continue;
        };
        if is_ours(pid, &folder) {
            end(pid, &folder)?;
            stopped += 1;
        }
        fs::remove_file(&name).context("forget a process id")?;
    }
    Ok(stopped)
}

/// Tells whether the process runs and was started on something in the folder.
fn is_ours(pid: u32, folder: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let inside = format!("{}/", folder.display());
    line.split(|byte| *byte == 0)
        .any(|word| String::from_utf8_lossy(word).starts_with(&inside))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command that waits for a process, on its own"
)]
fn end(pid: u32, folder: &Path) -> anyhow::Result<()> {
    for signal in ["TERM", "KILL"] {
        let mut kill = Command::new("sh");
        let script = "kill -s \"$1\" \"$2\" 2>/dev/null || true";
        kill.args(["-c", script, "end", signal, &pid.to_string()]);
        shell::run(&mut kill)?;
        let started = Instant::now();
        while started.elapsed() < END_LIMIT {
            if !is_ours(pid, folder) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    ensure!(
        !is_ours(pid, folder),
        "process {pid} of an earlier run does not end"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let other = std::env::temp_dir().join(format!("regrow-not-ours-{}", std::process::id()));
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("letters"), "dear").unwrap();
        assert!(Folder::renew(&other).is_err());
        assert!(other.join("letters").exists());
        fs::remove_dir_all(&other).unwrap();
    }

    #[test]
    fn only_a_process_that_names_the_folder_is_ended() {
        let path = std::env::temp_dir().join(format!("regrow-demo-{}", std::process::id()));
        let folder = Folder::renew(&path).unwrap();
        let pipe = folder.path("pipe").to_string_lossy().into_owned();
        let sleep = |mark: &str| {
            Command::new("sh")
                .args(["-c", "sleep 60; true", mark])
                .spawn()
                .unwrap()
        };
        let (mut ours, mut other) = (sleep(&pipe), sleep("elsewhere"));
        folder.remember("ours", ours.id()).unwrap();
        folder.remember("other", other.id()).unwrap();
        // A child that was just started shows no command line for a moment.
        let started = std::time::Instant::now();
        while !is_ours(ours.id(), &path.canonicalize().unwrap()) {
            assert!(started.elapsed().as_secs() < 10, "the child shows itself");
            std::thread::yield_now();
        }
        // A killed child stays visible until it is waited for, so wait beside it.
        let waiter = std::thread::spawn(move || ours.wait().unwrap());
        assert_eq!(stop_leftovers(&path).unwrap(), 1);
        assert!(!waiter.join().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "the other one runs on");
        other.kill().unwrap();
        other.wait().unwrap();
        fs::remove_dir_all(&path).unwrap();
    }
}
