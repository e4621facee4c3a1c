//! A repository: one key, many snapshots. The entry to everything the store can do; the work is
//! elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::Stream;

use crate::block::Block;
use crate::check::{self, CheckOptions, CheckReport};
use crate::checkpoint::{self, Checkpoint};
use crate::diff::{self, DiffOptions, Difference, DifferenceCounts};
use crate::error::Error;
use crate::find::{self, FoundStream};
use crate::fingerprint::Fingerprinter;
use crate::frame::ObjectSeal;
use crate::gc::{self, Swept};
use crate::header;
use crate::id::{PackId, RepositoryId, SnapshotId};
use crate::keys::{HashKeys, KeyEncryptionKey, RepositoryKey, SealingRoot};
use crate::manifest::{self, CollectionManifest, Manifest};
use crate::pack;
use crate::reader::{self, ReadOptions};
use crate::repack::{self, RepackOptions, Repacked};
use crate::store::Store;
use crate::writer::{SnapshotWriter, WriteOptions};

/// An open repository. Cheap to clone; clones share the packs they protect from the sweep.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of one open repository share.
pub(crate) struct Inner {
    pub(crate) id: RepositoryId,
    pub(crate) store: Store,
    pub(crate) hash_keys: Arc<HashKeys>,
    pub(crate) sealing_root: SealingRoot,
    pub(crate) pins: Pins,
    pub(crate) damage: Damage,
    pub(crate) retired: Retired,
}

impl Repository {
    /// Makes a new repository with a random key, wrapped under `key`.
    ///
    /// Fails with `Exists` where there is one already.
    pub async fn create(store: Store, key: &KeyEncryptionKey) -> Result<Repository, Error> {
        let (id, repository_key, object) = header::create(key)?;
        store.put_new(header::OBJECT, vec![object]).await?;
        Ok(Repository::with_key(store, id, &repository_key))
    }

    /// Opens a repository. Fails with `Missing` where there is none, `Denied` under a wrong key.
    pub async fn open(store: Store, key: &KeyEncryptionKey) -> Result<Repository, Error> {
        let object = store.get(header::OBJECT).await?;
        let (id, repository_key) = header::open(&object, key)?;
        Ok(Repository::with_key(store, id, &repository_key))
    }

    fn with_key(store: Store, id: RepositoryId, key: &RepositoryKey) -> Repository {
        let inner = Inner {
            id,
            store,
            hash_keys: Arc::new(key.hash_keys()),
            sealing_root: key.sealing_root(),
            pins: Pins::default(),
            damage: Damage::default(),
            retired: Retired::default(),
        };
        Repository {
            inner: Arc::new(inner),
        }
    }

    /// Returns the repository's random name.
    pub fn id(&self) -> RepositoryId {
        self.inner.id
    }

    /// Begins a snapshot. Must be called within a Tokio runtime.
    pub fn begin(&self, options: WriteOptions) -> SnapshotWriter {
        self.begin_upon(options, None)
    }

    /// Begins a snapshot that refers to documents of `base`, a snapshot of this repository, where
    /// it has them. Must be called within a Tokio runtime.
    ///
    /// The base's packs are kept from the sweep while the writer is open. What cannot be read of
    /// the base is stored anew, with a warning in the log.
    pub fn begin_upon(&self, options: WriteOptions, base: Option<&Manifest>) -> SnapshotWriter {
        SnapshotWriter::new(self.inner.clone(), options, base.cloned(), None)
    }

    /// Begins another attempt at a snapshot, upon what the ones before have stored. Must be called
    /// within a Tokio runtime.
    ///
    /// Collections that the checkpoint has whole go before those of `base`, the snapshot before.
    /// Everything else is as in [`Repository::begin_upon`]: a damaged checkpoint costs bytes.
    pub fn resume(
        &self,
        options: WriteOptions,
        base: Option<&Manifest>,
        checkpoint: &Checkpoint,
    ) -> SnapshotWriter {
        let before = Some(checkpoint.clone());
        SnapshotWriter::new(self.inner.clone(), options, base.cloned(), before)
    }

    /// Returns the newest checkpoint of an unfinished snapshot, where there is one that can be
    /// read.
    pub async fn checkpoint(&self, id: SnapshotId) -> Result<Option<Checkpoint>, Error> {
        checkpoint::newest(&self.inner, id).await
    }

    /// Lists the snapshots of which there are checkpoints, sorted.
    pub async fn checkpoints(&self) -> Result<Vec<SnapshotId>, Error> {
        let present = checkpoint::list(&self.inner).await?;
        Ok(present.numbers.into_keys().collect())
    }

    /// Deletes the checkpoints of a snapshot that will not be attempted again; the sweep then
    /// deletes what only they referred to. It is no error if there is none.
    pub async fn discard_checkpoints(&self, id: SnapshotId) -> Result<(), Error> {
        checkpoint::discard(&self.inner, id).await
    }

