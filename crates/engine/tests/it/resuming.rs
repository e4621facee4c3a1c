//! A snapshot that is broken off goes on from its checkpoint: what was stored is not stored again,
//! what was read to its end is not read again, and the result is exact all the same.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use model::{Snapshot, SnapshotCost, Status, Tier};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use testkit::workload::{Workload, WorkloadOptions};
use testkit::{RealMongo, wait_for};

use crate::exact::{drawn, number_from};
use crate::exact_witness::Witness;
use crate::world::{LIMIT, World, config};

/// Snapshots that are broken off where no other number is asked for.
const ROUNDS: u64 = 3;
/// For how long the past can be read, in seconds: longer than the test takes.
const WINDOW_SECONDS: u32 = 3_600;
const FEW: i32 = 3_000;
/// Of a kilobyte each: several batches.
const MANY: i32 = 12_000;

/// An engine that makes a checkpoint whenever something was read.
async fn world(uri: &str) -> anyhow::Result<World> {
    let world = World::configured(engine::Config {
        checkpoint_every: Duration::from_millis(10),
        deployment_timeout_ms: 20_000,
        ..config()
    })
    .await?;
    world.attach("c", uri, Tier::M2).await?;
    Ok(world)
}

async fn ask(world: &World) -> anyhow::Result<model::SnapshotId> {
    let snapshots = world.engine.snapshots();
    let asked = snapshots.take(&world.caller, world.project, "c", None);
    Ok(asked.await?.1.id)
}

fn cost(snapshot: &Snapshot) -> anyhow::Result<SnapshotCost> {
    let outcome = snapshot.outcome.clone().context("it is completed")?;
    outcome.cost.context("it was noted")
}

/// Fills a small collection and one whose reading will hang after a few batches.
async fn fill(client: &Client) -> anyhow::Result<()> {
    let text = "text ".repeat(200);
    for (name, count) in [("few", FEW), ("many", MANY)] {
        let collection = client.database("shop").collection::<Document>(name);
        let documents = (0..count).map(|id| doc! { "_id": id, "n": 0, "text": &text });
        let documents: Vec<Document> = documents.collect();
        for part in documents.chunks(3_000) {
            collection.insert_many(part).await?;
        }
    }
    hang(client, doc! { "skip": 2 }).await
}

/// Lets readers of the large collection hang, or go on.
async fn hang(client: &Client, mode: impl Into<mongodb::bson::Bson>) -> anyhow::Result<()> {
    let hang = doc! {
        "configureFailPoint": "failCommand", "mode": mode.into(),
        "data": {
            "failCommands": ["getMore"], "namespace": "shop.many",
            "blockConnection": true, "blockTimeMS": 3_000,
        },
    };
    client.database("admin").run_command(hang).await?;
    Ok(())
}

/// Changes, adds and deletes documents of both collections until told to stop; of the small one
/// always the same few, however long that takes: it would be scanned if many had changed.
async fn write(client: Client, stop: Arc<AtomicBool>) -> anyhow::Result<i32> {
    let mut round = 0;
    while !stop.load(Ordering::SeqCst) {
        for (name, count, distinct) in [("few", FEW, FEW / 10), ("many", MANY, MANY)] {
            let collection = client.database("shop").collection::<Document>(name);
            let id = round * 37 % distinct;
            let change = doc! { "$inc": { "n": 1 } };
            collection.update_one(doc! { "_id": id }, change).await?;
            let id = (round * 53 + 1) % distinct;
            collection.delete_one(doc! { "_id": id }).await?;
            let id = count + round % distinct;
            let new = collection.replace_one(doc! { "_id": id }, doc! { "n": round });
            new.upsert(true).await?;
        }
        round += 1;
    }
    Ok(round)
}

/// Waits for a checkpoint that has the small collection whole and a part of the large one.
async fn checkpointed(world: &World, id: model::SnapshotId) -> anyhow::Result<vault::Checkpoint> {
    let store = world.store().await?;
    let id = vault::SnapshotId(id.to_bytes());
    wait_for(LIMIT, "a checkpoint", || async {
        let found = store.repository.checkpoint(id).await;
        let found = found.map_err(|error| error.to_string())?;
        let checkpoint = found.ok_or("none")?;
        let has = |of: &[vault::CollectionManifest], name: &str| {
            of.iter().any(|of| of.name == name && of.documents > 0)
        };
        if has(&checkpoint.collections, "few") && has(&checkpoint.partial, "many") {
            Ok(checkpoint)
        } else {
            Err(format!("{} documents", checkpoint.stored.documents))
        }
    })
    .await
}

