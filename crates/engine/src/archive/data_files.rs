//! The layout of an archive of data files: `data/`, which a `mongod` takes as `--dbpath`, and
//! `RESTORE.txt`. Without locks, diagnostics and preallocated journal files: a server makes these
//! anew, and after an end in good order nothing in them is needed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use model::{Consistency, Snapshot};

use super::tarball::{Tarball, compress};

const HOW_TO: &str = include_str!("DATA_FILES.txt");

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What the note in the archive says about it.
pub(crate) struct Contents {
    note: String,
    mtime: u64,
}

impl Contents {
    /// Describes a snapshot whose files were written by a server of version `server`.
    pub(crate) fn of(snapshot: &Snapshot, server: &str) -> Self {
        let consistency = snapshot.outcome.as_ref().map(|outcome| outcome.consistency);
        let time = match consistency {
            Some(Consistency::Snapshot(time)) => format!(
                "all collections as they were at cluster time Timestamp({}, {})",
                time.seconds, time.increment
            ),
            _ => "read in one pass from a standalone server; not one point in time".to_owned(),
        };
        let note = HOW_TO
            .replace("{source}", &snapshot.mongodb_version)
            .replace("{server}", server)
            .replace("{time}", &time);
        let finished = snapshot.finished_at.unwrap_or(snapshot.scheduled_at);
        let mtime = u64::try_from(finished.as_millis() / 1000).unwrap_or(0);
        Self { note, mtime }
    }
}

/// Packs the files below `data`, handing the archive over piece by piece.
pub(crate) fn pack(
    data: &Path,
    contents: &Contents,
    mut sink: impl FnMut(Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let mut tarball = Tarball::new(contents.mtime);
    tarball.begin("RESTORE.txt", contents.note.len() as u64);
    tarball.write(contents.note.as_bytes())?;
    tarball.end()?;
    let mut piece = vec![0; PIECE_BYTES];
    for path in files(data)? {
        let mut file = File::open(data.join(&path))?;
        let name = path.to_str();
        let name = name.ok_or_else(|| io::Error::other("a data file's name is not UTF-8"))?;
        tarball.begin(&format!("data/{name}"), file.metadata()?.len());
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            tarball.write(&piece[..length])?;
            while let Some(full) = tarball.take() {
                sink(compress(&full)?)?;
            }
        }
        tarball.end()?;
    }
    let last = tarball.finish();
    last.iter().try_for_each(|piece| sink(compress(piece)?))
}

/// Returns the files to pack, relative to `data`, in the order of their names.
fn files(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(data.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if !is_needed(&path) {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn is_needed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_made_anew = name.ends_with(".lock")
        || name.starts_with("WiredTigerPreplog.")
        || name == "diagnostic.data"
        || name == "_tmp";
    !is_made_anew
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_what_is_made_anew_stay_out() {
        for kept in ["WiredTiger", "storage.bson", "journal/WiredTigerLog.01"] {
            assert!(is_needed(Path::new(kept)), "{kept}");
        }
        for left in [
            "mongod.lock",
            "WiredTiger.lock",
            "journal/WiredTigerPreplog.01",
            "diagnostic.data",
        ] {
            assert!(!is_needed(Path::new(left)), "{left}");
        }
    }
}
