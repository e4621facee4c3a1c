//! A snapshot upon a base holds exactly what it was given, stores only what is new, and stands
//! alone when the others are deleted.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use proptest::prelude::*;
use vault::{
    Batch, CheckOptions, CollectionEntry, ErrorKind, Manifest, Repository, Span, WriteOptions,
};

use crate::crash::far_future;
use crate::support::*;

/// A document and where its identity lies.
#[derive(Clone, Debug, PartialEq)]
struct Doc {
    bytes: Vec<u8>,
    identity: Range<u32>,
}

#[derive(Clone, Debug)]
struct Coll {
    entry: CollectionEntry,
    documents: Vec<Doc>,
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn one_in(&mut self, chances: u64) -> bool {
        chances > 0 && self.below(chances) == 0
    }

    fn doc(&mut self) -> Doc {
        let length = 30 + self.below(170);
        // Few different ones now and then, so that equal documents are common.
        let number = if self.one_in(4) {
            self.below(5)
        } else {
            self.roll()
        };
        let length = if number < 5 { 60 } else { length };
        let bytes = document(number, usize::try_from(length).unwrap());
        let identity = match self.below(6) {
            0 => 0..0,
            1 => 4..14,
            _ => 0..12,
        };
        Doc { bytes, identity }
    }

    fn coll(&mut self, name: &str) -> Coll {
        let count = [0, 3, 150, 400][usize::try_from(self.below(4)).unwrap()];
        let mut entry = entry(name);
        entry.uuid = (!self.one_in(4)).then(|| {
            let mut uuid = [0; 16];
            uuid[..8].copy_from_slice(&self.roll().to_le_bytes());
            uuid
        });
        Coll {
            entry,
            documents: (0..count).map(|_| self.doc()).collect(),
        }
    }

    /// Lives on: updates, deletes, inserts and moves, each at a rate drawn for the collection.
    fn change(&mut self, coll: &mut Coll) {
        match self.below(12) {
            0 => coll.documents.clear(),
            1 => *coll = self.coll(&coll.entry.name.clone()),
            2 => {}
            _ => self.change_documents(coll),
        }
    }

    fn change_documents(&mut self, coll: &mut Coll) {
        let rate = |dice: &mut Dice| [0, 2, 10, 100][usize::try_from(dice.below(4)).unwrap()];
        let rates = [rate(self), rate(self), rate(self), rate(self)];
        let mut next = Vec::new();
        for mut old in coll.documents.drain(..) {
            if self.one_in(rates[0]) {
                old.bytes.push(7);
            }
            if self.one_in(rates[1]) {
                next.push(self.doc());
            }
            if !self.one_in(rates[2]) {
                next.push(old);
            }
        }
        for at in 0..next.len() {
            if self.one_in(rates[3]) {
                let other = self.below(next.len() as u64);
                next.swap(at, usize::try_from(other).unwrap());
            }
        }
        (0..self.below(50)).for_each(|_| next.push(self.doc()));
        coll.documents = next;
    }
}

fn batch_of(documents: &[Doc]) -> Batch {
    let mut bytes = Vec::new();
    let mut spans = Vec::new();
    for doc in documents {
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(&doc.bytes);
        spans.push(Span {
            start,
            end: u32::try_from(bytes.len()).unwrap(),
            id_start: start + doc.identity.start,
            id_end: start + doc.identity.end,
        });
    }
    Batch {
        bytes: Bytes::from(bytes),
        documents: spans,
    }
}

async fn write_colls(
    repository: &Repository,
    number: u8,
    colls: &[Coll],
    options: WriteOptions,
    base: Option<&Manifest>,
) -> Manifest {
    let writer = repository.begin_upon(options, base);
    for coll in colls {
        let mut open = writer.collection(coll.entry.clone());
        for part in coll.documents.chunks(50) {
            open.push(batch_of(part)).await.unwrap();
        }
        open.finish().await.unwrap();
    }
    writer.commit(header(number)).await.unwrap()
}

async fn assert_holds(repository: &Repository, manifest: &Manifest, colls: &[Coll]) {
    assert_eq!(manifest.collections.len(), colls.len());
    for (stored, coll) in manifest.collections.iter().zip(colls) {
        let read = read_collection(repository, stored).await.unwrap();
        let given: Vec<_> = coll.documents.iter().map(|doc| &doc.bytes).collect();
        assert!(read.iter().eq(given), "{} differs", stored.name);
    }
}

async fn assert_clean(repository: &Repository) {
    let options = CheckOptions { read_data: true };
    let report = repository.check(options).await.unwrap();
    assert_eq!(report.problems, []);
}

