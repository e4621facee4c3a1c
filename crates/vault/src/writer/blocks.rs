//! Cuts the documents of one collection into blocks, hands each to a worker, and adds up what comes
//! back. Holds one open block; everything behind it is counted against the snapshot's budget.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::Shared;
use super::packer::Message;
use super::work::prepare;
use crate::block::OpenBlock;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::sidecar::Key;
use crate::task::{blocking, ended};

/// What was stored, added up by the workers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    pub(super) fingerprint: Fingerprint,
    pub(super) bytes: u64,
}

/// The storing end of one collection.
pub(super) struct BlockWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    messages: mpsc::UnboundedSender<Message>,
    /// Whether the blocks are the collection: without a base.
    in_order: bool,
    /// Whether its blocks are in strips, once that is known.
    in_strips: Arc<OnceLock<bool>>,
    open: OpenBlock,
    sequence: u64,
    tasks: JoinSet<Result<Stored, Error>>,
    stored: Stored,
}

impl BlockWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        messages: mpsc::UnboundedSender<Message>,
        index: usize,
        in_order: bool,
    ) -> BlockWriter {
        BlockWriter {
            shared,
            index,
            messages,
            in_order,
            in_strips: Arc::default(),
            open: OpenBlock::default(),
            sequence: 0,
            tasks: JoinSet::new(),
            stored: Stored::default(),
        }
    }

    /// Answers whether a document was stored.
    pub(super) fn has_stored(&self) -> bool {
        self.sequence > 0 || !self.open.is_empty()
    }

    /// Puts a document into the open block.
    pub(super) async fn store(
        &mut self,
        document: &[u8],
        identity: Range<u32>,
    ) -> Result<(), Error> {
        self.make_room(document.len()).await?;
        let block_bytes = self.shared.options.block_bytes;
        self.open.push(document, identity, block_bytes);
        Ok(())
    }

    /// Puts a document whose hashes are known into the open block; returns the block's sequence and
    /// the ordinal in it.
    pub(super) async fn store_hashed(
        &mut self,
        document: &[u8],
        key: &Key,
    ) -> Result<(u64, u32), Error> {
        self.make_room(document.len()).await?;
        let ordinal = u32::try_from(self.open.entries().len()).expect("at most 65,536");
        let hashes = (key.identity, key.document);
        let block_bytes = self.shared.options.block_bytes;
        self.open.push_hashed(document, hashes, block_bytes);
        Ok((self.sequence, ordinal))
    }

    async fn make_room(&mut self, length: usize) -> Result<(), Error> {
        let block_bytes = self.shared.options.block_bytes;
        if self.open.has_room(length, block_bytes) {
            return Ok(());
        }
        self.close_block().await
    }

    /// Adds up what workers have finished.
    pub(super) async fn add_finished(&mut self) -> Result<(), Error> {
        while let Some(done) = self.tasks.try_join_next() {
            self.add(done).await?;
        }
        Ok(())
    }

    /// Closes the last block, waits for the workers, and returns what was stored.
    pub(super) async fn finish(&mut self) -> Result<Stored, Error> {
        self.close_block().await?;
        while let Some(done) = self.tasks.join_next().await {
            self.add(done).await?;
        }
        Ok(self.stored)
    }

    /// Waits until the budget has room for so many bytes.
    pub(super) async fn hold(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let cost = cost_kib(bytes, &self.shared);
        let held = self.shared.budget.clone().acquire_many_owned(cost).await;
        held.map_err(|_| self.shared.failure())
    }

    /// Tells the packer something.
    pub(super) fn send(&self, message: Message) -> Result<(), Error> {
        let sent = self.messages.send(message);
        sent.map_err(|_| self.shared.failure())
    }

    /// Hands the open block to a worker, once the budget has room for it.
    async fn close_block(&mut self) -> Result<(), Error> {
        if self.open.is_empty() {
            return Ok(());
        }
        let held = self.hold(self.open.plain_length()).await?;
        let shared = self.shared.clone();
        let open = std::mem::take(&mut self.open);
        let (messages, collection, sequence) = (self.messages.clone(), self.index, self.sequence);
        let (in_order, in_strips) = (self.in_order, self.in_strips.clone());
        self.sequence += 1;
        self.tasks.spawn(async move {
            let turn = shared.workers.clone().acquire_owned().await;
            let working = shared.clone();
            let keys = shared.repository.hash_keys.clone();
            let prepare = move || prepare(open, &keys, &working.tools, &in_strips);
            let block = blocking(prepare).await;
            drop(turn);
            let stored = Stored {
                fingerprint: block.fingerprint,
                bytes: block.bytes,
            };
            let sent = messages.send(Message::Block {
                collection,
                sequence,
                in_order,
                block,
                held,
            });
            sent.map_err(|_| shared.failure())?;
            Ok(stored)
        });
        Ok(())
    }

    async fn add(&mut self, done: Result<Result<Stored, Error>, JoinError>) -> Result<(), Error> {
        let block = match done {
            Ok(result) => result?,
            Err(error) => ended(error).await,
        };
        self.stored.bytes += block.bytes;
        self.stored.fingerprint.merge(block.fingerprint);
        Ok(())
    }
}

/// A block larger than the whole budget takes all of it.
fn cost_kib(plain_length: usize, shared: &Shared) -> u32 {
    let cost = plain_length
        .div_ceil(1024)
        .min(super::budget_kib(&shared.options));
    u32::try_from(cost).expect("the budget is far below 4 TiB")
}
