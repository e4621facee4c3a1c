//! Servers that go away in the middle of a snapshot, and oplogs that forget: what comes of it is
//! exact, or fails and says why.

use std::time::Duration;

use anyhow::{Context, ensure};
use model::{Snapshot, SnapshotWay, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, Timestamp, doc};
use testkit::workload::{Workload, WorkloadOptions};
use testkit::{RealMongo, RealSet, wait_for};

use crate::exact::{WAYS, drawn, number_from};
use crate::exact_witness::Witness;
use crate::world::{World, config};

/// How often a server goes away where no other number is asked for: each kind once.
const ROUNDS: u64 = 2;
/// For how long the past can be read, in seconds: longer than the test takes.
const WINDOW_SECONDS: u32 = 3_600;
/// How long an oplog of 1 MB may take to forget.
const FORGET_LIMIT: Duration = Duration::from_secs(60);

/// Makes an engine that takes snapshots in one way only.
async fn world(way: SnapshotWay, uri: &str) -> anyhow::Result<World> {
    let mut world = World::configured(engine::Config {
        snapshot_way: Some(way),
        checkpoint_every: std::time::Duration::from_millis(10),
        deployment_timeout_ms: 20_000,
        ..config()
    })
    .await?;
    world.start();
    world.attach("c", uri, Tier::M2).await?;
    Ok(world)
}

/// Judges how a snapshot ended.
async fn judge(witness: &Witness, snapshot: &Snapshot) -> anyhow::Result<()> {
    if snapshot.status == Status::Completed {
        let proven = witness.prove(snapshot.id).await?;
        ensure!(proven.collections > 0, "nothing could be proven");
    } else {
        let failure = snapshot.failure.as_ref();
        let failure = failure.context("a failed snapshot says why")?;
        eprintln!("failed: {failure}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_goes_away_in_the_middle_costs_exactness_in_no_way() -> anyhow::Result<()> {
    let rounds = number_from("REGROW_FAILOVER_ROUNDS")?.unwrap_or(ROUNDS);
    let seed = number_from("REGROW_SEED")?.unwrap_or_else(drawn);
    eprintln!("REGROW_SEED={seed} REGROW_FAILOVER_ROUNDS={rounds}");
    let set = RealMongo::replica_set().for_workload();
    let set = set.snapshot_window_seconds(WINDOW_SECONDS).start_three();
    let mut set = set.await?;
    let options = WorkloadOptions {
        documents: 2_000,
        ..WorkloadOptions::new(seed)
    };
    let workload = Workload::start(&set.uri(), options).await?;
    let mut takers = Vec::new();
    for way in WAYS {
        let world = world(way, &set.uri()).await?;
        let witness = Witness::new(set.client().await?, &world).await?;
        // What the second can follow.
        judge(&witness, &world.snapshot("c").await?).await?;
        takers.push((world, witness));
    }
    for round in 0..rounds {
        workload.advance(50).await?;
        let snapshots = takers.iter().map(|(world, _)| world.snapshot("c"));
        let snapshots = futures::future::try_join_all(snapshots);
        let (snapshots, gone) = tokio::join!(snapshots, go_away(&mut set, &workload, round));
        gone?;
        for ((_, witness), snapshot) in takers.iter().zip(snapshots?) {
            judge(witness, &snapshot).await?;
        }
    }
    workload.stop().await?;
    for (world, witness) in &takers {
        let snapshot = world.snapshot("c").await?;
        ensure!(
            snapshot.status == Status::Completed,
            "{:?}",
            snapshot.failure
        );
        judge(witness, &snapshot).await?;
        witness.store_is_sound().await?;
    }
    Ok(())
}

/// Lets some operations pass, and then steps the primary down, or kills it and starts it again.
async fn go_away(set: &mut RealSet, workload: &Workload, round: u64) -> anyhow::Result<()> {
    workload.advance(round * 7 % 40).await?;
    if round.is_multiple_of(2) {
        return set.step_down().await;
    }
    let primary = set.primary().await?;
    set.kill(primary);
    workload.advance(20).await?;
    set.restart(primary).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_in_the_middle_costs_exactness_in_no_way() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().for_workload();
    let mongo = mongo.snapshot_window_seconds(WINDOW_SECONDS).start();
    let mut mongo = mongo.await?;
    let options = WorkloadOptions {
        documents: 2_000,
        ..WorkloadOptions::new(drawn())
    };
    eprintln!("seed {}", options.seed);
    let workload = Workload::start(&mongo.uri(), options).await?;
    for way in WAYS {
        let world = world(way, &mongo.uri()).await?;
        let witness = Witness::new(mongo.client().await?, &world).await?;
        judge(&witness, &world.snapshot("c").await?).await?;
        let (snapshot, restarted) = tokio::join!(world.snapshot("c"), async {
            workload.advance(5).await?;
            mongo.kill();
            mongo.restart().await
        });
        restarted?;
        let after = format!("{way:?}");
        judge(&witness, &snapshot?).await.context(after)?;
        let next = world.snapshot("c").await?;
        ensure!(next.status == Status::Completed, "{:?}", next.failure);
        judge(&witness, &next).await?;
    }
    workload.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oplog_that_has_forgotten_costs_a_scan_that_says_so() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().forgetful_oplog().start().await?;
    let client = mongo.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders
        .insert_many((0..500).map(|id| doc! { "_id": id, "sum": 0 }))
        .await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let witness = Witness::new(client.clone(), &world).await?;
    let first = world.snapshot("c").await?;
    ensure!(first.status == Status::Completed, "{:?}", first.failure);
    let time = witness.manifest(first.id).await?.consistency;
    let time = time.context("it is exact at a time")?;

    orders
        .update_many(doc! { "_id": { "$lt": 10 } }, doc! { "$inc": { "sum": 1 } })
        .await?;
    orders.delete_one(doc! { "_id": 499 }).await?;
    let time = Timestamp {
        time: time.seconds,
        increment: time.increment,
    };
    write_until_forgotten(&client, time).await?;
    let next = world.snapshot("c").await?;
    ensure!(next.status == Status::Completed, "{:?}", next.failure);
    let cost = next.outcome.and_then(|outcome| outcome.cost);
    let cost = cost.context("it was noted")?;
    ensure!(cost.way == SnapshotWay::Scan, "{cost:?}");
    let reason = cost.reason.context("it says why it was not followed")?;
    ensure!(reason.contains("no longer keeps"), "{reason}");
    let manifest = witness.manifest(next.id).await?;
    let proven = witness.prove_documents(&manifest).await?;
    ensure!(proven.documents > 499, "{proven:?}");
    Ok(())
}

/// Writes until the oplog begins after a time.
async fn write_until_forgotten(client: &Client, time: Timestamp) -> anyhow::Result<()> {
    let burst = client.database("shop").collection::<Document>("burst");
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    wait_for(FORGET_LIMIT, "the oplog to forget", || async {
        let lines = (0..300).map(|_| doc! { "line": "x".repeat(1_000) });
        let written = burst.insert_many(lines).await;
        written.map_err(|error| error.to_string())?;
        let oldest = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await;
        let oldest = oldest.map_err(|error| error.to_string())?;
        let begins = oldest.and_then(|entry| entry.get_timestamp("ts").ok());
        if begins > Some(time) {
            Ok(())
        } else {
            Err(format!("it begins at {begins:?}"))
        }
    })
    .await
}