async fn repository() -> (Arc<InMemory>, Repository) {
    let inner = Arc::new(InMemory::new());
    let made = Repository::create(store(inner.clone()), &key()).await;
    (inner, made.unwrap())
}

async fn live_generations(seed: u64) {
    let mut dice = Dice(seed);
    let (_, repository) = repository().await;
    let mut colls: Vec<Coll> = ["a", "b", "c"].map(|name| dice.coll(name)).into();
    let mut lives: Vec<(Manifest, Vec<Coll>)> = Vec::new();
    for generation in 0..5_u8 {
        let base = lives.last().map(|(manifest, _)| manifest);
        let manifest = write_colls(&repository, generation + 1, &colls, small(), base).await;
        assert_holds(&repository, &manifest, &colls).await;
        let alone = write_colls(&repository, generation + 100, &colls, small(), None).await;
        for (one, other) in manifest.collections.iter().zip(&alone.collections) {
            assert_eq!(one.fingerprint(), other.fingerprint());
        }
        assert_eq!(manifest.totals.documents, alone.totals.documents);
        repository.forget(alone.snapshot).await.unwrap();
        lives.push((manifest, colls.clone()));
        colls.iter_mut().for_each(|coll| dice.change(coll));
    }
    assert_clean(&repository).await;
    while !lives.is_empty() {
        let at = usize::try_from(dice.below(lives.len() as u64)).unwrap();
        let (gone, _) = lives.remove(at);
        repository.forget(gone.snapshot).await.unwrap();
        let swept = repository.sweep(Duration::ZERO, far_future()).await;
        swept.unwrap();
        assert_clean(&repository).await;
        for (manifest, colls) in &lives {
            assert_holds(&repository, manifest, colls).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_generation_is_exact_and_stands_alone(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(live_generations(seed));
    }
}

/// Documents of 1 KB, of which half compresses well.
fn kilobytes(count: u64) -> Vec<Doc> {
    let doc = |number| Doc {
        bytes: document(number, 1_000),
        identity: 0..12,
    };
    (0..count).map(doc).collect()
}

fn one(documents: Vec<Doc>) -> Vec<Coll> {
    vec![Coll {
        entry: entry("one"),
        documents,
    }]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_snapshot_stores_next_to_nothing() {
    let (_, repository) = repository().await;
    let colls = one(kilobytes(20_000));
    let base = write_colls(&repository, 1, &colls, WriteOptions::default(), None).await;
    let next = write_colls(&repository, 2, &colls, WriteOptions::default(), Some(&base)).await;
    assert_eq!(next.totals.stored_bytes, 0);
    assert_eq!(next.totals.blocks, 0);
    assert_eq!(next.totals.documents_shared, Some(20_000));
    assert_eq!(next.totals.documents_new, Some(0));
    assert_eq!(next.packs, base.packs);
    assert_holds(&repository, &next, &colls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uniform_updates_of_one_in_a_hundred_store_little_more_than_themselves() {
    let (_, repository) = repository().await;
    let mut colls = one(kilobytes(20_000));
    let options = WriteOptions::default();
    let mut base = write_colls(&repository, 1, &colls, options.clone(), None).await;
    for generation in 2..6_u8 {
        let mut changed = Vec::new();
        for number in 0..200_u64 {
            let at = usize::try_from(number * 100 + (number * 37 + u64::from(generation)) % 100);
            let doc = &mut colls[0].documents[at.unwrap()];
            let fresh = 1_000_000 * u64::from(generation) + number;
            doc.bytes[12..].copy_from_slice(&document(fresh, 988));
            changed.extend_from_slice(&doc.bytes);
        }
        let alone = zstd::bulk::compress(&changed, 1).unwrap().len() as u64;
        let next = write_colls(
            &repository,
            generation,
            &colls,
            options.clone(),
            Some(&base),
        )
        .await;
        assert_holds(&repository, &next, &colls).await;
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
async fn thin_blocks_are_written_anew_and_others_are_not() {
    let (_, repository) = repository().await;
    let colls = one(kilobytes(400));
    let base = write_colls(&repository, 1, &colls, small(), None).await;
    let keep = |share: usize| {
        let kept = colls[0].documents.iter().enumerate();
        let kept = kept.filter(|(at, _)| at % 4 < share);
        one(kept.map(|(_, doc)| doc.clone()).collect())
    };
    // Blocks hold four documents: three of four are enough, two are not.
    let thick = write_colls(&repository, 2, &keep(3), small(), Some(&base)).await;
    assert_eq!(thick.totals.blocks, 0);
    let thin = write_colls(&repository, 3, &keep(2), small(), Some(&base)).await;
    assert_eq!(thin.totals.documents_new, Some(200));
    assert_holds(&repository, &thin, &keep(2)).await;
    // What the segments say of old documents stays for a while.
    let kept = thin.packs.iter().filter(|pack| base.packs.contains(pack));
    assert!(kept.count() <= 2);
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_whose_predecessors_were_deleted_are_found() {
    let (_, repository) = repository().await;
    let documents: Vec<Doc> = (0..300_000_u64)
        .map(|number| Doc {
            bytes: number.to_le_bytes().into(),
            identity: 0..8,
        })
        .collect();
    let base = one(documents.clone());
    let base = write_colls(&repository, 1, &base, WriteOptions::default(), None).await;
    let rest = one(documents[200_000..].to_vec());
    let next = write_colls(&repository, 2, &rest, WriteOptions::default(), Some(&base)).await;
    assert_holds(&repository, &next, &rest).await;
    // Blocks have 65,536 documents: the one that was cut through is below the limit or is not.
    let new = next.totals.documents_new.unwrap();
    assert!(new < 2_000, "{new} documents were stored anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_cannot_be_read_costs_bytes_only() {
    for damaged in 0..4 {
        let (inner, repository) = repository().await;
        let colls = one(kilobytes(200));
        let base = write_colls(&repository, 1, &colls, small(), None).await;
        let pack = base.packs[damaged % base.packs.len()].to_string();
        let name = Path::from(format!("packs/{}/{pack}", &pack[..2]));
        if damaged % 2 == 0 {
            inner.delete(&name).await.unwrap();
        } else {
            let bytes = inner.get(&name).await.unwrap().bytes().await.unwrap();
            let zeros = vec![0_u8; bytes.len()];
            inner.put(&name, zeros.into()).await.unwrap();
        }
        let next = write_colls(&repository, 2, &colls, small(), Some(&base)).await;
        assert_holds(&repository, &next, &colls).await;
        assert!(next.totals.documents_new > Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_forgotten_meanwhile_is_kept_from_the_sweep() {
    let (_, repository) = repository().await;
    let colls = one(kilobytes(200));
    let base = write_colls(&repository, 1, &colls, small(), None).await;
    let writer = repository.begin_upon(small(), Some(&base));
    repository.forget(base.snapshot).await.unwrap();
    let swept = repository.sweep(Duration::ZERO, far_future()).await;
    assert_eq!(swept.unwrap().packs, 0);
    let mut open = writer.collection(colls[0].entry.clone());
    open.push(batch_of(&colls[0].documents)).await.unwrap();
    assert_eq!(open.finish().await.unwrap().documents_shared, 200);
    let next = writer.commit(header(2)).await.unwrap();
    let swept = repository.sweep(Duration::ZERO, far_future()).await;
    assert_eq!(swept.unwrap().packs, 0);
    assert_holds(&repository, &next, &colls).await;
    assert_clean(&repository).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_whose_packs_were_swept_before_is_never_referred_to() {
    let (inner, repository) = repository().await;
    let colls = one(kilobytes(200));
    let base = write_colls(&repository, 1, &colls, small(), None).await;
    let writer = repository.begin_upon(small(), Some(&base));
    let mut open = writer.collection(colls[0].entry.clone());
    open.push(batch_of(&colls[0].documents)).await.unwrap();
    open.finish().await.unwrap();
    // As another process would that had begun before.
    repository.forget(base.snapshot).await.unwrap();
    let pack = base.packs[0].to_string();
    let name = Path::from(format!("packs/{}/{pack}", &pack[..2]));
    inner.delete(&name).await.unwrap();
    let error = writer.commit(header(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_eq!(repository.snapshots().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_in_the_place_of_another_shares_its_documents_and_cannot_edit_it() {
    let (_, repository) = repository().await;
    let mut colls = one(kilobytes(50));
    let base = write_colls(&repository, 1, &colls, small(), None).await;
    colls[0].entry.name = "renamed".to_owned();
    let next = write_colls(&repository, 2, &colls, small(), Some(&base)).await;
    assert_eq!(next.totals.documents_shared, Some(50));
    colls[0].entry.name = "one".to_owned();
    colls[0].entry.uuid = Some([1; 16]);
    let next = write_colls(&repository, 3, &colls, small(), Some(&base)).await;
    assert_eq!(next.totals.documents_shared, Some(50));
    assert_holds(&repository, &next, &colls).await;
    let writer = repository.begin_upon(small(), Some(&base));
    let refused = writer.edit(colls[0].entry.clone()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    colls[0].entry.uuid = None;
    let next = write_colls(&repository, 4, &colls, small(), Some(&base)).await;
    assert_eq!(next.totals.documents_shared, Some(50));
}
