//! A repository: one key, many snapshots. The entry to everything.

use std::time::{Duration, SystemTime};

use futures::Stream;

use crate::block::Block;
use crate::check::{CheckOptions, CheckReport};
use crate::error::Error;
use crate::fingerprint::Fingerprinter;
use crate::gc::Swept;
use crate::id::{RepositoryId, SnapshotId};
use crate::keys::KeyEncryptionKey;
use crate::manifest::{CollectionManifest, Manifest};
use crate::reader::ReadOptions;
use crate::store::Store;
use crate::writer::{SnapshotWriter, WriteOptions};

/// An open repository. Cheap to clone; clones share the packs they protect from the sweep.
#[derive(Clone, Debug)]
pub struct Repository {
    id: RepositoryId,
}

impl Repository {
    /// Makes a new repository with a random key, wrapped under `key`.
    ///
    /// Fails with `Exists` where there is one already.
    pub async fn create(store: Store, key: &KeyEncryptionKey) -> Result<Repository, Error> {
        let _ = (store, key);
        unimplemented!()
    }

    /// Opens a repository. Fails with `Missing` where there is none, `Denied` under a wrong key.
    pub async fn open(store: Store, key: &KeyEncryptionKey) -> Result<Repository, Error> {
        let _ = (store, key);
        unimplemented!()
    }

    /// Returns the repository's random name.
    pub fn id(&self) -> RepositoryId {
        self.id
    }

    /// Begins a snapshot. Must be called within a Tokio runtime.
    pub fn begin(&self, options: WriteOptions) -> SnapshotWriter {
        let _ = options;
        unimplemented!()
    }

    /// Reads the valid manifest of a snapshot. Fails with `Missing` where there is none.
    pub async fn manifest(&self, id: SnapshotId) -> Result<Manifest, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Lists all committed snapshots, sorted.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotId>, Error> {
        unimplemented!()
    }

    /// Removes a snapshot's manifest; its packs stay until a sweep.
    pub async fn forget(&self, id: SnapshotId) -> Result<(), Error> {
        let _ = id;
        unimplemented!()
    }

    /// Deletes packs that no manifest refers to, a grace period after they were first seen so.
    pub async fn sweep(&self, grace: Duration, now: SystemTime) -> Result<Swept, Error> {
        let _ = (grace, now);
        unimplemented!()
    }

    /// Streams a collection's live documents in the order in which they were written.
    pub fn blocks(
        &self,
        collection: &CollectionManifest,
        options: ReadOptions,
    ) -> impl Stream<Item = Result<Block, Error>> + Send + 'static + use<> {
        let _ = (collection, options);
        futures::stream::pending()
    }

    /// Returns an empty fingerprinter under this repository's keys.
    pub fn fingerprinter(&self) -> Fingerprinter {
        unimplemented!()
    }

    /// Verifies the repository; what is wrong is in the report, not in the error.
    pub async fn check(&self, options: CheckOptions) -> Result<CheckReport, Error> {
        let _ = options;
        unimplemented!()
    }
}
