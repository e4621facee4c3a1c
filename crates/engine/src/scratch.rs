//! Scratch servers: a `mongod` of our own for as long as one job needs it.
//!
//! Each is a standalone server in a directory of its own, mode 0700, and is reached by a socket
//! in there and by no port. It must never outlive its job unnoticed: what a crash leaves is ended
//! and removed by the next start, and nothing is ever ended or removed that isn't provably ours.

mod archives;
mod leftover;
mod server;
mod space;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::{RestoreId, Snapshot};

use crate::data_dir::OpenError;
use crate::entropy;

pub(crate) use archives::{BuiltArchive, sweep};
pub(crate) use server::{Files, Server};

/// What can be set about scratch servers.
#[derive(Debug, Clone)]
pub struct ScratchConfig {
    /// The `mongod` to start; without one there are no scratch servers.
    pub mongod: Option<PathBuf>,
    /// Where servers and built archives are kept; `scratch` in the data directory where absent.
    pub directory: Option<PathBuf>,
    /// Most bytes that servers and archives may take together.
    pub limit_bytes: u64,
}

/// Why a scratch server cannot be had, or was given up; for people, without secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "no mongod is configured for scratch servers; hint: set scratch.mongod in the \
         configuration of the service"
    )]
    NotConfigured,
    #[error("{} cannot be started; hint: set scratch.mongod to a mongod", path.display())]
    NotRunnable { path: PathBuf, source: io::Error },
    #[error("{} does not say its version as a mongod does", path.display())]
    NotMongod { path: PathBuf },
    #[error(
        "the snapshot was taken from MongoDB {snapshot}, which scratch.mongod, {found}, is too \
         old for; hint: configure one of that release series or a later one"
    )]
    TooOld { snapshot: String, found: String },
    #[error(
        "the path of the scratch directory is {} bytes longer than a socket's may be; hint: set \
         scratch.directory to a shorter one",
        excess
    )]
    PathTooLong { excess: usize },
    #[error(
        "a scratch server with this snapshot needs about {needed} bytes, and {left} are left of \
         scratch.limit_bytes, {limit}, beside what it holds already"
    )]
    OverLimit { needed: u64, left: u64, limit: u64 },
    #[error(
        "a scratch server with this snapshot needs about {needed} bytes, and the disk has {free}"
    )]
    NoSpace { needed: u64, free: u64 },
    #[error("the scratch directory grew to {used} bytes, more than scratch.limit_bytes, {limit}")]
    Grown { used: u64, limit: u64 },
    #[error("the disk of the scratch directory has only {free} bytes left")]
    DiskFull { free: u64 },
    #[error("the scratch server ended ({status}) instead of starting: {last_words}")]
    Ended { status: String, last_words: String },
    #[error("the scratch server did not answer within {seconds} seconds")]
    Silent {
        seconds: u64,
        source: Option<mongo::Error>,
    },
    #[error("the scratch server did not end in good order: {status}")]
    UncleanEnd { status: String },
    #[error("use the scratch server")]
    Mongo(#[from] mongo::Error),
    #[error("{doing} {}", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |source| Error::Io {
            doing,
            path,
            source,
        }
    }
}

/// The directory of scratch servers and of the archives built with them; ours alone while open.
#[derive(Debug)]
pub(crate) struct Scratch {
    mongod: Option<PathBuf>,
    /// Absolute and without links, since leftovers are known by it.
    directory: PathBuf,
    limit_bytes: u64,
    _lock: Option<File>,
}

impl Scratch {
    /// Locks the directory and removes what a crash left in it.
    ///
    /// Where nothing is configured and nothing is left over, nothing is made.
    pub(crate) async fn open(config: &ScratchConfig, data_dir: &Path) -> Result<Self, OpenError> {
        let wanted = config.directory.clone();
        let wanted = wanted.unwrap_or_else(|| data_dir.join("scratch"));
        if config.mongod.is_none() && !wanted.exists() {
            return Ok(Self {
                mongod: None,
                directory: wanted,
                limit_bytes: config.limit_bytes,
                _lock: None,
            });
        }
        let failed = |doing| {
            let path = wanted.clone();
            move |source| OpenError::Io {
                doing,
                path,
                source,
            }
        };
        make_private_dir(&wanted).map_err(failed("create"))?;
        let directory = fs::canonicalize(&wanted).map_err(failed("find"))?;
        let lock = lock(&directory)
            .map_err(failed("lock"))?
            .ok_or_else(|| OpenError::InUse(directory.clone()))?;
        let scratch = Self {
            mongod: config.mongod.clone(),
            directory,
            limit_bytes: config.limit_bytes,
            _lock: Some(lock),
        };
        scratch.remove_leftovers().await.map_err(failed("clear"))?;
        Ok(scratch)
    }

    /// Fails where no `mongod` is configured.
    pub(crate) fn require_configured(&self) -> Result<(), model::Error> {
        self.mongod().map(drop).map_err(|error| refused(&error))
    }

    /// Returns the directory that all of this is in.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn mongod(&self) -> Result<&Path, Error> {
        self.mongod.as_deref().ok_or(Error::NotConfigured)
    }

    /// Fails unless a server could be started that has room for the snapshot and can take it.
    pub(crate) async fn require_able(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let version = server::version_of(self.mongod()?).await?;
        server::require_series(&version, &snapshot.mongodb_version)?;
        let outcome = snapshot.outcome.as_ref();
        let size_bytes = outcome.map_or(0, |outcome| outcome.size_bytes);
        self.require_space(size_bytes).await
    }

    /// Starts a server into which `snapshot` is to be put.
    pub(crate) async fn start(&self, snapshot: &Snapshot) -> Result<Server, Error> {
        self.require_able(snapshot).await?;
        // A new name each time: an attempt that ends must not remove what the next one made.
        let name = format!("server-{}", RestoreId::from_bytes(entropy::bytes()));
        Server::start(self.mongod()?, self.directory.join(name)).await
    }

    async fn remove_leftovers(&self) -> io::Result<()> {
        for path in self.server_paths()? {
            tracing::info!(path = %path.display(), "removing a scratch server that was left over");
            leftover::remove(&path).await?;
        }
        self.remove_unfinished_archives()
    }

    fn server_paths(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if is_server_name(&entry.file_name().to_string_lossy()) {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }
}

/// Says a refusal in the domain's words.
pub(crate) fn refused(error: &Error) -> model::Error {
    model::Error::ScratchUnavailable(crate::worker::in_words(error))
}

/// Nothing else in the directory is ever removed, whoever put it there.
fn is_server_name(name: &str) -> bool {
    name.strip_prefix("server-")
        .is_some_and(|id| id.parse::<RestoreId>().is_ok())
}

fn lock(directory: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(directory.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn make_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// A directory that goes when it is dropped.
#[derive(Debug)]
struct OwnDirectory(PathBuf);

impl OwnDirectory {
    fn make(path: PathBuf) -> io::Result<Self> {
        make_private_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error,
                "a scratch directory was not removed; the next start does it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_server_name;

    #[test]
    fn only_what_we_named_is_ours_to_remove() {
        assert!(is_server_name("server-5cc9b501e5dc7c8ab1e45d65"));
        for other in ["server-", "server-1", "server", "archives", "lock", "mail"] {
            assert!(!is_server_name(other), "{other}");
        }
    }
}
