//! Looking into snapshots without putting them back: documents that match a filter, and what
//! differs between two snapshots. Streamed, so that memory doesn't grow with what is found; an
//! error in the middle ends the stream with an error, never as if it were whole.

pub(crate) mod diff;
pub(crate) mod find;

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use model::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;
use vault::{CollectionManifest, Manifest};

use crate::namespace;

/// Pieces waiting for whoever asked; a piece is what came of about a megabyte of documents.
const PIECES_WAITING: usize = 4;
/// Bytes of documents read ahead.
const READ_AHEAD_BYTES: usize = 4 << 20;
/// How long nothing may be said, so that nobody takes the service for gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What a look into a snapshot gives, piece by piece; ends after its first error.
pub type Pieces<T> = BoxStream<'static, Result<T, Error>>;

/// Why the work ended early.
enum Stopped {
    /// Nobody listens any more.
    Gone,
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Failed(error)
    }
}

impl From<vault::Error> for Stopped {
    fn from(error: vault::Error) -> Self {
        Stopped::Failed(Error::internal(error))
    }
}

/// Where the pieces go.
struct Outlet<T> {
    sender: mpsc::Sender<Result<T, Error>>,
    spoke_at: Instant,
}

impl<T> Outlet<T> {
    async fn send(&mut self, piece: T) -> Result<(), Stopped> {
        self.spoke_at = Instant::now();
        self.sender.send(Ok(piece)).await.map_err(|_| Stopped::Gone)
    }

    /// Sends how far the work is, if nothing was sent for long.
    async fn keep_alive(&mut self, progress: impl FnOnce() -> T) -> Result<(), Stopped> {
        if self.spoke_at.elapsed() < SILENCE_MAX {
            return Ok(());
        }
        self.send(progress()).await
    }
}

/// Does the work beside whoever takes the pieces, as fast as they are taken.
fn streamed<T, F>(work: impl FnOnce(Outlet<T>) -> F) -> Pieces<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Stopped>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let outlet = Outlet {
        sender: sender.clone(),
        spoke_at: Instant::now(),
    };
    let work = work(outlet);
    tokio::spawn(async move {
        if let Err(Stopped::Failed(error)) = work.await {
            // Whoever asked may be gone.
            let _ = sender.send(Err(error)).await;
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    })
    .boxed()
}

/// Returns a snapshot's collection of this name, which must hold documents.
pub(crate) fn collection<'a>(
    manifest: &'a Manifest,
    database: &str,
    name: &str,
) -> Result<&'a CollectionManifest, Error> {
    let is_named =
        |stored: &&CollectionManifest| (&*stored.database, &*stored.name) == (database, name);
    let found = manifest.collections.iter().find(is_named);
    let found = found.ok_or_else(|| Error::NamespaceNotFound {
        namespace: format!("{database}.{name}"),
        snapshot: model::SnapshotId::from_bytes(manifest.snapshot.0),
    })?;
    if namespace::is_view(found) {
        return Err(Error::InvalidAttribute {
            attribute: "collection",
            reason: format!("{database}.{name} is a view, which has no documents of its own"),
        });
    }
    Ok(found)
}

/// Runs what keeps a processor busy off the threads that answer requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(Error::internal(panic)))
}
