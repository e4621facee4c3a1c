//! How much a scratch server may take: asked before it starts, watched while it runs.

use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{Error, Scratch};

/// What a server takes before it has a document: three journal files of 100 MiB, and change.
const EMPTY_SERVER_BYTES: u64 = 350 << 20;

/// What must stay free on the disk, which may be the one that the metadata is on.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// How often it is looked at what a server takes.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Scratch {
    /// Fails unless there is room for a server with documents of that many bytes.
    ///
    /// Documents are compressed on disk and have indexes beside them; their plain size is about
    /// what both take. The watch sees to it where it is not.
    pub(super) async fn require_space(&self, size_bytes: u64) -> Result<(), Error> {
        let needed = size_bytes.saturating_add(EMPTY_SERVER_BYTES);
        let (used, free) = self.measure().await?;
        let (limit, left) = (self.limit_bytes, self.limit_bytes.saturating_sub(used));
        if needed > left {
            return Err(Error::OverLimit {
                needed,
                left,
                limit,
            });
        }
        if free < needed.saturating_add(FREE_BYTES_MIN) {
            return Err(Error::NoSpace { needed, free });
        }
        Ok(())
    }

    /// Does `work` unless the directory outgrows its limit or the disk meanwhile.
    pub(crate) async fn watched<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            done = work => Ok(done),
            error = self.outgrown() => Err(error),
        }
    }

    /// Returns only when there is too little room.
    async fn outgrown(&self) -> Error {
        loop {
            let limit = self.limit_bytes;
            match self.measure().await {
                Ok((used, _)) if used > limit => return Error::Grown { used, limit },
                Ok((_, free)) if free < FREE_BYTES_MIN => return Error::DiskFull { free },
                Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => return error,
            }
        }
    }

    /// Returns the bytes that the directory takes, and those that its disk has left.
    async fn measure(&self) -> Result<(u64, u64), Error> {
        let failed = Error::io("measure", &self.directory);
        let mut ours = match self.server_paths() {
            Ok(servers) => servers,
            Err(error) => return Err(failed(error)),
        };
        ours.push(self.archives());
        let directory = self.directory.clone();
        let measured = tokio::task::spawn_blocking(move || {
            let disk = rustix::fs::statvfs(&directory)?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let mut used = 0_u64;
            for path in ours {
                used = used.saturating_add(size_of(&path)?);
            }
            Ok((used, free))
        });
        match measured.await {
            Ok(measured) => measured.map_err(failed),
            Err(panicked) => Err(failed(io::Error::other(panicked))),
        }
    }
}

/// Returns what the files below a directory take on disk; those that go meanwhile take nothing.
fn size_of(directory: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(directory) {
        Err(error) if gone(&error) => return Ok(0),
        other => other?,
    };
    let mut total = 0_u64;
    for entry in entries {
        let metadata = match entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))) {
            Err(error) if gone(&error) => continue,
            other => other?,
        };
        let (path, metadata) = metadata;
        // `st_blocks` counts 512 bytes, whatever the file system's own blocks are.
        total = total.saturating_add(if metadata.is_dir() {
            size_of(&path)?
        } else {
            metadata.blocks().saturating_mul(512)
        });
    }
    Ok(total)
}
