//! Every kind of damage to every kind of object: the check names the object and the snapshots it
//! harms, and reading gives an error that names it, or the right documents, never anything else.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use vault::{CheckOptions, CheckReport, ErrorKind, Manifest, Repository, SnapshotId};

use crate::support::*;

const STRUCTURE: CheckOptions = CheckOptions { read_data: false };
const READ_DATA: CheckOptions = CheckOptions { read_data: true };

struct Damaged {
    inner: Arc<InMemory>,
    repository: Repository,
    trees: Vec<Tree>,
    manifests: Vec<Manifest>,
}

impl Damaged {
    /// Two snapshots with nothing in common, each of several packs and pages.
    async fn new() -> Damaged {
        let inner = Arc::new(InMemory::new());
        let repository = Repository::create(store(inner.clone()), &key())
            .await
            .unwrap();
        let mut trees = Vec::new();
        let mut manifests = Vec::new();
        for number in [1, 2_u8] {
            let from = u64::from(number) * 1_000;
            let documents = |count: u64, length: usize| {
                (from..from + count)
                    .map(|number| document(number, length))
                    .collect::<Vec<_>>()
            };
            let tree = vec![
                ("one".to_owned(), documents(40, 1_000)),
                ("two".to_owned(), documents(10, 20)),
            ];
            manifests.push(write(&repository, number, &tree, small()).await.unwrap());
            trees.push(tree);
        }
        Damaged {
            inner,
            repository,
            trees,
            manifests,
        }
    }

    async fn objects(&self) -> Vec<Path> {
        self.inner
            .list(None)
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .unwrap()
    }

    async fn get(&self, path: &Path) -> Bytes {
        self.inner.get(path).await.unwrap().bytes().await.unwrap()
    }

    async fn put(&self, path: &Path, bytes: impl Into<Bytes>) {
        self.inner.put(path, bytes.into().into()).await.unwrap();
    }

    /// Returns the snapshots that refer to an object.
    fn harmed(&self, object: &Path) -> BTreeSet<SnapshotId> {
        let object = object.to_string();
        let refers = |manifest: &&Manifest| {
            object == "repo"
                || object.contains(&manifest.snapshot.to_string())
                || manifest
                    .packs
                    .iter()
                    .any(|pack| object.contains(&pack.to_string()))
        };
        self.manifests
            .iter()
            .filter(refers)
            .map(|manifest| manifest.snapshot)
            .collect()
    }

    fn assert_reported(&self, report: &CheckReport, object: &Path, what: &str) {
        let problem = report
            .problems
            .iter()
            .find(|problem| problem.object == object.as_ref());
        let problem = problem.unwrap_or_else(|| panic!("{what} of {object} is not reported"));
        let harmed: BTreeSet<_> = problem.snapshots.iter().copied().collect();
        assert_eq!(
            harmed,
            self.harmed(object),
            "{what} of {object}: {problem:?}"
        );
        let others = report
            .problems
            .iter()
            .filter(|problem| problem.object != object.as_ref());
        assert_eq!(
            others.collect::<Vec<_>>(),
            Vec::<&vault::Problem>::new(),
            "{what} of {object}"
        );
    }

    /// Reads both snapshots: the right documents, or an error that names the object.
    async fn assert_never_wrong(&self, object: &Path, what: &str) {
        for (manifest, tree) in self.manifests.iter().zip(&self.trees) {
            let found = match self.repository.manifest(manifest.snapshot).await {
                Ok(manifest) => read(&self.repository, &manifest).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => assert_eq!(&found, tree, "{what} of {object}"),
                Err(error) => assert_eq!(error.object(), Some(object.as_ref()), "{what}: {error}"),
            }
        }
    }

