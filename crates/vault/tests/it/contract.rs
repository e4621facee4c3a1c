//! What the interface promises besides identity: refusals, kinds of errors, bounded memory, honest
//! progress.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vault::{
    Batch, CollectionEntry, Error, ErrorKind, KeyEncryptionKey, Repository, Span, Store,
    WriteOptions,
};

use crate::crash::far_future;
use crate::faulty::Faulty;
use crate::support::*;

async fn memory() -> (Arc<InMemory>, Repository) {
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner.clone()), &key())
        .await
        .unwrap();
    (inner, repository)
}

#[tokio::test]
async fn a_repository_opens_with_its_key_only() {
    let (inner, _) = memory().await;
    let wrong = KeyEncryptionKey::new([43; 32]);
    let error = Repository::open(store(inner.clone()), &wrong)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.object()),
        (ErrorKind::Denied, Some("repo"))
    );
    let empty = store(Arc::new(InMemory::new()));
    assert_eq!(
        Repository::open(empty, &key()).await.unwrap_err().kind(),
        ErrorKind::Missing
    );
    let error = Repository::create(store(inner.clone()), &wrong)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(Repository::open(store(inner), &key()).await.is_ok());
}

#[tokio::test]
async fn a_damaged_header_is_not_mistaken_for_a_wrong_key() {
    let (inner, _) = memory().await;
    let repo = Path::from("repo");
    let good = inner.get(&repo).await.unwrap().bytes().await.unwrap();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        inner.put(&repo, bad.into()).await.unwrap();
        let error = Repository::open(store(inner.clone()), &key())
            .await
            .unwrap_err();
        let version = error.kind() == ErrorKind::Unsupported && good[at].is_ascii_digit();
        assert!(
            error.kind() == ErrorKind::Corrupt || version,
            "byte {at}: {error}"
        );
    }
}

