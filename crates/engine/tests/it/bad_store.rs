//! A store that was harmed: the check names the object and the snapshots it harms, a restore that
//! needs it fails before it touches the target, and what is whole can still be restored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use engine::RestoreRequest;
use model::{RestoreMode, Snapshot, SnapshotId, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::{RealMongo, sample};

use crate::world::World;

const DOCUMENTS: i32 = 2_000;

/// How an object is harmed.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Missing,
    Truncated,
    /// One bit in the middle of it.
    Flipped,
    /// It has another object's content.
    Swapped,
}

const HARMS: [Harm; 4] = [Harm::Missing, Harm::Truncated, Harm::Flipped, Harm::Swapped];

/// A store with three snapshots: the second shares documents with the first; the third is of
/// another cluster (the same server once more) and shares nothing.
struct Store {
    world: World,
    client: Client,
    _mongo: RealMongo,
    first: SnapshotId,
    sharing: SnapshotId,
    whole: SnapshotId,
}

impl Store {
    async fn new() -> anyhow::Result<Self> {
        let mongo = RealMongo::replica_set().start().await?;
        let client = mongo.client().await?;
        let orders = client.database("shop").collection::<Document>("orders");
        // Hardly compressed, so that most of a pack is blocks.
        let number = |id: i32, at: i32| (id + 1).wrapping_mul(0x5DEE_CE67) ^ at.wrapping_mul(id);
        let text = |id: i32| {
            (0..20)
                .map(|at| format!("{:x}", number(id, at)))
                .collect::<String>()
        };
        orders
            .insert_many((0..DOCUMENTS).map(|id| doc! { "_id": id, "text": text(id) }))
            .await?;
        let mut world = World::new().await?;
        world.start();
        world.attach("c", &mongo.uri(), Tier::M2).await?;
        world.attach("d", &mongo.uri(), Tier::M2).await?;
        let first = completed(&world, "c").await?;
        // Few enough that the blocks of the first stay in use.
        let few = doc! { "_id": { "$lt": DOCUMENTS / 20 } };
        orders
            .update_many(few, doc! { "$set": { "changed": 1 } })
            .await?;
        let sharing = completed(&world, "c").await?;
        orders
            .update_many(doc! {}, doc! { "$set": { "changed": 2 } })
            .await?;
        let whole = completed(&world, "d").await?;
        Ok(Self {
            world,
            client,
            _mongo: mongo,
            first,
            sharing,
            whole,
        })
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.world.dir.path().join("snapshots").join(name)
    }

    /// Harms an object and proves all that is promised; `needed_by` are the snapshots that need it.
    async fn prove(
        mut self,
        object: &Path,
        other: &Path,
        harm: Harm,
        needed_by: &[SnapshotId],
    ) -> anyhow::Result<Self> {
        let good = std::fs::read(object)?;
        apply(object, other, harm)?;
        let name = object
            .strip_prefix(self.folder(""))?
            .to_string_lossy()
            .into_owned();
        let (world, checked) = self.world.checked().await?;
        self.world = world;
        let harmed: BTreeSet<SnapshotId> = checked
            .problems
            .iter()
            .flat_map(|problem| problem.snapshots.iter().map(|harmed| harmed.id))
            .collect();
        let expected: BTreeSet<SnapshotId> = needed_by.iter().copied().collect();
        ensure!(harmed == expected, "{:#?}", checked.problems);
        let is_named = checked.problems.iter().all(|problem| {
            // A manifest that is gone can only be missed by its snapshot.
            problem.object == name || problem.reason.contains("missing")
        });
        ensure!(is_named, "{name} is not named: {:#?}", checked.problems);

        self.world.start();
        for id in [self.first, self.sharing, self.whole] {
            for mode in [RestoreMode::Safe, RestoreMode::InPlace] {
                let restored = self.restore(id, mode, needed_by.contains(&id)).await;
                restored.with_context(|| format!("{mode:?}"))?;
            }
        }
        std::fs::write(object, good)?;
        Ok(self)
    }

