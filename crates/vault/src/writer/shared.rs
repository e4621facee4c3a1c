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
    pub(super) base: Option<Manifest>,
}

/// What holds for the snapshot as a whole.
struct State {
    collections: Vec<Collection>,
    failure: Option<Error>,
    pinned: Vec<PackId>,
}

/// What became of a collection.
pub(super) enum Collection {
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
pub(super) struct Finished {
    pub(super) index: usize,
    pub(super) entry: CollectionEntry,
    pub(super) summary: CollectionSummary,
}

fn has_name_of(known: &CollectionManifest, entry: &CollectionEntry) -> bool {
    (&known.database, &known.name, &known.kind) == (&entry.database, &entry.name, &entry.kind)
}

impl Shared {
    pub(super) fn new(
        repository: Arc<Inner>,
        options: WriteOptions,
        base: Option<Manifest>,
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
    pub(super) fn fail(&self, error: Error) {
        self.state().failure.get_or_insert(error);
        self.budget.close();
    }

    pub(super) fn failure(&self) -> Error {
        let failure = self.state().failure.clone();
        failure.unwrap_or_else(|| Error::invalid("the snapshot's writer is gone"))
    }

    /// Returns the same collection in the base: that of the same UUID; where one of the two has
    /// none, of the same name.
    pub(super) fn same_in_base(&self, entry: &CollectionEntry) -> Option<CollectionManifest> {
        let same = |known: &&CollectionManifest| match (known.uuid, entry.uuid) {
            (Some(known), Some(uuid)) => known == uuid,
            _ => has_name_of(known, entry),
        };
        self.base.as_ref()?.collections.iter().find(same).cloned()
    }

    /// Returns what a collection's documents are compared with: the same collection in the base,
    /// else the one that had its name, because what puts a collection in the place of another
    /// (a restore, `$out`) brings many of its documents back.
    pub(super) fn compared_with(&self, entry: &CollectionEntry) -> Option<CollectionManifest> {
        let named = || {
            let mut known = self.base.as_ref()?.collections.iter();
            known.find(|known| has_name_of(known, entry)).cloned()
        };
        self.same_in_base(entry).or_else(named)
    }

    /// Returns the snapshot that this one is written upon. A base that was only sealed under the
    /// same name stands for its own.
    pub(super) fn parent(&self, snapshot: SnapshotId) -> Option<SnapshotId> {
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
    /// pinned. Without a base all packs were written just now.
    pub(super) async fn require_packs(&self, manifest: &Manifest) -> Result<(), Error> {
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

    pub(super) fn begin_collection(&self) -> usize {
        let mut state = self.state();
        state.collections.push(Collection::Open);
        state.collections.len() - 1
    }

    pub(super) fn end_collection(&self, index: usize, outcome: Collection) {
        if let Some(collection) = self.state().collections.get_mut(index) {
            *collection = outcome;
        }
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
