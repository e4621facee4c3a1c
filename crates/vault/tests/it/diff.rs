//! What differs between two collections is exactly what differs, and is found without reading what
//! both share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use proptest::prelude::*;
use vault::{
    CollectionManifest, DiffOptions, Difference, DifferenceCounts, ErrorKind, Manifest, Repository,
};

use crate::faulty::{Fault, Faulty};
use crate::support::*;

/// Differences with plain bytes, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    removed: Vec<Vec<u8>>,
    added: Vec<Vec<u8>>,
    changed: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Differences {
    fn sorted(mut self) -> Differences {
        self.removed.sort_unstable();
        self.added.sort_unstable();
        self.changed.sort_unstable();
        self
    }

    fn counts(&self) -> DifferenceCounts {
        DifferenceCounts {
            removed: self.removed.len() as u64,
            added: self.added.len() as u64,
            changed: self.changed.len() as u64,
        }
    }

    /// Returns what differs, by looking at all documents; each has an identity of 12 bytes.
    fn expected(before: &[Vec<u8>], after: &[Vec<u8>]) -> Differences {
        let by_identity = |documents: &[Vec<u8>]| -> BTreeMap<Vec<u8>, Vec<u8>> {
            let named = documents
                .iter()
                .map(|bytes| (bytes[..12].to_vec(), bytes.clone()));
            named.collect()
        };
        let (before, mut after) = (by_identity(before), by_identity(after));
        let mut differences = Differences::default();
        for (identity, old) in before {
            match after.remove(&identity) {
                Some(new) if new == old => {}
                Some(new) => differences.changed.push((old, new)),
                None => differences.removed.push(old),
            }
        }
        differences.added = after.into_values().collect();
        differences.sorted()
    }
}

async fn differences(
    repository: &Repository,
    first: &CollectionManifest,
    second: &CollectionManifest,
    options: &DiffOptions,
) -> Result<Differences, vault::Error> {
    let mut found = Differences::default();
    let mut steps = repository.diff(first, second, options);
    while let Some(step) = steps.try_next().await? {
        for difference in step {
            match difference {
                Difference::Removed(one) => found.removed.push(one.to_vec()),
                Difference::Added(one) => found.added.push(one.to_vec()),
                Difference::Changed { before, after } => {
                    found.changed.push((before.to_vec(), after.to_vec()));
                }
            }
        }
    }
    Ok(found.sorted())
}

/// What happens to a document between two snapshots.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Stays,
    Changes,
    Goes,
    Moves,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        12 => Just(Fate::Stays),
        1 => Just(Fate::Changes),
        1 => Just(Fate::Goes),
        1 => Just(Fate::Moves),
    ];
    proptest::collection::vec(fate, 0..400)
}

/// Returns the documents before, and after their fates and some additions.
fn versions(fates: &[Fate], added: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let before: Vec<_> = (0..fates.len() as u64)
        .map(|number| document(number, 60 + usize::try_from(number % 90).unwrap()))
        .collect();
    let (mut after, mut moved) = (Vec::new(), Vec::new());
    for (document, fate) in before.iter().zip(fates) {
        match fate {
            Fate::Stays => after.push(document.clone()),
            Fate::Changes => after.push([&document[..], b"new"].concat()),
            Fate::Goes => {}
            Fate::Moves => moved.push(document.clone()),
        }
    }
    after.extend(moved);
    after.extend((0..added).map(|number| document(1_000_000 + number, 80)));
    (before, after)
}

