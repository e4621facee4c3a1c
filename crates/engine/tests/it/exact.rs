//! Exactness, proved: random writers at work while snapshots are taken in each way, and every
//! snapshot is what an independent reading at the same time finds. Between rounds older ones are
//! given up and packs are written anew and swept; what is kept stays what it was.
//!
//! `REGROW_EXACTNESS_ROUNDS=n` goes on for n rounds, and `REGROW_SEED` repeats what was drawn.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use model::{Snapshot, SnapshotWay, Status, Tier};
use mongodb::bson::{Document, doc};
use testkit::workload::{Workload, WorkloadOptions};
use testkit::{RealMongo, sample};

use crate::exact_kept::Kept;
use crate::exact_witness::{Proven, Witness};
use crate::world::{World, config};

/// Rounds where no other number is asked for.
const ROUNDS: u64 = 3;
/// After so many rounds, and after the last, everything stands still and is restored.
const ROUNDS_UNTIL_STILL: u64 = 20;
/// Operations of the writers between two rounds.
const OPERATIONS: u64 = 150;
/// For how long the past can be read, in seconds: longer than a round ever takes.
const WINDOW_SECONDS: u32 = 3_600;
/// Enough for the oplog to keep its beginning over a thousand rounds. It is no larger than what
/// was written.
const OPLOG_MB: u32 = 40_000;
/// The ways, each with an engine of its own.
pub(crate) const WAYS: [SnapshotWay; 3] = [
    SnapshotWay::Scan,
    SnapshotWay::Follow,
    SnapshotWay::Converge,
];

/// An engine that takes snapshots in one way, and who judges them.
struct Taker {
    way: SnapshotWay,
    world: World,
    witness: Witness,
    /// How the snapshots ended up being taken, and how many failed.
    ways: BTreeMap<String, u64>,
    proven: Proven,
    kept: Kept,
}

impl Taker {
    async fn new(
        way: SnapshotWay,
        seed: u64,
        source: &RealMongo,
        target: &RealMongo,
    ) -> anyhow::Result<Self> {
        let mut world = World::configured(engine::Config {
            snapshot_way: Some(way),
            checkpoint_every: std::time::Duration::from_millis(10),
            // Each start does it, while the next snapshot is taken and an older one is read.
            repack: true,
            ..config()
        })
        .await?;
        world.start();
        world.attach("source", &source.uri(), Tier::M2).await?;
        world.attach("target", &target.uri(), Tier::M2).await?;
        let witness = Witness::new(source.client().await?, &world).await?;
        Ok(Self {
            way,
            world,
            witness,
            ways: BTreeMap::new(),
            proven: Proven::default(),
            kept: Kept::new(seed),
        })
    }

    /// Takes a snapshot and proves it; one that fails says why, and is counted.
    async fn round(&mut self) -> anyhow::Result<Option<Snapshot>> {
        let snapshot = self.world.snapshot("source").await?;
        if snapshot.status != Status::Completed {
            let failure = snapshot.failure.context("a failed snapshot says why")?;
            eprintln!("{:?}: failed: {failure}", self.way);
            *self.ways.entry("failed".to_owned()).or_default() += 1;
            return Ok(None);
        }
        let outcome = snapshot.outcome.as_ref().context("it is completed")?;
        let cost = outcome.cost.as_ref().context("it was noted")?;
        *self.ways.entry(format!("{:?}", cost.way)).or_default() += 1;
        let manifest = self.witness.manifest(snapshot.id).await?;
        let proven = self.witness.prove_manifest(&manifest).await;
        let proven = proven.with_context(|| format!("{:?}: {cost:?}", self.way))?;
        self.proven.collections += proven.collections;
        self.proven.documents += proven.documents;
        self.proven.gone += proven.gone;
        self.kept.add(snapshot.clone(), manifest);
        Ok(Some(snapshot))
    }

    /// Takes a snapshot and proves it, and gives space back under those that are kept.
    async fn round_and_tidying(mut self) -> anyhow::Result<Self> {
        self.round().await?;
        let way = self.way;
        let tidied = self.tidied().await;
        tidied.with_context(|| format!("{way:?}: after packs were written anew"))
    }

    async fn tidied(mut self) -> anyhow::Result<Self> {
        self.kept.give_up(&self.world).await?;
        let (repacks, sweeps) = (self.world.store().await?, self.world.store().await?);
        let kept = &mut self.kept;
        let tidy = async || {
            if kept.repack(&repacks.repository).await? {
                kept.sweep(&sweeps.repository).await?;
            }
            kept.one_is_unchanged(&sweeps.repository).await
        };
        let (mut world, ()) = self.world.with_the_directory_free(tidy).await?;
        world.start();
        self.world = world;
        Ok(self)
    }

