//! Servers that forget the past faster than it can be read: a snapshot fails and says what to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use model::{Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;

use crate::world::World;

/// Changes documents without a pause, until told to stop.
async fn write_on(client: Client, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    let orders = client.database("shop").collection::<Document>("orders");
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let add = doc! { "$inc": { "sum": 1 } };
        orders.update_one(doc! { "_id": number % 100 }, add).await?;
    }
    Ok(())
}

/// Takes a snapshot as this user while somebody writes; returns why it failed.
async fn failure(server: &RealMongo, uri: &str) -> anyhow::Result<String> {
    let client = server.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    let documents = (0..100).map(|id| doc! { "_id": id, "sum": 0 });
    orders.insert_many(documents).await?;
    let world = World::started().await?;
    world.attach("c", uri, Tier::M2).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_on(client, stop.clone()));
    let snapshot = world.snapshot("c").await?;
    stop.store(true, Ordering::SeqCst);
    writer.await??;
    ensure!(snapshot.status == Status::Failed, "{:?}", snapshot.outcome);
    snapshot.failure.context("a failed snapshot says why")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_faster_than_it_can_be_read_names_the_setting() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().snapshot_window_seconds(0);
    let server = server.parameter("enableTestCommands", 1).start().await?;
    // Nothing is read without a pause that is longer than the past is kept.
    let slow = doc! {
        "configureFailPoint": "failCommand", "mode": "alwaysOn",
        "data": { "failCommands": ["find"], "blockConnection": true, "blockTimeMS": 50 },
    };
    let admin = server.client().await?.database("admin");
    admin.run_command(slow).await?;
    let failure = failure(&server, &server.uri()).await?;
    let setting = "lengthen minSnapshotHistoryWindowInSeconds";
    ensure!(failure.contains(setting), "{failure}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_follow_is_told_the_role() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth();
    let server = server.snapshot_window_seconds(0).start().await?;
    let find = |resource: Document| doc! { "resource": resource, "actions": ["find"] };
    let role = doc! {
        "createRole": "reader without streams",
        "roles": [],
        "privileges": [
            { "resource": { "cluster": true }, "actions": ["listDatabases"] },
            {
                "resource": { "db": "", "collection": "" },
                "actions": ["find", "listCollections", "listIndexes"],
            },
            find(doc! { "db": "", "system_buckets": "" }),
            find(doc! { "db": "", "collection": "system.js" }),
        ],
    };
    let admin = server.client().await?.database("admin");
    admin.run_command(role).await?;
    server
        .create_user("reader", "p", &[("reader without streams", "admin")])
        .await?;
    let failure = failure(&server, &server.uri_as("reader", "p")).await?;
    ensure!(
        failure.contains("cannot be followed; grant the user the role `backup`"),
        "{failure}"
    );
    Ok(())
}