async fn snapshots(
    repository: &Repository,
    before: &[Vec<u8>],
    after: &[Vec<u8>],
    is_upon: bool,
) -> (Manifest, Manifest) {
    let tree = |documents: &[Vec<u8>]| vec![("one".to_owned(), documents.to_vec())];
    let first = write(repository, 1, &tree(before), small()).await.unwrap();
    let base = is_upon.then_some(&first);
    let second = write_upon(repository, 2, &tree(after), small(), base)
        .await
        .unwrap();
    (first, second)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_is_found_and_nothing_else(
        fates in fates(),
        added in 0u64..30,
        is_upon in any::<bool>(),
        entries_max in prop_oneof![Just(7), Just(1 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let repository = Repository::create(store(Arc::new(InMemory::new())), &key()).await;
            let repository = repository.unwrap();
            let (before, after) = versions(&fates, added);
            let (first, second) = snapshots(&repository, &before, &after, is_upon).await;
            let (first, second) = (&first.collections[0], &second.collections[0]);
            let options = DiffOptions { entries_max };
            for (first, second, before, after) in [
                (first, second, &before, &after),
                (second, first, &after, &before),
            ] {
                let expected = Differences::expected(before, after);
                let counted = repository.count_differences(first, second, &options).await;
                assert_eq!(counted.unwrap(), expected.counts());
                let found = differences(&repository, first, second, &options).await;
                assert_eq!(found.unwrap(), expected);
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_share_is_not_read() {
    let memory = Arc::new(InMemory::new());
    let counting = Faulty::new(memory.clone(), Fault::Hiccup, i64::MAX);
    let repository = Repository::create(store(counting.clone()), &key())
        .await
        .unwrap();
    let before: Vec<_> = (0..20_000).map(|number| document(number, 500)).collect();
    let mut after = before.clone();
    // A hundred neighbours and one far away, in a collection of 2,500 blocks.
    for changed in (9_000..9_100).chain([17_000]) {
        after[changed].push(1);
    }
    let (first, second) = snapshots(&repository, &before, &after, true).await;
    let (one, other) = (&first.collections[0], &second.collections[0]);
    let options = DiffOptions::default();
    let stored = first.totals.stored_bytes;
    let read = || counting.bytes_read.swap(0, Ordering::SeqCst);

    read();
    let counts = repository
        .count_differences(one, one, &options)
        .await
        .unwrap();
    assert_eq!((counts, read()), (DifferenceCounts::default(), 0));

    let counts = repository
        .count_differences(one, other, &options)
        .await
        .unwrap();
    assert_eq!((counts.removed, counts.added, counts.changed), (0, 0, 101));
    let counted = read();
    assert!(counted * 50 < stored, "{counted} of {stored} bytes read");

    let found = differences(&repository, one, other, &options)
        .await
        .unwrap();
    assert_eq!(found, Differences::expected(&before, &after));
    let with_documents = read();
    assert!(
        with_documents * 20 < stored,
        "{with_documents} of {stored} bytes read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_without_identity_are_removed_and_added_but_never_changed() {
    let repository = Repository::create(store(Arc::new(InMemory::new())), &key())
        .await
        .unwrap();
    let snapshot = async |number: u8, documents: &[Vec<u8>]| {
        let writer = repository.begin(small());
        let mut collection = writer.collection(entry("one"));
        let mut batch = batch(documents);
        for span in &mut batch.documents {
            span.id_end = span.id_start;
        }
        collection.push(batch).await.unwrap();
        collection.finish().await.unwrap();
        writer.commit(header(number)).await.unwrap()
    };
    let documents: Vec<_> = (0..50).map(|number| document(number, 40)).collect();
    // Twice the same, then once.
    let first = snapshot(1, &[&documents[..], &documents[..10]].concat()).await;
    let second = snapshot(2, &[&documents[5..], &[document(99, 40)][..]].concat()).await;
    let (one, other) = (&first.collections[0], &second.collections[0]);
    for entries_max in [3, 1_000] {
        let options = DiffOptions { entries_max };
        let counts = repository
            .count_differences(one, other, &options)
            .await
            .unwrap();
        // The first five twice, the next five once.
        assert_eq!((counts.removed, counts.added, counts.changed), (15, 1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pack_is_an_error() {
    let memory = Arc::new(InMemory::new());
    let repository = Repository::create(store(memory.clone()), &key())
        .await
        .unwrap();
    let (before, mut after) = versions(&[Fate::Stays; 300], 0);
    after[3].push(1);
    let (first, second) = snapshots(&repository, &before, &after, true).await;
    use object_store::ObjectStoreExt as _;
    for pack in &second.packs {
        let name = format!("packs/{}/{pack}", &pack.to_string()[..2]);
        memory.delete(&name.into()).await.unwrap();
    }
    let (one, other) = (&first.collections[0], &second.collections[0]);
    let options = DiffOptions::default();
    let error = repository
        .count_differences(one, other, &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    let error = differences(&repository, one, other, &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
}
