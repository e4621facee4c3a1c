//! A store of each format version is kept in the source tree and must stay readable. Where one is
//! missing, the test writes it and fails, so that it can be looked at and checked in.

use std::path::Path;

use vault::{CheckOptions, Repository, Store, WriteOptions};

use crate::model::*;
use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_format_version_1_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    if !folder.join("repo").exists() {
        let repository = Repository::create(Store::local(&folder).unwrap(), &key())
            .await
            .unwrap();
        write(&repository, 1, &golden_tree(), small())
            .await
            .unwrap();
        panic!("{} was missing and has been written", folder.display());
    }
    let repository = Repository::open(Store::local(&folder).unwrap(), &key())
        .await
        .unwrap();
    assert_eq!(repository.snapshots().await.unwrap(), [snapshot_id(1)]);
    let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
    assert_eq!(manifest.source, header(1).source);
    assert_eq!(manifest.consistency, header(1).consistency);
    assert_eq!(read(&repository, &manifest).await.unwrap(), golden_tree());
    let sums: Vec<_> = manifest
        .collections
        .iter()
        .map(|c| c.fingerprint().to_string())
        .collect();
    assert_eq!(sums, GOLDEN_FINGERPRINTS);
    let report = repository
        .check(CheckOptions { read_data: true })
        .await
        .unwrap();
    assert_eq!((report.problems, report.documents), (Vec::new(), 45));
}

/// The same version with what was added since: segments, the packs of pages, a parent and a resume
/// point; one snapshot by a scan and one by an edit.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_segments_is_read() {
    a_scan_and_an_edit_are_read("v1-segments").await;
}

/// The same again, with sidecars in strips.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_sidecars_in_strips_is_read() {
    a_scan_and_an_edit_are_read("v1-strips").await;
}

/// Version 2: blocks in strips. Documents are long enough for each block to have some.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_format_version_2_is_read() {
    let options = WriteOptions {
        block_bytes: 160 << 10,
        ..WriteOptions::default()
    };
    let state = model(0..600, 400);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2");
    let store = || Store::local(&folder).unwrap();
    if !folder.join("repo").exists() {
        let repository = Repository::create(store(), &key()).await.unwrap();
        scanned(&repository, 1, &state, options).await;
        panic!("{} was missing and has been written", folder.display());
    }
    let repository = Repository::open(store(), &key()).await.unwrap();
    let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
    assert_eq!(manifest.totals.blocks, 2);
    // Some are in two strips, some in the first or the last one.
    let wanted: Vec<u64> = (0..600).step_by(7).chain([599]).collect();
    let identities: Vec<_> = wanted.iter().map(|&id| identity(id)).collect();
    let found = repository.find(&manifest.collections[0], &identities).await;
    for (id, found) in wanted.iter().zip(found.unwrap()) {
        assert_eq!(found.as_deref(), state.get(id).map(Vec::as_slice), "{id}");
    }
    assert_model(&repository, &manifest, &state).await;
    assert_clean(&repository).await;
}

async fn a_scan_and_an_edit_are_read(name: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folder = golden.join(name);
    let mut state = model(0..600, 40);
    let changes: Changes = (0..60)
        .map(|id| (id * 11, (id % 3 > 0).then(|| doc(id * 11, 1, 40))))
        .collect();
    if !folder.join("repo").exists() {
        let store = Store::local(&folder).unwrap();
        let repository = Repository::create(store, &key()).await.unwrap();
        let writer = repository.begin(small());
        scan(&writer, &state).await;
        let base = writer.commit(header(1)).await.unwrap();
        let writer = repository.begin_upon(small(), Some(&base));
        edit(&writer, &changes, 100).await.unwrap();
        let header = vault::SnapshotHeader {
            resume_point: Some(b"go on here".to_vec()),
            ..header(2)
        };
        writer.commit(header).await.unwrap();
        panic!("{} was missing and has been written", folder.display());
    }
    let store = Store::local(&folder).unwrap();
    let repository = Repository::open(store, &key()).await.unwrap();
    let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
    assert_model(&repository, &manifest, &state).await;
    apply(&mut state, &changes);
    let manifest = repository.manifest(snapshot_id(2)).await.unwrap();
    assert_model(&repository, &manifest, &state).await;
    assert_eq!(manifest.parent, Some(snapshot_id(1)));
    assert_eq!(
        manifest.resume_point.as_deref(),
        Some(b"go on here".as_slice())
    );
    assert_clean(&repository).await;
}

/// Fingerprints depend on the keys in the store and on every hash of the format.
const GOLDEN_FINGERPRINTS: [&str; 3] = [
    "40:6252f1d4b5f5314881ef85f03653a06362fac74b577f7cf29ef14cff8c45381b",
    "5:0db9e2a06393c154d8d2c0cfc148104399b2e9186df0b0c1d535e47cdb3ca05b",
    "0:0000000000000000000000000000000000000000000000000000000000000000",
];

fn golden_tree() -> Tree {
    let documents = |from: u64, count: u64, length: usize| {
        (from..from + count)
            .map(|number| document(number, length))
            .collect::<Vec<_>>()
    };
    vec![
        ("customers".to_owned(), documents(0, 40, 200)),
        ("orders".to_owned(), documents(100, 5, 3_000)),
        ("empty".to_owned(), Vec::new()),
    ]
}
