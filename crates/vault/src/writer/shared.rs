//! What the collections, the workers and the packer of one snapshot share: settings, the memory
//! budget, counters, what became of each collection, and the packs that are kept from the sweep.
//! Must never let a snapshot be committed that a collection was left out of by accident.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::work::Tools;
use super::{CollectionEntry, CollectionSummary, WriteOptions, WriteProgress};
use crate::block;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::id::{PackId, SnapshotId};
use crate::manifest::{CollectionManifest, Manifest};
use crate::pack;
use crate::repository::Inner;

/// What the collections, the workers and the packer of one snapshot share.
pub(super) struct Shared {
    pub(super) repository: Arc<Inner>,
    pub(super) options: WriteOptions,
    pub(super) tools: Tools,
    /// Plain bytes between the collections and the pack, in KiB.
    pub(super) budget: Arc<Semaphore>,
    pub(super) workers: Arc<Semaphore>,
    pub(super) counters: Counters,
    state: Mutex<State>,
    /// The previous snapshot; its packs are pinned.
    base: Option<Manifest>,
    /// What earlier attempts at this snapshot have stored; its packs are pinned, too.
    pub(super) before: Option<Checkpoint>,
}

/// What holds for the snapshot as a whole.
struct State {
    collections: Vec<Collection>,
    failure: Option<Error>,
    pinned: Vec<PackId>,
}

/// What became of a collection.
pub(super) enum Collection {
    Open(Begun),
    Finished {
        entry: Box<CollectionEntry>,
        summary: CollectionSummary,
    },
    Discarded,
    Abandoned(Begun),
}

/// A collection that was begun.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) entry: Box<CollectionEntry>,
    /// Whether all its documents come, rather than changed ones.
    pub(super) is_scanned: bool,
}

/// A collection that was read to its end.
#[derive(Clone)]
pub(super) struct Finished {
    pub(super) index: usize,
    pub(super) entry: CollectionEntry,
    pub(super) summary: CollectionSummary,
}

/// What has become of the collections so far.
pub(super) struct SoFar {
    pub(super) finished: Vec<Finished>,
    /// Those that were not finished, with their index.
    pub(super) begun: Vec<(usize, Begun)>,
}

/// Answers whether this is the same collection: that of the same UUID; where one of the two has
/// none, of the same name.
pub(super) fn is_same(known: &CollectionManifest, entry: &CollectionEntry) -> bool {
    match (known.uuid, entry.uuid) {
        (Some(known), Some(uuid)) => known == uuid,
        _ => has_name_of(known, entry),
    }
}

fn has_name_of(known: &CollectionManifest, entry: &CollectionEntry) -> bool {
    (&known.database, &known.name, &known.kind) == (&entry.database, &entry.name, &entry.kind)
}