    /// Reads the valid manifest of a snapshot. Fails with `Missing` where there is none.
    pub async fn manifest(&self, id: SnapshotId) -> Result<Manifest, Error> {
        let mut last = None;
        loop {
            let generations = self.inner.generations().await?.remove(&id);
            let highest = generations.and_then(|generations| generations.last().copied());
            let highest = highest.ok_or_else(|| Error::Missing {
                object: manifest::object_name(id, 0),
            })?;
            match self.inner.read_manifest(id, highest).await {
                // A repack has put a higher one in its place since it was listed.
                Err(Error::Missing { .. }) if Some(highest) > last => last = Some(highest),
                read => return read,
            }
        }
    }

    /// Lists all committed snapshots, sorted.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotId>, Error> {
        Ok(self.inner.generations().await?.into_keys().collect())
    }

    /// Removes a snapshot's manifest and checkpoints; packs stay until a sweep. It is no error if
    /// there is none.
    pub async fn forget(&self, id: SnapshotId) -> Result<(), Error> {
        // Until there is none: a repacking may just have put the next generation.
        while let Some(generations) = self.inner.generations().await?.remove(&id) {
            // The lowest first: an interruption must not bring an older one back to life.
            for generation in generations {
                let name = manifest::object_name(id, generation);
                self.inner.store.delete(&name).await?;
            }
        }
        self.discard_checkpoints(id).await
    }

    /// Writes packs anew of which little is live, or which are far too small, so that the sweep can
    /// give their space back. Manifests that refer to them get a new generation; what is read of
    /// the older one stays readable until a sweep with a grace period.
    ///
    /// May run beside writers and readers. Fails, with nothing changed, if a manifest or a page is
    /// unreadable.
    pub async fn repack(&self, options: &RepackOptions) -> Result<Repacked, Error> {
        repack::repack(&self.inner, options).await
    }

    /// Keeps what a snapshot refers to from the sweeps of this process until the result is dropped,
    /// even if the snapshot is forgotten or repacked.
    pub fn hold(&self, manifest: &Manifest) -> Held {
        Held::new(self.inner.clone(), manifest.packs.clone())
    }

    /// Keeps what a checkpoint refers to from the sweeps of this process until the result is
    /// dropped, even if another one takes its place.
    pub fn hold_checkpoint(&self, checkpoint: &Checkpoint) -> Held {
        Held::new(self.inner.clone(), checkpoint.packs.clone())
    }

    /// Deletes packs that neither a manifest nor a checkpoint refers to, a grace period after they
    /// were first seen so.
    ///
    /// Two sweeps, a grace period apart, delete a pack; with a grace period of zero one does. `now`
    /// is compared with the object store's own times. Fails, and deletes nothing, if a manifest is
    /// unreadable; while a checkpoint is, no pack is deleted.
    pub async fn sweep(&self, grace: Duration, now: SystemTime) -> Result<Swept, Error> {
        gc::sweep(&self.inner, grace, now).await
    }

    /// Streams a collection's live documents in the order in which they were written.
    ///
    /// Every block is verified before it is yielded. The stream ends after its first error.
    pub fn blocks(
        &self,
        collection: &CollectionManifest,
        options: ReadOptions,
    ) -> impl Stream<Item = Result<Block, Error>> + Send + Unpin + 'static + use<> {
        reader::blocks(self.inner.clone(), collection, options)
    }

    /// Returns the live document of each identity, in order; `None` where there is none.
    ///
    /// An identity is the bytes that a document's span names. Of several documents of one identity
    /// any may be returned. Reads O(k log n). Fails with `Invalid` where
    /// [`CollectionManifest::can_be_edited`] says no.
    pub async fn find(
        &self,
        collection: &CollectionManifest,
        identities: &[Bytes],
    ) -> Result<Vec<Option<Bytes>>, Error> {
        find::find(&self.inner, collection, identities).await
    }

    /// Streams the documents of [`Repository::find`] in about the order in which the store has
    /// them, those of one read at a time: no block is read twice, and what is held is bounded by
    /// the size of some reads and 200 bytes an identity.
    pub async fn find_each(
        &self,
        collection: &CollectionManifest,
        identities: &[Bytes],
    ) -> Result<FoundStream, Error> {
        find::find_each(&self.inner, collection, identities).await
    }

    /// Streams the documents that differ between two collections of this repository's snapshots;
    /// a document without an identity is never changed, only removed and added.
    ///
    /// Reads neither what both refer to nor what both hold in different blocks, beyond its hashes.
    pub fn diff(
        &self,
        first: &CollectionManifest,
        second: &CollectionManifest,
        options: &DiffOptions,
    ) -> impl Stream<Item = Result<Vec<Difference>, Error>> + Send + Unpin + 'static + use<> {
        diff::documents(self.inner.clone(), first, second, options)
    }

    /// Counts the documents that differ between two collections; reads none.
    pub async fn count_differences(
        &self,
        first: &CollectionManifest,
        second: &CollectionManifest,
        options: &DiffOptions,
    ) -> Result<DifferenceCounts, Error> {
        diff::count(self.inner.clone(), first, second, options).await
    }

    /// Returns an empty fingerprinter under this repository's keys.
    pub fn fingerprinter(&self) -> Fingerprinter {
        Fingerprinter::new(self.inner.hash_keys.clone())
    }

    /// Verifies the repository; what is wrong is in the report, not in the error.
    pub async fn check(&self, options: CheckOptions) -> Result<CheckReport, Error> {
        check::check(&self.inner, options).await
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.inner.id)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Returns what seals and opens the frames of a pack.
    pub(crate) fn pack_seal(&self, id: PackId) -> ObjectSeal {
        pack::seal(&self.sealing_root, id)
    }

    /// Reads a part of a pack; remembers a pack of which it is missing.
    pub(crate) async fn read_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, Error> {
        let read = self.store.get_range(&pack::object_name(pack), range).await;
        read.inspect_err(|error| self.note_damage(pack, error))
    }

    /// Reads some parts of a pack; remembers a pack of which one is missing.
    pub(crate) async fn read_ranges(
        &self,
        pack: PackId,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        let name = pack::object_name(pack);
        let read = self.store.get_ranges(&name, ranges).await;
        read.inspect_err(|error| self.note_damage(pack, error))
    }

    /// Remembers a pack whose bytes are not there or not what was written.
    pub(crate) fn note_damage(&self, pack: PackId, error: &Error) {
        if error.is_damage() {
            self.damage.note(pack, error.clone());
        }
    }

    /// Lists the generations of every snapshot, each sorted.
    pub(crate) async fn generations(&self) -> Result<BTreeMap<SnapshotId, Vec<u32>>, Error> {
        let mut snapshots: BTreeMap<SnapshotId, Vec<u32>> = BTreeMap::new();
        for listed in self.store.list("snapshots").await? {
            if let Some((id, generation)) = manifest::parse_object_name(&listed.name) {
                snapshots.entry(id).or_default().push(generation);
            }
        }
        snapshots
            .values_mut()
            .for_each(|generations| generations.sort_unstable());
        Ok(snapshots)
    }

    pub(crate) async fn read_manifest(
        &self,
        id: SnapshotId,
        generation: u32,
    ) -> Result<Manifest, Error> {
        let object = self
            .store
            .get(&manifest::object_name(id, generation))
            .await?;
        Manifest::open(&self.sealing_root, id, generation, &object)
    }
}

