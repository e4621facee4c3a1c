//! Damage that no byte shows: manifests that this program would not write. What they say is
//! authentic, and wrong.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use crate::manifest::{self, CollectionManifest, Manifest};
use crate::pack;
use crate::reader::{ReadOptions, read_page};
use crate::segment::Segment;
use crate::{
    Batch, CheckOptions, CollectionEntry, KeyEncryptionKey, Repository, SnapshotHeader, SnapshotId,
    Source, Span, Store, WriteOptions,
};

const READ_DATA: CheckOptions = CheckOptions { read_data: true };

/// A snapshot of a thousand documents of eight bytes, each its own identity.
async fn snapshot(objects: Arc<InMemory>) -> (Repository, Manifest) {
    let store = Store::new(objects);
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
    let (repository, mut manifest) = snapshot(Arc::default()).await;
    let sound = repository.check(READ_DATA).await.expect("it is checked");
    assert_eq!(sound.problems, []);
    manifest.generation = 1;
    change(&mut manifest.collections[0]);
    let collection = &manifest.collections[0];
    manifest.totals.documents = collection.documents;
    manifest.totals.bytes = collection.bytes;
    let inner = &repository.inner;
    let object = manifest.seal(&inner.sealing_root, 1);
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

#[tokio::test]
async fn a_damaged_strip_is_named_and_harms_no_other_document() {
    let objects: Arc<InMemory> = Arc::default();
    let (repository, manifest) = snapshot(objects.clone()).await;
    let page = &manifest.collections[0].pages[0];
    let page = read_page(&repository.inner, page)
        .await
        .expect("it is sound");
    let (pack, block) = (page.packs[0], &page.blocks[0]);
    assert_eq!((block.documents, block.strips().all()), (1_000, 0..16));
    let name = pack::object_name(pack);
    let path = object_store::path::Path::from(name.as_str());
    let object = objects.get(&path).await.expect("it was put");
    let mut bytes = object.bytes().await.expect("it is in memory").to_vec();
    let strip = block.strips_range(&(7..8));
    bytes[usize::try_from(strip.start).expect("it is small") + 3] ^= 1;
    let put = objects.put(&path, bytes.into()).await;
    put.expect("it is replaced");

    // Opened anew each time, because damage that was met is remembered.
    let open = async || {
        let store = Store::new(objects.clone());
        let opened = Repository::open(store, &KeyEncryptionKey::new([1; 32])).await;
        opened.expect("its header is sound")
    };
    let report = open().await.check(READ_DATA).await.expect("it is checked");
    let said = format!(
        "Sidecar frame {}, strip 7 does not authenticate",
        block.sidecar_ordinal
    );
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert_eq!(report.problems[0].object, name);
    assert_eq!(report.problems[0].reason, said);
    assert_eq!(report.problems[0].snapshots, [SnapshotId([1; 12])]);

    let remove = async |id: u64| {
        let repository = open().await;
        let base = repository.manifest(SnapshotId([1; 12])).await;
        let base = base.expect("manifests are sound");
        let writer = repository.begin_upon(WriteOptions::default(), Some(&base));
        let editor = writer.edit(CollectionEntry::default());
        let mut editor = editor.expect("nothing is known of the damage");
        let identity = Bytes::copy_from_slice(&id.to_be_bytes());
        editor.replace(&[identity], Batch::default()).await?;
        editor.finish().await
    };
    for harmed in [7 * 64, 8 * 64 - 1] {
        let error = remove(harmed).await.expect_err("its strip is damaged");
        assert!(
            error.is_damage() && error.object() == Some(&name),
            "{error}"
        );
    }
    for sound in [7 * 64 - 1, 8 * 64] {
        let summary = remove(sound).await.expect("its strip is sound");
        assert_eq!(summary.documents, 999);
    }
    let options = ReadOptions::default();
    let blocks = open().await.blocks(&manifest.collections[0], options);
    let blocks: Vec<_> = blocks.try_collect().await.expect("blocks are sound");
    let read: usize = blocks.iter().map(crate::Block::document_count).sum();
    assert_eq!(read, 1_000);
}