    /// Takes a snapshot of a source that stands still, and restores it.
    async fn still(&mut self, state: &sample::State, target: &RealMongo) -> anyhow::Result<()> {
        let snapshot = self.round().await?;
        let snapshot = snapshot.context("nothing happens, so nothing can fail")?;
        self.witness.store_is_sound().await?;
        let restore = self.world.restore("source", snapshot.id, "target").await?;
        ensure!(restore.status == Status::Completed, "{:?}", restore.failure);
        let restored = sample::state(&target.client().await?).await?;
        let differences = state.differences(&restored);
        ensure!(
            differences.is_empty(),
            "{:?}: what was restored differs:\n{}",
            self.way,
            differences.join("\n")
        );
        let (store, client) = (self.world.store().await?, target.client().await?);
        let (kept, store) = (&mut self.kept, &store.repository);
        kept.all_are_unchanged(store).await?;
        let oldest = kept.restore_oldest(&self.world, store, &client).await;
        oldest.with_context(|| format!("{:?}", self.way))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_gives_what_the_server_had_at_that_time() -> anyhow::Result<()> {
    let rounds = number_from("REGROW_EXACTNESS_ROUNDS")?.unwrap_or(ROUNDS);
    let seed = number_from("REGROW_SEED")?.unwrap_or_else(drawn);
    eprintln!("REGROW_SEED={seed} REGROW_EXACTNESS_ROUNDS={rounds}");
    let source = RealMongo::replica_set()
        .for_workload()
        .cache_gb(1.0)
        .oplog_mb(OPLOG_MB)
        .snapshot_window_seconds(WINDOW_SECONDS);
    // What is due in an older snapshot would be deleted as soon as it is restored.
    let target = RealMongo::replica_set().parameter("ttlMonitorEnabled", false);
    let (source, target) = tokio::join!(source.start(), target.start());
    let (source, target) = (source?, target?);
    let mut takers = Vec::new();
    for (number, way) in (1..).zip(WAYS) {
        takers.push(Taker::new(way, seed * number, &source, &target).await?);
    }
    let mut done = 0;
    while done < rounds {
        let part = ROUNDS_UNTIL_STILL.min(rounds - done);
        let before = part_of_a_test(seed + done, part, &source, &target, takers).await;
        takers = before.with_context(|| format!("REGROW_SEED={seed}, after {done} rounds"))?;
        done += part;
        eprintln!("{done} rounds held");
    }
    for taker in &takers {
        let (ways, tally) = (&taker.ways, taker.kept.tally);
        eprintln!("{:?}: {ways:?} {:?} {tally:?}", taker.way, taker.proven);
        ensure!(tally.repacked > 0, "no pack was ever written anew");
        ensure!(
            taker.proven.collections > taker.proven.gone,
            "too little could be proven"
        );
        let way = format!("{:?}", taker.way);
        ensure!(taker.ways.contains_key(&way), "{way} was never gone");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_witness_tells_a_snapshot_of_another_moment() -> anyhow::Result<()> {
    let source = RealMongo::replica_set().start().await?;
    let client = source.client().await?;
    let shop = client.database("shop");
    let orders = shop.collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1, "sum": 1 }).await?;
    let mut taker = Taker::new(SnapshotWay::Scan, 1, &source, &source).await?;
    let snapshot = taker.round().await?.context("it is completed")?;
    let mut manifest = taker.witness.manifest(snapshot.id).await?;
    let mut claim = async |after: &str, what: &str| {
        let hello = client
            .database("admin")
            .run_command(doc! { "hello": 1 })
            .await?;
        let time = hello.get_timestamp("operationTime")?;
        manifest.consistency = Some(vault::ClusterTime {
            seconds: time.time,
            increment: time.increment,
        });
        let judged = taker.witness.prove_manifest(&manifest).await;
        let told = judged
            .err()
            .with_context(|| format!("nothing is told after {after}"))?;
        ensure!(
            format!("{told:#}").contains(what),
            "after {after}: {told:#}"
        );
        anyhow::Ok(())
    };
    // Another document of the same size, so that only its bytes tell.
    orders
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "sum": 2 } })
        .await?;
    claim("an update", "shop.orders").await?;
    shop.create_collection("other").await?;
    claim("a collection more", "shop.other").await?;
    shop.collection::<Document>("other").drop().await?;
    let view = shop.create_collection("view").view_on("orders");
    view.await?;
    claim("a view more", "shop.view").await?;
    shop.collection::<Document>("view").drop().await?;
    let index = doc! { "createIndexes": "orders", "indexes": [{ "key": { "a": 1 }, "name": "a" }] };
    shop.run_command(index).await?;
    claim("an index more", "catalog").await?;
    Ok(())
}

/// Some rounds beside one set of writers, and one after they have ended.
async fn part_of_a_test(
    seed: u64,
    rounds: u64,
    source: &RealMongo,
    target: &RealMongo,
    mut takers: Vec<Taker>,
) -> anyhow::Result<Vec<Taker>> {
    let workload = Workload::start(&source.uri(), WorkloadOptions::new(seed)).await?;
    for _ in 0..rounds {
        workload.advance(OPERATIONS).await?;
        let all = takers.into_iter().map(Taker::round_and_tidying);
        takers = futures::future::try_join_all(all).await?;
    }
    workload.stop().await?;
    let state = sample::state(&source.client().await?).await?;
    for taker in &mut takers {
        taker.still(&state, target).await?;
    }
    Ok(takers)
}

pub(crate) fn number_from(variable: &str) -> anyhow::Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(None);
    };
    let number = text.parse();
    Ok(Some(number.with_context(|| {
        format!("{variable} is no number: {text}")
    })?))
}

/// Returns another seed in every run.
#[expect(clippy::disallowed_methods, reason = "nothing measures time by it")]
pub(crate) fn drawn() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()) + now.as_secs())
}