#[tokio::test]
async fn a_later_format_is_refused_by_its_version() {
    let (inner, _) = memory().await;
    let repo = Path::from("repo");
    let text = inner.get(&repo).await.unwrap().bytes().await.unwrap();
    let later = String::from_utf8(text.to_vec())
        .unwrap()
        .replace("\"format\": 2", "\"format\": 3");
    inner.put(&repo, later.into_bytes().into()).await.unwrap();
    let error = Repository::open(store(inner), &key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_written_once() {
    let (_, repository) = memory().await;
    let first = write(&repository, 1, &sample_tree(), small())
        .await
        .unwrap();
    let again = write(&repository, 1, &Vec::new(), small())
        .await
        .unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Exists);
    assert_eq!(repository.manifest(snapshot_id(1)).await.unwrap(), first);
    repository.forget(snapshot_id(1)).await.unwrap();
    repository.forget(snapshot_id(1)).await.unwrap();
    let gone = repository.manifest(snapshot_id(1)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Missing);
}

async fn assert_refused(name: &str, prepare: impl AsyncFnOnce(&vault::SnapshotWriter)) {
    let (_, repository) = memory().await;
    let writer = repository.begin(small());
    write_collection(&writer, "good", &[document(1, 50)])
        .await
        .unwrap();
    prepare(&writer).await;
    let error = writer.commit(header(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
    assert_eq!(repository.snapshots().await.unwrap(), [], "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_not_whole_cannot_be_committed() {
    assert_refused("a collection dropped midway", async |writer| {
        let mut collection = writer.collection(entry("half"));
        collection.push(batch(&[document(1, 50)])).await.unwrap();
    })
    .await;
    assert_refused("a collection still open", async |writer| {
        // Held elsewhere for longer than the snapshot.
        std::mem::forget(writer.collection(entry("open")));
    })
    .await;
    assert_refused("two collections of one name", async |writer| {
        write_collection(writer, "good", &[]).await.unwrap();
    })
    .await;
    assert_refused("a span outside its batch", async |writer| {
        let mut collection = writer.collection(entry("bad"));
        let spans = vec![Span {
            start: 0,
            end: 9,
            id_start: 0,
            id_end: 0,
        }];
        let bad = Batch {
            bytes: b"short".as_slice().into(),
            documents: spans,
        };
        let error = collection.push(bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        collection.discard();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_collection_is_left_out() {
    let (_, repository) = memory().await;
    let writer = repository.begin(small());
    let mut unwanted = writer.collection(entry("unwanted"));
    for number in 0..100 {
        unwanted
            .push(batch(&[document(number, 900)]))
            .await
            .unwrap();
    }
    write_collection(&writer, "good", &[document(1, 50)])
        .await
        .unwrap();
    unwanted.discard();
    let view = CollectionEntry {
        kind: "view".to_owned(),
        uuid: None,
        id_index: None,
        ..entry("v")
    };
    writer.collection(view).finish().await.unwrap();
    let manifest = writer.commit(header(1)).await.unwrap();
    let names: Vec<_> = manifest
        .collections
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(names, ["good", "v"]);
    assert_eq!((manifest.totals.documents, manifest.totals.bytes), (1, 50));
    let report = repository
        .check(vault::CheckOptions { read_data: true })
        .await
        .unwrap();
    assert_eq!((report.problems, report.documents), (Vec::new(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_documents_needs_no_pack() {
    let (inner, repository) = memory().await;
    let manifest = write(&repository, 1, &Vec::new(), WriteOptions::default())
        .await
        .unwrap();
    assert_eq!((manifest.packs.len(), manifest.collections.len()), (0, 0));
    let objects = inner.list_with_delimiter(None).await.unwrap();
    assert_eq!(objects.common_prefixes, [Path::from("snapshots")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_behind_stops_the_source_within_bounds() {
    let inner = Arc::new(InMemory::new());
    drop(
        Repository::create(store(inner.clone()), &key())
            .await
            .unwrap(),
    );
    let hanging = Faulty::hanging(inner);
    let repository = Repository::open(store(hanging.clone()), &key())
        .await
        .unwrap();
    let options = small();
    // Two packs of incompressible documents, six blocks on their way, one block open.
    let most = 2 * options.pack_bytes + 9 * (options.block_bytes + 1024);
    let writer = repository.begin(options);
    let mut collection = writer.collection(entry("much"));
    let pushing = async {
        for number in 0..1_000 {
            collection.push(batch(&[random(number, 1_000)])).await?;
        }
        collection.finish().await
    };
    let mut pushing = Box::pin(pushing);
    let stopped = tokio::time::timeout(Duration::from_millis(500), &mut pushing).await;
    assert!(
        stopped.is_err(),
        "a megabyte was taken although nothing could be put"
    );
    let progress = writer.progress();
    assert!(
        progress.bytes <= most as u64,
        "{} bytes were taken",
        progress.bytes
    );
    assert_eq!(progress.stored_bytes, 0);
    hanging.release();
    assert_eq!(pushing.await.unwrap().documents, 1_000);
    let manifest = writer.commit(header(1)).await.unwrap();
    assert_eq!(manifest.totals.documents, 1_000);
}

fn random(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&number.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_tells_what_was_taken_and_stored() {
    let (_, repository) = memory().await;
    let writer = repository.begin(WriteOptions::default());
    assert_eq!(writer.progress(), vault::WriteProgress::default());
    write_collection(&writer, "some", &vec![document(1, 100); 50])
        .await
        .unwrap();
    assert_eq!(
        (writer.progress().documents, writer.progress().bytes),
        (50, 5_000)
    );
    let manifest = writer.commit(header(1)).await.unwrap();
    assert!(manifest.totals.stored_bytes > 0);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_commit() {
    for options in [
        WriteOptions {
            block_bytes: 0,
            ..WriteOptions::default()
        },
        WriteOptions {
            block_bytes: usize::MAX,
            ..WriteOptions::default()
        },
    ] {
        let (_, repository) = memory().await;
        let error = write(&repository, 1, &Vec::new(), options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"in the way").unwrap();
    let error: Error = Store::local(&file.join("store")).unwrap_err();
    assert!(error.to_string().contains("file/store"), "{error}");
}

/// A put cannot be called back: what it refers to must be there when it is done.
#[tokio::test(flavor = "multi_thread")]
async fn packs_of_a_commit_that_nobody_waits_for_are_kept_from_the_sweep() {
    let inner = Arc::new(InMemory::new());
    drop(Repository::create(store(inner.clone()), &key()).await);
    let hanging = Faulty::hanging(inner.clone());
    let repository = Repository::open(store(hanging.clone()), &key()).await;
    let repository = repository.unwrap();
    let writer = repository.begin(WriteOptions::default());
    let mut collection = writer.collection(entry("one"));
    collection.push(batch(&[random(1, 1_000)])).await.unwrap();
    collection.finish().await.unwrap();
    let commit = tokio::spawn(writer.commit(header(1)));
    // The pack is put; the manifest waits.
    hanging.allow(1);
    wait_until(async || hanging.puts_begun.load(Ordering::SeqCst) == 2).await;
    commit.abort();
    assert!(commit.await.unwrap_err().is_cancelled());
    let swept = repository.sweep(Duration::ZERO, far_future()).await;
    assert_eq!(swept.unwrap().packs, 0);
    hanging.release();
    wait_until(async || hanging.writes.load(Ordering::SeqCst) == 2).await;
    let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
    let read = read_collection(&repository, &manifest.collections[0]).await;
    assert_eq!(read.unwrap(), [random(1, 1_000)]);
}
