//! Streaming write of one snapshot: documents → blocks → hashes and compression on workers → packs
//! → manifest.
//!
//! Memory is bounded by the settings: blocks between the collections and the pack are counted
//! against one budget, and two packs exist at a time. Nothing but the manifest makes what was
//! written part of a snapshot, so dropping a writer leaves garbage and never a broken snapshot.

mod base;
mod blocks;
mod checkpoint;
mod collection;
mod editor;
mod edits;
mod entries;
mod index;
mod layout;
mod packer;
mod pages;
mod rewrite;
mod runs;
mod shared;
mod upon;
mod window;
mod work;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use self::checkpoint::{Captured, CheckpointHeader};
pub use self::collection::{CollectionSummary, CollectionWriter};
pub use self::editor::CollectionEditor;
use self::layout::PackedCollection;
use self::packer::{Message, Packed, Packer};
use self::shared::{Collection, Finished, Shared, budget_kib};
use crate::checkpoint::{self as stored, Checkpoint, Stored};
use crate::error::Error;
use crate::find::cannot;
use crate::fingerprint::Sum;
use crate::id::{PackId, SnapshotId};
use crate::manifest::{self, ClusterTime, CollectionManifest, Manifest, Source, Totals};
use crate::repository::{Held, Inner};
use crate::task::to_the_end;

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
    /// Bytes of entries for segments held in memory before they are spilled into packs.
    pub index_bytes: usize,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions {
            compression_level: 1,
            block_bytes: 1 << 20,
            pack_bytes: 32 << 20,
            workers: 2,
            index_bytes: 16 << 20,
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
    /// Where following the source can go on from, in the caller's own form; kept as it is.
    pub resume_point: Option<Vec<u8>>,
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
    /// Documents that were in the store already; at the end of a collection some are taken back
    /// because they are stored anew with their thin block. The others are new.
    pub documents_shared: u64,
}

/// Writes one snapshot. Dropped without a commit, it leaves nothing but unreferenced packs, and the
/// last checkpoint.
pub struct SnapshotWriter {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedSender<Message>,
    packer: JoinHandle<()>,
}

impl SnapshotWriter {
    pub(crate) fn new(
        repository: Arc<Inner>,
        options: WriteOptions,
        base: Option<Manifest>,
        before: Option<Checkpoint>,
    ) -> SnapshotWriter {
        let shared = Arc::new(Shared::new(repository, options, base, before));
        // Unbounded, but each message holds a part of the budget until the packer has dealt with
        // it.
        let (messages, inbox) = mpsc::unbounded_channel();
        let packer = tokio::spawn(Packer::new(shared.clone(), inbox).run());
        SnapshotWriter {
            shared,
            messages,
            packer,
        }
    }

    /// Begins a collection; many may be open at a time, each holding up to one block and what is
    /// compared of the base.
    ///
    /// Upon a base it is compared with the base's collection of the same UUID, else with that of
    /// the same database, name and kind.
    pub fn collection(&self, entry: CollectionEntry) -> CollectionWriter {
        let index = self.shared.begin_collection(&entry, true);
        CollectionWriter::new(self.shared.clone(), self.messages.clone(), index, entry)
    }

    /// Begins a collection that is the base's collection of the same UUID with some documents
    /// replaced. Reads nothing yet.
    ///
    /// Fails with `Invalid` where the writer has no base, the base has no such collection, or
    /// [`CollectionManifest::can_be_edited`] says no of it, and with `Corrupt` or `Missing` where
    /// it is known to be damaged. The collection can be begun by a scan then.
    pub fn edit(&self, entry: CollectionEntry) -> Result<CollectionEditor, Error> {
        let base = self.shared.same_known(&entry).ok_or_else(|| {
            let reason = format!("{}.{} is not in the base", entry.database, entry.name);
            Error::invalid(reason)
        })?;
        if !base.can_be_edited() {
            return Err(cannot(&base));
        }
        self.shared.require_whole(base.packs())?;
        let index = self.shared.begin_collection(&entry, false);
        let messages = self.messages.clone();
        Ok(CollectionEditor::new(
            self.shared.clone(),
            messages,
            index,
            entry,
            base,
        ))
    }

    /// Returns how far the snapshot has come.
    pub fn progress(&self) -> WriteProgress {
        self.shared.counters.read()
    }

