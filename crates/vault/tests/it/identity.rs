//! What was written is what is read: documents, their order, and everything said about collections.

use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::collection::vec;
use proptest::prelude::*;
use vault::{ErrorKind, Fingerprint, Repository, Store, WriteOptions};

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_in_a_directory_is_read_back_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/store");
    let repository = Repository::create(Store::local(&path).unwrap(), &key())
        .await
        .unwrap();
    let tree = sample_tree();
    let written = write(&repository, 1, &tree, small()).await.unwrap();
    drop(repository);

    let repository = Repository::open(Store::local(&path).unwrap(), &key())
        .await
        .unwrap();
    assert_eq!(repository.snapshots().await.unwrap(), [snapshot_id(1)]);
    let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
    assert_eq!(manifest, written);
    assert_eq!(read(&repository, &manifest).await.unwrap(), tree);
    assert_eq!(manifest.source, header(1).source);
    assert_eq!(manifest.consistency, header(1).consistency);
    let few = &manifest.collections[0];
    let entry = entry("few");
    assert_eq!((&few.database, &few.kind), (&entry.database, &entry.kind));
    assert_eq!((few.uuid, &few.options), (entry.uuid, &entry.options));
    assert_eq!(
        (&few.id_index, &few.indexes),
        (&entry.id_index, &entry.indexes)
    );
}

async fn check_identity(tree: Tree, options: WriteOptions) {
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner), &key()).await.unwrap();
    let manifest = write(&repository, 1, &tree, options).await.unwrap();
    assert_eq!(read(&repository, &manifest).await.unwrap(), tree);
    assert_eq!(manifest, repository.manifest(snapshot_id(1)).await.unwrap());
    for ((_, documents), collection) in tree.iter().zip(&manifest.collections) {
        let mut fingerprinter = repository.fingerprinter();
        documents
            .iter()
            .rev()
            .for_each(|document| fingerprinter.add(document));
        assert_eq!(collection.fingerprint(), fingerprinter.finish());
        let bytes: usize = documents.iter().map(Vec::len).sum();
        assert_eq!(collection.bytes, bytes as u64);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_tree_is_read_back(
        lengths in vec(vec(prop_oneof![5..40_usize, 5..3_000_usize, 1..60_000_usize], 0..60), 0..8),
        block_bytes in 1..20_000_usize,
        pack_bytes in 1..100_000_usize,
        workers in 1..4_usize,
    ) {
        let tree = lengths.iter().enumerate().map(|(index, lengths)| {
            let numbered = lengths.iter().enumerate();
            let number = |at: usize| (index * 1_000 + at) as u64;
            let documents = numbered.map(|(at, &length)| document(number(at), length));
            (format!("c{index}"), documents.collect())
        });
        let options = WriteOptions {
            block_bytes,
            pack_bytes,
            workers,
            compression_level: 1,
            index_bytes: pack_bytes,
        };
        runtime().block_on(check_identity(tree.collect(), options));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_document_is_kept_whole() {
    let largest = document(1, vault::DOCUMENT_BYTES_MAX);
    let tree = vec![(
        "large".to_owned(),
        vec![document(2, 5), largest, document(3, 5)],
    )];
    check_identity(tree, WriteOptions::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_beyond_the_limit_is_refused_and_the_snapshot_with_it() {
    let repository = Repository::create(store(Arc::new(InMemory::new())), &key())
        .await
        .unwrap();
    let writer = repository.begin(WriteOptions::default());
    let mut collection = writer.collection(entry("large"));
    let refused = collection
        .push(batch(&[vec![0; vault::DOCUMENT_BYTES_MAX + 1]]))
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let error = writer.commit(header(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(repository.snapshots().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_collections_share_packs() {
    let tree: Tree = (0..10_000)
        .map(|n| (format!("c{n}"), vec![document(n, 60)]))
        .collect();
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner), &key()).await.unwrap();
    let writer = repository.begin(WriteOptions::default());
    for (name, documents) in &tree {
        write_collection(&writer, name, documents).await.unwrap();
    }
    let manifest = writer.commit(header(1)).await.unwrap();
    assert_eq!(manifest.packs.len(), 1);
    assert_eq!(read(&repository, &manifest).await.unwrap(), tree);
}

#[test]
fn fingerprints_do_not_depend_on_order_and_can_be_updated() {
    runtime().block_on(async {
        let repository = Repository::create(store(Arc::new(InMemory::new())), &key())
            .await
            .unwrap();
        let of = |documents: &[&[u8]]| -> Fingerprint {
            let mut fingerprinter = repository.fingerprinter();
            documents
                .iter()
                .for_each(|document| fingerprinter.add(document));
            fingerprinter.finish()
        };
        assert_eq!(of(&[b"a", b"b", b"c"]), of(&[b"c", b"a", b"b"]));
        assert_ne!(of(&[b"a", b"a"]), of(&[b"b", b"b"]));
        assert_ne!(of(&[b"a", b"a", b"b"]).sum, of(&[b"b"]).sum);
        let mut updated = of(&[b"a", b"b", b"c"]);
        updated.remove(of(&[b"b"]));
        updated.merge(of(&[b"B"]));
        assert_eq!(updated, of(&[b"a", b"B", b"c"]));
        assert_eq!(updated.to_string().parse(), Ok(updated));

        let other = Repository::create(store(Arc::new(InMemory::new())), &key())
            .await
            .unwrap();
        let mut foreign = other.fingerprinter();
        foreign.add(b"a");
        assert_ne!(foreign.finish(), of(&[b"a"]));
    });
}
