//! Crash enumeration: the store dies at every write in turn. Whatever is left must be sound, a
//! retry must succeed, and a full disk must say so.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vault::{CheckOptions, Error, ErrorKind, Repository, Retry, Store};

use crate::faulty::{Fault, Faulty};
use crate::model::*;
use crate::support::*;

const READ_DATA: CheckOptions = CheckOptions { read_data: true };

pub(crate) fn far_future() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(4_000_000_000)
}

/// All that a repository lives through: made, written twice, one snapshot forgotten, swept.
async fn live(inner: Arc<dyn ObjectStore>, trees: &[Tree; 2]) -> Result<(), Error> {
    let repository = Repository::create(store(inner), &key()).await?;
    let base = write(&repository, 1, &trees[0], small()).await?;
    write_upon(&repository, 2, &trees[1], small(), Some(&base)).await?;
    repository.forget(snapshot_id(1)).await?;
    repository.sweep(Duration::ZERO, far_future()).await?;
    Ok(())
}

/// Opens what a crash left, verifies it, and lives on.
async fn recover(inner: Arc<InMemory>, trees: &[Tree; 2]) {
    let repository = match Repository::open(store(inner.clone()), &key()).await {
        Ok(repository) => repository,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Missing);
            Repository::create(store(inner.clone()), &key())
                .await
                .unwrap()
        }
    };
    assert_sound(&repository).await;
    for number in [1, 2_u8] {
        let tree = &trees[usize::from(number) - 1];
        match repository.manifest(snapshot_id(number)).await {
            Ok(manifest) => assert_eq!(&read(&repository, &manifest).await.unwrap(), tree),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Missing);
                write(&repository, number, tree, small()).await.unwrap();
            }
        }
    }
    repository
        .sweep(Duration::ZERO, far_future())
        .await
        .unwrap();
    assert_sound(&repository).await;
    let report = repository.check(READ_DATA).await.unwrap();
    assert_eq!((report.snapshots, report.packs_unreferenced), (2, 0));
    for number in [1, 2_u8] {
        let manifest = repository.manifest(snapshot_id(number)).await.unwrap();
        assert_eq!(
            read(&repository, &manifest).await.unwrap(),
            trees[usize::from(number) - 1]
        );
    }
}

