//! Documents between a server and the store: the one place where the two meet.
//!
//! Both directions are bounded: a batch is taken from one side only when the other has room,
//! so memory follows the settings and never the data.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use model::Progress;
use mongo::{Collection, Loader, ScanBatch, ScanStream, SourceSnapshot};
use tokio::sync::oneshot::error::RecvError;
use vault::{Batch, Block, Fingerprint, Fingerprinter, ReadOptions, Repository, Span};

use crate::deployment::ConnectError;
use crate::lanes::{Lane, Lanes};
use crate::under_way::UnderWay;

/// Inserts in flight per collection; two writers are what one primary rewards.
const INSERTS_IN_FLIGHT: usize = 2;

/// Most bytes a collection's reader holds ahead of the inserts.
pub(crate) const READ_AHEAD_BYTES: usize = 8 << 20;

/// How a whole collection is read.
const READING: ReadOptions = ReadOptions {
    read_ahead_bytes: READ_AHEAD_BYTES,
};

/// Mean size of documents from which they count as large.
const LARGE_BYTES: u64 = 256 << 10;

/// Returns whether documents are so large that a few of them at a time fill the memory.
pub(crate) fn is_large(size_bytes: u64, documents: u64) -> bool {
    documents > 0 && size_bytes / documents >= LARGE_BYTES
}

/// An error of either side, or of the way to the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    /// The server was not reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server's.
    #[error(transparent)]
    Mongo(#[from] mongo::Error),
    /// The store's.
    #[error(transparent)]
    Vault(#[from] vault::Error),
}

impl PumpError {
    /// Tells whether the same work may succeed when it is done again without any change.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            PumpError::Mongo(error) | PumpError::Connect(ConnectError::Deployment(error)) => {
                error.is_transient()
            }
            PumpError::Connect(ConnectError::Record(_)) | PumpError::Vault(_) => false,
        }
    }

    /// Tells whether the store could not give what it says it has.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, PumpError::Vault(error) if error.is_damage())
    }
}

/// Documents and bytes done, counted from several tasks; for showing only.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    documents: AtomicU64,
    size_bytes: AtomicU64,
    documents_total: AtomicU64,
    size_bytes_total: AtomicU64,
}

impl Counter {
    /// Adds to what is done.
    pub(crate) fn add(&self, documents: u64, size_bytes: u64) {
        self.documents.fetch_add(documents, Ordering::Relaxed);
        self.size_bytes.fetch_add(size_bytes, Ordering::Relaxed);
    }

    /// Sets how much there is in all.
    pub(crate) fn set_total(&self, documents: u64, size_bytes: u64) {
        self.documents_total.store(documents, Ordering::Relaxed);
        self.size_bytes_total.store(size_bytes, Ordering::Relaxed);
    }

    /// Begins again from nothing done.
    pub(crate) fn reset(&self) {
        self.documents.store(0, Ordering::Relaxed);
        self.size_bytes.store(0, Ordering::Relaxed);
    }

    /// Returns the present figures.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            documents: self.documents.load(Ordering::Relaxed),
            documents_total: self.documents_total.load(Ordering::Relaxed),
            size_bytes: self.size_bytes.load(Ordering::Relaxed),
            size_bytes_total: self.size_bytes_total.load(Ordering::Relaxed),
        }
    }
}

/// Returns a server's batch as one for the store; only the spans are copied.
fn batch(scanned: ScanBatch) -> Batch {
    let span = |document: &mongo::DocumentSpan| Span {
        start: document.start,
        end: document.end,
        id_start: document.id_start,
        id_end: document.id_end,
    };
    Batch {
        documents: scanned.documents.iter().map(span).collect(),
        bytes: scanned.bytes,
    }
}

fn size_bytes(batch: &ScanBatch) -> u64 {
    batch
        .documents
        .iter()
        .map(|span| u64::from(span.end - span.start))
        .sum()
}

/// Reads a collection into the store, up to its end.
pub(crate) async fn down(
    source: &SourceSnapshot,
    collection: &Collection,
    writer: &mut vault::CollectionWriter,
    lanes: &Lanes,
    counter: &Counter,
) -> Result<(), PumpError> {
    let opening = lanes.opening().await;
    let mut lane = lanes.one().await;
    let mut opening = Some(opening);
    let mut batches: ScanStream = source.scan(collection);
    while let Some(scanned) = batches.try_next().await? {
        if is_large(size_bytes(&scanned), scanned.documents.len() as u64) {
            lane.widen().await;
        }
        opening = None;
        writer.push(counted(scanned, counter)).await?;
    }
    drop(opening);
    Ok(())
}

