//! Snapshots that are kept while others are given up and packs are written anew beneath them: each
//! must stay what it was proven to be. It must never take from the store what it compares with.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use model::{Snapshot, Status};
use mongodb::Client;
use mongodb::bson::{RawDocumentBuf, doc};
use vault::{CollectionManifest, Manifest, ReadOptions, RepackOptions, Repository};

use crate::world::World;

/// How many snapshots are kept at most, in turn.
const KEPT_MAX: [usize; 4] = [5, 1, 2, 4];
/// Sizes of packs into which live blocks are copied.
const PACK_BYTES: [usize; 3] = [64 << 10, 1 << 20, 32 << 20];
/// One repacking in so many is broken off.
const BROKEN_OFF_ONE_IN: u64 = 4;

/// Snapshots of one engine, each with its manifest as it was when it was proven.
pub(crate) struct Kept {
    snapshots: Vec<(Snapshot, Manifest)>,
    drawn: u64,
    turn: usize,
    /// What was done so far.
    pub(crate) tally: Tally,
}

/// What was done to the store while snapshots were kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    given_up: u64,
    /// Packs written anew.
    pub(crate) repacked: u64,
    broken_off: u64,
    swept: u64,
    read_again: u64,
    restored: u64,
}

impl Kept {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            snapshots: Vec::new(),
            drawn: seed,
            turn: 0,
            tally: Tally::default(),
        }
    }

    /// Keeps one that was proven just now.
    pub(crate) fn add(&mut self, snapshot: Snapshot, manifest: Manifest) {
        self.snapshots.push((snapshot, manifest));
    }

    /// Draws a number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        // Knuth's generator; of its bits the high ones look random.
        self.drawn = self
            .drawn
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(1);
        (self.drawn >> 33) % limit
    }

    fn draw(&mut self) -> usize {
        let count = self.snapshots.len() as u64;
        usize::try_from(self.below(count)).expect("few are kept")
    }

    /// Gives up drawn ones where there are too many. It may be the newest, which the next snapshot
    /// would have been written upon.
    pub(crate) async fn give_up(&mut self, world: &World) -> anyhow::Result<()> {
        let kept_max = KEPT_MAX[self.turn % KEPT_MAX.len()];
        self.turn += 1;
        while self.snapshots.len() > kept_max {
            let drawn = self.draw();
            let (snapshot, _) = self.snapshots.remove(drawn);
            let snapshots = world.engine.snapshots();
            let deleted = snapshots.delete(&world.caller, world.project, "source", snapshot.id);
            deleted.await.context("give up a snapshot")?;
            self.tally.given_up += 1;
        }
        Ok(())
    }

    /// Writes packs anew as drawn; returns whether it was not broken off. Nothing else may use the
    /// store meanwhile.
    pub(crate) async fn repack(&mut self, repository: &Repository) -> anyhow::Result<bool> {
        let options = RepackOptions {
            // Everything at first, so that there is something to write anew in few rounds, too.
            live_hundredths_min: [101, 50][usize::from(self.turn > 2 && self.below(2) == 0)],
            bytes_max: [1 << 20, 4 << 30][usize::from(self.below(2) == 0)],
            pack_bytes: PACK_BYTES[usize::try_from(self.below(3))?],
            ..RepackOptions::default()
        };
        let repacking = repository.repack(&options);
        if self.tally.repacked > 0 && self.below(BROKEN_OFF_ONE_IN) == 0 {
            let limit = Duration::from_millis(self.below(60));
            if let Ok(done) = tokio::time::timeout(limit, repacking).await {
                self.tally.repacked += done?.packs;
            }
            self.tally.broken_off += 1;
            return Ok(false);
        }
        self.tally.repacked += repacking.await?.packs;
        Ok(true)
    }

    /// Removes what no snapshot needs. `repository` must not be the one that wrote packs anew: that
    /// one spares what it gave up, for readers that it might have.
    pub(crate) async fn sweep(&mut self, repository: &Repository) -> anyhow::Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the object store's own clock")]
        let now = std::time::SystemTime::now();
        self.tally.swept += repository.sweep(Duration::ZERO, now).await?.packs;
        Ok(())
    }

    /// Fails unless a drawn one is what it was.
    pub(crate) async fn one_is_unchanged(&mut self, store: &Repository) -> anyhow::Result<()> {
        if self.snapshots.is_empty() {
            return Ok(());
        }
        let drawn = self.draw();
        self.tally.read_again += 1;
        unchanged(store, &self.snapshots[drawn].1).await
    }

    /// Fails unless all are what they were.
    pub(crate) async fn all_are_unchanged(&mut self, store: &Repository) -> anyhow::Result<()> {
        for (_, manifest) in &self.snapshots {
            unchanged(store, manifest).await?;
            self.tally.read_again += 1;
        }
        Ok(())
    }

    /// Restores the one that was kept longest, and compares what the target then has with what was
    /// proven when it was taken.
    pub(crate) async fn restore_oldest(
        &mut self,
        world: &World,
        store: &Repository,
        target: &Client,
    ) -> anyhow::Result<()> {
        let Some((snapshot, manifest)) = self.snapshots.first() else {
            return Ok(());
        };
        let restore = world.restore("source", snapshot.id, "target").await?;
        ensure!(restore.status == Status::Completed, "{:?}", restore.failure);
        let with_documents = manifest.collections.iter().filter(|one| one.uuid.is_some());
        for collection in with_documents {
            let prefix = match collection.kind.as_str() {
                "timeseries" => "system.buckets.",
                _ => "",
            };
            let name = format!("{prefix}{}", collection.name);
            let database = target.database(&collection.database);
            let mut cursor = database
                .collection::<RawDocumentBuf>(&name)
                .find(doc! {})
                .await?;
            let mut found = store.fingerprinter();
            while cursor.advance().await? {
                found.add(cursor.current().as_bytes());
            }
            ensure!(
                found.finish() == collection.fingerprint(),
                "{}.{name} of an older snapshot is restored as something else",
                collection.database
            );
        }
        self.tally.restored += 1;
        Ok(())
    }
}

/// Fails unless the store gives of a snapshot what it gave when it was proven.
async fn unchanged(store: &Repository, proven: &Manifest) -> anyhow::Result<()> {
    let manifest = store.manifest(proven.snapshot).await?;
    ensure!(
        manifest.collections.len() == proven.collections.len()
            && manifest.consistency == proven.consistency
            && manifest.resume_point == proven.resume_point,
        "a manifest says something else than before"
    );
    for (collection, proven) in manifest.collections.iter().zip(&proven.collections) {
        let namespace = format!("{}.{}", proven.database, proven.name);
        ensure!(
            told(collection) == told(proven),
            "{namespace} is told otherwise"
        );
        let mut blocks = store.blocks(collection, ReadOptions::default());
        let mut found = store.fingerprinter();
        while let Some(block) = blocks.try_next().await.context("read it again")? {
            block.documents().for_each(|document| found.add(document));
        }
        ensure!(
            found.finish() == proven.fingerprint(),
            "{namespace} has other documents than when it was proven"
        );
    }
    Ok(())
}

/// Returns all that a manifest says of a collection but where it lies.
fn told(collection: &CollectionManifest) -> impl PartialEq + use<> {
    (
        (collection.database.clone(), collection.name.clone()),
        (collection.kind.clone(), collection.uuid, collection.exact),
        (collection.options.clone(), collection.id_index.clone()),
        collection.indexes.clone(),
        collection.fingerprint(),
    )
}
