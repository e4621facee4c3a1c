//! The three ways of taking a snapshot: what each reads, and that all of them are exact.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::Config;
use model::{Snapshot, SnapshotCost, SnapshotWay, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;
use testkit::sample::{self, SampleOptions};

use crate::world::{LIMIT, World, config};

const DOCUMENTS: i32 = 20_000;

async fn loaded() -> anyhow::Result<(RealMongo, Client)> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let many = client.database("shop").collection::<Document>("many");
    let text = "text ".repeat(60);
    let documents: Vec<Document> = (0..DOCUMENTS)
        .map(|id| doc! { "_id": id, "text": &text, "number": id })
        .collect();
    for part in documents.chunks(5_000) {
        many.insert_many(part).await?;
    }
    Ok((mongo, client))
}

fn cost(snapshot: &Snapshot) -> &SnapshotCost {
    assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
    let outcome = snapshot.outcome.as_ref().expect("it is completed");
    outcome.cost.as_ref().expect("it says what it took")
}

/// Restores a snapshot onto its source and compares with what was there at its time.
async fn assert_restores(
    world: &World,
    client: &Client,
    snapshot: &Snapshot,
    state: &sample::State,
) -> anyhow::Result<()> {
    let restore = world.restore("c", snapshot.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    let differences = state.differences(&sample::state(client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_snapshot_reads_what_changed_and_nothing_else() -> anyhow::Result<()> {
    let (mongo, client) = loaded().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let first = world.snapshot("c").await?;
    assert_eq!(cost(&first).way, SnapshotWay::Scan);
    assert_eq!(
        cost(&first).reason.as_deref(),
        Some("there is no snapshot before")
    );

    let many = client.database("shop").collection::<Document>("many");
    many.update_many(
        doc! { "_id": { "$mod": [200, 7] } },
        doc! { "$inc": { "number": 1 } },
    )
    .await?;
    many.delete_many(doc! { "_id": { "$in": [1, 2, 3] } })
        .await?;
    many.insert_one(doc! { "_id": "new", "number": 1 }).await?;
    let fresh = client.database("fresh").collection::<Document>("c");
    fresh.insert_one(doc! { "_id": 1 }).await?;
    let state = sample::state(&client).await?;
    let second = world.snapshot("c").await?;
    let followed = cost(&second);
    assert_eq!(followed.way, SnapshotWay::Follow, "{followed:?}");
    // 100 updates, an insert, a new collection, and capped collections, which are read each time.
    assert!(
        (102..400).contains(&followed.documents_read),
        "{followed:?}"
    );
    assert_eq!(followed.scanned_at, cost(&first).scanned_at);

    let third = world.snapshot("c").await?;
    assert_eq!(cost(&third).way, SnapshotWay::Follow);
    assert!(cost(&third).documents_read < followed.documents_read - 100);
    for snapshot in [&second, &third] {
        assert_restores(&world, &client, snapshot, &state).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_is_due_after_the_days_that_are_set_and_says_so() -> anyhow::Result<()> {
    let (mongo, _client) = loaded().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    world.clock.advance_hours(24 * 7 + 1);
    let late = world.snapshot("c").await?;
    assert_eq!(cost(&late).way, SnapshotWay::Scan);
    assert_eq!(
        cost(&late).reason.as_deref(),
        Some("the last scan is long ago")
    );
    let next = world.snapshot("c").await?;
    assert_eq!(cost(&next).way, SnapshotWay::Follow);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_the_server_keeps_the_past_converges() -> anyhow::Result<()> {
    let (mongo, client) = loaded().await?;
    let mut world = World::configured(Config {
        snapshot_way: Some(SnapshotWay::Converge),
        ..config()
    })
    .await?;
    world.start();
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let state = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    assert_eq!(cost(&snapshot).way, SnapshotWay::Converge);
    assert_restores(&world, &client, &snapshot, &state).await
}

/// Adds to two documents at once, again and again, until told to stop; their numbers are equal at
/// every moment.
async fn keep_pairs_equal(client: Client, stop: Arc<AtomicBool>) -> anyhow::Result<u32> {
    let many = client.database("shop").collection::<Document>("many");
    let mut rounds = 0;
    while !stop.load(Ordering::SeqCst) {
        let id = i32::try_from(rounds % 100)?;
        let mut session = client.start_session().await?;
        session.start_transaction().await?;
        for id in [id, id + 100] {
            many.update_one(doc! { "_id": id }, doc! { "$inc": { "pair": 1 } })
                .session(&mut session)
                .await?;
        }
        session.commit_transaction().await?;
        rounds += 1;
    }
    Ok(rounds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_outlives_what_the_server_keeps_converges_by_itself() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set()
        .snapshot_window_seconds(2)
        .parameter("enableTestCommands", 1)
        .start()
        .await?;
    let client = mongo.client().await?;
    let many = client.database("shop").collection::<Document>("many");
    let text = "text ".repeat(60);
    let documents: Vec<Document> = (0..DOCUMENTS)
        .map(|id| doc! { "_id": id, "text": &text, "pair": 0 })
        .collect();
    for part in documents.chunks(5_000) {
        many.insert_many(part).await?;
    }
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(keep_pairs_equal(client.clone(), stop.clone()));
    // A scan takes three more batches of 2 MB, and so longer than the window.
    let slow = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": {
            "failCommands": ["getMore"], "namespace": "shop.many",
            "blockConnection": true, "blockTimeMS": 1_500,
        },
    };
    client.database("admin").run_command(slow).await?;
    let snapshot = world.snapshot("c").await?;
    let fast = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    client.database("admin").run_command(fast).await?;
    stop.store(true, Ordering::SeqCst);
    let rounds = writer.await??;
    let cost = cost(&snapshot);
    assert_eq!(cost.way, SnapshotWay::Converge, "{cost:?}");
    let reason = cost.reason.as_deref().unwrap_or_default();
    let why = "a scan takes longer than the server keeps the past; resumed from a checkpoint: ";
    assert!(reason.starts_with(why), "{reason}");
    assert!(rounds > 100, "{rounds} rounds were written meanwhile");

    let restore = world.restore("c", snapshot.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_eq!(
        many.count_documents(doc! {}).await?,
        u64::try_from(DOCUMENTS)?
    );
    for id in 0..100 {
        let pair = |id: i32| many.find_one(doc! { "_id": id });
        let (one, other) = (pair(id).await?, pair(id + 100).await?);
        let number = |found: Option<Document>| found.map(|found| found.get_i32("pair").ok());
        assert_eq!(number(one), number(other), "pair {id}");
    }
    Ok(())
}

/// Overwrites every pack of the store behind its header; names and lengths stay.
fn harm_all_packs(world: &World) -> anyhow::Result<()> {
    for folder in std::fs::read_dir(world.dir.path().join("snapshots/packs"))? {
        for pack in std::fs::read_dir(folder?.path())? {
            let path = pack?.path();
            let mut bytes = std::fs::read(&path)?;
            let header = 16;
            bytes[header..].fill(0);
            std::fs::write(&path, bytes)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_upon_is_scanned_and_stored_anew() -> anyhow::Result<()> {
    let (mongo, client) = loaded().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    cost(&world.snapshot("c").await?);
    harm_all_packs(&world)?;
    let many = client.database("shop").collection::<Document>("many");
    many.update_one(doc! { "_id": 7 }, doc! { "$inc": { "number": 1 } })
        .await?;
    let state = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    let healed = cost(&snapshot);
    assert_eq!(healed.way, SnapshotWay::Scan, "{healed:?}");
    let reason = healed.reason.as_deref().unwrap_or_default();
    assert!(
        reason.starts_with("what was stored cannot be built upon"),
        "{reason}"
    );
    assert_restores(&world, &client, &snapshot, &state).await
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_of_which_little_is_needed_are_written_anew_and_snapshots_stay_exact()
-> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let mut world = World::configured(Config {
        repack: true,
        ..config()
    })
    .await?;
    world.start();
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    // Hardly compressed, so that they are most of a pack.
    let noise = client.database("shop").collection::<Document>("noise");
    let word = |id: i32, at: i32| (id * 60 + at + 1).wrapping_mul(0x5DEE_CE67);
    let text = |id: i32| {
        (0..60)
            .map(|at| format!("{:x}", word(id, at)))
            .collect::<String>()
    };
    noise
        .insert_many((0..5_000).map(|id| doc! { "_id": id, "text": text(id) }))
        .await?;
    let first = world.snapshot("c").await?;
    // Most of what the first stored is of no use to the second.
    noise.delete_many(doc! { "_id": { "$gte": 500 } }).await?;
    let state = sample::state(&client).await?;
    let second = world.snapshot("c").await?;
    let snapshots = world.engine.snapshots();
    snapshots
        .delete(&world.caller, world.project, "c", first.id)
        .await?;
    let mut world = world.reopen().await?;
    world.start();
    let dir = world.dir.path().join("snapshots/snapshots");
    let next_generation = dir.join(format!("{}.1", second.id));
    testkit::wait_for(LIMIT, "the manifest's next generation", || async {
        match next_generation.try_exists() {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_restores(&world, &client, &second, &state).await
}
