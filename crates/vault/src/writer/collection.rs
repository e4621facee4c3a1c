//! The writing end of one collection: documents go to blocks, except those that its base has. Must
//! never take a collection for finished that was not read to its end.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::base::read_documents;
use super::blocks::BlockWriter;
use super::entries::HELD_BYTES;
use super::index::is_stale;
use super::packer::{Message, UponEnd};
use super::runs::BlockNumber;
use super::shared::Begun;
use super::upon::{self, Upon};
use super::window::Place;
use super::{Collection, CollectionEntry, Shared};
use crate::batch::Batch;
use crate::error::Error;
use crate::fetch::ReadCounter;
use crate::fingerprint::Fingerprint;
use crate::live::{LiveMap, Pages};
use crate::manifest::CollectionManifest;
use crate::task::blocking;

/// Blocks rewritten before the runs are looked through again; bounds what is remembered of them.
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
    /// Bytes of the documents that were in the store already.
    pub bytes_shared: u64,
    /// Bytes that editing read of the store; 0 where the collection was scanned.
    pub bytes_read: u64,
}

/// Writes one collection of a snapshot. Dropped without `finish` or `discard`, it keeps the
/// snapshot from being committed, because the collection was not read to its end.
pub struct CollectionWriter {
    shared: Arc<Shared>,
    blocks: BlockWriter,
    entry: Option<CollectionEntry>,
    documents_taken: u64,
    /// What the collection is compared with; `None` where nothing is there of it.
    upon: Option<Box<Upon>>,
    is_upon: bool,
    /// What the previous snapshot holds of the collection.
    base: Option<CollectionManifest>,
}