    /// Waits until all packs are durable, then writes the manifest.
    ///
    /// Fails with `Invalid` if a collection was begun and neither finished nor discarded, or two
    /// have the same name, with `Exists` if the snapshot is there already, and with `Missing` or
    /// `Corrupt` if a pack that it would refer to is not there or known to be damaged.
    pub async fn commit(self, header: SnapshotHeader) -> Result<Manifest, Error> {
        let manifest = self.pack(header).await?;
        let repository = &self.shared.repository;
        let level = self.shared.options.compression_level;
        let object = manifest.seal(&repository.sealing_root, level)?;
        let name = manifest::object_name(manifest.snapshot, manifest.generation);
        // The packs stay until the put has ended, also where nobody waits for it any more.
        let held = Held::new(repository.clone(), manifest.packs.clone());
        let to = repository.clone();
        to_the_end(async move {
            let put = to.store.put_new(&name, vec![object]).await;
            drop(held);
            put
        })
        .await?;
        // From here on the manifest protects the packs.
        self.shared.unpin_all();
        if let Err(error) = stored::discard(repository, manifest.snapshot).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the checkpoint of a whole snapshot stays until the sweep"
            );
        }
        Ok(manifest)
    }

    /// Makes everything durable that the manifest refers to.
    async fn pack(&self, header: SnapshotHeader) -> Result<Manifest, Error> {
        let finished = self.shared.finished_collections()?;
        let (reply, packed) = oneshot::channel();
        let wanted = finished.iter().map(|collection| collection.index).collect();
        // A packer that is gone has left the reason, which the next line finds.
        let _ = self.messages.send(Message::Commit { wanted, reply });
        let packed = packed.await.map_err(|_| self.shared.failure())?;
        let mut manifest = assemble(header, finished, packed, self.shared.parent());
        if let Some(before) = &self.shared.before {
            count_before(&mut manifest.totals, &before.stored);
        }
        self.shared.require_packs(&manifest).await?;
        Ok(manifest)
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        self.packer.abort();
        self.shared
            .fail(Error::invalid("the snapshot's writer is gone"));
    }
}

impl fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

/// Puts together what the collections took and what the packer made of it. The two were counted
/// independently, so that they disagree is a broken invariant.
fn assemble(
    header: SnapshotHeader,
    finished: Vec<Finished>,
    mut packed: Packed,
    parent: Option<SnapshotId>,
) -> Manifest {
    let mut packs: HashSet<PackId> = HashSet::new();
    let mut totals = Totals {
        blocks: packed.blocks,
        stored_bytes: packed.stored_bytes,
        ..Totals::default()
    };
    let (mut shared, mut new, mut bytes_shared) = (0, 0, 0);
    let mut collections = Vec::with_capacity(finished.len());
    for Finished {
        index,
        entry,
        summary,
    } in finished
    {
        totals.documents += summary.documents;
        totals.bytes += summary.bytes;
        shared += summary.documents_shared;
        new += summary.documents - summary.documents_shared;
        bytes_shared += summary.bytes_shared;
        let layout = packed.collections.remove(&index).unwrap_or_default();
        packs.extend(&layout.packs);
        collections.push(whole(entry, &summary, layout));
    }
    totals.documents_shared = Some(shared);
    totals.documents_new = Some(new);
    totals.bytes_shared = Some(bytes_shared);
    let mut packs: Vec<PackId> = packs.into_iter().collect();
    packs.sort_unstable();
    Manifest {
        snapshot: header.snapshot,
        generation: 0,
        created_at_ms: header.created_at_ms,
        source: header.source,
        consistency: header.consistency,
        collections,
        packs,
        totals,
        parent,
        resume_point: header.resume_point,
    }
}

/// Puts together what a collection took and what the packer made of it.
fn whole(
    entry: CollectionEntry,
    summary: &CollectionSummary,
    layout: PackedCollection,
) -> CollectionManifest {
    let held = (layout.fingerprint, layout.bytes);
    let pushed = (summary.fingerprint, summary.bytes);
    assert_eq!(held, pushed, "pages hold what was pushed");
    CollectionManifest {
        documents: summary.documents,
        bytes: summary.bytes,
        sum: summary.fingerprint.sum,
        pages: layout.pages,
        segments: layout.segments,
        ..described(entry)
    }
}

/// Returns an empty collection.
fn described(entry: CollectionEntry) -> CollectionManifest {
    CollectionManifest {
        database: entry.database,
        name: entry.name,
        kind: entry.kind,
        uuid: entry.uuid,
        options: entry.options,
        id_index: entry.id_index,
        indexes: entry.indexes,
        exact: entry.exact,
        documents: 0,
        bytes: 0,
        sum: Sum::default(),
        pages: Vec::new(),
        segments: None,
    }
}

/// Counts what earlier attempts have stored as stored for this snapshot, not as shared. Some of it
/// may be gone since, so that it is a bound.
fn count_before(totals: &mut Totals, before: &Stored) {
    totals.blocks += before.blocks;
    totals.stored_bytes += before.stored_bytes;
    let new = totals.documents_new.unwrap_or_default() + before.documents;
    let new = new.min(totals.documents);
    totals.documents_new = Some(new);
    totals.documents_shared = Some(totals.documents - new);
    let shared = totals.bytes_shared.unwrap_or_default();
    totals.bytes_shared = Some(shared.saturating_sub(before.bytes));
}