    /// Damages an object, looks, and puts it right again.
    async fn check_damage(&self, object: &Path, bad: Vec<u8>, what: &str) {
        let good = self.get(object).await;
        self.put(object, bad).await;
        let report = self.repository.check(READ_DATA).await.unwrap();
        self.assert_reported(&report, object, what);
        self.assert_never_wrong(object, what).await;
        self.put(object, good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_is_reported_and_never_read() {
    let damaged = Damaged::new().await;
    for object in damaged.objects().await {
        let good = damaged.get(&object).await;
        let step = (good.len() / 60).max(1);
        let ends = (0..32).chain(good.len() - 40..good.len());
        for at in (0..good.len())
            .step_by(step)
            .chain(ends)
            .filter(|&at| at < good.len())
        {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << (at % 8);
            damaged
                .check_damage(&object, bad, &format!("a flipped bit in byte {at}"))
                .await;
        }
    }
    assert_eq!(
        damaged.repository.check(READ_DATA).await.unwrap().problems,
        []
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_lengths_are_reported_even_by_the_structure_check() {
    let damaged = Damaged::new().await;
    for object in damaged.objects().await {
        let good = damaged.get(&object).await;
        let longer = [good.as_ref(), b"x"].concat();
        for bad in [
            &good[..0],
            &good[..10],
            &good[..good.len() / 2],
            &good[..good.len() - 1],
            &longer,
        ] {
            let what = format!("{} bytes instead of {}", bad.len(), good.len());
            damaged.check_damage(&object, bad.to_vec(), &what).await;
            damaged.put(&object, bad.to_vec()).await;
            let report = damaged.repository.check(STRUCTURE).await.unwrap();
            damaged.assert_reported(&report, &object, &what);
            damaged.put(&object, good.clone()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pack_is_reported_with_the_snapshots_it_harms() {
    let damaged = Damaged::new().await;
    for object in damaged.objects().await {
        if !object.as_ref().starts_with("packs/") {
            continue;
        }
        let good = damaged.get(&object).await;
        damaged.inner.delete(&object).await.unwrap();
        for options in [STRUCTURE, READ_DATA] {
            let report = damaged.repository.check(options).await.unwrap();
            damaged.assert_reported(&report, &object, "the absence");
        }
        damaged.assert_never_wrong(&object, "the absence").await;
        damaged.put(&object, good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_under_each_others_names_are_reported() {
    let damaged = Damaged::new().await;
    let objects = damaged.objects().await;
    for folder in ["packs/", "snapshots/"] {
        let same: Vec<_> = objects
            .iter()
            .filter(|o| o.as_ref().starts_with(folder))
            .collect();
        for pair in same.windows(2) {
            let other = damaged.get(pair[1]).await;
            damaged
                .check_damage(pair[0], other.to_vec(), "another's content in place")
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_generation_or_another_snapshot_cannot_be_passed_off() {
    let damaged = Damaged::new().await;
    let id = snapshot_id(1);
    let manifest = damaged.get(&Path::from(format!("snapshots/{id}.0"))).await;
    let forged = Path::from(format!("snapshots/{id}.1"));
    damaged.put(&forged, manifest.clone()).await;
    let error = damaged.repository.manifest(id).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.object()),
        (ErrorKind::Corrupt, Some(forged.as_ref()))
    );
    let report = damaged.repository.check(STRUCTURE).await.unwrap();
    damaged.assert_reported(&report, &forged, "the forgery");
    damaged.inner.delete(&forged).await.unwrap();
    damaged
        .put(
            &Path::from(format!("snapshots/{}.0", snapshot_id(9))),
            manifest,
        )
        .await;
    let error = damaged
        .repository
        .manifest(snapshot_id(9))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_repository_are_not_taken() {
    let damaged = Damaged::new().await;
    let other = Damaged::new().await;
    let object = Path::from(format!("snapshots/{}.0", snapshot_id(1)));
    let foreign = other.get(&object).await;
    damaged
        .check_damage(
            &object,
            foreign.to_vec(),
            "the manifest of another repository",
        )
        .await;
    let error = other
        .repository
        .blocks(&damaged.manifests[0].collections[0], Default::default());
    assert!(error.try_collect::<Vec<_>>().await.is_err());
}
