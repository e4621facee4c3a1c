//! Sidecars are sealed in strips: what stands at the edge of one is replaced, found and compared
//! like any other, and stores from before there were strips go on.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use vault::{
    Batch, DiffOptions, DifferenceCounts, Manifest, RepackOptions, Repository, Span, Store,
    WriteOptions,
};

use crate::model::*;
use crate::support::*;

/// Blocks that hold as many small documents as a block may.
fn one_block() -> WriteOptions {
    WriteOptions {
        block_bytes: 4 << 20,
        ..WriteOptions::default()
    }
}

async fn difference(repository: &Repository, first: &Manifest, second: &Manifest) -> [u64; 3] {
    let (first, second) = (&first.collections[0], &second.collections[0]);
    let options = DiffOptions::default();
    let counts = repository.count_differences(first, second, &options).await;
    let DifferenceCounts {
        removed,
        added,
        changed,
    } = counts.unwrap();
    [removed, added, changed]
}

async fn edges_of_a_block(documents: u64) {
    let (_, repository) = repository().await;
    let mut state = model(0..documents, 6);
    let base = scanned(&repository, 1, &state, one_block()).await;
    assert_eq!(base.totals.blocks, 1, "{documents} documents");
    let edges = [0, 63, 64, 65, 127, documents / 2, documents - 1];
    let edges = edges.into_iter().filter(|id| *id < documents);
    let changes: Changes = edges
        .map(|id| (id, (id % 2 == 0).then(|| doc(id, 1, 9))))
        .collect();
    let writer = repository.begin_upon(one_block(), Some(&base));
    edit(&writer, &changes, 3).await.unwrap();
    let next = writer.commit(header(2)).await.unwrap();
    apply(&mut state, &changes);
    assert_model(&repository, &next, &state).await;
    let changed = changes.values().flatten().count() as u64;
    let removed = changes.len() as u64 - changed;
    let found = difference(&repository, &base, &next).await;
    assert_eq!(found, [removed, 0, changed], "{documents} documents");
    let writer = repository.begin_upon(one_block(), Some(&next));
    scan(&writer, &state).await;
    let again = writer.commit(header(3)).await.unwrap();
    assert_eq!(again.totals.documents_new, Some(0));
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_at_the_edges_of_strips_are_replaced_found_and_compared() {
    for documents in [1, 2, 63, 64, 65, 128, 65_536] {
        edges_of_a_block(documents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_without_identity_stay_where_they_are_in_their_strips() {
    let (_, repository) = repository().await;
    let documents: Vec<Vec<u8>> = (0..200).map(|id| doc(id, 0, 30)).collect();
    let mut all = batch(&documents);
    // Every third document has none.
    for span in all.documents.iter_mut().step_by(3) {
        *span = Span {
            id_end: span.id_start,
            ..*span
        };
    }
    let writer = repository.begin(one_block());
    let mut collection = writer.collection(entry("one"));
    collection.push(all).await.unwrap();
    collection.finish().await.unwrap();
    let base = writer.commit(header(1)).await.unwrap();
    let writer = repository.begin_upon(one_block(), Some(&base));
    let mut editor = writer.edit(entry("one")).unwrap();
    let gone = [identity(64), identity(199)];
    editor.replace(&gone, Batch::default()).await.unwrap();
    editor.finish().await.unwrap();
    let next = writer.commit(header(2)).await.unwrap();
    let kept = documents.iter().enumerate();
    let kept = kept.filter(|(id, _)| *id != 64 && *id != 199);
    let kept: Vec<Vec<u8>> = kept.map(|(_, document)| document.clone()).collect();
    let read = read_collection(&repository, &next.collections[0]).await;
    assert_eq!(read.unwrap(), kept);
    let wanted: Vec<Bytes> = [63, 65, 66, 64].map(identity).to_vec();
    let found = repository.find(&next.collections[0], &wanted).await;
    let found: Vec<bool> = found.unwrap().iter().map(Option::is_some).collect();
    assert_eq!(found, [false, true, false, false]);
    assert_clean(&repository).await;
}

/// Blocks of several strips of documents.
fn long_blocks() -> WriteOptions {
    WriteOptions {
        block_bytes: 200 << 10,
        ..WriteOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_long_blocks_are_found_compared_and_stored_anew() {
    let (_, repository) = repository().await;
    let mut state = model(0..2_000, 300);
    let mut base = scanned(&repository, 1, &state, long_blocks()).await;
    assert_eq!(base.totals.blocks, 4);
    // The second time every block has become thin.
    for (number, kept_one_in) in [(2, 4), (3, 2)] {
        let changes: Changes = state
            .keys()
            .enumerate()
            .filter(|(at, _)| at % kept_one_in > 0)
            .map(|(at, &id)| (id, (at % 5 > 0).then(|| doc(id, u64::from(number), 300))))
            .collect();
        let writer = repository.begin_upon(long_blocks(), Some(&base));
        edit(&writer, &changes, 100).await.unwrap();
        let next = writer.commit(header(number)).await.unwrap();
        let changed = changes.values().flatten().count() as u64;
        let removed = changes.len() as u64 - changed;
        let found = difference(&repository, &base, &next).await;
        assert_eq!(found, [removed, 0, changed]);
        apply(&mut state, &changes);
        assert_model(&repository, &next, &state).await;
        base = next;
    }
    let wanted: Vec<Bytes> = state.keys().map(|&id| identity(id)).collect();
    let found = repository.find(&base.collections[0], &wanted).await;
    for (found, document) in found.unwrap().iter().zip(state.values()) {
        assert_eq!(found.as_ref(), Some(&Bytes::from(document.clone())));
    }
    assert_clean(&repository).await;
}

/// What is to be stored anew and cannot be read is known from then on: a snapshot that is begun
/// again stores it from the source.
#[tokio::test(flavor = "multi_thread")]
async fn damage_in_a_thin_block_is_known_once_it_was_met() {
    let (inner, repository) = repository().await;
    let mut state = model(0..2_000, 300);
    let base = scanned(&repository, 1, &state, long_blocks()).await;
    assert_eq!(base.packs.len(), 1);
    let pack = base.packs[0].to_string();
    let name = ObjectPath::from(format!("packs/{}/{pack}", &pack[..2]));
    let bytes = inner.get(&name).await.unwrap().bytes().await.unwrap();
    let mut bytes = bytes.to_vec();
    // In the first block, which comes before everything else.
    bytes[5_000] ^= 1;
    inner.put(&name, bytes.into()).await.unwrap();
    let changes: Changes = (0..2_000)
        .filter(|id| id % 5 < 3)
        .map(|id| (id, Some(doc(id, 1, 300))))
        .collect();
    apply(&mut state, &changes);
    let writer = repository.begin_upon(long_blocks(), Some(&base));
    let error = edit(&writer, &changes, 100).await.unwrap_err();
    assert_eq!(error.object(), Some(name.to_string().as_str()), "{error}");
    drop(writer);
    let writer = repository.begin_upon(long_blocks(), Some(&base));
    scan(&writer, &state).await;
    let next = writer.commit(header(2)).await.unwrap();
    assert_model(&repository, &next, &state).await;
    assert!(!next.packs.contains(&base.packs[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_from_before_strips_is_edited_compared_and_repacked() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-segments");
    copy_folder(&golden, folder.path());
    let store = || Store::local(folder.path()).unwrap();
    let repository = Repository::open(store(), &key()).await.unwrap();
    let old = repository.manifest(snapshot_id(2)).await.unwrap();
    let documents = read_collection(&repository, &old.collections[0]).await;
    let id_of = |document: &Vec<u8>| u64::from_be_bytes(document[..8].try_into().unwrap());
    let documents = documents.unwrap().into_iter();
    let mut state: Model = documents.map(|found| (id_of(&found), found)).collect();
    let ids: Vec<u64> = state.keys().copied().collect();
    let changes: BTreeMap<_, _> = ids
        .iter()
        .filter(|id| *id % 5 < 3)
        .map(|&id| (id, (id % 5 > 0).then(|| doc(id, 7, 40))))
        .collect();
    let writer = repository.begin_upon(small(), Some(&old));
    edit(&writer, &changes, 100).await.unwrap();
    let next = writer.commit(header(3)).await.unwrap();
    apply(&mut state, &changes);
    assert_model(&repository, &next, &state).await;
    let changed = changes.values().flatten().count() as u64;
    let removed = changes.len() as u64 - changed;
    let found = difference(&repository, &old, &next).await;
    assert_eq!(found, [removed, 0, changed]);
    assert_clean(&repository).await;
    let options = RepackOptions {
        live_hundredths_min: 100,
        ..RepackOptions::default()
    };
    repository.forget(snapshot_id(1)).await.unwrap();
    let repacked = repository.repack(&options).await.unwrap();
    assert!(repacked.packs > 0, "{repacked:?}");
    let next = repository.manifest(snapshot_id(3)).await.unwrap();
    assert!(next.generation > 0);
    assert_model(&repository, &next, &state).await;
    assert_clean(&repository).await;
}
