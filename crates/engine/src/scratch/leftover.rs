//! What a crash of the service leaves: a directory, and perhaps a `mongod` that still runs in it.
//!
//! A process is ours only if its command line names the data directory below ours, which nobody
//! else has; it is looked for in `/proc`, so that a crash before its id was noted leaves nothing
//! either. It must never end a process on less evidence than that.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a killed process may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(30);

/// How often it is looked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Ends the servers that still run in a server's directory, and removes the directory.
pub(super) async fn remove(directory: &Path) -> io::Result<()> {
    let mark = super::server::data_path(directory);
    let began = Instant::now();
    loop {
        let running = running_on(&mark)?;
        if running.is_empty() {
            break;
        }
        if began.elapsed() > END_LIMIT {
            let why = format!("process {:?} does not end", running);
            return Err(io::Error::other(why));
        }
        for pid in running {
            match kill_process(pid, Signal::KILL) {
                // It ended by itself meanwhile.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the processes that were started as servers with that data directory.
fn running_on(data: &Path) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    let Ok(processes) = fs::read_dir("/proc") else {
        // Not Linux: nothing can be proved, so nothing is ended.
        return Ok(found);
    };
    for process in processes {
        let process = process?;
        let number = process.file_name().to_str().and_then(|n| n.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };
        // One that is gone, or another user's, is none of ours.
        let Ok(line) = fs::read(process.path().join("cmdline")) else {
            continue;
        };
        if is_server_on(&line, data) {
            found.push(pid);
        }
    }
    Ok(found)
}

fn is_server_on(command_line: &[u8], data: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let words: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    let data = data.as_os_str().as_bytes();
    words
        .windows(2)
        .any(|pair| pair[0] == b"--dbpath" && pair[1] == data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_data_directory_alone() {
        let data = Path::new("/d/scratch/server-1/data");
        let line = |words: &[&str]| words.join("\0").into_bytes();
        let ours = line(&["mongod", "--dbpath", "/d/scratch/server-1/data", "--x"]);
        assert!(is_server_on(&ours, data));
        for other in [
            &["mongod", "--dbpath", "/d/scratch/server-1/data2"][..],
            &["tail", "-f", "/d/scratch/server-1/data"],
            &["mongod", "--dbpath"],
            &[],
        ] {
            assert!(!is_server_on(&line(other), data), "{other:?}");
        }
    }
}
