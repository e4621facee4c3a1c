//! A capped collection that holds more than its limits is put back whole, with its limits.

use futures::TryStreamExt;
use model::{RestoreMode, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;

use crate::world::World;

/// What the collection has, in its own order, and its options.
async fn held(client: &Client) -> anyhow::Result<(Vec<Document>, Document)> {
    let shop = client.database("shop");
    let documents = shop.collection::<Document>("log").find(doc! {}).await?;
    let listed = shop.run_command(doc! { "listCollections": 1 }).await?;
    let entries = listed.get_document("cursor")?.get_array("firstBatch")?;
    let options = entries[0].as_document().expect("a document");
    let options = options.get_document("options")?.clone();
    Ok((documents.try_collect().await?, options))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_capped_collection_has_beyond_its_limits_comes_back() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let shop = client.database("shop");
    let limited = doc! { "create": "log", "capped": true, "size": 100_000, "max": 120 };
    shop.run_command(limited).await?;
    let log = shop.collection::<Document>("log");
    let line = |n: i32| doc! { "_id": n, "line": "x".repeat(900) };
    log.insert_many((0..100).rev().map(line)).await?;
    // They grow, and nothing goes.
    let grown = doc! { "$set": { "more": "y".repeat(300) } };
    log.update_many(doc! {}, grown).await?;
    let fewer = doc! { "collMod": "log", "cappedMax": 60 };
    shop.run_command(fewer).await?;
    let before = held(&client).await?;
    assert_eq!(before.0.len(), 100);

    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?.id;
    for mode in [RestoreMode::Safe, RestoreMode::InPlace] {
        log.insert_one(line(1_000)).await?;
        assert!(held(&client).await?.0.len() <= 60, "an insert makes room");
        let mut request = world.request("c", snapshot, "c");
        request.mode = Some(mode);
        let restore = world.restored(&request).await?;
        assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
        assert_eq!(held(&client).await?, before);
    }
    Ok(())
}
