//! What a directory of the local file system needs beyond other object stores: folders synced after
//! deletes, leftovers of interrupted puts removed, and a full disk told from a passing failure.
//! Puts themselves are durable through `LocalFileSystem::with_fsync`: temporary name, sync, link
//! without replacing, folder sync.

use std::error::Error as StdError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::error::Error;

/// Opens a directory, which is made durably if it is not there.
pub(crate) fn open(path: &Path) -> Result<(Arc<dyn ObjectStore>, PathBuf), Error> {
    let name = path.display().to_string();
    let folder = make_folder(path).map_err(|error| error_of(name.clone(), Arc::new(error)))?;
    let inner = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|error| error_of(name, Arc::new(error)))?
        .with_fsync(true);
    Ok((Arc::new(inner), folder))
}

/// Syncs all folders from an object's own up to the root.
///
/// `with_fsync` syncs the folders that a put makes, but another put that finds them made a moment
/// before would rest on a sync that has not happened yet.
pub(crate) async fn sync_folders_of(root: &Path, object: &str) -> Result<(), Error> {
    let root = root.to_owned();
    let path = root.join(object);
    let object = object.to_owned();
    blocking(move || {
        path.ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(&root))
            .try_for_each(sync)
    })
    .await
    .map_err(|error| error_of(object, Arc::new(error)))
}

/// Removes the temporary files of interrupted puts that are older than the grace period.
pub(crate) async fn remove_leftovers(
    root: &Path,
    grace: Duration,
    now: SystemTime,
) -> Result<u64, Error> {
    let root = root.to_owned();
    let name = root.display().to_string();
    blocking(move || remove_leftovers_below(&root, grace, now))
        .await
        .map_err(|error| error_of(name, Arc::new(error)))
}

/// Returns the kind of failure by the first error of the system in the chain of causes.
pub(crate) fn error_of(object: String, source: Arc<dyn StdError + Send + Sync>) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(source.as_ref());
    let mut kind = None;
    while let Some(error) = cause {
        if let Some(system) = error.downcast_ref::<io::Error>() {
            kind = Some(system.kind());
            break;
        }
        cause = error.source();
    }
    match kind {
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Error::Full { object, source }
        }
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            Error::Denied {
                object,
                reason: "the file system refuses access".to_owned(),
            }
        }
        _ => Error::Unavailable { object, source },
    }
}

/// Makes a folder and syncs each folder that gained an entry by it.
fn make_folder(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let existing = absolute.ancestors().find(|folder| folder.is_dir());
    let existing = existing.map(Path::to_owned);
    fs::create_dir_all(&absolute)?;
    for folder in absolute.ancestors().skip(1) {
        if existing
            .as_deref()
            .is_none_or(|existing| folder.starts_with(existing))
        {
            sync(folder)?;
        }
    }
    absolute.canonicalize()
}

fn remove_leftovers_below(folder: &Path, grace: Duration, now: SystemTime) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove_leftovers_below(&entry.path(), grace, now)?;
        } else if is_leftover(&entry.file_name().to_string_lossy()) {
            let modified = entry.metadata()?.modified()?;
            if now.duration_since(modified).is_ok_and(|age| age >= grace) {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Answers whether a file's name is one that `LocalFileSystem` gives while it writes.
fn is_leftover(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}
