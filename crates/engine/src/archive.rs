//! A snapshot as a `.tar.gz`: in the layout that stock `mongorestore` takes, made while it is
//! streamed; or data files, which were packed before.
//!
//! `dump/<database>/<collection>.bson` and `.metadata.json`, beside them `RESTORE.txt`. Sizes
//! come from the manifest, so nothing is staged on disk or held in memory. The bytes follow
//! from the snapshot and this program's version alone (fixed times, order and level), which
//! is what the entity tag promises. An error in the middle ends the stream with an error,
//! never as if it were whole.

pub(crate) mod data_files;
mod dump;
mod tarball;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use model::{Error, SnapshotId};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::io::ReaderStream;
use vault::{CollectionManifest, Held, Manifest, ReadOptions, Repository};

use crate::namespace;
use crate::scratch::BuiltArchive;
use tarball::Tarball;

/// Raised when the same snapshot would give other bytes.
const FORMAT: u32 = 2;

/// Most bytes of documents read ahead of the client.
const READ_AHEAD_BYTES: usize = 4 << 20;

/// Pieces of a megabyte that are being compressed or wait for the client: one download may keep so
/// many cores busy.
const PIECES_AT_A_TIME: usize = 4;

/// Why a stream ended early.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("read the snapshot")]
    Vault(#[from] vault::Error),
    #[error("compress the archive")]
    Io(#[from] std::io::Error),
    #[error("{namespace} has {found} bytes instead of the manifest's {expected}")]
    Size {
        namespace: String,
        found: u64,
        expected: u64,
    },
    #[error("compressing panicked")]
    Compression(#[from] tokio::task::JoinError),
    #[error("the client went away")]
    Gone,
    #[error("it was not written to its end")]
    Unfinished,
}

/// Bytes read at a time of an archive that was built.
const PIECE_BYTES: usize = 256 << 10;

/// A snapshot that can be streamed as an archive.
pub struct Archive {
    snapshot: SnapshotId,
    content: Content,
}

enum Content {
    Dump(Box<Dump>),
    Built(BuiltArchive),
}

impl Archive {
    pub(crate) fn of(repository: Repository, manifest: Manifest) -> Result<Archive, Error> {
        let small = dump::small_files(&manifest).map_err(Error::internal)?;
        Ok(Archive {
            snapshot: SnapshotId::from_bytes(manifest.snapshot.0),
            content: Content::Dump(Box::new(Dump {
                _kept: repository.hold(&manifest),
                repository,
                manifest,
                small,
            })),
        })
    }

    pub(crate) fn built(snapshot: SnapshotId, archive: BuiltArchive) -> Archive {
        Archive {
            snapshot,
            content: Content::Built(archive),
        }
    }

    /// Returns the name to save it under.
    pub fn file_name(&self) -> String {
        format!("restore-{}.tar.gz", self.snapshot)
    }

    /// Returns a strong entity tag, in quotes.
    pub fn entity_tag(&self) -> String {
        match &self.content {
            Content::Dump(_) => {
                let version = env!("CARGO_PKG_VERSION");
                format!("\"{}-{version}-{FORMAT}\"", self.snapshot)
            }
            Content::Built(archive) => format!("\"{}\"", archive.id),
        }
    }

    /// Returns its size in bytes, where that is known before it was made.
    pub fn size_bytes(&self) -> Option<u64> {
        match &self.content {
            Content::Dump(_) => None,
            Content::Built(archive) => Some(archive.size_bytes),
        }
    }

    /// Returns the bytes; those of a dump are made as they are taken.
    pub fn stream(self) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
        match self.content {
            Content::Dump(dump) => dump.stream(self.snapshot),
            Content::Built(archive) => {
                let file = tokio::fs::File::from_std(archive.file);
                ReaderStream::with_capacity(file, PIECE_BYTES).boxed()
            }
        }
    }
}

/// What a dump is made of.
struct Dump {
    /// However long the client takes, the packs stay, also when they are written anew meanwhile.
    _kept: Held,
    repository: Repository,
    manifest: Manifest,
    small: Vec<dump::SmallFile>,
}

impl Dump {
    fn stream(
        self: Box<Self>,
        snapshot: SnapshotId,
    ) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
        let (sender, receiver) = mpsc::channel(PIECES_AT_A_TIME);
        tokio::spawn(async move {
            let last = match self.write(&sender).await {
                Ok(()) => Piece::End,
                Err(StreamError::Gone) => return,
                Err(error) => {
                    tracing::error!(snapshot.id = %snapshot, error = ?error,
                        "an archive broke off");
                    Piece::Failed(error)
                }
            };
            let _ = sender.send(last).await;
        });
        pieces(receiver)
    }

    async fn write(mut self, sender: &Sender) -> Result<(), StreamError> {
        let mtime = self.manifest.created_at_ms / 1000;
        let mut tarball = Tarball::new(mtime);
        for file in std::mem::take(&mut self.small) {
            tarball.begin(&file.path, file.content.len() as u64);
            tarball.write(&file.content)?;
            tarball.end()?;
            send_full(sender, &mut tarball).await?;
        }
        for collection in &self.manifest.collections {
            if let Some(path) = dump::data_path(collection) {
                tarball.begin(&path, collection.bytes);
                self.write_documents(collection, &mut tarball, sender)
                    .await?;
                tarball.end()?;
            }
        }
        for piece in tarball.finish() {
            send(sender, piece).await?;
        }
        Ok(())
    }

    async fn write_documents(
        &self,
        collection: &CollectionManifest,
        tarball: &mut Tarball,
        sender: &Sender,
    ) -> Result<(), StreamError> {
        let options = ReadOptions {
            read_ahead_bytes: READ_AHEAD_BYTES,
        };
        let mut blocks = Box::pin(self.repository.blocks(collection, options));
        let mut found = 0;
        while let Some(block) = blocks.next().await {
            for document in block?.documents() {
                tarball.write(document)?;
                found += document.len() as u64;
            }
            send_full(sender, tarball).await?;
        }
        if found != collection.bytes {
            let namespace = namespace::namespace(collection);
            return Err(StreamError::Size {
                namespace,
                found,
                expected: collection.bytes,
            });
        }
        Ok(())
    }
}