impl CollectionWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        messages: mpsc::UnboundedSender<Message>,
        index: usize,
        entry: CollectionEntry,
    ) -> CollectionWriter {
        let base = shared.compared_with(&entry);
        let partial = shared.partial(&entry);
        let is_upon = base.is_some() || partial.is_some();
        let upon = is_upon.then(|| Box::new(Upon::new(&shared, base.as_ref(), partial)));
        CollectionWriter {
            upon,
            is_upon,
            blocks: BlockWriter::new(shared.clone(), messages, index, !is_upon),
            base,
            shared,
            entry: Some(entry),
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
        self.blocks.add_finished().await
    }

    async fn push_new(&mut self, batch: &Batch) -> Result<(), Error> {
        let mut bytes = 0;
        for span in &batch.documents {
            let (document, identity) = batch.document(span).inspect_err(|error| {
                self.shared.fail(error.clone());
            })?;
            self.blocks.store(document, identity).await?;
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
                let (sequence, ordinal) = self.blocks.store_hashed(document, key).await?;
                upon.runs.add_new(sequence, ordinal, key.length, *sum);
            }
        }
        let unnamed = upon.take_unnamed();
        if !unnamed.is_empty() {
            let held = self.blocks.hold(unnamed.len() * HELD_BYTES).await?;
            self.blocks.send(Message::Entries {
                collection: self.blocks.index,
                entries: unnamed,
                held,
            })?;
        }
        let documents = hashed.len() as u64;
        self.documents_taken += documents;
        self.shared.counters.taken(documents, upon.bytes - bytes);
        self.shared.counters.shared(upon.documents_shared - shared);
        Ok(upon)
    }

    /// Ends the collection and returns what it adds up to.
    pub async fn finish(mut self) -> Result<CollectionSummary, Error> {
        let mut upon = self.upon.take();
        if upon.is_none() && self.is_upon {
            let error = Error::invalid("a collection was finished after a failed push");
            self.shared.fail(error);
            return Err(self.shared.failure());
        }
        if let Some(upon) = &mut upon {
            for blocks in upon.blocks_to_rewrite(&self.shared).chunks(REWRITE_BLOCKS) {
                self.rewrite(upon, blocks).await?;
            }
        }
        let stored = self.blocks.finish().await?;
        let mut summary = CollectionSummary {
            documents: stored.fingerprint.documents,
            bytes: stored.bytes,
            fingerprint: stored.fingerprint,
            ..CollectionSummary::default()
        };
        if let Some(upon) = upon {
            summary = self.end_upon(*upon, stored.fingerprint.documents).await?;
        }
        assert_eq!(
            summary.documents, self.documents_taken,
            "runs hold what was pushed"
        );
        let entry = Box::new(self.entry.take().expect("a collection ends once"));
        let index = self.blocks.index;
        self.shared
            .end_collection(index, Collection::Finished { entry, summary });
        Ok(summary)
    }

    /// Stores the live documents of the base's thin and suspect blocks anew, so that no later read
    /// pays for what is dead in them. Known only now, because a document may have moved anywhere.
    async fn rewrite(&mut self, upon: &mut Upon, blocks: &[u32]) -> Result<(), Error> {
        let mut moved = HashMap::new();
        let mut bytes = 0;
        let mut live = upon.runs.live_ordinals(blocks);
        for &block in blocks {
            let ordinals = live.remove(&block).unwrap_or_default();
            if ordinals.is_empty() {
                continue;
            }
            let reference = &upon.runs.base_blocks[block as usize];
            let documents = read_documents(&self.shared.repository, reference, &ordinals).await;
            // The damage is known from here on, so a snapshot that is begun again stores anew what
            // lies in the pack.
            let documents = documents.inspect_err(|error| self.shared.fail(error.clone()))?;
            for (ordinal, key, document) in documents {
                let (sequence, to) = self.blocks.store_hashed(&document, &key).await?;
                let place = Place { block, ordinal };
                moved.insert(place, (BlockNumber::new_block(sequence), to));
                bytes += document.len() as u64;
            }
        }
        self.shared.counters.rewritten(moved.len() as u64);
        upon.replace(&moved, bytes);
        Ok(())
    }

    /// Hands the finished runs over to become pages.
    async fn end_upon(&self, mut upon: Upon, stored: u64) -> Result<CollectionSummary, Error> {
        assert_eq!(
            stored + upon.documents_shared,
            upon.total.documents,
            "a document is shared or stored"
        );
        if !upon.index.is_present(&self.shared).await {
            // The documents are all there, but not every one of them can be found.
            upon.index.segments = None;
        } else if let Some(base) = self.base.as_ref().filter(|base| is_stale(base))
            && stored > 0
        {
            upon.index.live = self.live_in(base).await;
        }
        self.blocks.send(Message::Runs(Box::new(UponEnd {
            collection: self.blocks.index,
            runs: upon.runs,
            pages: upon.pages,
            index: upon.index,
            kept: Fingerprint::default(),
            kept_bytes: 0,
        })))?;
        Ok(CollectionSummary {
            documents: upon.total.documents,
            bytes: upon.bytes,
            fingerprint: upon.total,
            documents_shared: upon.documents_shared,
            bytes_shared: upon.bytes_shared,
            bytes_read: 0,
        })
    }

    /// Reads what is live in the base; where that fails, stale entries stay for another time.
    async fn live_in(&self, base: &CollectionManifest) -> Option<Arc<LiveMap>> {
        let repository = self.shared.repository.clone();
        let pages = Pages::new(repository, ReadCounter::default(), base.pages.clone());
        LiveMap::read(&pages).await.ok().map(Arc::new)
    }

    /// Leaves the collection out of the snapshot; what was stored of it is garbage.
    pub fn discard(mut self) {
        self.entry = None;
        self.shared
            .end_collection(self.blocks.index, Collection::Discarded);
    }
}

impl Drop for CollectionWriter {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let begun = Begun {
                entry: Box::new(entry),
                is_scanned: true,
            };
            self.shared
                .end_collection(self.blocks.index, Collection::Abandoned(begun));
        }
    }
}

impl fmt::Debug for CollectionWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectionWriter")
            .field("index", &self.blocks.index)
            .field("documents_taken", &self.documents_taken)
            .finish_non_exhaustive()
    }
}
