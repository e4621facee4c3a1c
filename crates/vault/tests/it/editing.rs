//! An edited collection holds exactly what it was told to, every document of it is found by
//! identity, and it stands alone when the others are deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use proptest::prelude::*;
use vault::{Batch, CheckOptions, ErrorKind, Manifest, Repository, SnapshotWriter, WriteOptions};

use crate::crash::far_future;
use crate::model::*;
use crate::support::*;

async fn live_generations(seed: u64) {
    let mut dice = Dice(seed);
    let (_, repository) = repository().await;
    let count = [0, 5, 120, 600][usize::try_from(dice.below(4)).unwrap()];
    let mut state = model(0..count, 90);
    let first = scanned(&repository, 1, &state, small()).await;
    let mut lives: Vec<(Manifest, Model)> = vec![(first, state.clone())];
    for number in 2..9_u8 {
        let at = usize::try_from(dice.below(lives.len() as u64)).unwrap();
        let at = if dice.below(4) == 0 {
            at
        } else {
            lives.len() - 1
        };
        let base = lives[at].0.clone();
        state = lives[at].1.clone();
        let changes = dice.changes(&state);
        let mut writer = repository.begin_upon(small(), Some(&base));
        if dice.below(4) == 0 {
            apply(&mut state, &changes);
            scan(&writer, &state).await;
        } else {
            let at_a_time = usize::try_from(1 + dice.below(300)).unwrap();
            edit(&writer, &changes, at_a_time).await.unwrap();
            apply(&mut state, &changes);
            if dice.below(3) == 0 {
                let pass = writer.checkpoint(checkpoint_header(number)).await;
                writer = repository.resume(small(), Some(&base), &pass.unwrap());
                let more = dice.changes(&state);
                edit(&writer, &more, 1_000).await.unwrap();
                apply(&mut state, &more);
            }
        }
        let manifest = writer.commit(header(number)).await.unwrap();
        assert_eq!(manifest.parent, Some(base.snapshot));
        assert_model(&repository, &manifest, &state).await;
        lives.push((manifest, state.clone()));
        if dice.below(3) == 0 {
            let at = usize::try_from(dice.below(lives.len() as u64 - 1)).unwrap();
            let (gone, _) = lives.remove(at);
            repository.forget(gone.snapshot).await.unwrap();
            let swept = repository.sweep(Duration::ZERO, far_future()).await;
            swept.unwrap();
        }
    }
    assert_clean(&repository).await;
    for (manifest, state) in &lives {
        assert_model(&repository, manifest, state).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_generation_is_exact_and_every_document_is_found(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(live_generations(seed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_replaces_nothing_reads_and_stores_nothing() {
    let (_, repository) = repository().await;
    let state = model(0..5_000, 1_000);
    let base = scanned(&repository, 1, &state, WriteOptions::default()).await;
    let writer = repository.begin_upon(WriteOptions::default(), Some(&base));
    let summary = edit(&writer, &BTreeMap::new(), 1).await.unwrap();
    assert_eq!((summary.documents_shared, summary.bytes_read), (5_000, 0));
    let next = writer.commit(header(2)).await.unwrap();
    assert_eq!(next.totals.stored_bytes, 0);
    assert_eq!(next.packs, base.packs);
    assert_eq!(next.totals.bytes_shared, Some(base.totals.bytes));
    assert_model(&repository, &next, &state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uniform_edits_of_one_in_a_hundred_store_little_more_than_themselves() {
    let (_, repository) = repository().await;
    let mut state = model(0..20_000, 1_000);
    let options = WriteOptions::default();
    let mut base = scanned(&repository, 1, &state, options.clone()).await;
    for generation in 2..6_u8 {
        let mut changes = BTreeMap::new();
        let mut changed = Vec::new();
        for number in 0..200_u64 {
            let id = number * 100 + (number * 37 + u64::from(generation)) % 100;
            let found = doc(id, u64::from(generation), 1_000);
            changed.extend_from_slice(&found);
            changes.insert(id, Some(found));
        }
        let alone = zstd::bulk::compress(&changed, 1).unwrap().len() as u64;
        let writer = repository.begin_upon(options.clone(), Some(&base));
        edit(&writer, &changes, 64).await.unwrap();
        apply(&mut state, &changes);
        let next = writer.commit(header(generation)).await.unwrap();
        assert_model(&repository, &next, &state).await;
        assert_eq!(next.totals.documents_new, Some(200));
        let stored = next.totals.stored_bytes;
        assert!(
            stored * 100 <= alone * 120,
            "generation {generation}: {stored} bytes for {alone}"
        );
        base = next;
    }
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edit_reads_does_not_grow_with_the_collection() {
    let mut read = Vec::new();
    for count in [10_000, 80_000] {
        let (_, repository) = repository().await;
        let state = model(0..count, 300);
        let options = WriteOptions {
            block_bytes: 64 << 10,
            ..WriteOptions::default()
        };
        let base = scanned(&repository, 1, &state, options.clone()).await;
        let ids = (0..20).map(|number| number * (count / 20));
        let changes = ids.map(|id| (id, Some(doc(id, 1, 300)))).collect();
        let writer = repository.begin_upon(options, Some(&base));
        let summary = edit(&writer, &changes, 100).await.unwrap();
        read.push(summary.bytes_read);
        writer.commit(header(2)).await.unwrap();
    }
    // All of a small collection's leaves are touched; of a large one's no more than there are ids.
    assert!(read[1] < 2 * read[0], "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_documents_of_an_identity_are_taken_out() {
    let (_, repository) = repository().await;
    let mut documents: Vec<Vec<u8>> = model(0..300, 100).into_values().collect();
    // A pass that is at no one time sees a document that moved twice, in one version or two.
    documents.push(doc(7, 0, 100));
    documents.push(doc(8, 1, 120));
    documents.push(doc(9, 0, 100));
    let writer = repository.begin(small());
    write_collection(&writer, "one", &documents).await.unwrap();
    let pass = writer.checkpoint(checkpoint_header(1)).await.unwrap();
    let writer = repository.resume(small(), None, &pass);
    let mut state = model(0..300, 100);
    let changes = BTreeMap::from([
        (7, None),
        (8, Some(doc(8, 2, 100))),
        // Twice there, and to be there once as it is.
        (9, Some(doc(9, 0, 100))),
    ]);
    edit(&writer, &changes, 1).await.unwrap();
    apply(&mut state, &changes);
    let manifest = writer.commit(header(1)).await.unwrap();
    assert_eq!(manifest.parent, None);
    assert_model(&repository, &manifest, &state).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_call_for_an_identity_holds() {
    let (_, repository) = repository().await;
    let mut state = model(0..300, 100);
    let base = scanned(&repository, 1, &state, small()).await;
    let writer = repository.begin_upon(small(), Some(&base));
    let mut editor = writer.edit(entry("one")).unwrap();
    // Enough at a time that what waits is looked up between the calls.
    let many: Vec<Bytes> = (1_000..70_000).map(identity).collect();
    for (id, found) in [
        (1, Some(doc(1, 1, 50))),
        (2, None),
        (3, Some(doc(3, 1, 50))),
        (1, Some(doc(1, 2, 50))),
        (2, Some(doc(2, 0, 100))),
        (3, None),
        (4, Some(doc(4, 1, 50))),
        (4, Some(doc(4, 0, 100))),
        (5, Some(doc(5, 1, 50))),
        (5, Some(doc(5, 1, 50))),
    ] {
        let documents: Vec<_> = found.iter().cloned().collect();
        editor
            .replace(&[identity(id)], batch(&documents))
            .await
            .unwrap();
        editor.replace(&many, Batch::default()).await.unwrap();
        apply(&mut state, &BTreeMap::from([(id, found)]));
    }
    editor.finish().await.unwrap();
    let manifest = writer.commit(header(2)).await.unwrap();
    assert_model(&repository, &manifest, &state).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thin_blocks_are_stored_anew_and_small_edits_do_not_pile_up() {
    let (_, repository) = repository().await;
    let mut state = model(0..400, 980);
    let first = scanned(&repository, 1, &state, small()).await;
    // Blocks hold four documents: of each, two go.
    let changes = (0..400)
        .filter(|id| id % 4 < 2)
        .map(|id| (id, None))
        .collect();
    let writer = repository.begin_upon(small(), Some(&first));
    let summary = edit(&writer, &changes, 1_000).await.unwrap();
    assert_eq!(summary.documents_shared, 0);
    apply(&mut state, &changes);
    let mut base = writer.commit(header(2)).await.unwrap();
    assert_model(&repository, &base, &state).await;
    // What the segments say of old documents stays for a while.
    let kept = base.packs.iter().filter(|pack| first.packs.contains(pack));
    assert!(kept.count() <= 2);
    let options = WriteOptions {
        block_bytes: 64 << 10,
        ..WriteOptions::default()
    };
    for round in 0..150 {
        let changes = BTreeMap::from([(1_000 + round, Some(doc(1_000 + round, 0, 30)))]);
        let writer = repository.begin_upon(options.clone(), Some(&base));
        edit(&writer, &changes, 1).await.unwrap();
        apply(&mut state, &changes);
        repository.forget(snapshot_id(3)).await.unwrap();
        base = writer.commit(header(3)).await.unwrap();
    }
    assert_model(&repository, &base, &state).await;
    // Each edit has a pack of its own, and few of them are still needed.
    let old = 100;
    assert!(base.packs.len() < old, "{} packs", base.packs.len());
    repository
        .sweep(Duration::ZERO, far_future())
        .await
        .unwrap();
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_without_a_collection_to_edit_is_refused() {
    let (_, repository) = repository().await;
    let refused = |writer: SnapshotWriter| writer.edit(entry("one")).unwrap_err().kind();
    assert_eq!(refused(repository.begin(small())), ErrorKind::Invalid);
    let tree = vec![("other".to_owned(), vec![])];
    let base = write(&repository, 1, &tree, small()).await.unwrap();
    let writer = repository.begin_upon(small(), Some(&base));
    assert_eq!(refused(writer), ErrorKind::Invalid);
    let writer = repository.begin_upon(small(), Some(&base));
    let mut editor = writer.edit(entry("other")).unwrap();
    let error = editor.replace(&[Bytes::new()], Batch::default()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(
        editor.finish().await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(
        writer.commit(header(2)).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_ends_an_edit_and_the_collection_can_be_scanned_instead() {
    let (inner, repository) = repository().await;
    let state = model(0..600, 200);
    let base = scanned(&repository, 1, &state, small()).await;
    let mut edits_failed = 0;
    for (number, pack) in (2..).zip(&base.packs) {
        let pack = pack.to_string();
        let fresh = Repository::open(store(inner.clone()), &key()).await;
        let repository = fresh.unwrap();
        let name = Path::from(format!("packs/{}/{pack}", &pack[..2]));
        let good = inner.get(&name).await.unwrap().bytes().await.unwrap();
        if number % 2 == 0 {
            inner.delete(&name).await.unwrap();
        } else {
            inner
                .put(&name, vec![0_u8; good.len()].into())
                .await
                .unwrap();
        }
        let writer = repository.begin_upon(small(), Some(&base));
        let changes = state
            .keys()
            .map(|&id| (id, (id % 3 > 0).then(|| doc(id, 1, 200))));
        let error = edit(&writer, &changes.collect(), 1_000).await.unwrap_err();
        edits_failed += 1;
        assert!(error.is_damage(), "{error}");
        assert_eq!(error.object(), Some(name.as_ref()));
        // The damage is known now: an edit is refused at once, and a scan stores anew.
        let writer = repository.begin_upon(small(), Some(&base));
        let error = writer.edit(entry("one")).unwrap_err();
        assert_eq!(error.object(), Some(name.as_ref()));
        scan(&writer, &state).await;
        let next = writer.commit(header(number)).await.unwrap();
        assert!(next.packs.iter().all(|kept| kept.to_string() != pack));
        assert_model(&repository, &next, &state).await;
        inner.put(&name, good.into()).await.unwrap();
    }
    assert!(edits_failed > 5, "{edits_failed} packs were damaged");
    assert_clean(&repository).await;
}

/// Four snapshots in a chain, made in each of the ways, of two collections.
pub(crate) async fn chain(repository: &Repository) -> Vec<(Manifest, Model)> {
    let mut state = model(0..250, 150);
    let mut dice = Dice(11);
    let mut chain = vec![(scanned(repository, 1, &state, small()).await, state.clone())];
    for number in 2..5_u8 {
        let changes = dice.changes(&state);
        apply(&mut state, &changes);
        let writer = repository.begin_upon(small(), Some(&chain[chain.len() - 1].0));
        if number == 3 {
            scan(&writer, &state).await;
        } else {
            edit(&writer, &changes, 70).await.unwrap();
        }
        let manifest = writer.commit(header(number)).await.unwrap();
        chain.push((manifest, state.clone()));
    }
    chain
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_forgotten_in_any_order_without_harm_to_the_others() {
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..4 {
        let longer = |order: &Vec<usize>| {
            let rest = (0..4).filter(|at| !order.contains(at)).collect::<Vec<_>>();
            let order = order.clone();
            rest.into_iter()
                .map(move |at| [order.clone(), vec![at]].concat())
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 24);
    for order in orders {
        let (_, repository) = repository().await;
        let chain = chain(&repository).await;
        for (gone, at) in order.iter().enumerate() {
            repository.forget(chain[*at].0.snapshot).await.unwrap();
            let swept = repository.sweep(Duration::ZERO, far_future()).await;
            swept.unwrap();
            for kept in &order[gone + 1..] {
                let (manifest, state) = &chain[*kept];
                assert_model(&repository, manifest, state).await;
            }
            assert_clean(&repository).await;
        }
        let report = repository.check(CheckOptions::default()).await.unwrap();
        assert_eq!((report.packs, report.packs_unreferenced), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_without_segments_gets_them_by_a_scan_upon_it() {
    let folder = tempfile::tempdir().unwrap();
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    copy_folder(&golden, folder.path());
    let store = vault::Store::local(folder.path()).unwrap();
    let repository = Repository::open(store, &key()).await.unwrap();
    let old = repository.manifest(snapshot_id(1)).await.unwrap();
    let customers = &old.collections[0];
    assert!(!customers.can_be_edited() && old.collections[2].can_be_edited());
    let error = repository
        .find(customers, &[identity(1)])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let tree = read(&repository, &old).await.unwrap();
    let writer = repository.begin_upon(small(), Some(&old));
    let again = vault::CollectionEntry {
        uuid: customers.uuid,
        ..entry("customers")
    };
    let mut scan = writer.collection(again);
    scan.push(batch(&tree[0].1)).await.unwrap();
    scan.finish().await.unwrap();
    let next = writer.commit(header(2)).await.unwrap();
    assert_eq!(next.totals.documents_new, Some(0));
    let customers = &next.collections[0];
    let identities: Vec<Bytes> = tree[0]
        .1
        .iter()
        .map(|d| Bytes::copy_from_slice(&d[..12]))
        .collect();
    let found = repository.find(customers, &identities).await.unwrap();
    let found: Vec<Vec<u8>> = found
        .into_iter()
        .map(|found| found.unwrap().to_vec())
        .collect();
    assert_eq!(found, tree[0].1);
    assert_clean(&repository).await;
}