async fn assert_resumed(
    world: &World,
    witness: &Witness,
    snapshot: &Snapshot,
    before: &vault::Checkpoint,
) -> anyhow::Result<()> {
    ensure!(
        snapshot.status == Status::Completed,
        "{:?}",
        snapshot.failure
    );
    let cost = cost(snapshot)?;
    let reason = cost.reason.clone().context("it says why")?;
    ensure!(reason.contains("resumed from a checkpoint"), "{reason}");
    let documents = u64::try_from(FEW + MANY)?;
    // The small collection was not scanned again, only what was written to it read.
    ensure!(cost.documents_read < documents, "{cost:?}");
    let proven = witness.prove(snapshot.id).await?;
    ensure!(proven.collections == 2, "{proven:?}");
    let manifest = witness.manifest(snapshot.id).await?;
    let used = before
        .packs
        .iter()
        .filter(|pack| manifest.packs.contains(pack));
    ensure!(used.count() > 0, "nothing of the checkpoint is used");
    let shared = manifest.totals.documents_shared.context("it was counted")?;
    ensure!(shared == 0, "no other snapshot has stored any of it");
    witness.store_is_sound().await?;
    let left = world.store().await?.repository.checkpoints().await?;
    ensure!(
        left.is_empty(),
        "a whole snapshot has no checkpoint: {left:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_snapshot_goes_on_from_its_checkpoint_after_a_shutdown() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set()
        .snapshot_window_seconds(WINDOW_SECONDS)
        .parameter("enableTestCommands", 1);
    let mongo = mongo.start().await?;
    let client = mongo.client().await?;
    fill(&client).await?;
    let mut world = world(&mongo.uri()).await?;
    let witness = Witness::new(client.clone(), &world).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(client.clone(), stop.clone()));
    let id = ask(&world).await?;
    world.start();
    // Twice more, so that the last goes on from a checkpoint upon a checkpoint.
    let mut before = checkpointed(&world, id).await?;
    for _ in 0..2 {
        world = world.reopen().await?;
        hang(&client, doc! { "skip": 3 }).await?;
        let number = before.number;
        world.start();
        before = wait_for(LIMIT, "another checkpoint", || async {
            let found = checkpointed(&world, id).await;
            let found = found.map_err(|error| format!("{error:#}"))?;
            match found.number > number {
                true => Ok(found),
                false => Err("the same".to_owned()),
            }
        })
        .await?;
    }
    world = world.reopen().await?;
    hang(&client, "off").await?;
    world.start();
    let snapshot = world.finished_snapshot("c", id).await?;
    stop.store(true, Ordering::SeqCst);
    let rounds = writer.await??;
    ensure!(rounds > 10, "{rounds} rounds were written meanwhile");
    assert_resumed(&world, &witness, &snapshot, &before).await?;
    let next = world.snapshot("c").await?;
    ensure!(next.status == Status::Completed, "{:?}", next.failure);
    witness.prove(next.id).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_snapshot_goes_on_from_its_checkpoint_after_a_failover() -> anyhow::Result<()> {
    let set = RealMongo::replica_set()
        .snapshot_window_seconds(WINDOW_SECONDS)
        .parameter("enableTestCommands", 1);
    let mut set = set.start_three().await?;
    let client = set.client().await?;
    fill(&client).await?;
    let mut world = world(&set.uri()).await?;
    let witness = Witness::new(set.client().await?, &world).await?;
    let id = ask(&world).await?;
    world.start();
    let before = checkpointed(&world, id).await?;
    let few = client.database("shop").collection::<Document>("few");
    let changes = doc! { "$inc": { "n": 1 } };
    few.update_many(doc! { "_id": { "$lt": 50 } }, changes)
        .await?;
    // Another member has no such failure set.
    let primary = set.primary().await?;
    set.kill(primary);
    let snapshot = world.finished_snapshot("c", id).await?;
    assert_resumed(&world, &witness, &snapshot, &before).await
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_are_broken_off_at_any_moment_are_exact() -> anyhow::Result<()> {
    let rounds = number_from("REGROW_EXACTNESS_ROUNDS")?.unwrap_or(ROUNDS);
    let seed = number_from("REGROW_SEED")?.unwrap_or_else(drawn);
    eprintln!("REGROW_SEED={seed} REGROW_EXACTNESS_ROUNDS={rounds}");
    let mongo = RealMongo::replica_set()
        .for_workload()
        .oplog_mb(2_000)
        .snapshot_window_seconds(WINDOW_SECONDS);
    let mongo = mongo.start().await?;
    let options = WorkloadOptions {
        documents: 2_000,
        ..WorkloadOptions::new(seed)
    };
    let workload = Workload::start(&mongo.uri(), options).await?;
    let mut world = world(&mongo.uri()).await?;
    let witness = Witness::new(mongo.client().await?, &world).await?;
    for round in 0..rounds {
        let id = ask(&world).await?;
        for part in 0..2 {
            world.start();
            workload
                .advance((seed + round * 7 + part * 13) % 60)
                .await?;
            world = world.reopen().await?;
        }
        world.start();
        let snapshot = world.finished_snapshot("c", id).await?;
        ensure!(
            snapshot.status == Status::Completed,
            "{:?}",
            snapshot.failure
        );
        let proven = witness.prove(id).await;
        proven.with_context(|| format!("{:?}", snapshot.outcome))?;
        world = world.reopen().await?;
    }
    workload.stop().await?;
    witness.store_is_sound().await
}

/// Writes on and on, so that the server's time does not stand still.
async fn go_on(ticks: &Collection<Document>) -> anyhow::Result<Infallible> {
    loop {
        ticks.insert_one(doc! { "tick": 1 }).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_snapshot_is_not_before_what_earlier_attempts_have_read() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let ticks = client.database("shop").collection::<Document>("ticks");
    ticks.insert_one(doc! { "tick": 0 }).await?;
    let admin = client.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 }).await?;
    let now = hello.get_timestamp("operationTime")?;
    // As if an earlier attempt had read another member, which was ahead of this one.
    let read_until = vault::ClusterTime {
        seconds: now.time + 3,
        increment: 1,
    };
    let mut world = world(&mongo.uri()).await?;
    let id = ask(&world).await?;
    let store = world.store().await?;
    let writer = store.repository.begin(vault::WriteOptions::default());
    let header = vault::CheckpointHeader {
        snapshot: vault::SnapshotId(id.to_bytes()),
        created_at_ms: 0,
        scanned_at_ms: None,
        resume_point: None,
        read_until: Some(read_until),
    };
    writer.checkpoint(header).await?;
    drop(store);
    world.start();
    let snapshot = tokio::select! {
        snapshot = world.finished_snapshot("c", id) => snapshot?,
        never = go_on(&ticks) => match never? {},
    };
    let outcome = snapshot.outcome.context("it is completed")?;
    let model::Consistency::Snapshot(time) = outcome.consistency else {
        anyhow::bail!("it has no time");
    };
    let time = (time.seconds, time.increment);
    ensure!(time >= (read_until.seconds, 1), "{time:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_no_open_job_is_removed() -> anyhow::Result<()> {
    let mut world = World::new().await?;
    let store = world.store().await?;
    let writer = store.repository.begin(vault::WriteOptions::default());
    let header = vault::CheckpointHeader {
        read_until: None,
        snapshot: vault::SnapshotId([7; 12]),
        created_at_ms: 0,
        scanned_at_ms: None,
        resume_point: None,
    };
    writer.checkpoint(header).await?;
    ensure!(
        store.repository.checkpoints().await?.len() == 1,
        "it was put"
    );
    world.start();
    wait_for(LIMIT, "the checkpoint to be removed", || async {
        let left = store.repository.checkpoints().await;
        match left.map_err(|error| error.to_string())?.is_empty() {
            true => Ok(()),
            false => Err("it is there".to_owned()),
        }
    })
    .await
}
