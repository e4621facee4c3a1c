//! What a collection is to hold, told apart from what the store makes of it: documents by identity,
//! changes to them, and the comparison with what is read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use vault::{
    CheckOptions, CollectionManifest, Error, Manifest, Repository, SnapshotWriter, WriteOptions,
};

use crate::support::*;

/// What a collection is to hold, by identity.
pub(crate) type Model = BTreeMap<u64, Vec<u8>>;

/// A document whose first twelve bytes are its identity.
pub(crate) fn doc(id: u64, version: u64, length: usize) -> Vec<u8> {
    let mut bytes = identity(id).to_vec();
    bytes.extend_from_slice(&document(id * 1_000 + version, length));
    bytes
}

pub(crate) fn identity(id: u64) -> Bytes {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[1; 4]);
    Bytes::from(bytes)
}

/// What is done to a collection; `None` takes a document out.
pub(crate) type Changes = BTreeMap<u64, Option<Vec<u8>>>;

pub(crate) async fn scan(writer: &SnapshotWriter, model: &Model) {
    try_scan(writer, model).await.unwrap();
}

pub(crate) async fn try_scan(writer: &SnapshotWriter, model: &Model) -> Result<(), Error> {
    let documents: Vec<Vec<u8>> = model.values().cloned().collect();
    write_collection(writer, "one", &documents).await
}

pub(crate) async fn edit(
    writer: &SnapshotWriter,
    changes: &Changes,
    at_a_time: usize,
) -> Result<vault::CollectionSummary, Error> {
    let mut editor = writer.edit(entry("one"))?;
    let changes: Vec<_> = changes.iter().collect();
    for part in changes.chunks(at_a_time.max(1)) {
        let identities: Vec<Bytes> = part.iter().map(|(id, _)| identity(**id)).collect();
        let found: Vec<Vec<u8>> = part.iter().filter_map(|(_, doc)| (*doc).clone()).collect();
        editor.replace(&identities, batch(&found)).await?;
    }
    editor.finish().await
}

pub(crate) async fn assert_model(repository: &Repository, manifest: &Manifest, model: &Model) {
    let collection = &manifest.collections[0];
    let mut found = read_collection(repository, collection).await.unwrap();
    found.sort_unstable();
    let mut wanted: Vec<Vec<u8>> = model.values().cloned().collect();
    wanted.sort_unstable();
    assert!(
        found == wanted,
        "{} is not what it is to be",
        collection.name
    );
    let mut fingerprinter = repository.fingerprinter();
    wanted
        .iter()
        .for_each(|document| fingerprinter.add(document));
    assert_eq!(collection.fingerprint(), fingerprinter.finish());
    let bytes: usize = wanted.iter().map(Vec::len).sum();
    assert_eq!(collection.bytes, bytes as u64);
    assert_found(repository, collection, model).await;
}

/// Every live document is found, and no other.
async fn assert_found(repository: &Repository, collection: &CollectionManifest, model: &Model) {
    let last = model.keys().next_back().copied().unwrap_or(0);
    let ids: Vec<u64> = (0..last + 10).collect();
    let identities: Vec<Bytes> = ids.iter().map(|&id| identity(id)).collect();
    let found = repository.find(collection, &identities).await.unwrap();
    for (id, found) in ids.iter().zip(found) {
        let wanted = model.get(id);
        assert_eq!(found.as_deref(), wanted.map(Vec::as_slice), "document {id}");
    }
}

pub(crate) async fn assert_clean(repository: &Repository) {
    let options = CheckOptions { read_data: true };
    let report = repository.check(options).await.unwrap();
    assert_eq!(report.problems, []);
}

pub(crate) async fn repository() -> (Arc<InMemory>, Repository) {
    let inner = Arc::new(InMemory::new());
    let made = Repository::create(store(inner.clone()), &key()).await;
    (inner, made.unwrap())
}

pub(crate) fn model(ids: std::ops::Range<u64>, length: usize) -> Model {
    ids.map(|id| (id, doc(id, 0, length))).collect()
}

pub(crate) async fn scanned(
    repository: &Repository,
    number: u8,
    model: &Model,
    options: WriteOptions,
) -> Manifest {
    let writer = repository.begin(options);
    scan(&writer, model).await;
    writer.commit(header(number)).await.unwrap()
}

/// Numbers that follow from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    /// Draws what happens between two snapshots: few or many documents changed, removed, added.
    pub(crate) fn changes(&mut self, model: &Model) -> Changes {
        let mut changes = BTreeMap::new();
        let one_in = [1, 2, 10, 50][usize::try_from(self.below(4)).unwrap()];
        for (&id, old) in model {
            if self.below(one_in) != 0 {
                continue;
            }
            let length = usize::try_from(20 + self.below(180)).unwrap();
            let version = 1 + self.below(900);
            changes.insert(
                id,
                match self.below(6) {
                    0 | 1 => None,
                    // Written but as it was.
                    2 => Some(old.clone()),
                    _ => Some(doc(id, version, length)),
                },
            );
        }
        let last = model.keys().next_back().copied().unwrap_or(0);
        for _ in 0..self.below(40) {
            let id = last + 1 + self.below(60);
            let found = (self.below(4) > 0).then(|| doc(id, 0, 100));
            changes.insert(id, found);
        }
        changes
    }
}

pub(crate) fn apply(model: &mut Model, changes: &Changes) {
    for (&id, found) in changes {
        match found {
            Some(document) => model.insert(id, document.clone()),
            None => model.remove(&id),
        };
    }
}
