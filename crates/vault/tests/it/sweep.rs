//! The sweep deletes what nothing refers to, and nothing else: not what is referred to, young,
//! being written, or perhaps referred to by a manifest that cannot be read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vault::{CheckOptions, ErrorKind, Repository, Store, WriteOptions};

use crate::crash::far_future;
use crate::support::*;

const DAY: Duration = Duration::from_secs(86_400);

async fn names(inner: &InMemory, folder: &str) -> Vec<String> {
    let listing = inner.list(Some(&Path::from(folder)));
    listing
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .unwrap()
}

async fn two_snapshots() -> (Arc<InMemory>, Repository) {
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner.clone()), &key())
        .await
        .unwrap();
    write(&repository, 1, &sample_tree(), small())
        .await
        .unwrap();
    write(&repository, 2, &sample_tree(), small())
        .await
        .unwrap();
    (inner, repository)
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_go_two_sweeps_after_their_snapshot_and_no_others() {
    let (inner, repository) = two_snapshots().await;
    let all = names(&inner, "packs").await.len();
    let first = repository.manifest(snapshot_id(1)).await.unwrap();
    repository.forget(snapshot_id(1)).await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap(), [snapshot_id(2)]);

    let waiting = first.packs.len() as u64;
    let swept = repository.sweep(DAY, far_future()).await.unwrap();
    assert_eq!((swept.packs, swept.waiting), (0, waiting));
    let early = far_future() + DAY - Duration::from_secs(1);
    assert_eq!(repository.sweep(DAY, early).await.unwrap().packs, 0);
    let swept = repository.sweep(DAY, far_future() + DAY).await.unwrap();
    assert_eq!((swept.packs, swept.waiting), (waiting, 0));
    assert!(swept.bytes > 0);

    assert_eq!(names(&inner, "packs").await.len(), all - first.packs.len());
    assert_eq!(names(&inner, "tombs").await, Vec::<String>::new());
    let second = repository.manifest(snapshot_id(2)).await.unwrap();
    assert_eq!(read(&repository, &second).await.unwrap(), sample_tree());
    assert_eq!(
        repository
            .check(CheckOptions { read_data: true })
            .await
            .unwrap()
            .problems,
        []
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn young_packs_are_kept() {
    let (inner, repository) = two_snapshots().await;
    repository.forget(snapshot_id(1)).await.unwrap();
    repository.forget(snapshot_id(2)).await.unwrap();
    let before = names(&inner, "packs").await;
    // At a time long before the packs were written, nothing is old.
    for _ in 0..2 {
        let swept = repository.sweep(DAY, UNIX_EPOCH).await.unwrap();
        assert_eq!((swept.packs, swept.waiting), (0, before.len() as u64));
    }
    assert_eq!(names(&inner, "packs").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_of_an_open_writer_are_kept() {
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner.clone()), &key())
        .await
        .unwrap();
    let writer = repository.begin(small());
    let tree = sample_tree();
    for (name, documents) in &tree {
        write_collection(&writer, name, documents).await.unwrap();
    }
    wait_until(async || !names(&inner, "packs").await.is_empty()).await;
    let swept = repository
        .clone()
        .sweep(Duration::ZERO, far_future())
        .await
        .unwrap();
    assert_eq!(swept.packs, 0);
    let manifest = writer.commit(header(1)).await.unwrap();
    assert_eq!(read(&repository, &manifest).await.unwrap(), tree);

    let abandoned = repository.begin(small());
    write_collection(&abandoned, "more", &tree[1].1)
        .await
        .unwrap();
    wait_until(async || names(&inner, "packs").await.len() > manifest.packs.len()).await;
    drop(abandoned);
    wait_until(async || {
        repository
            .sweep(Duration::ZERO, far_future())
            .await
            .unwrap();
        names(&inner, "packs").await.len() == manifest.packs.len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_while_a_manifest_cannot_be_read() {
    let (inner, repository) = two_snapshots().await;
    repository.forget(snapshot_id(1)).await.unwrap();
    let before = names(&inner, "packs").await;
    let manifest = Path::from(format!("snapshots/{}.0", snapshot_id(2)));
    inner
        .put(&manifest, b"rubbish".to_vec().into())
        .await
        .unwrap();
    let error = repository
        .sweep(Duration::ZERO, far_future())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(error.object(), Some(manifest.as_ref()));
    assert_eq!(names(&inner, "packs").await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_beside_a_checkpoint_of_a_later_version() {
    let (inner, repository) = two_snapshots().await;
    repository.forget(snapshot_id(1)).await.unwrap();
    inner
        .put(&Path::from("checkpoints/job"), b"unknown".to_vec().into())
        .await
        .unwrap();
    assert_eq!(
        repository
            .sweep(Duration::ZERO, far_future())
            .await
            .unwrap()
            .packs,
        0
    );
    inner.delete(&Path::from("checkpoints/job")).await.unwrap();
    assert!(
        repository
            .sweep(Duration::ZERO, far_future())
            .await
            .unwrap()
            .packs
            > 0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_interrupted_puts_go_from_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::create(Store::local(folder.path()).unwrap(), &key())
        .await
        .unwrap();
    let manifest = write(&repository, 1, &sample_tree(), WriteOptions::default())
        .await
        .unwrap();
    let pack = manifest.packs[0].to_string();
    let leftover = folder.path().join(format!("packs/{}/{pack}#1", &pack[..2]));
    std::fs::write(&leftover, b"half").unwrap();
    assert_eq!(
        repository
            .check(CheckOptions::default())
            .await
            .unwrap()
            .problems,
        []
    );
    assert_eq!(
        repository.sweep(DAY, UNIX_EPOCH).await.unwrap().leftovers,
        0
    );
    assert_eq!(
        repository.sweep(DAY, far_future()).await.unwrap().leftovers,
        1
    );
    assert!(!leftover.exists());
    assert_eq!(read(&repository, &manifest).await.unwrap(), sample_tree());

    repository.forget(snapshot_id(1)).await.unwrap();
    repository
        .sweep(Duration::ZERO, SystemTime::UNIX_EPOCH)
        .await
        .unwrap();
    assert_eq!(
        repository
            .check(CheckOptions::default())
            .await
            .unwrap()
            .packs_unreferenced,
        0
    );
}
