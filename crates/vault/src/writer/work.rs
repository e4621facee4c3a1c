//! What a worker does with one block: hash its documents, name it, compress it. Keeps a processor
//! busy, so it never runs on the runtime's own threads.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::block::OpenBlock;
use crate::codec::Compressor;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::id::BlockId;
use crate::keys::HashKeys;
use crate::sidecar::Sidecar;

/// Compressors kept between blocks; as many as workers have ever run at a time.
pub(super) struct Tools {
    level: i32,
    idle: Mutex<Vec<Compressor>>,
}

impl Tools {
    pub(super) fn new(level: i32) -> Result<Tools, Error> {
        let first = Compressor::new(level)?;
        Ok(Tools {
            level,
            idle: Mutex::new(vec![first]),
        })
    }

    /// Returns tools for a snapshot that has failed already.
    pub(super) fn empty(level: i32) -> Tools {
        Tools {
            level,
            idle: Mutex::new(Vec::new()),
        }
    }

    fn take(&self) -> Compressor {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.unwrap_or_else(|| Compressor::new(self.level).expect("the level was tried before"))
    }

    fn put_back(&self, compressor: Compressor) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(compressor);
    }
}

/// A block that can be sealed, and its sidecar.
pub(super) struct ReadyBlock {
    pub(super) id: BlockId,
    /// Plain text of the block's frame.
    pub(super) frame: Vec<u8>,
    pub(super) raw_length: u32,
    pub(super) sidecar: Sidecar,
    pub(super) fingerprint: Fingerprint,
    pub(super) bytes: u64,
}

/// Hashes, names and compresses a block; `in_strips` is what its collection's blocks share.
pub(super) fn prepare(
    open: OpenBlock,
    keys: &HashKeys,
    tools: &Tools,
    in_strips: &OnceLock<bool>,
) -> ReadyBlock {
    let mut sidecar = Sidecar::with_capacity(open.entries().len());
    if let Some(hashes) = open.hashes() {
        for ((identity, document), entry) in hashes.iter().zip(open.entries()) {
            sidecar.push(*identity, *document, entry.length);
        }
    } else {
        for ((document, identity), entry) in open.documents().zip(open.entries()) {
            sidecar.push(
                keys.identity(identity),
                keys.document(document),
                entry.length,
            );
        }
    }
    let (fingerprint, bytes) = sidecar.sum(keys, 0..sidecar.len());
    let tables = open.documents_length();
    let plain = open.into_plain();
    let mut compressor = tools.take();
    let ready = ReadyBlock {
        id: keys.block(&plain),
        frame: compressor.block(&plain, tables, in_strips),
        raw_length: u32::try_from(plain.len()).expect("a block is far below 4 GiB"),
        sidecar,
        fingerprint,
        bytes,
    };
    tools.put_back(compressor);
    ready
}