    /// Restores over other data: all of it, or nothing is touched.
    async fn restore(
        &self,
        id: SnapshotId,
        mode: RestoreMode,
        must_fail: bool,
    ) -> anyhow::Result<()> {
        let precious = self.client.database("precious").collection("things");
        precious.insert_one(doc! { "of": "today" }).await?;
        let before = sample::state(&self.client).await?;
        let source = if id == self.whole { "d" } else { "c" };
        let request = RestoreRequest {
            mode: Some(mode),
            ..self.world.request(source, id, "c")
        };
        let restore = self.world.restored(&request).await?;
        let after = sample::state(&self.client).await?;
        if !must_fail {
            ensure!(restore.status == Status::Completed, "{:?}", restore.failure);
            let left = precious.count_documents(doc! {}).await?;
            ensure!(left == 0, "the snapshot has no such documents");
            return Ok(());
        }
        ensure!(
            restore.status == Status::Failed,
            "it was restored from a harmed store"
        );
        let failure = restore.failure.context("a failed restore says why")?;
        let names_it = failure.contains("packs/") || failure.contains("snapshots/");
        ensure!(names_it, "the object is not named: {failure}");
        let touched = before.differences(&after);
        ensure!(
            touched.is_empty(),
            "the target was touched:\n{}",
            touched.join("\n")
        );
        Ok(())
    }
}

async fn completed(world: &World, cluster: &str) -> anyhow::Result<SnapshotId> {
    let Snapshot {
        id,
        status,
        failure,
        ..
    } = world.snapshot(cluster).await?;
    ensure!(status == Status::Completed, "{failure:?}");
    Ok(id)
}

fn apply(object: &Path, other: &Path, harm: Harm) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(object)?;
    match harm {
        Harm::Missing => return Ok(std::fs::remove_file(object)?),
        Harm::Truncated => bytes.truncate(bytes.len() / 2),
        Harm::Flipped => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        Harm::Swapped => bytes = std::fs::read(other)?,
    }
    Ok(std::fs::write(object, bytes)?)
}

/// Returns the files below a folder with their sizes, the largest first.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().map_or(0, |meta| meta.len())));
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmed_pack_is_named_with_all_it_harms_and_costs_no_target() -> anyhow::Result<()> {
    let mut store = Store::new().await?;
    // The two large packs: of the first snapshot, and of the third.
    let packs = files(&store.folder("packs"))?;
    let manifest_of_whole = store.world.store().await?.manifest(store.whole).await?;
    let is_of_whole = |path: &&PathBuf| {
        let path = path.to_string_lossy();
        let mut packs = manifest_of_whole.packs.iter();
        packs.any(|pack| path.contains(&pack.to_string()))
    };
    let of_whole = packs.iter().find(is_of_whole).context("it has a pack")?;
    let of_first = packs.iter().find(|path| !is_of_whole(path));
    let of_first = of_first.context("the first has a pack of its own")?;
    for harm in HARMS {
        let needed_by = [store.first, store.sharing];
        let proven = store.prove(of_first, of_whole, harm, &needed_by).await;
        store = proven.with_context(|| format!("{harm:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmed_manifest_is_named_and_harms_its_snapshot_alone() -> anyhow::Result<()> {
    let mut store = Store::new().await?;
    let manifests = files(&store.folder("snapshots"))?;
    let of = |id: SnapshotId| {
        let name = id.to_string();
        let mut all = manifests.iter();
        let found = all.find(|path| path.to_string_lossy().contains(&name));
        found.cloned().context("it has a manifest")
    };
    let (object, other) = (of(store.sharing)?, of(store.whole)?);
    for harm in HARMS {
        let needed_by = [store.sharing];
        let proven = store.prove(&object, &other, harm, &needed_by).await;
        store = proven.with_context(|| format!("{harm:?}"))?;
    }
    Ok(())
}
