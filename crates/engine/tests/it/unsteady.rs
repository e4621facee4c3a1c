//! Collections that come and go while a snapshot is taken: it ends, is exact, and reads nothing
//! twice because of them.

use std::time::Duration;

use anyhow::{Context, ensure};
use model::{SnapshotWay, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;

use crate::exact_witness::Witness;
use crate::world::{World, config};

const DOCUMENTS: i32 = 5_000;
/// How long the server takes for each further batch of a collection.
const SLOW_MS: i32 = 1_000;

/// A server with a collection that is read at once and one that takes four batches, each slow.
async fn loaded() -> anyhow::Result<(RealMongo, Client)> {
    let mongo = RealMongo::replica_set().parameter("enableTestCommands", 1);
    let mongo = mongo.start().await?;
    let client = mongo.client().await?;
    let shop = client.database("shop");
    let many = (0..DOCUMENTS).map(|id| doc! { "_id": id, "text": "text" });
    shop.collection::<Document>("many")
        .insert_many(many)
        .await?;
    let text = "x".repeat(1 << 20);
    let large = (0..12).map(|id| doc! { "_id": id, "text": text.as_str() });
    shop.collection::<Document>("large")
        .insert_many(large)
        .await?;
    Ok((mongo, client))
}

/// Makes `shop.large` slow; returns how often it has been so far.
async fn slow_down(client: &Client) -> anyhow::Result<i32> {
    let slow = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": {
            "failCommands": ["getMore"], "namespace": "shop.large",
            "blockConnection": true, "blockTimeMS": SLOW_MS,
        },
    };
    let reply = client.database("admin").run_command(slow).await?;
    Ok(reply.get_i32("count")?)
}

async fn speed_up(client: &Client) -> anyhow::Result<()> {
    let fast = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    client.database("admin").run_command(fast).await?;
    Ok(())
}

/// Returns how many documents the server has given out since it started.
async fn returned(client: &Client) -> anyhow::Result<i64> {
    let status = doc! { "serverStatus": 1 };
    let status = client.database("admin").run_command(status).await?;
    let metrics = status.get_document("metrics")?;
    Ok(metrics.get_document("document")?.get_i64("returned")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_dropped_in_the_middle_costs_no_second_reading_of_the_rest()
-> anyhow::Result<()> {
    let (mongo, client) = loaded().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let witness = Witness::new(client.clone(), &world).await?;
    let before = returned(&client).await?;
    let count = slow_down(&client).await?;
    let (snapshot, dropped) = tokio::join!(world.snapshot("c"), async {
        let wait = doc! {
            "waitForFailPoint": "failCommand", "timesEntered": count + 1, "maxTimeMS": 60_000,
        };
        client.database("admin").run_command(wait).await?;
        client
            .database("shop")
            .collection::<Document>("large")
            .drop()
            .await?;
        speed_up(&client).await
    });
    dropped?;
    let snapshot = snapshot?;
    ensure!(
        snapshot.status == Status::Completed,
        "{:?}",
        snapshot.failure
    );
    let given = returned(&client).await? - before;
    ensure!(
        given < i64::from(DOCUMENTS) * 3 / 2,
        "{given} documents were read"
    );
    let proven = witness.prove(snapshot.id).await?;
    ensure!(proven.collections == 1 && proven.gone == 0, "{proven:?}");
    let cost = snapshot.outcome.and_then(|outcome| outcome.cost);
    let cost = cost.context("it was noted")?;
    ensure!(cost.way == SnapshotWay::Scan, "{cost:?}");
    let all = u64::try_from(DOCUMENTS)?;
    ensure!(cost.documents_stored == all, "{cost:?}");
    // And it can be followed.
    let next = world.snapshot("c").await?;
    let cost = next.outcome.and_then(|outcome| outcome.cost);
    let cost = cost.context("it was noted")?;
    ensure!(
        cost.way == SnapshotWay::Follow && cost.documents_read == 0,
        "{cost:?}"
    );
    witness.store_is_sound().await
}

/// Replaces a collection by one of the same name.
async fn replace(client: &Client, number: i32) -> anyhow::Result<()> {
    let stages = doc! { "$set": { "number": number } };
    let pipeline = vec![doc! { "$limit": 10 }, stages, doc! { "$out": "report" }];
    let replace = doc! { "aggregate": "many", "pipeline": pipeline, "cursor": {} };
    client.database("shop").run_command(replace).await?;
    Ok(())
}

/// Replaces it now and then.
async fn replace_on(client: Client) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(u64::try_from(SLOW_MS)? / 2));
    for number in 1.. {
        pace.tick().await;
        replace(&client, number).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_replaced_more_often_than_all_can_be_read_fails_no_snapshot()
-> anyhow::Result<()> {
    let (mongo, client) = loaded().await?;
    // One after the other: the report comes last, when the one of the time is long gone.
    let mut world = World::configured(engine::Config {
        cursors: 1,
        ..config()
    })
    .await?;
    world.start();
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let witness = Witness::new(client.clone(), &world).await?;
    replace(&client, 0).await?;
    let replacing = tokio::spawn(replace_on(client.clone()));
    slow_down(&client).await?;
    let snapshot = world.snapshot("c").await?;
    speed_up(&client).await?;
    ensure!(!replacing.is_finished(), "{:?}", replacing.await);
    replacing.abort();
    ensure!(
        snapshot.status == Status::Completed,
        "{:?}",
        snapshot.failure
    );
    let manifest = witness.manifest(snapshot.id).await?;
    let report = manifest
        .collections
        .iter()
        .find(|entry| entry.name == "report");
    ensure!(report.context("the report")?.documents == 10);
    let proven = witness.prove(snapshot.id).await?;
    ensure!(proven.collections + proven.gone == 3, "{proven:?}");
    Ok(())
}
