//! The writing end of one collection: cuts documents into blocks, hands each to a worker, and adds
//! up what comes back. Holds one open block; everything behind it is counted against the snapshot's
//! budget.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::packer::Message;
use super::work::prepare;
use super::{Collection, CollectionEntry, Shared};
use crate::batch::Batch;
use crate::block::OpenBlock;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::task::{blocking, ended};

/// What a finished collection adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionSummary {
    /// Documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
}

/// Writes one collection of a snapshot. Dropped without `finish` or `discard`, it keeps the
/// snapshot from being committed, because the collection was not read to its end.
pub struct CollectionWriter {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedSender<Message>,
    index: usize,
    entry: Option<CollectionEntry>,
    open: OpenBlock,
    sequence: u64,
    tasks: JoinSet<Result<CollectionSummary, Error>>,
    summary: CollectionSummary,
    documents_taken: u64,
}

impl CollectionWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        messages: mpsc::UnboundedSender<Message>,
        index: usize,
        entry: CollectionEntry,
    ) -> CollectionWriter {
        CollectionWriter {
            shared,
            messages,
            index,
            entry: Some(entry),
            open: OpenBlock::default(),
            sequence: 0,
            tasks: JoinSet::new(),
            summary: CollectionSummary::default(),
            documents_taken: 0,
        }
    }

    /// Takes documents; waits while the store is behind. After an error the snapshot cannot be
    /// committed.
    ///
    /// Cancelled while it waits, it may have taken a part of the batch: drop the writer then.
    pub async fn push(&mut self, batch: Batch) -> Result<(), Error> {
        let block_bytes = self.shared.options.block_bytes;
        let mut bytes = 0;
        for span in &batch.documents {
            let (document, identity) = batch.document(span).inspect_err(|error| {
                self.shared.fail(error.clone());
            })?;
            if !self.open.has_room(document.len(), block_bytes) {
                self.close_block().await?;
            }
            self.open.push(document, identity, block_bytes);
            bytes += document.len() as u64;
        }
        let documents = batch.documents.len() as u64;
        self.documents_taken += documents;
        self.shared.counters.taken(documents, bytes);
        while let Some(done) = self.tasks.try_join_next() {
            self.add(done).await?;
        }
        Ok(())
    }

    /// Ends the collection and returns what it adds up to.
    pub async fn finish(mut self) -> Result<CollectionSummary, Error> {
        self.close_block().await?;
        while let Some(done) = self.tasks.join_next().await {
            self.add(done).await?;
        }
        assert_eq!(
            self.summary.documents, self.documents_taken,
            "blocks hold what was pushed"
        );
        let entry = Box::new(self.entry.take().expect("a collection ends once"));
        let summary = self.summary;
        self.shared
            .end_collection(self.index, Collection::Finished { entry, summary });
        Ok(summary)
    }

    /// Leaves the collection out of the snapshot; what was stored of it is garbage.
    pub fn discard(mut self) {
        self.entry = None;
        self.shared
            .end_collection(self.index, Collection::Discarded);
    }

    /// Hands the open block to a worker, once the budget has room for it.
    async fn close_block(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let cost = cost_kib(self.open.plain_length(), &shared);
        let budget = shared.budget.clone().acquire_many_owned(cost).await;
        let held = budget.map_err(|_| shared.failure())?;
        let open = std::mem::take(&mut self.open);
        let (messages, collection, sequence) = (self.messages.clone(), self.index, self.sequence);
        self.sequence += 1;
        self.tasks.spawn(async move {
            let turn = shared.workers.clone().acquire_owned().await;
            let working = shared.clone();
            let keys = shared.repository.hash_keys.clone();
            let block = blocking(move || prepare(open, &keys, &working.tools)).await;
            drop(turn);
            let summary = CollectionSummary {
                documents: block.fingerprint.documents,
                bytes: block.bytes,
                fingerprint: block.fingerprint,
            };
            let sent = messages.send(Message::Block {
                collection,
                sequence,
                block,
                held,
            });
            sent.map_err(|_| shared.failure())?;
            Ok(summary)
        });
        Ok(())
    }

    async fn add(
        &mut self,
        done: Result<Result<CollectionSummary, Error>, JoinError>,
    ) -> Result<(), Error> {
        let block = match done {
            Ok(result) => result?,
            Err(error) => ended(error).await,
        };
        self.summary.documents += block.documents;
        self.summary.bytes += block.bytes;
        self.summary.fingerprint.merge(block.fingerprint);
        Ok(())
    }
}

impl Drop for CollectionWriter {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let namespace = format!("{}.{}", entry.database, entry.name);
            self.shared
                .end_collection(self.index, Collection::Abandoned { namespace });
        }
    }
}

impl fmt::Debug for CollectionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectionWriter")
            .field("index", &self.index)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// A block larger than the whole budget takes all of it.
fn cost_kib(plain_length: usize, shared: &Shared) -> u32 {
    let cost = plain_length
        .div_ceil(1024)
        .min(super::budget_kib(&shared.options));
    u32::try_from(cost).expect("the budget is far below 4 TiB")
}
