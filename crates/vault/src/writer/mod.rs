//! Streaming write of one snapshot: documents → blocks → hashes and compression on workers → packs
//! → manifest.
//!
//! Memory is bounded by the settings: blocks between the collections and the pack are counted
//! against one budget, and two packs exist at a time. Nothing but the manifest makes what was
//! written part of a snapshot, so dropping a writer leaves garbage and never a broken snapshot.

mod base;
mod blocks;
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
mod sealed;
mod upon;
mod window;
mod work;

pub(crate) use base::open_sidecar;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

pub use self::collection::{CollectionSummary, CollectionWriter};
pub use self::editor::CollectionEditor;
use self::packer::{Message, Packed, Packer};
pub use self::sealed::Sealed;
use self::work::Tools;
use crate::block;
use crate::error::Error;
use crate::find::cannot;
use crate::id::{PackId, SnapshotId};
use crate::keys;
use crate::manifest::{self, ClusterTime, CollectionManifest, Manifest, Source, Totals};
use crate::pack;
use crate::repository::Inner;

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

/// Writes one snapshot. Dropped without a commit, it leaves nothing but unreferenced packs.
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
    ) -> SnapshotWriter {
        let shared = Arc::new(Shared::new(repository, options, base));
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
        let index = self.shared.begin_collection();
        let base = self.shared.compared_with(&entry);
        CollectionWriter::new(
            self.shared.clone(),
            self.messages.clone(),
            index,
            entry,
            base,
        )
    }

    /// Begins a collection that is the base's collection of the same UUID with some documents
    /// replaced. Reads nothing yet.
    ///
    /// Fails with `Invalid` where the writer has no base, the base has no such collection, or
    /// [`CollectionManifest::can_be_edited`] says no of it, and with `Corrupt` or `Missing` where
    /// it is known to be damaged. The collection can be begun by a scan then.
    pub fn edit(&self, entry: CollectionEntry) -> Result<CollectionEditor, Error> {
        let base = self.shared.same_in_base(&entry).ok_or_else(|| {
            let reason = format!("{}.{} is not in the base", entry.database, entry.name);
            Error::invalid(reason)
        })?;
        if !base.can_be_edited() {
            return Err(cannot(&base));
        }
        self.shared.require_whole(base.packs())?;
        let index = self.shared.begin_collection();
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
        let object = manifest.seal(&repository.sealing_root, keys::random()?, level)?;
        let name = manifest::object_name(manifest.snapshot, manifest.generation);
        repository.store.put_new(&name, vec![object]).await?;
        // From here on the manifest protects the packs.
        self.shared.unpin_all();
        Ok(manifest)
    }

    /// Waits until everything is durable but writes no manifest: the result can be the base of
    /// another writer of this process, for passes that are not yet a snapshot.
    ///
    /// Fails as [`SnapshotWriter::commit`] does, except that the name may be taken.
    pub async fn seal(self, header: SnapshotHeader) -> Result<Sealed, Error> {
        let manifest = self.pack(header).await?;
        Ok(Sealed::new(self.shared.repository.clone(), manifest))
    }

    /// Makes everything durable that the manifest refers to.
    async fn pack(&self, header: SnapshotHeader) -> Result<Manifest, Error> {
        let finished = self.shared.finished_collections()?;
        let (reply, packed) = oneshot::channel();
        let wanted = finished.iter().map(|collection| collection.index).collect();
        // A packer that is gone has left the reason, which the next line finds.
        let _ = self.messages.send(Message::Commit { wanted, reply });
        let packed = packed.await.map_err(|_| self.shared.failure())?;
        let parent = self.shared.parent(header.snapshot);
        let manifest = assemble(header, finished, packed, parent);
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
        let layout = packed.collections.remove(&index).unwrap_or_default();
        assert_eq!(
            layout.fingerprint, summary.fingerprint,
            "pages hold what was pushed"
        );
        assert_eq!(layout.bytes, summary.bytes, "pages hold what was pushed");
        packs.extend(layout.packs);
        totals.documents += summary.documents;
        totals.bytes += summary.bytes;
        shared += summary.documents_shared;
        new += summary.documents - summary.documents_shared;
        bytes_shared += summary.bytes_shared;
        collections.push(CollectionManifest {
            database: entry.database,
            name: entry.name,
            kind: entry.kind,
            uuid: entry.uuid,
            options: entry.options,
            id_index: entry.id_index,
            indexes: entry.indexes,
            exact: entry.exact,
            documents: summary.documents,
            bytes: summary.bytes,
            sum: summary.fingerprint.sum,
            pages: layout.pages,
            segments: layout.segments,
        });
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

/// What the collections, the workers and the packer of one snapshot share.
struct Shared {
    repository: Arc<Inner>,
    options: WriteOptions,
    tools: Tools,
    /// Plain bytes between the collections and the pack, in KiB.
    budget: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    counters: Counters,
    state: Mutex<State>,
    /// The previous snapshot; its packs are pinned.
    base: Option<Manifest>,
}

/// What holds for the snapshot as a whole.
struct State {
    collections: Vec<Collection>,
    failure: Option<Error>,
    pinned: Vec<PackId>,
}

/// What became of a collection.
enum Collection {
    Open,
    Finished {
        entry: Box<CollectionEntry>,
        summary: CollectionSummary,
    },
    Discarded,
    Abandoned {
        namespace: String,
    },
}

/// A collection that was read to its end.
struct Finished {
    index: usize,
    entry: CollectionEntry,
    summary: CollectionSummary,
}

fn has_name_of(known: &CollectionManifest, entry: &CollectionEntry) -> bool {
    (&known.database, &known.name, &known.kind) == (&entry.database, &entry.name, &entry.kind)
}

impl Shared {
    fn new(repository: Arc<Inner>, options: WriteOptions, base: Option<Manifest>) -> Shared {
        let workers = options.workers.max(1);
        let failure = block::check_block_bytes(options.block_bytes).err();
        let (tools, failure) = match Tools::new(options.compression_level) {
            Ok(tools) => (tools, failure),
            Err(error) => (Tools::empty(options.compression_level), Some(error)),
        };
        let budget = Semaphore::new(budget_kib(&options));
        if failure.is_some() {
            budget.close();
        }
        let pinned = base
            .as_ref()
            .map_or_else(Vec::new, |base| base.packs.clone());
        pinned.iter().for_each(|&pack| repository.pins.pin(pack));
        Shared {
            base,
            repository,
            tools,
            budget: Arc::new(budget),
            workers: Arc::new(Semaphore::new(workers)),
            counters: Counters::default(),
            state: Mutex::new(State {
                collections: Vec::new(),
                failure,
                pinned,
            }),
            options,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the snapshot: the first reason is kept, and whoever waits is woken.
    fn fail(&self, error: Error) {
        self.state().failure.get_or_insert(error);
        self.budget.close();
    }

    fn failure(&self) -> Error {
        let failure = self.state().failure.clone();
        failure.unwrap_or_else(|| Error::invalid("the snapshot's writer is gone"))
    }

    /// Returns the same collection in the base: that of the same UUID; where one of the two has
    /// none, of the same name.
    fn same_in_base(&self, entry: &CollectionEntry) -> Option<CollectionManifest> {
        let same = |known: &&CollectionManifest| match (known.uuid, entry.uuid) {
            (Some(known), Some(uuid)) => known == uuid,
            _ => has_name_of(known, entry),
        };
        self.base.as_ref()?.collections.iter().find(same).cloned()
    }

    /// Returns what a collection's documents are compared with: the same collection in the base,
    /// else the one that had its name, because what puts a collection in the place of another
    /// (a restore, `$out`) brings many of its documents back.
    fn compared_with(&self, entry: &CollectionEntry) -> Option<CollectionManifest> {
        let named = || {
            let mut known = self.base.as_ref()?.collections.iter();
            known.find(|known| has_name_of(known, entry)).cloned()
        };
        self.same_in_base(entry).or_else(named)
    }

    /// Returns the snapshot that this one is written upon. A base that was only sealed under the
    /// same name stands for its own.
    fn parent(&self, snapshot: SnapshotId) -> Option<SnapshotId> {
        let base = self.base.as_ref()?;
        if base.snapshot == snapshot {
            base.parent
        } else {
            Some(base.snapshot)
        }
    }

    /// Returns what is wrong with a pack, where that is known.
    fn damage_of(&self, pack: PackId) -> Option<Error> {
        self.repository.damage.of(pack)
    }

    /// Answers whether nothing is known to be wrong with a pack.
    fn is_whole(&self, pack: PackId) -> bool {
        self.damage_of(pack).is_none()
    }

    /// Fails where a pack is known to be damaged.
    fn require_whole(&self, packs: impl IntoIterator<Item = PackId>) -> Result<(), Error> {
        let mut damage = packs.into_iter().filter_map(|pack| self.damage_of(pack));
        damage.next().map_or(Ok(()), Err)
    }

    /// Fails where a pack is damaged, or is not there: it was lost, or deleted before it was
    /// pinned. Without a base all packs were written just now.
    async fn require_packs(&self, manifest: &Manifest) -> Result<(), Error> {
        self.require_whole(manifest.packs.iter().copied())?;
        if self.base.is_none() {
            return Ok(());
        }
        let listed = self.repository.store.list("packs").await?;
        let present = listed.iter().map(|listed| &listed.name);
        let present: HashSet<PackId> = present
            .filter_map(|name| pack::parse_object_name(name))
            .collect();
        let lost = manifest.packs.iter().find(|pack| !present.contains(pack));
        let Some(&lost) = lost else { return Ok(()) };
        let error = Error::Missing {
            object: pack::object_name(lost),
        };
        self.repository.note_damage(lost, &error);
        Err(error)
    }

    fn begin_collection(&self) -> usize {
        let mut state = self.state();
        state.collections.push(Collection::Open);
        state.collections.len() - 1
    }

    fn end_collection(&self, index: usize, outcome: Collection) {
        if let Some(collection) = self.state().collections.get_mut(index) {
            *collection = outcome;
        }
    }

    /// Returns the finished collections, unless something keeps the snapshot from being whole.
    fn finished_collections(&self) -> Result<Vec<Finished>, Error> {
        let mut state = self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut finished = Vec::new();
        let mut names = HashSet::new();
        for (index, collection) in std::mem::take(&mut state.collections)
            .into_iter()
            .enumerate()
        {
            match collection {
                Collection::Finished { entry, summary } => {
                    if !names.insert((entry.database.clone(), entry.name.clone())) {
                        let namespace = format!("{}.{}", entry.database, entry.name);
                        return Err(Error::invalid(format!("two collections are {namespace}")));
                    }
                    finished.push(Finished {
                        index,
                        entry: *entry,
                        summary,
                    });
                }
                Collection::Discarded => {}
                Collection::Open => {
                    return Err(Error::invalid("a collection is still being written"));
                }
                Collection::Abandoned { namespace } => {
                    return Err(Error::invalid(format!("{namespace} was not finished")));
                }
            }
        }
        Ok(finished)
    }

    /// Protects a pack from the sweep for as long as the snapshot is being written.
    fn pin(&self, pack: PackId) {
        self.repository.pins.pin(pack);
        self.state().pinned.push(pack);
    }

    fn unpin_all(&self) {
        let pinned = std::mem::take(&mut self.state().pinned);
        pinned
            .into_iter()
            .for_each(|pack| self.repository.pins.unpin(pack));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let pinned = std::mem::take(&mut self.state().pinned);
        pinned
            .into_iter()
            .for_each(|pack| self.repository.pins.unpin(pack));
    }
}

/// A block being filled by a worker and one waiting for it, per worker, and two on their way to the
/// pack.
fn budget_kib(options: &WriteOptions) -> usize {
    let blocks = 2 * options.workers.max(1) + 2;
    (blocks * options.block_bytes.div_ceil(1024)).clamp(1, Semaphore::MAX_PERMITS)
}

#[derive(Default)]
struct Counters {
    documents: AtomicU64,
    bytes: AtomicU64,
    stored_bytes: AtomicU64,
    documents_shared: AtomicU64,
}

impl Counters {
    fn read(&self) -> WriteProgress {
        WriteProgress {
            documents: self.documents.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            stored_bytes: self.stored_bytes.load(Ordering::Relaxed),
            documents_shared: self.documents_shared.load(Ordering::Relaxed),
        }
    }

    fn taken(&self, documents: u64, bytes: u64) {
        self.documents.fetch_add(documents, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn shared(&self, documents: u64) {
        self.documents_shared
            .fetch_add(documents, Ordering::Relaxed);
    }

    /// Takes back documents that were counted as shared.
    fn rewritten(&self, documents: u64) {
        self.documents_shared
            .fetch_sub(documents, Ordering::Relaxed);
    }

    fn stored(&self, bytes: u64) {
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
