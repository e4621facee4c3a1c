//! Repacking gives space back and changes no snapshot, whoever writes or reads meanwhile, and
//! wherever it is interrupted.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use vault::{CheckOptions, ReadOptions, RepackOptions, Repository, WriteOptions};

use crate::crash::far_future;
use crate::editing::chain;
use crate::faulty::{Fault, Faulty};
use crate::model::*;
use crate::support::*;

/// Bytes of all packs in the store.
async fn stored(inner: &InMemory) -> u64 {
    let packs: Vec<_> = inner
        .list(Some(&Path::from("packs")))
        .try_collect()
        .await
        .unwrap();
    packs.iter().map(|pack| pack.size).sum()
}

fn repacking() -> RepackOptions {
    RepackOptions {
        pack_bytes: 16 << 10,
        ..RepackOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn space_of_what_is_dead_is_given_back() {
    let (inner, repository) = repository().await;
    let mut state = model(0..2_000, 300);
    let mut base = scanned(&repository, 1, &state, small()).await;
    let whole = stored(&inner).await;
    // Four of five go, each block keeps enough to stay.
    for number in 2..6_u8 {
        let gone = u64::from(number) - 2;
        let changes = (0..2_000)
            .filter(|id| id / 20 % 5 == gone)
            .map(|id| (id, None));
        let changes: Changes = changes.collect();
        let writer = repository.begin_upon(small(), Some(&base));
        edit(&writer, &changes, 1_000).await.unwrap();
        apply(&mut state, &changes);
        repository.forget(base.snapshot).await.unwrap();
        base = writer.commit(header(number)).await.unwrap();
    }
    repository
        .sweep(Duration::ZERO, far_future())
        .await
        .unwrap();
    let before = stored(&inner).await;
    let repacked = repository.repack(&repacking()).await.unwrap();
    assert!(
        repacked.packs > 0 && repacked.manifests == 1,
        "{repacked:?}"
    );
    assert_clean(&repository).await;
    // Whoever read the older manifest is not harmed by a sweep that follows a failed snapshot.
    repository
        .sweep(Duration::ZERO, far_future())
        .await
        .unwrap();
    assert_model(&repository, &base, &state).await;
    let day = Duration::from_secs(86_400);
    repository.sweep(day, far_future()).await.unwrap();
    repository.sweep(day, far_future() + day).await.unwrap();
    let after = stored(&inner).await;
    assert!(
        after < before && after * 3 < whole,
        "{whole} {before} {after}"
    );
    let manifest = repository.manifest(base.snapshot).await.unwrap();
    assert_eq!(manifest.generation, 1);
    assert_model(&repository, &manifest, &state).await;
    assert_clean(&repository).await;
    // Pages that were written anew leave a little behind in packs that had stayed.
    let mut rounds = 0;
    while repository.repack(&repacking()).await.unwrap() != vault::Repacked::default() {
        rounds += 1;
        assert!(rounds < 4, "repacking comes to an end");
    }
    let manifest = repository.manifest(base.snapshot).await.unwrap();
    // What was repacked is a base like any other.
    let changes: Changes = (0..2_000)
        .step_by(7)
        .map(|id| (id, Some(doc(id, 3, 90))))
        .collect();
    let writer = repository.begin_upon(small(), Some(&manifest));
    edit(&writer, &changes, 100).await.unwrap();
    apply(&mut state, &changes);
    let next = writer.commit(header(6)).await.unwrap();
    assert_model(&repository, &next, &state).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_an_index_refers_to_is_given_back() {
    let (inner, repository) = repository().await;
    let first = scanned(&repository, 1, &model(0..2_000, 300), small()).await;
    let before = stored(&inner).await;
    // Everything is another document, and yet the index still knows where the old ones lay.
    let mut state: Model = (0..2_000).map(|id| (id, doc(id, 1, 300))).collect();
    let writer = repository.begin_upon(small(), Some(&first));
    scan(&writer, &state).await;
    let second = writer.commit(header(2)).await.unwrap();
    assert!(second.packs.iter().any(|pack| first.packs.contains(pack)));
    // The next one to write an entry leaves out what is stale, and so needs nothing of the first.
    let changes = Changes::from([(7, Some(doc(7, 2, 300)))]);
    let writer = repository.begin_upon(small(), Some(&second));
    edit(&writer, &changes, 1).await.unwrap();
    apply(&mut state, &changes);
    let third = writer.commit(header(3)).await.unwrap();
    repository.forget(second.snapshot).await.unwrap();
    repository.forget(first.snapshot).await.unwrap();
    let mut rounds = 0;
    while repository.repack(&repacking()).await.unwrap() != vault::Repacked::default() {
        rounds += 1;
        assert!(rounds < 4, "repacking comes to an end");
    }
    let day = Duration::from_secs(86_400);
    for days in 0..3 {
        let swept = repository.sweep(day, far_future() + days * day).await;
        swept.unwrap();
    }
    let manifest = repository.manifest(third.snapshot).await.unwrap();
    let of_first = |pack| first.packs.contains(pack);
    assert!(!manifest.packs.iter().any(of_first), "{manifest:?}");
    let after = stored(&inner).await;
    assert!(after * 10 < before * 11, "{before} {after}");
    assert_model(&repository, &manifest, &state).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repacking_harms_no_snapshot_of_a_chain_nor_writers_and_readers_beside_it() {
    let options = RepackOptions {
        live_hundredths_min: 101,
        ..repacking()
    };
    for forgotten in 0..5 {
        let (_, repository) = repository().await;
        let mut chain = chain(&repository).await;
        if forgotten < 4 {
            let (gone, _) = chain.remove(forgotten);
            repository.forget(gone.snapshot).await.unwrap();
        }
        let (last, state) = chain.last().unwrap();
        let writer = repository.begin_upon(small(), Some(last));
        let mut blocks = repository.blocks(&last.collections[0], ReadOptions::default());
        let held = repository.hold(last);
        let repacked = repository.repack(&options).await.unwrap();
        assert_eq!(repacked.manifests, chain.len() as u64);
        let day = Duration::from_secs(86_400);
        for days in 0..3 {
            let swept = repository.sweep(day, far_future() + days * day).await;
            swept.unwrap();
        }
        let mut count = 0;
        while let Some(block) = blocks.try_next().await.unwrap() {
            count += block.document_count();
        }
        assert_eq!(count, state.len());
        assert_model(&repository, last, state).await;
        drop(held);
        edit(&writer, &Changes::new(), 1).await.unwrap();
        let next = writer.commit(header(9)).await.unwrap();
        assert_model(&repository, &next, state).await;
        for (manifest, state) in &chain {
            let manifest = repository.manifest(manifest.snapshot).await.unwrap();
            assert_eq!(manifest.generation, 1);
            assert_model(&repository, &manifest, state).await;
        }
        assert_clean(&repository).await;
        for (manifest, _) in &chain {
            repository.forget(manifest.snapshot).await.unwrap();
        }
        repository.forget(next.snapshot).await.unwrap();
        for days in 4..7 {
            let swept = repository.sweep(day, far_future() + days * day).await;
            swept.unwrap();
        }
        let report = repository.check(CheckOptions::default()).await.unwrap();
        assert_eq!((report.packs, report.packs_unreferenced), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_packs_are_joined() {
    let (inner, repository) = repository().await;
    let mut state = model(0..50, 100);
    let mut base = scanned(&repository, 1, &state, WriteOptions::default()).await;
    for number in 2..14_u8 {
        let changes = Changes::from([(u64::from(number), Some(doc(u64::from(number), 1, 50)))]);
        let writer = repository.begin_upon(WriteOptions::default(), Some(&base));
        edit(&writer, &changes, 1).await.unwrap();
        apply(&mut state, &changes);
        base = writer.commit(header(number)).await.unwrap();
    }
    let options = RepackOptions::default();
    let repacked = repository.repack(&options).await.unwrap();
    assert!(repacked.packs >= 8, "{repacked:?}");
    let day = Duration::from_secs(86_400);
    for days in 0..3 {
        let swept = repository.sweep(day, far_future() + days * day).await;
        swept.unwrap();
    }
    let packs: Vec<_> = inner
        .list(Some(&Path::from("packs")))
        .try_collect()
        .await
        .unwrap();
    // One of blocks, and one of pages and segments.
    assert_eq!(packs.len(), 2);
    let manifest = repository.manifest(base.snapshot).await.unwrap();
    assert_model(&repository, &manifest, &state).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_of_a_repacking_harms_no_snapshot() {
    let options = RepackOptions {
        live_hundredths_min: 101,
        ..repacking()
    };
    let day = Duration::from_secs(86_400);
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for good_writes in 0.. {
            assert!(good_writes < 200, "the writes of one repacking are few");
            let (inner, repository) = repository().await;
            let mut chain = chain(&repository).await;
            let (gone, _) = chain.remove(1);
            repository.forget(gone.snapshot).await.unwrap();
            let faulty = Faulty::new(inner.clone(), fault, good_writes);
            let dying = Repository::open(store(faulty), &key()).await.unwrap();
            let done = dying.repack(&options).await;
            let repository = Repository::open(store(inner), &key()).await.unwrap();
            for round in 0..2_u32 {
                for days in 0..2 {
                    let now = far_future() + (2 * round + days) * day;
                    repository.sweep(day, now).await.unwrap();
                }
                for (manifest, state) in &chain {
                    let manifest = repository.manifest(manifest.snapshot).await.unwrap();
                    assert_model(&repository, &manifest, state).await;
                }
                assert_clean(&repository).await;
                // What was interrupted can be done again.
                repository.repack(&options).await.unwrap();
            }
            if done.is_ok() {
                assert!(good_writes > 6, "only {good_writes} writes were tried");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_left_where_it_is() {
    use object_store::ObjectStoreExt;
    let (inner, repository) = repository().await;
    let chain = chain(&repository).await;
    let pack = chain[0].0.packs[0].to_string();
    let name = Path::from(format!("packs/{}/{pack}", &pack[..2]));
    let good = inner.get(&name).await.unwrap().bytes().await.unwrap();
    let mut bad = good.to_vec();
    bad[100] ^= 1;
    inner.put(&name, bad.into()).await.unwrap();
    let options = RepackOptions {
        live_hundredths_min: 101,
        ..repacking()
    };
    repository.repack(&options).await.unwrap();
    inner.put(&name, good.into()).await.unwrap();
    for (manifest, state) in &chain {
        let manifest = repository.manifest(manifest.snapshot).await.unwrap();
        assert!(manifest.generation <= 1);
        assert_model(&repository, &manifest, state).await;
    }
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repacking_beneath_which_a_manifest_is_replaced_begins_again() {
    let options = RepackOptions {
        live_hundredths_min: 101,
        ..RepackOptions::default()
    };
    let mut lost = 0;
    for reads in 0.. {
        let inner = Arc::new(InMemory::new());
        let faulty = Faulty::new(inner.clone(), Fault::Hiccup, i64::MAX);
        let repository = Repository::create(store(faulty.clone()), &key()).await;
        let repository = repository.unwrap();
        let state = model(0..100, 100);
        let base = scanned(&repository, 1, &state, small()).await;
        faulty.lose_a_manifest_after(reads);
        let repacked = repository.repack(&options).await.unwrap();
        assert_eq!(repacked.manifests, 1, "after {reads} reads");
        assert_eq!(repacked.packs, base.packs.len() as u64);
        let met = faulty.has_lost_a_manifest();
        let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
        assert_model(&repository, &manifest, &state).await;
        assert_clean(&repository).await;
        if !met {
            break;
        }
        lost += 1;
    }
    assert_eq!(lost, 4, "a repacking reads each manifest four times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_beneath_which_a_manifest_is_replaced_finds_nothing_wrong() {
    for reads in 0..2 {
        let inner = Arc::new(InMemory::new());
        let faulty = Faulty::new(inner.clone(), Fault::Hiccup, i64::MAX);
        let repository = Repository::create(store(faulty.clone()), &key()).await;
        let repository = repository.unwrap();
        scanned(&repository, 1, &model(0..100, 100), small()).await;
        faulty.lose_a_manifest_after(reads);
        let report = repository.check(CheckOptions { read_data: true }).await;
        let report = report.unwrap();
        assert!(faulty.has_lost_a_manifest(), "it reads each twice");
        assert_eq!((report.problems, report.documents), (Vec::new(), 100));
        faulty.lose_a_manifest_after(0);
        let manifest = repository.manifest(snapshot_id(1)).await;
        assert_eq!(manifest.unwrap().totals.documents, 100);
    }
}
