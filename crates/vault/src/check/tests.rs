//! Damage that no byte shows: manifests that this program would not write. What they say is
//! authentic, and wrong.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;

use crate::manifest::{self, CollectionManifest, Manifest};
use crate::segment::Segment;
use crate::{
    Batch, CheckOptions, CollectionEntry, KeyEncryptionKey, Repository, SnapshotHeader, SnapshotId,
    Source, Span, Store, WriteOptions,
};

const READ_DATA: CheckOptions = CheckOptions { read_data: true };

/// A snapshot of a thousand documents of eight bytes, each its own identity.
async fn snapshot() -> (Repository, Manifest) {
    let store = Store::new(Arc::new(InMemory::new()));
    let repository = Repository::create(store, &KeyEncryptionKey::new([1; 32])).await;
    let repository = repository.expect("a store in memory takes it");
    let writer = repository.begin(WriteOptions::default());
    let mut collection = writer.collection(CollectionEntry::default());
    let bytes: Vec<u8> = (0..1_000_u64).flat_map(u64::to_be_bytes).collect();
    let span = |start: u32| Span {
        start,
        end: start + 8,
        id_start: start,
        id_end: start + 8,
    };
    let batch = Batch {
        bytes: Bytes::from(bytes),
        documents: (0..8_000).step_by(8).map(span).collect(),
    };
    collection.push(batch).await.expect("it is taken");
    collection.finish().await.expect("it is whole");
    let header = SnapshotHeader {
        snapshot: SnapshotId([1; 12]),
        created_at_ms: 0,
        source: Source::default(),
        consistency: None,
        resume_point: None,
    };
    let manifest = writer.commit(header).await.expect("it is written");
    (repository, manifest)
}

/// Puts another generation in place and returns what the check says of it.
async fn reasons(change: impl FnOnce(&mut CollectionManifest)) -> Vec<String> {
    let (repository, mut manifest) = snapshot().await;
    let sound = repository.check(READ_DATA).await.expect("it is checked");
    assert_eq!(sound.problems, []);
    manifest.generation = 1;
    change(&mut manifest.collections[0]);
    let collection = &manifest.collections[0];
    manifest.totals.documents = collection.documents;
    manifest.totals.bytes = collection.bytes;
    let inner = &repository.inner;
    let object = manifest.seal(&inner.sealing_root, [3; 16], 1);
    let name = manifest::object_name(manifest.snapshot, 1);
    let put = inner
        .store
        .put_new(&name, vec![object.expect("it is small")]);
    put.await.expect("it is new");
    let report = repository.check(READ_DATA).await.expect("it is checked");
    let problems = report.problems.into_iter();
    let about = problems.inspect(|problem| {
        assert_eq!(problem.snapshots, [SnapshotId([1; 12])]);
    });
    about.map(|problem| problem.reason).collect()
}

#[tokio::test]
async fn documents_that_no_segment_names_are_reported() {
    let said = reasons(|collection| collection.segments = Some(Vec::new())).await;
    assert_eq!(said, [".: its segments name 0 of 1000 documents"]);
    let said = reasons(|collection| collection.segments = None).await;
    assert_eq!(
        said,
        Vec::<String>::new(),
        "it says that it cannot be edited"
    );
}

#[tokio::test]
async fn a_segment_that_is_named_twice_does_no_harm() {
    let twice = |collection: &mut CollectionManifest| {
        let segments = collection.segments.clone().unwrap_or_default();
        collection.segments = Some([segments.clone(), segments].concat());
    };
    assert_eq!(reasons(twice).await, Vec::<String>::new());
}

#[tokio::test]
async fn parts_that_are_not_what_the_manifest_says_are_reported() {
    let cut = |segments: &mut Vec<Segment>| segments[0].parts[0].last = [0; 12];
    let said = reasons(|collection| cut(collection.segments.as_mut().expect("has some"))).await;
    assert_eq!(said.len(), 1, "{said:?}");
    let cut = |segments: &mut Vec<Segment>| segments[0].parts[0].entries -= 1;
    let said = reasons(|collection| cut(collection.segments.as_mut().expect("has some"))).await;
    assert_eq!(said.len(), 1, "{said:?}");
}

#[tokio::test]
async fn documents_that_two_pages_hold_are_reported() {
    let twice = |collection: &mut CollectionManifest| {
        let sum = collection.sum;
        collection.pages.extend(collection.pages.clone());
        collection.documents *= 2;
        collection.bytes *= 2;
        collection.sum.add(sum);
    };
    let said = reasons(twice).await;
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with("are in it twice"), "{said:?}");
}
