//! The writing end of one collection: cuts documents into blocks, hands each to a worker, and adds
//! up what comes back. Holds one open block; everything behind it is counted against the snapshot's
//! budget.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::packer::Message;
use super::runs::BlockNumber;
use super::upon::{self, Upon};
use super::window::{Key, Place};
use super::work::prepare;
use super::{Collection, CollectionEntry, Shared};
use crate::batch::Batch;
use crate::block::OpenBlock;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::manifest::CollectionManifest;
use crate::task::{blocking, ended};

/// Thin blocks rewritten before the runs are looked through again; bounds what is remembered of
/// them.
const REWRITE_BLOCKS: usize = 256;

/// What a finished collection adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionSummary {
    /// Documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
    /// Those of them that were in the store already and are referred to there.
    pub documents_shared: u64,
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
    /// Whether the blocks are the collection: without a base.
    in_order: bool,
    /// What the previous snapshot holds of the collection.
    upon: Option<Box<Upon>>,
}

impl CollectionWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        messages: mpsc::UnboundedSender<Message>,
        index: usize,
        entry: CollectionEntry,
        base: Option<&CollectionManifest>,
    ) -> CollectionWriter {
        CollectionWriter {
            in_order: base.is_none(),
            upon: base.map(|base| Box::new(Upon::new(&shared, base))),
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
        if let Some(upon) = self.upon.take() {
            // Without it the writer is of no use, so an error here ends the collection.
            self.upon = Some(self.push_upon(upon, batch).await?);
        } else {
            self.push_new(&batch).await?;
        }
        while let Some(done) = self.tasks.try_join_next() {
            self.add(done).await?;
        }
        Ok(())
    }

    async fn push_new(&mut self, batch: &Batch) -> Result<(), Error> {
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
        Ok(())
    }

    /// Compares documents with the base; only those it does not have go to blocks.
    async fn push_upon(&mut self, mut upon: Box<Upon>, batch: Batch) -> Result<Box<Upon>, Error> {
        let keys = self.shared.repository.hash_keys.clone();
        let (batch, hashed) = blocking(move || {
            let hashed = upon::hash(&batch, &keys);
            (batch, hashed)
        })
        .await;
        let hashed = hashed.inspect_err(|error| self.shared.fail(error.clone()))?;
        let (bytes, shared) = (upon.bytes, upon.documents_shared);
        for (span, (key, sum)) in batch.documents.iter().zip(&hashed) {
            upon.prepare().await;
            if !upon.share(key, *sum) {
                let document = &batch.bytes[span.start as usize..span.end as usize];
                let (sequence, ordinal) = self.store_hashed(document, key).await?;
                upon.runs.add_new(sequence, ordinal, key.length, *sum);
            }
        }
        let documents = hashed.len() as u64;
        self.documents_taken += documents;
        self.shared.counters.taken(documents, upon.bytes - bytes);
        self.shared.counters.shared(upon.documents_shared - shared);
        Ok(upon)
    }

    /// Puts a document into the open block; returns the block's sequence and the ordinal in it.
    async fn store_hashed(&mut self, document: &[u8], key: &Key) -> Result<(u64, u32), Error> {
        let block_bytes = self.shared.options.block_bytes;
        if !self.open.has_room(document.len(), block_bytes) {
            self.close_block().await?;
        }
        let ordinal = u32::try_from(self.open.entries().len()).expect("at most 65,536");
        let hashes = (key.identity, key.document);
        self.open.push_hashed(document, hashes, block_bytes);
        Ok((self.sequence, ordinal))
    }

    /// Ends the collection and returns what it adds up to.
    pub async fn finish(mut self) -> Result<CollectionSummary, Error> {
        let mut upon = self.upon.take();
        if upon.is_none() && !self.in_order {
            let error = Error::invalid("a collection was finished after a failed push");
            self.shared.fail(error);
            return Err(self.shared.failure());
        }
        if let Some(upon) = &mut upon {
            for blocks in upon.runs.thin_blocks().chunks(REWRITE_BLOCKS) {
                self.rewrite(upon, blocks).await?;
            }
        }
        self.close_block().await?;
        while let Some(done) = self.tasks.join_next().await {
            self.add(done).await?;
        }
        if let Some(upon) = upon {
            self.send_runs(*upon)?;
        }
        assert_eq!(
            self.summary.documents, self.documents_taken,
            "runs hold what was pushed"
        );
        let entry = Box::new(self.entry.take().expect("a collection ends once"));
        let summary = self.summary;
        self.shared
            .end_collection(self.index, Collection::Finished { entry, summary });
        Ok(summary)
    }

    /// Stores the live documents of the base's thin blocks anew, so that no later read pays for
    /// what is dead in them. Known only now, because a document may have moved anywhere.
    async fn rewrite(&mut self, upon: &mut Upon, blocks: &[u32]) -> Result<(), Error> {
        let mut moved = HashMap::new();
        let mut live = upon.runs.live_ordinals(blocks);
        for &block in blocks {
            let ordinals = live.remove(&block).unwrap_or_default();
            let shared = self.shared.clone();
            let Some(documents) = upon.read_thin(&shared, block, &ordinals).await else {
                continue;
            };
            for (ordinal, key, document) in documents {
                let (sequence, to) = self.store_hashed(&document, &key).await?;
                let place = Place { block, ordinal };
                moved.insert(place, (BlockNumber::new_block(sequence), to));
            }
        }
        self.shared.counters.rewritten(moved.len() as u64);
        upon.replace(&moved);
        Ok(())
    }

    /// Hands the finished runs over to become pages.
    fn send_runs(&mut self, upon: Upon) -> Result<(), Error> {
        let stored = self.summary.documents;
        assert_eq!(
            stored + upon.documents_shared,
            upon.total.documents,
            "a document is shared or stored"
        );
        self.summary = CollectionSummary {
            documents: upon.total.documents,
            bytes: upon.bytes,
            fingerprint: upon.total,
            documents_shared: upon.documents_shared,
        };
        let sent = self.messages.send(Message::Runs {
            collection: self.index,
            runs: upon.runs,
            pages: upon.pages,
        });
        sent.map_err(|_| self.shared.failure())
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
        let in_order = self.in_order;
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
                documents_shared: 0,
            };
            let sent = messages.send(Message::Block {
                collection,
                sequence,
                in_order,
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
