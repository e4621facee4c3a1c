//! What an interrupted snapshot has stored is used by its next attempt, whatever was interrupted:
//! the result is exact, little is stored twice, and nothing that is needed is swept meanwhile.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use proptest::prelude::*;
use vault::{
    CheckOptions, Checkpoint, CheckpointHeader, ClusterTime, Error, KeyEncryptionKey, Manifest,
    Repository, SnapshotWriter,
};

use crate::crash::far_future;
use crate::faulty::{Fault, Faulty};
use crate::model::*;
use crate::support::*;

const READ_DATA: CheckOptions = CheckOptions { read_data: true };

async fn sweep(repository: &Repository) -> u64 {
    let swept = repository.sweep(Duration::ZERO, far_future()).await;
    swept.unwrap().packs
}

/// The names of the objects in a folder and their bytes.
async fn objects(inner: &InMemory, folder: &str) -> BTreeMap<String, u64> {
    let listed = inner.list(Some(&Path::from(folder)));
    let listed: Vec<_> = futures::TryStreamExt::try_collect(listed).await.unwrap();
    let sized = |of: object_store::ObjectMeta| (of.location.to_string(), of.size);
    listed.into_iter().map(sized).collect()
}

async fn stored_bytes(inner: &InMemory) -> u64 {
    objects(inner, "packs").await.values().sum()
}

/// Begins an attempt at the snapshot upon what the ones before have stored.
async fn attempt(repository: &Repository, number: u8, base: Option<&Manifest>) -> SnapshotWriter {
    match repository.checkpoint(snapshot_id(number)).await.unwrap() {
        Some(before) => repository.resume(small(), base, &before),
        None => repository.begin_upon(small(), base),
    }
}