async fn assert_sound(repository: &Repository) {
    let report = repository.check(READ_DATA).await.unwrap();
    assert_eq!(report.problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_leaves_a_sound_repository_and_a_retry_succeeds() {
    let mut changed = sample_tree();
    changed.retain(|(name, _)| name != "mixed");
    changed[1].1.drain(20..30);
    changed[1].1[60..100].reverse();
    changed[3].1.retain(|document| document[0] < 100);
    (0..9).for_each(|number| changed[1].1.push(document(number, 9_000)));
    let trees = [sample_tree(), changed];
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for good_writes in 0.. {
            assert!(good_writes < 200, "the writes of one life are few");
            let inner = Arc::new(InMemory::new());
            let lived = live(Faulty::new(inner.clone(), fault, good_writes), &trees).await;
            recover(inner, &trees).await;
            if lived.is_ok() {
                assert!(good_writes > 12, "only {good_writes} writes were tried");
                break;
            }
        }
    }
}

/// A collection that is scanned, edited in two passes, and outlives its base.
async fn live_by_edits(
    inner: Arc<dyn ObjectStore>,
    states: &[Model; 2],
    changes: &[Changes; 2],
) -> Result<(), Error> {
    let repository = Repository::create(store(inner), &key()).await?;
    let writer = repository.begin(small());
    try_scan(&writer, &states[0]).await?;
    let base = writer.commit(header(1)).await?;
    let writer = repository.begin_upon(small(), Some(&base));
    edit(&writer, &changes[0], 100).await?;
    let pass = writer.checkpoint(checkpoint_header(2)).await?;
    drop(writer);
    let writer = repository.resume(small(), Some(&base), &pass);
    edit(&writer, &changes[1], 100).await?;
    writer.commit(header(2)).await?;
    repository.forget(snapshot_id(1)).await?;
    repository.sweep(Duration::ZERO, far_future()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_of_an_edit_leaves_every_snapshot_whole() {
    let base = model(0..150, 150);
    let changed = |ids: std::ops::Range<u64>, gone: u64| -> Changes {
        let ids = ids.step_by(3);
        ids.map(|id| (id, (id % gone > 0).then(|| doc(id, gone, 150))))
            .collect()
    };
    let changes = [changed(0..150, 4), changed(100..250, 5)];
    let mut edited = base.clone();
    changes
        .iter()
        .for_each(|changes| apply(&mut edited, changes));
    let states = [base, edited];
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for good_writes in 0.. {
            assert!(good_writes < 200, "the writes of one life are few");
            let inner = Arc::new(InMemory::new());
            let faulty = Faulty::new(inner.clone(), fault, good_writes);
            let lived = live_by_edits(faulty, &states, &changes).await;
            if let Ok(repository) = Repository::open(store(inner), &key()).await {
                for id in repository.snapshots().await.unwrap() {
                    let manifest = repository.manifest(id).await.unwrap();
                    let state = &states[usize::from(id.0[0]) - 1];
                    assert_model(&repository, &manifest, state).await;
                }
                assert_sound(&repository).await;
            }
            if lived.is_ok() {
                assert!(good_writes > 6, "only {good_writes} writes were tried");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_failure_at_any_write_is_survived() {
    let trees = [
        sample_tree(),
        vec![("few".to_owned(), vec![document(5, 9_000); 9])],
    ];
    for fault in [Fault::Hiccup, Fault::AnswerLost] {
        for good_writes in 0..20 {
            let inner = Arc::new(InMemory::new());
            let faulty = Faulty::new(inner.clone(), fault, good_writes);
            let once = Retry {
                retries_max: 1,
                pause: Duration::ZERO,
            };
            let store = Store::new(faulty).with_retry(once);
            let repository = Repository::create(store, &key()).await.unwrap();
            let manifest = write(&repository, 1, &trees[0], small()).await.unwrap();
            assert_eq!(read(&repository, &manifest).await.unwrap(), trees[0]);
            assert_sound(&repository).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_apart_and_leaves_no_snapshot() {
    let tree = sample_tree();
    for good_writes in [1, 2, 4] {
        let inner = Arc::new(InMemory::new());
        let faulty = Faulty::new(inner.clone(), Fault::Full, good_writes);
        let repository = Repository::create(Store::new(faulty), &key())
            .await
            .unwrap();
        let error = write(&repository, 1, &tree, small()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(
            error
                .object()
                .is_some_and(|object| object.starts_with("packs/")),
            "{error}"
        );
        let repository = Repository::open(store(inner), &key()).await.unwrap();
        assert_eq!(repository.snapshots().await.unwrap(), []);
        assert_sound(&repository).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_writer_leaves_nothing_but_unreferenced_packs() {
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner.clone()), &key())
        .await
        .unwrap();
    let writer = repository.begin(small());
    for (name, documents) in &sample_tree() {
        write_collection(&writer, name, documents).await.unwrap();
    }
    let mut orphan = writer.collection(entry("orphan"));
    drop(writer);
    assert_eq!(repository.snapshots().await.unwrap(), []);
    let mut pushed = Ok(());
    for number in 0..10_000 {
        pushed = orphan.push(batch(&[document(number, 3_000)])).await;
        if pushed.is_err() {
            break;
        }
    }
    assert_eq!(pushed.unwrap_err().kind(), ErrorKind::Invalid);
    drop(orphan);
    let objects = inner.list_with_delimiter(None).await.unwrap();
    let folders: Vec<_> = objects
        .common_prefixes
        .iter()
        .map(Path::to_string)
        .collect();
    assert_eq!(folders, ["packs"]);
    assert!(inner.head(&Path::from("repo")).await.is_ok());
    assert_sound(&repository).await;
}