/// Keeps packs from the sweeps of this process until it is dropped.
pub struct Held {
    repository: Arc<Inner>,
    packs: Vec<PackId>,
}

impl Held {
    pub(crate) fn new(repository: Arc<Inner>, packs: Vec<PackId>) -> Held {
        packs.iter().for_each(|&pack| repository.pins.pin(pack));
        Held { repository, packs }
    }

    pub(crate) fn add(&mut self, pack: PackId) {
        self.repository.pins.pin(pack);
        self.packs.push(pack);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let pins = &self.repository.pins;
        self.packs.iter().for_each(|&pack| pins.unpin(pack));
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} packs)", self.packs.len())
    }
}

/// Packs that were repacked by this process: readers of the older generation may still need them,
/// so that only a sweep with a grace period deletes them.
#[derive(Default)]
pub(crate) struct Retired(Mutex<HashSet<PackId>>);

impl Retired {
    pub(crate) fn insert(&self, id: PackId) {
        let mut retired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        retired.insert(id);
    }

    pub(crate) fn contains(&self, id: PackId) -> bool {
        let retired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        retired.contains(&id)
    }

    pub(crate) fn remove(&self, id: PackId) {
        let mut retired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        retired.remove(&id);
    }
}

/// Packs that a read of this process found missing or corrupt, each with the first error. No
/// snapshot is written upon them any more.
#[derive(Default)]
pub(crate) struct Damage(Mutex<HashMap<PackId, Error>>);

impl Damage {
    fn note(&self, id: PackId, error: Error) {
        let mut damaged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.entry(id).or_insert(error);
    }

    /// Forgets what was found in a pack that was read whole since.
    pub(crate) fn clear(&self, id: PackId) {
        let mut damaged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.remove(&id);
    }

    /// Returns what is wrong with a pack, where that is known.
    pub(crate) fn of(&self, id: PackId) -> Option<Error> {
        let damaged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.get(&id).cloned()
    }
}

/// Packs that a writer of this process has begun; the sweep leaves them alone.
#[derive(Default)]
pub(crate) struct Pins(Mutex<HashMap<PackId, usize>>);

impl Pins {
    pub(crate) fn pin(&self, id: PackId) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(id)
            .or_default() += 1;
    }

    pub(crate) fn unpin(&self, id: PackId) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = pins.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&id);
            }
        }
    }

    pub(crate) fn contains(&self, id: PackId) -> bool {
        let pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.contains_key(&id)
    }

    pub(crate) fn all(&self) -> HashSet<PackId> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .copied()
            .collect()
    }
}
