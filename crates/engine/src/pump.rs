//! Documents between a server and the store: the one place where the two meet.
//!
//! Both directions are bounded: a batch is taken from one side only when the other has room,
//! so memory follows the settings and never the data.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use model::Progress;
use mongo::{Collection, Loader, ScanBatch, ScanStream, SourceSnapshot};
use vault::{
    Batch, Block, CollectionSummary, Fingerprint, Fingerprinter, ReadOptions, Repository, Span,
};

/// Inserts in flight per collection; two writers are what one primary rewards.
const INSERTS_IN_FLIGHT: usize = 2;

/// Most bytes a collection's reader holds ahead of the inserts.
const READ_AHEAD_BYTES: usize = 8 << 20;

/// An error of either side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PumpError {
    /// The server's.
    #[error(transparent)]
    Mongo(#[from] mongo::Error),
    /// The store's.
    #[error(transparent)]
    Vault(#[from] vault::Error),
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

/// Reads a collection at the snapshot's time into the store.
pub(crate) async fn down(
    source: &SourceSnapshot,
    collection: &Collection,
    mut writer: vault::CollectionWriter,
    counter: &Counter,
) -> Result<CollectionSummary, PumpError> {
    let mut batches: ScanStream = source.scan(collection);
    while let Some(scanned) = batches.try_next().await? {
        counter.add(scanned.documents.len() as u64, size_bytes(&scanned));
        writer.push(batch(scanned)).await?;
    }
    Ok(writer.finish().await?)
}

/// Writes a stored collection to the target.
pub(crate) async fn up(
    repository: &Repository,
    stored: &vault::CollectionManifest,
    loader: &Loader,
    counter: &Counter,
) -> Result<(), PumpError> {
    let options = ReadOptions {
        read_ahead_bytes: READ_AHEAD_BYTES,
    };
    let in_flight = if loader.ordered() {
        1
    } else {
        INSERTS_IN_FLIGHT
    };
    let blocks = repository.blocks(stored, options).map_err(PumpError::from);
    blocks
        .try_for_each_concurrent(in_flight, |block| insert(loader, block, counter).boxed())
        .await
}

async fn insert(loader: &Loader, block: Block, counter: &Counter) -> Result<(), PumpError> {
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