/// The next bytes of an archive, or why there are none.
enum Piece {
    Compressing(JoinHandle<std::io::Result<Vec<u8>>>),
    Failed(StreamError),
    End,
}

type Sender = mpsc::Sender<Piece>;

/// Streams the bytes of the pieces up to the end, or to the first error. A writer that is gone
/// without having said that it is at the end is one: it panicked.
fn pieces(receiver: mpsc::Receiver<Piece>) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
    let next = |receiver: Option<mpsc::Receiver<Piece>>| async move {
        let mut receiver = receiver?;
        let bytes = match receiver.recv().await {
            Some(Piece::End) => return None,
            Some(Piece::Compressing(piece)) => compressed(piece).await,
            Some(Piece::Failed(error)) => Err(error),
            None => Err(StreamError::Unfinished),
        };
        let go_on = bytes.is_ok().then_some(receiver);
        Some((bytes.map_err(std::io::Error::other), go_on))
    };
    stream::unfold(Some(receiver), next).boxed()
}

async fn compressed(piece: JoinHandle<std::io::Result<Vec<u8>>>) -> Result<Bytes, StreamError> {
    Ok(piece.await??.into())
}

/// Sends the pieces that are full.
async fn send_full(sender: &Sender, tarball: &mut Tarball) -> Result<(), StreamError> {
    while let Some(piece) = tarball.take() {
        send(sender, piece).await?;
    }
    Ok(())
}

async fn send(sender: &Sender, piece: Vec<u8>) -> Result<(), StreamError> {
    // Room comes first: it bounds how many are compressed at a time.
    let room = sender.reserve().await.map_err(|_| StreamError::Gone)?;
    let compressing = tokio::task::spawn_blocking(move || tarball::compress(&piece));
    room.send(Piece::Compressing(compressing));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_archive_whose_writer_is_gone_does_not_end_as_if_it_were_whole() {
        let streamed = async |ends: bool| {
            let (sender, receiver) = mpsc::channel(PIECES_AT_A_TIME);
            send(&sender, b"a piece".to_vec()).await.unwrap();
            if ends {
                sender.send(Piece::End).await.ok().unwrap();
            }
            drop(sender);
            let all: Vec<_> = pieces(receiver).collect().await;
            all.iter().map(Result::is_ok).collect::<Vec<_>>()
        };
        assert_eq!(streamed(true).await, [true]);
        assert_eq!(streamed(false).await, [true, false]);
    }
}