/// Scans a collection up to some documents, with a checkpoint after each so many, and drops it.
async fn break_off(
    writer: SnapshotWriter,
    number: u8,
    documents: &[Vec<u8>],
    each: usize,
) -> Result<(), Error> {
    let mut collection = writer.collection(entry("one"));
    for (at, part) in documents.chunks(5).enumerate() {
        collection.push(batch(part)).await?;
        if (at + 1).is_multiple_of(each) {
            writer.checkpoint(checkpoint_header(number)).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_is_broken_off_again_and_again_stores_each_document_once() {
    let documents: Vec<Vec<u8>> = (0..600).map(|number| document(number, 400)).collect();
    let whole = vec![("one".to_owned(), documents.clone())];
    let (inner, repository) = repository().await;
    write(&repository, 1, &whole, small()).await.unwrap();
    let at_once = stored_bytes(&inner).await;

    let (inner, repository) = crate::model::repository().await;
    for end in [150, 140, 300, 450, 590] {
        let writer = attempt(&repository, 1, None).await;
        break_off(writer, 1, &documents[..end], 6).await.unwrap();
        assert_eq!(repository.snapshots().await.unwrap(), []);
        sweep(&repository).await;
    }
    let writer = attempt(&repository, 1, None).await;
    write_collection(&writer, "one", &documents).await.unwrap();
    let manifest = writer.commit(header(1)).await.unwrap();
    assert_eq!(read(&repository, &manifest).await.unwrap(), whole);
    assert_clean(&repository).await;
    sweep(&repository).await;
    assert!(objects(&inner, "checkpoints").await.is_empty());
    // The pack that was open at each of the breaks, and pages.
    let resumed = stored_bytes(&inner).await;
    assert!(100 * resumed <= 115 * at_once, "{resumed} of {at_once}");
    let totals = manifest.totals;
    assert_eq!(
        totals.documents_shared,
        Some(0),
        "nobody else has stored any"
    );
    assert!(totals.stored_bytes >= at_once, "{totals:?}");
}

/// A model of each of two collections.
type Two = [Model; 2];
const NAMES: [&str; 2] = ["one", "two"];

async fn assert_two(repository: &Repository, manifest: &Manifest, state: &Two) {
    for (collection, model) in manifest.collections.iter().zip(state) {
        let mut found = read_collection(repository, collection).await.unwrap();
        found.sort_unstable();
        let mut wanted: Vec<Vec<u8>> = model.values().cloned().collect();
        wanted.sort_unstable();
        assert!(found == wanted, "{} is another", collection.name);
        let ids: Vec<u64> = model.keys().copied().collect();
        let identities: Vec<Bytes> = ids.iter().map(|&id| identity(id)).collect();
        let found = repository.find(collection, &identities).await.unwrap();
        let all = ids.iter().zip(found).all(|(id, found)| {
            let wanted = model.get(id).map(Vec::as_slice);
            found.as_deref() == wanted
        });
        assert!(all, "not every document of {} is found", collection.name);
    }
}

/// Writes both collections as they are now: one that the checkpoint's point covers by reading again
/// what was written since the first attempt, the other by a scan. Ends before the last so many
/// steps; says whether there were as many.
async fn write_two(
    writer: &SnapshotWriter,
    before: Option<&Checkpoint>,
    state: &Two,
    written: &[Changes; 2],
    (number, steps): (u8, Range<usize>),
) -> Result<bool, Error> {
    let mut step = steps.start;
    let mut go_on = async || {
        step += 1;
        if step.is_multiple_of(3) {
            writer.checkpoint(checkpoint_header(number)).await?;
        }
        Ok::<_, Error>(step < steps.end)
    };
    let covered = |name: &str| {
        let known = before.into_iter().flat_map(|before| &before.collections);
        let mut known = known.into_iter();
        known.any(|known| known.name == name && known.exact && known.can_be_edited())
    };
    let mut scans = Vec::new();
    let mut edits = Vec::new();
    for (at, name) in NAMES.into_iter().enumerate() {
        if covered(name) {
            edits.push((at, writer.edit(entry(name))?));
        } else {
            scans.push((at, writer.collection(entry(name))));
        }
    }
    for (at, mut editor) in edits {
        let now = |id: &u64| state[at].get(id).cloned();
        for part in written[at].keys().collect::<Vec<_>>().chunks(40) {
            let identities: Vec<Bytes> = part.iter().map(|id| identity(**id)).collect();
            let found: Vec<Vec<u8>> = part.iter().filter_map(|id| now(id)).collect();
            editor.replace(&identities, batch(&found)).await?;
            if !go_on().await? {
                return Ok(false);
            }
        }
        editor.finish().await?;
    }
    for (at, mut collection) in scans {
        let documents: Vec<Vec<u8>> = state[at].values().cloned().collect();
        for part in documents.chunks(20) {
            collection.push(batch(part)).await?;
            if !go_on().await? {
                return Ok(false);
            }
        }
        collection.finish().await?;
    }
    Ok(true)
}

async fn attempts(seed: u64) {
    let mut dice = Dice(seed);
    let (inner, repository) = repository().await;
    let mut state = [0, 1].map(|_| model(0..dice.below(400), 90));
    let mut base = None;
    if dice.below(3) > 0 {
        let writer = repository.begin(small());
        let begin = (1, 0..usize::MAX);
        let done = write_two(&writer, None, &state, &Default::default(), begin).await;
        assert!(done.unwrap());
        base = Some(writer.commit(header(1)).await.unwrap());
    }
    // What was written since the first attempt: a superset for all later ones.
    let mut written: [Changes; 2] = Default::default();
    let manifest = loop {
        let before = repository.checkpoint(snapshot_id(2)).await.unwrap();
        let writer = attempt(&repository, 2, base.as_ref()).await;
        let steps = (2, 0..usize::try_from(1 + dice.below(40)).unwrap());
        let done = write_two(&writer, before.as_ref(), &state, &written, steps).await;
        if done.unwrap() {
            break writer.commit(header(2)).await.unwrap();
        }
        drop(writer);
        sweep(&repository).await;
        assert_clean(&repository).await;
        for at in [0, 1] {
            let changes = dice.changes(&state[at]);
            apply(&mut state[at], &changes);
            written[at].extend(changes);
        }
    };
    assert_eq!(manifest.parent, base.map(|base| base.snapshot));
    assert_two(&repository, &manifest, &state).await;
    wait_until(async || {
        sweep(&repository).await;
        let report = repository.check(CheckOptions::default()).await;
        report.unwrap().packs_unreferenced == 0
    })
    .await;
    assert!(objects(&inner, "checkpoints").await.is_empty());
    assert_clean(&repository).await;
    assert_two(&repository, &manifest, &state).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn attempts_upon_attempts_are_exact_whatever_is_written_between_them(seed: u64) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(attempts(seed));
    }
}

/// A first snapshot that is broken off once and taken by a second attempt, then another upon it.
async fn live(inner: Arc<dyn ObjectStore>, trees: &[Tree; 2]) -> Result<(), Error> {
    let repository = Repository::create(store(inner), &key()).await?;
    let documents = &trees[0][0].1;
    let writer = repository.begin(small());
    break_off(writer, 1, &documents[..100], 5).await?;
    let base = go_on(&repository, 1, &trees[0], None).await?;
    go_on(&repository, 2, &trees[1], Some(&base)).await?;
    repository.forget(snapshot_id(1)).await?;
    repository.sweep(Duration::ZERO, far_future()).await?;
    Ok(())
}

async fn go_on(
    repository: &Repository,
    number: u8,
    tree: &Tree,
    base: Option<&Manifest>,
) -> Result<Manifest, Error> {
    let writer = match repository.checkpoint(snapshot_id(number)).await? {
        Some(before) => repository.resume(small(), base, &before),
        None => repository.begin_upon(small(), base),
    };
    for (name, documents) in tree {
        let mut collection = writer.collection(entry(name));
        for part in documents.chunks(25) {
            collection.push(batch(part)).await?;
            writer.checkpoint(checkpoint_header(number)).await?;
        }
        collection.finish().await?;
    }
    writer.commit(header(number)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_between_checkpoints_is_resumed() {
    let documents = |numbers: Range<u64>| -> Vec<Vec<u8>> {
        numbers.map(|number| document(number, 300)).collect()
    };
    let tree = |numbers: Range<u64>, others: Range<u64>| -> Tree {
        vec![
            ("one".to_owned(), documents(numbers)),
            ("two".to_owned(), documents(others)),
        ]
    };
    let trees = [tree(0..150, 1_000..1_040), tree(10..190, 1_000..1_050)];
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for good_writes in 1.. {
            assert!(good_writes < 300, "the writes of one life are few");
            let inner = Arc::new(InMemory::new());
            let faulty = Faulty::new(inner.clone(), fault, good_writes);
            let lived = live(faulty, &trees).await;
            let repository = Repository::open(store(inner.clone()), &key())
                .await
                .unwrap();
            sweep(&repository).await;
            assert_clean(&repository).await;
            let mut base = None;
            for number in [1, 2_u8] {
                let tree = &trees[usize::from(number) - 1];
                let there = repository.manifest(snapshot_id(number)).await.ok();
                let manifest = match there {
                    Some(manifest) => manifest,
                    None => go_on(&repository, number, tree, base.as_ref())
                        .await
                        .unwrap(),
                };
                assert_eq!(&read(&repository, &manifest).await.unwrap(), tree);
                base = Some(manifest);
            }
            sweep(&repository).await;
            assert!(objects(&inner, "checkpoints").await.is_empty());
            assert_clean(&repository).await;
            if lived.is_ok() {
                assert!(good_writes > 30, "only {good_writes} writes were tried");
                break;
            }
        }
    }
}

/// A repository with a snapshot and one that was broken off, whose checkpoint has this name.
async fn broken_off() -> (Arc<InMemory>, Repository, String) {
    let (inner, repository) = repository().await;
    write(&repository, 1, &sample_tree(), small())
        .await
        .unwrap();
    let documents: Vec<Vec<u8>> = (0..300).map(|number| document(number, 300)).collect();
    let writer = repository.begin(small());
    break_off(writer, 2, &documents, 20).await.unwrap();
    let names: Vec<String> = objects(&inner, "checkpoints").await.into_keys().collect();
    assert_eq!(names, [format!("checkpoints/{}.3", snapshot_id(2))]);
    (inner, repository, names[0].clone())
}

async fn get(inner: &InMemory, name: &str) -> Vec<u8> {
    let found = inner.get(&Path::from(name)).await.unwrap();
    found.bytes().await.unwrap().to_vec()
}

async fn put(inner: &InMemory, name: &str, bytes: &[u8]) {
    let bytes = PutPayload::from(bytes.to_vec());
    inner.put(&Path::from(name), bytes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_beside_an_open_checkpoint_takes_only_what_it_does_not_list() {
    let (inner, repository, name) = broken_off().await;
    let before = repository
        .checkpoint(snapshot_id(2))
        .await
        .unwrap()
        .unwrap();
    // Of another attempt that came to no checkpoint.
    let documents: Vec<Vec<u8>> = (0..300).map(|number| document(number, 300)).collect();
    let writer = repository.begin(small());
    break_off(writer, 4, &documents, usize::MAX).await.unwrap();
    wait_until(async || sweep(&repository).await > 0).await;
    let left = objects(&inner, "packs").await;
    assert!(before.packs.iter().all(|pack| {
        let suffix = format!("/{pack}");
        left.keys().any(|name| name.ends_with(&suffix))
    }));
    repository
        .discard_checkpoints(snapshot_id(2))
        .await
        .unwrap();
    wait_until(async || sweep(&repository).await >= before.packs.len() as u64).await;
    assert_clean(&repository).await;
    // One that an interrupted commit has left keeps nothing.
    let manifest = repository.manifest(snapshot_id(1)).await.unwrap();
    let writer = repository.begin_upon(small(), Some(&manifest));
    break_off(writer, 2, &documents, 20).await.unwrap();
    let left = get(&inner, &name).await;
    let writer = attempt(&repository, 2, None).await;
    write_collection(&writer, "one", &documents).await.unwrap();
    writer.commit(header(2)).await.unwrap();
    put(&inner, &name, &left).await;
    sweep(&repository).await;
    assert!(objects(&inner, "checkpoints").await.is_empty());
    repository.forget(snapshot_id(2)).await.unwrap();
    assert!(sweep(&repository).await > 0);
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_checkpoints_the_newer_one_is_used_and_a_damaged_one_gives_way() {
    let (inner, repository, newer) = broken_off().await;
    let former = repository
        .checkpoint(snapshot_id(2))
        .await
        .unwrap()
        .unwrap();
    // As if the one before had not been deleted.
    let older = newer.replace(".3", ".2");
    put(&inner, &older, b"damaged").await;
    let used = repository
        .checkpoint(snapshot_id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(used, former);
    let writer = attempt(&repository, 2, None).await;
    let next = writer.checkpoint(checkpoint_header(2)).await.unwrap();
    assert_eq!(next.number, 4);
    let names: Vec<String> = objects(&inner, "checkpoints").await.into_keys().collect();
    assert_eq!(names, [newer.replace(".3", ".4")]);
    let whole = get(&inner, &names[0]).await;
    // The newest one is damaged, and an older one is still there.
    let documents: Vec<Vec<u8>> = (0..300).map(|number| document(number, 300)).collect();
    break_off(writer, 2, &documents, 20).await.unwrap();
    let names_now: Vec<String> = objects(&inner, "checkpoints").await.into_keys().collect();
    put(&inner, &names_now[0], &[]).await;
    put(&inner, &names[0], &whole).await;
    let used = repository
        .checkpoint(snapshot_id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(used.number, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_knows_the_last_time_that_any_attempt_has_read() {
    let inner = Arc::new(InMemory::new());
    let repository = Repository::create(store(inner), &key()).await.unwrap();
    let mut known = Vec::new();
    for seconds in [Some(5), Some(3), None, Some(7)] {
        let writer = attempt(&repository, 2, None).await;
        let header = CheckpointHeader {
            read_until: seconds.map(|seconds| ClusterTime {
                seconds,
                increment: 1,
            }),
            ..checkpoint_header(2)
        };
        writer.checkpoint(header).await.unwrap();
        let found = repository.checkpoint(snapshot_id(2)).await.unwrap();
        known.push(found.unwrap().read_until.map(|time| time.seconds));
    }
    assert_eq!(known, [Some(5), Some(5), Some(5), Some(7)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_whose_number_was_taken_meanwhile_gets_the_next_one() {
    let inner = Arc::new(InMemory::new());
    let faulty = Faulty::new(inner.clone(), Fault::Hiccup, i64::MAX);
    let repository = Repository::create(store(faulty.clone()), &key())
        .await
        .unwrap();
    let writer = attempt(&repository, 2, None).await;
    let first = writer.checkpoint(checkpoint_header(2)).await.unwrap();
    // As if the first one were still being put by an attempt that was broken off.
    faulty.list_nothing_once();
    let second = writer.checkpoint(checkpoint_header(2)).await.unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    let names: Vec<String> = objects(&inner, "checkpoints").await.into_keys().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].ends_with(".2"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_cannot_be_read_is_named_and_costs_the_resume_alone() {
    let (inner, repository, name) = broken_off().await;
    let whole = get(&inner, &name).await;
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let (_, other) = {
        let inner = Arc::new(InMemory::new());
        let other_key = KeyEncryptionKey::new([9; 32]);
        let other = Repository::create(store(inner.clone()), &other_key)
            .await
            .unwrap();
        let documents: Vec<Vec<u8>> = (0..100).map(|number| document(number, 300)).collect();
        break_off(other.begin(small()), 2, &documents, 6)
            .await
            .unwrap();
        let name = objects(&inner, "checkpoints").await.into_keys().next();
        let found = get(&inner, &name.unwrap()).await;
        (inner, found)
    };
    let cases = [
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("flipped", flipped),
        ("of another repository", other),
    ];
    for (case, bytes) in cases {
        put(&inner, &name, &bytes).await;
        let found = repository.checkpoint(snapshot_id(2)).await.unwrap();
        assert_eq!(found, None, "{case}");
        assert_eq!(sweep(&repository).await, 0, "{case}");
        let report = repository.check(READ_DATA).await.unwrap();
        let problems: Vec<_> = report.problems.iter().collect();
        assert_eq!(problems.len(), 1, "{case}: {problems:?}");
        assert_eq!(
            (&problems[0].object, &problems[0].snapshots),
            (&name, &vec![])
        );
        assert_eq!(report.snapshots, 1, "a checkpoint is no snapshot");
    }
    // Another one's under this name.
    let writer = repository.begin(small());
    let documents: Vec<Vec<u8>> = (0..100).map(|number| document(number, 300)).collect();
    break_off(writer, 3, &documents, 6).await.unwrap();
    let another = objects(&inner, "checkpoints").await;
    let another = another.keys().find(|other| **other != name).unwrap();
    put(&inner, &name, &get(&inner, another).await).await;
    assert_eq!(repository.checkpoint(snapshot_id(2)).await.unwrap(), None);
    // The attempt that starts anew replaces it, and the sweep goes on.
    let writer = attempt(&repository, 2, None).await;
    break_off(writer, 2, &documents, 6).await.unwrap();
    wait_until(async || sweep(&repository).await > 0).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_of_a_checkpoint_is_stored_again() {
    let (inner, repository, _) = broken_off().await;
    let before = repository
        .checkpoint(snapshot_id(2))
        .await
        .unwrap()
        .unwrap();
    let packs = objects(&inner, "packs").await;
    let suffix = format!("/{}", before.packs[0]);
    let lost = packs.keys().find(|name| name.ends_with(&suffix)).unwrap();
    inner.delete(&Path::from(lost.as_str())).await.unwrap();
    let report = repository.check(READ_DATA).await.unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert_eq!(
        (&report.problems[0].object, &report.problems[0].snapshots),
        (lost, &vec![])
    );
    let documents: Vec<Vec<u8>> = (0..300).map(|number| document(number, 300)).collect();
    // What was found out stays known to the process; a new one finds out by itself.
    for repository in [
        Repository::open(store(inner.clone()), &key())
            .await
            .unwrap(),
        repository,
    ] {
        let writer = attempt(&repository, 2, None).await;
        let tried = write_collection(&writer, "one", &documents).await;
        let mut committed = match tried {
            Ok(()) => writer.commit(header(2)).await,
            Err(error) => Err(error),
        };
        if committed.as_ref().is_err_and(Error::is_damage) {
            let writer = attempt(&repository, 2, None).await;
            write_collection(&writer, "one", &documents).await.unwrap();
            committed = writer.commit(header(2)).await;
        }
        let manifest = committed.unwrap();
        let whole = vec![("one".to_owned(), documents.clone())];
        assert_eq!(read(&repository, &manifest).await.unwrap(), whole);
        repository.forget(snapshot_id(2)).await.unwrap();
    }
}
