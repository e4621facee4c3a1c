//! Streaming write of one snapshot.

use crate::batch::Batch;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::id::SnapshotId;
use crate::manifest::{ClusterTime, Manifest, Source};

/// How a snapshot is written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Level of zstd.
    pub compression_level: i32,
    /// Bytes of documents in a block.
    pub block_bytes: usize,
    /// Sealed bytes in a pack; two packs are held in memory.
    pub pack_bytes: usize,
    /// Blocks hashed and compressed at the same time.
    pub workers: usize,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            compression_level: 1,
            block_bytes: 1 << 20,
            pack_bytes: 32 << 20,
            workers: 2,
        }
    }
}

/// What is known of a collection before its documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionEntry {
    /// Name of its database.
    pub database: String,
    /// Its name within the database.
    pub name: String,
    /// What it is, in the source's words.
    pub kind: String,
    /// Its UUID at the source, where it has one.
    pub uuid: Option<[u8; 16]>,
    /// Its options, verbatim.
    pub options: Vec<u8>,
    /// The definition of its identity index, verbatim.
    pub id_index: Option<Vec<u8>>,
    /// The definitions of its indexes, verbatim and in order.
    pub indexes: Vec<Vec<u8>>,
    /// Whether it is read exactly at the snapshot's cluster time.
    pub exact: bool,
}

/// What is known of a snapshot when it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Name of the snapshot; must be new in the repository.
    pub snapshot: SnapshotId,
    /// Present time, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Where the documents came from.
    pub source: Source,
    /// The cluster time at which every exact collection stands; `None` claims nothing.
    pub consistency: Option<ClusterTime>,
}

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteProgress {
    /// Documents taken.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes put into the object store.
    pub stored_bytes: u64,
}

/// What a finished collection adds up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionSummary {
    /// Documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their fingerprint.
    pub fingerprint: Fingerprint,
}

/// Writes one snapshot. Dropped without a commit, it leaves nothing but unreferenced packs.
#[derive(Debug)]
pub struct SnapshotWriter {}

impl SnapshotWriter {
    /// Begins a collection; many may be open at a time, each holding up to one block.
    pub fn collection(&self, entry: CollectionEntry) -> CollectionWriter {
        let _ = entry;
        unimplemented!()
    }

    /// Returns how far the snapshot has come.
    pub fn progress(&self) -> WriteProgress {
        unimplemented!()
    }

    /// Waits until all packs are durable, then writes the manifest.
    ///
    /// Fails with `Invalid` if a collection was begun and neither finished nor discarded, or two have
    /// the same name, and with `Exists` if the snapshot is there already.
    pub async fn commit(self, header: SnapshotHeader) -> Result<Manifest, Error> {
        let _ = header;
        unimplemented!()
    }
}

/// Writes one collection of a snapshot.
#[derive(Debug)]
pub struct CollectionWriter {}

impl CollectionWriter {
    /// Takes documents; waits while the store is behind. After an error the snapshot cannot be committed.
    pub async fn push(&mut self, batch: Batch) -> Result<(), Error> {
        let _ = batch;
        unimplemented!()
    }

    /// Ends the collection and returns what it adds up to.
    pub async fn finish(self) -> Result<CollectionSummary, Error> {
        unimplemented!()
    }

    /// Leaves the collection out of the snapshot.
    pub fn discard(self) {
        unimplemented!()
    }
}
