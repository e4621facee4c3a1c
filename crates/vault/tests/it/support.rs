//! Small repositories for the tests of this crate: collections as lists of documents, written and
//! read whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStore;
use vault::{
    Batch, CheckpointHeader, ClusterTime, CollectionEntry, CollectionManifest, Error,
    KeyEncryptionKey, Manifest, ReadOptions, Repository, Retry, SnapshotHeader, SnapshotId,
    SnapshotWriter, Source, Span, Store, WriteOptions,
};

/// A collection's name and its documents.
pub(crate) type Tree = Vec<(String, Vec<Vec<u8>>)>;

pub(crate) fn key() -> KeyEncryptionKey {
    KeyEncryptionKey::new([42; 32])
}

pub(crate) fn snapshot_id(number: u8) -> SnapshotId {
    SnapshotId([number; 12])
}

/// Blocks of 4 KiB, packs of 16 KiB and few entries in memory, so that small trees make many of
/// each.
pub(crate) fn small() -> WriteOptions {
    WriteOptions {
        block_bytes: 4 << 10,
        pack_bytes: 16 << 10,
        index_bytes: 8 << 10,
        ..WriteOptions::default()
    }
}

/// A store that is asked once, so that a broken one fails at once.
pub(crate) fn store(inner: Arc<dyn ObjectStore>) -> Store {
    Store::new(inner).with_retry(Retry {
        retries_max: 0,
        pause: Duration::ZERO,
    })
}

pub(crate) fn uuid(name: &str) -> [u8; 16] {
    *blake3::hash(name.as_bytes())
        .as_bytes()
        .first_chunk()
        .unwrap()
}

pub(crate) fn entry(name: &str) -> CollectionEntry {
    CollectionEntry {
        database: "shop".to_owned(),
        name: name.to_owned(),
        kind: "collection".to_owned(),
        uuid: Some(uuid(name)),
        options: b"options of it".to_vec(),
        id_index: Some(b"identity index".to_vec()),
        indexes: vec![b"first index".to_vec(), b"second index".to_vec()],
        exact: true,
    }
}

pub(crate) fn header(number: u8) -> SnapshotHeader {
    SnapshotHeader {
        snapshot: snapshot_id(number),
        created_at_ms: 1_700_000_000_000,
        source: Source {
            cluster_name: Some("orders".to_owned()),
            server_version: Some("6.0.5".to_owned()),
            ..Source::default()
        },
        consistency: Some(ClusterTime {
            seconds: 1_700_000_000,
            increment: 3,
        }),
        resume_point: None,
    }
}

pub(crate) fn checkpoint_header(number: u8) -> CheckpointHeader {
    CheckpointHeader {
        read_until: None,
        snapshot: snapshot_id(number),
        created_at_ms: 1_700_000_000_000,
        scanned_at_ms: Some(1_600_000_000_000),
        resume_point: Some(b"point".to_vec()),
    }
}

/// Lays documents out as a server's answer would: with other bytes between them.
pub(crate) fn batch(documents: &[Vec<u8>]) -> Batch {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for document in documents {
        bytes.extend_from_slice(b"key");
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(document);
        let end = u32::try_from(bytes.len()).unwrap();
        spans.push(Span {
            start,
            end,
            id_start: start,
            id_end: end.min(start + 12),
        });
    }
    Batch {
        bytes: Bytes::from(bytes),
        documents: spans,
    }
}

pub(crate) async fn write_collection(
    writer: &SnapshotWriter,
    name: &str,
    documents: &[Vec<u8>],
) -> Result<(), Error> {
    let mut collection = writer.collection(entry(name));
    for part in documents.chunks(7) {
        collection.push(batch(part)).await?;
    }
    collection.finish().await?;
    Ok(())
}

/// Writes a snapshot with all collections of a tree at the same time.
pub(crate) async fn write(
    repository: &Repository,
    number: u8,
    tree: &Tree,
    options: WriteOptions,
) -> Result<Manifest, Error> {
    write_upon(repository, number, tree, options, None).await
}

/// Writes a snapshot that refers to another one where it can.
pub(crate) async fn write_upon(
    repository: &Repository,
    number: u8,
    tree: &Tree,
    options: WriteOptions,
    base: Option<&Manifest>,
) -> Result<Manifest, Error> {
    let writer = repository.begin_upon(options, base);
    let collections = tree
        .iter()
        .map(|(name, documents)| write_collection(&writer, name, documents));
    futures::future::try_join_all(collections).await?;
    writer.commit(header(number)).await
}

pub(crate) async fn read_collection(
    repository: &Repository,
    collection: &CollectionManifest,
) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = repository.blocks(
        collection,
        ReadOptions {
            read_ahead_bytes: 16 << 10,
        },
    );
    let blocks: Vec<_> = blocks.try_collect().await?;
    Ok(blocks
        .iter()
        .flat_map(|block| block.documents().map(<[u8]>::to_vec))
        .collect())
}

/// Reads all documents of a snapshot.
pub(crate) async fn read(repository: &Repository, manifest: &Manifest) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for collection in &manifest.collections {
        tree.push((
            collection.name.clone(),
            read_collection(repository, collection).await?,
        ));
    }
    Ok(tree)
}

/// A document whose bytes follow from its number: half of them repeat, half do not.
pub(crate) fn document(number: u64, length: usize) -> Vec<u8> {
    let seed = blake3::hash(&number.to_le_bytes());
    let mut bytes = Vec::with_capacity(length);
    blake3::Hasher::new_keyed(seed.as_bytes())
        .finalize_xof()
        .fill({
            bytes.resize(length, 0);
            &mut bytes[..length / 2]
        });
    bytes
}

/// A tree with collections of many shapes, one of them empty.
pub(crate) fn sample_tree() -> Tree {
    let documents = |from: u64, count: u64, length: usize| {
        (from..from + count)
            .map(|number| document(number, length))
            .collect::<Vec<_>>()
    };
    let mut mixed = documents(20_000, 30, 100);
    mixed.insert(7, document(30_000, 50_000));
    vec![
        ("few".to_owned(), documents(0, 3, 40)),
        ("many".to_owned(), documents(1_000, 200, 500)),
        ("none".to_owned(), Vec::new()),
        ("tiny".to_owned(), documents(10_000, 1_000, 5)),
        ("mixed".to_owned(), mixed),
    ]
}

/// Waits for a condition, for ten seconds at most.
pub(crate) async fn wait_until(mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition was not met within ten seconds");
}

/// Copies a store, so that a test can write into it.
pub(crate) fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for item in std::fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy_folder(&item.path(), &target);
        } else {
            std::fs::copy(item.path(), target).unwrap();
        }
    }
}
