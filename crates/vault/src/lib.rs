//! The snapshot store: documents in, documents out, on any object store.
//!
//! A snapshot is a small list that points at documents already stored. The layout, byte by byte, is
//! in `docs/format.md`; these invariants come from there:
//! * nothing refers to an object that is not durable: packs, then the manifest;
//! * every byte read is authenticated and every hash compared before use (where only strips of a
//!   block are read, their checksums); a mismatch is an error that names the object, never data;
//! * a nonce never repeats under a key, crashes included;
//! * memory is bounded by settings, not by data.
//!
//! This crate has never heard of a database server, SQL or HTTP: a document is a string of bytes,
//! of which the caller says where its identity lies.

mod batch;
mod block;
mod cbor;
mod check;
mod checkpoint;
mod codec;
mod diff;
mod envelope;
mod error;
mod fetch;
mod find;
mod fingerprint;
mod frame;
mod gc;
mod header;
mod id;
mod keys;
mod live;
mod local;
mod locate;
mod manifest;
mod merge;
mod pack;
mod page;
mod reader;
mod repack;
mod repository;
mod segment;
mod sidecar;
mod store;
mod task;
mod writer;

pub use batch::{Batch, DOCUMENT_BYTES_MAX, Span};
pub use block::Block;
pub use check::{CheckOptions, CheckReport, Problem};
pub use checkpoint::{Checkpoint, Stored};
pub use diff::{DiffOptions, Difference, DifferenceCounts};
pub use error::{Error, ErrorKind};
pub use find::FoundStream;
pub use fingerprint::{Fingerprint, Fingerprinter, Sum};
pub use gc::Swept;
pub use id::{BlockId, PackId, PageId, ParseIdError, RepositoryId, SnapshotId};
pub use keys::KeyEncryptionKey;
pub use manifest::{ClusterTime, CollectionManifest, Manifest, Source, Totals};
pub use reader::ReadOptions;
pub use repack::{RepackOptions, Repacked};
pub use repository::{Held, Repository};
pub use store::{Retry, Store};
pub use writer::{
    Captured, CheckpointHeader, CollectionEditor, CollectionEntry, CollectionSummary,
    CollectionWriter, SnapshotHeader, SnapshotWriter, WriteOptions, WriteProgress,
};
