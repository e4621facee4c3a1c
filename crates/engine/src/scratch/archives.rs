//! Archives of data files: built once, kept until their links expire.
//!
//! They hold user data in plain, so they lie in the scratch directory with its mode. One appears
//! under its name only when it is whole and on disk.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use model::{Delivery, RestoreId, Status, Timestamp};

use super::{Scratch, make_private_dir};
use crate::Engine;

const ENDING: &str = ".tar.gz";

/// An archive that was built.
#[derive(Debug)]
pub(crate) struct BuiltArchive {
    pub(crate) id: RestoreId,
    pub(crate) file: File,
    pub(crate) size_bytes: u64,
}

impl Scratch {
    pub(super) fn archives(&self) -> PathBuf {
        self.directory.join("archives")
    }

    /// Returns where the archive of the job `id` is to be built, and the name it then gets.
    pub(crate) fn new_archive(&self, id: RestoreId) -> io::Result<(PathBuf, PathBuf)> {
        make_private_dir(&self.archives())?;
        let name = format!("{id}{ENDING}");
        let part = self.archives().join(format!("{name}.part"));
        Ok((part, self.archives().join(name)))
    }

    /// Opens the archive of the job `id`, if it is there.
    pub(crate) fn archive(&self, id: RestoreId) -> io::Result<Option<BuiltArchive>> {
        match File::open(self.archives().join(format!("{id}{ENDING}"))) {
            Ok(file) => {
                let size_bytes = file.metadata()?.len();
                Ok(Some(BuiltArchive {
                    id,
                    file,
                    size_bytes,
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes what an interrupted build left; none is being built yet.
    pub(super) fn remove_unfinished_archives(&self) -> io::Result<()> {
        for path in self.archive_paths()? {
            if path.extension().is_some_and(|ending| ending == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn archive_paths(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(self.archives()) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Removes the archives whose links are no longer good.
pub(crate) async fn sweep(engine: &Engine) {
    let paths = match engine.parts.scratch.archive_paths() {
        Ok(paths) => paths,
        Err(error) => return tracing::warn!(%error, "archives could not be listed"),
    };
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let id = name.strip_suffix(ENDING).and_then(|id| id.parse().ok());
        let Some(id) = id else { continue };
        match is_needed(engine, id, engine.now()).await {
            Ok(true) => {}
            Ok(false) => match fs::remove_file(&path) {
                Ok(()) => tracing::info!(restore.id = %id, "an expired archive was removed"),
                Err(error) => {
                    tracing::warn!(restore.id = %id, %error, "an archive was not removed");
                }
            },
            Err(error) => tracing::warn!(?error, "an archive's job could not be read"),
        }
    }
}

/// One whose job has not ended yet may be about to be offered.
async fn is_needed(engine: &Engine, id: RestoreId, now: Timestamp) -> Result<bool, model::Error> {
    let job = engine.parts.meta.restore_by_id(id).await?;
    Ok(job.is_some_and(|job| {
        let is_offered = job.status == Status::Completed && !job.is_expired(now);
        job.delivery == Delivery::DataFiles && (is_offered || !job.status.is_final())
    }))
}