impl Shared {
    pub(super) fn new(
        repository: Arc<Inner>,
        options: WriteOptions,
        base: Option<Manifest>,
        before: Option<Checkpoint>,
    ) -> Shared {
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
        let of_base = base.iter().flat_map(|base| &base.packs);
        let stored_before = before.iter().flat_map(|before| &before.packs);
        let pinned: Vec<PackId> = of_base.chain(stored_before).copied().collect();
        pinned.iter().for_each(|&pack| repository.pins.pin(pack));
        Shared {
            base,
            before,
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
    pub(super) fn fail(&self, error: Error) {
        self.state().failure.get_or_insert(error);
        self.budget.close();
    }

    pub(super) fn failure(&self) -> Error {
        let failure = self.state().failure.clone();
        failure.unwrap_or_else(|| Error::invalid("the snapshot's writer is gone"))
    }

    /// Returns what the collections may be written upon: what an earlier attempt has read to its
    /// end goes before what the base has.
    fn known(&self) -> impl Iterator<Item = &CollectionManifest> {
        let read_before = self.before.iter().flat_map(|before| &before.collections);
        read_before.chain(self.base.iter().flat_map(|base| &base.collections))
    }

    /// Returns the same collection in what is known.
    pub(super) fn same_known(&self, entry: &CollectionEntry) -> Option<CollectionManifest> {
        self.known().find(|known| is_same(known, entry)).cloned()
    }

    /// Returns what a collection's documents are compared with: the same collection, else the one
    /// that had its name, because what puts a collection in the place of another (a restore,
    /// `$out`) brings many of its documents back.
    pub(super) fn compared_with(&self, entry: &CollectionEntry) -> Option<CollectionManifest> {
        let named = || {
            self.known()
                .find(|known| has_name_of(known, entry))
                .cloned()
        };
        self.same_known(entry).or_else(named)
    }

    /// Returns what earlier attempts have stored anew of a collection that they did not finish.
    pub(super) fn partial(&self, entry: &CollectionEntry) -> Option<&CollectionManifest> {
        let mut partial = self.before.iter().flat_map(|before| &before.partial);
        partial.find(|known| is_same(known, entry))
    }

    /// Returns the snapshot that this one is written upon.
    pub(super) fn parent(&self) -> Option<SnapshotId> {
        self.base.as_ref().map(|base| base.snapshot)
    }

    /// Returns what is wrong with a pack, where that is known.
    fn damage_of(&self, pack: PackId) -> Option<Error> {
        self.repository.damage.of(pack)
    }

    /// Answers whether nothing is known to be wrong with a pack.
    pub(super) fn is_whole(&self, pack: PackId) -> bool {
        self.damage_of(pack).is_none()
    }

    /// Fails where a pack is known to be damaged.
    pub(super) fn require_whole(
        &self,
        packs: impl IntoIterator<Item = PackId>,
    ) -> Result<(), Error> {
        let mut damage = packs.into_iter().filter_map(|pack| self.damage_of(pack));
        damage.next().map_or(Ok(()), Err)
    }

    /// Fails where a pack is damaged, or is not there: it was lost, or deleted before it was
    /// pinned. Upon nothing, all packs were written just now.
    pub(super) async fn require_packs(&self, manifest: &Manifest) -> Result<(), Error> {
        self.require_whole(manifest.packs.iter().copied())?;
        if self.base.is_none() && self.before.is_none() {
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

    pub(super) fn begin_collection(&self, entry: &CollectionEntry, is_scanned: bool) -> usize {
        let mut state = self.state();
        state.collections.push(Collection::Open(Begun {
            entry: Box::new(entry.clone()),
            is_scanned,
        }));
        state.collections.len() - 1
    }

    pub(super) fn end_collection(&self, index: usize, outcome: Collection) {
        if let Some(collection) = self.state().collections.get_mut(index) {
            *collection = outcome;
        }
    }

    /// Returns what has become of the collections so far, unless the snapshot has failed.
    pub(super) fn so_far(&self) -> Result<SoFar, Error> {
        let state = self.state();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut so_far = SoFar {
            finished: Vec::new(),
            begun: Vec::new(),
        };
        for (index, collection) in state.collections.iter().enumerate() {
            match collection {
                Collection::Finished { entry, summary } => so_far.finished.push(Finished {
                    index,
                    entry: CollectionEntry::clone(entry),
                    summary: *summary,
                }),
                Collection::Open(begun) | Collection::Abandoned(begun) => {
                    so_far.begun.push((index, begun.clone()));
                }
                Collection::Discarded => {}
            }
        }
        Ok(so_far)
    }

    /// Returns the finished collections, unless something keeps the snapshot from being whole.
    pub(super) fn finished_collections(&self) -> Result<Vec<Finished>, Error> {
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
                Collection::Open(_) => {
                    return Err(Error::invalid("a collection is still being written"));
                }
                Collection::Abandoned(Begun { entry, .. }) => {
                    let namespace = format!("{}.{}", entry.database, entry.name);
                    return Err(Error::invalid(format!("{namespace} was not finished")));
                }
            }
        }
        Ok(finished)
    }

    /// Protects a pack from the sweep for as long as the snapshot is being written.
    pub(super) fn pin(&self, pack: PackId) {
        self.repository.pins.pin(pack);
        self.state().pinned.push(pack);
    }

    pub(super) fn unpin_all(&self) {
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
pub(super) fn budget_kib(options: &WriteOptions) -> usize {
    let blocks = 2 * options.workers.max(1) + 2;
    (blocks * options.block_bytes.div_ceil(1024)).clamp(1, Semaphore::MAX_PERMITS)
}

/// How far the snapshot has come.
#[derive(Default)]
pub(super) struct Counters {
    documents: AtomicU64,
    bytes: AtomicU64,
    stored_bytes: AtomicU64,
    documents_shared: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> WriteProgress {
        WriteProgress {
            documents: self.documents.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            stored_bytes: self.stored_bytes.load(Ordering::Relaxed),
            documents_shared: self.documents_shared.load(Ordering::Relaxed),
        }
    }

    pub(super) fn taken(&self, documents: u64, bytes: u64) {
        self.documents.fetch_add(documents, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn shared(&self, documents: u64) {
        self.documents_shared
            .fetch_add(documents, Ordering::Relaxed);
    }

    /// Takes back documents that were counted as shared.
    pub(super) fn rewritten(&self, documents: u64) {
        self.documents_shared
            .fetch_sub(documents, Ordering::Relaxed);
    }

    pub(super) fn stored(&self, bytes: u64) {
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