/// Counts a server's batch and returns it as one for the store.
pub(crate) fn counted(scanned: ScanBatch, counter: &Counter) -> Batch {
    counter.add(scanned.documents.len() as u64, size_bytes(&scanned));
    batch(scanned)
}

/// Waits for a lane for a stored collection, and for all of them if its documents are large.
async fn lane_for<'a>(stored: &vault::CollectionManifest, lanes: &'a Lanes) -> Lane<'a> {
    let _opening = lanes.opening().await;
    let mut lane = lanes.one().await;
    if is_large(stored.bytes, stored.documents) {
        lane.widen().await;
    }
    lane
}

/// Writes a stored collection to the target. After an error, or where it is given up, some inserts
/// may still be under way.
pub(crate) async fn up(
    repository: &Repository,
    stored: &vault::CollectionManifest,
    loader: &Loader,
    lanes: &Lanes,
    under_way: &UnderWay,
    counter: &SharedCounter,
) -> Result<(), PumpError> {
    let lane = lane_for(stored, lanes).await;
    let mut blocks = Box::pin(repository.blocks(stored, READING));
    // Tasks of their own, so that they go on while the next block is read.
    let mut inserts = FuturesUnordered::new();
    while let Some(block) = blocks.try_next().await? {
        let at_a_time = if loader.ordered() || lane.is_wide() {
            1
        } else {
            INSERTS_IN_FLIGHT
        };
        while inserts.len() >= at_a_time {
            ended(inserts.next().await)?;
        }
        inserts.push(under_way.start(insert(loader.clone(), block, counter.clone())));
    }
    while let Some(insert) = inserts.next().await {
        ended(Some(insert))?;
    }
    Ok(())
}

/// Reads a stored collection to its end, so that it is known to be readable.
pub(crate) async fn read_through(
    repository: &Repository,
    stored: &vault::CollectionManifest,
    lanes: &Lanes,
) -> Result<(), PumpError> {
    let _lane = lane_for(stored, lanes).await;
    let mut blocks = Box::pin(repository.blocks(stored, READING));
    while blocks.try_next().await?.is_some() {}
    Ok(())
}

fn ended(insert: Option<Result<Result<(), PumpError>, RecvError>>) -> Result<(), PumpError> {
    insert.map_or(Ok(()), |insert| insert.expect("an insert does not panic"))
}

async fn insert(loader: Loader, block: Block, counter: SharedCounter) -> Result<(), PumpError> {
    let documents: Vec<&[u8]> = block.documents().collect();
    loader.insert(&documents).await?;
    let size_bytes = documents.iter().map(|document| document.len() as u64).sum();
    counter.add(documents.len() as u64, size_bytes);
    Ok(())
}

/// Reads a collection of the target whole and returns its fingerprint under the store's keys.
pub(crate) async fn fingerprint(
    repository: &Repository,
    batches: ScanStream,
) -> Result<Fingerprint, PumpError> {
    let parts = batches
        .map_err(PumpError::from)
        .map_ok(|scanned| hash(repository.fingerprinter(), scanned).boxed())
        .try_buffer_unordered(INSERTS_IN_FLIGHT);
    let mut parts = parts.boxed();
    let mut whole = repository.fingerprinter();
    while let Some(part) = parts.try_next().await? {
        whole.merge(part);
    }
    Ok(whole.finish())
}

/// Adds a batch to a fingerprint, which takes milliseconds: off the threads that answer
/// requests.
async fn hash(mut part: Fingerprinter, scanned: ScanBatch) -> Result<Fingerprinter, PumpError> {
    let hashed = tokio::task::spawn_blocking(move || {
        scanned.iter().for_each(|document| part.add(document));
        part
    });
    Ok(hashed.await.expect("hashing does not panic"))
}

/// Runs work, at most `side_by_side` pieces at a time; ends at the first error. The results
/// come in the order in which they ended.
pub(crate) async fn side_by_side<T, E>(
    work: Vec<BoxFuture<'_, Result<T, E>>>,
    side_by_side: usize,
) -> Result<Vec<T>, E> {
    stream::iter(work)
        .buffer_unordered(side_by_side.max(1))
        .try_collect()
        .await
}

/// Shares a counter between a job and whoever reports on it.
pub(crate) type SharedCounter = Arc<Counter>;
