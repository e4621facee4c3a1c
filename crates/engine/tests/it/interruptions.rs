//! Jobs that are interrupted go on, and a store that was harmed is not believed.

use model::{Status, Tier};
use mongodb::bson::{Document, doc};
use testkit::sample::{self, SampleOptions};
use testkit::{RealMongo, wait_for};

use crate::world::{LIMIT, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_goes_on_after_a_shutdown() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(
        &client,
        SampleOptions {
            documents: 20_000,
            ..SampleOptions::default()
        },
    )
    .await?;
    let mut world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let asked = world.ask_snapshot("c").await?;
    running(&world, asked.id).await?;
    world = world.reopen().await?;
    let status = world.snapshots("c").await?[0].status;
    assert!(
        matches!(status, Status::Queued | Status::Completed),
        "{status}"
    );
    world.start();
    let ended = world.finished_snapshot("c", asked.id).await?;
    assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
    let before = sample::state(&client).await?;
    sample::damage(&client).await?;
    let restore = world.restore("c", asked.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    let differences = before.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{differences:?}");
    Ok(())
}

async fn running(world: &World, id: model::SnapshotId) -> anyhow::Result<()> {
    wait_for(LIMIT, "the snapshot to run", || async {
        let all = world
            .snapshots("c")
            .await
            .map_err(|error| error.to_string())?;
        let found = all
            .iter()
            .find(|snapshot| snapshot.id == id)
            .map(|found| found.status);
        match found {
            Some(Status::Running | Status::Completed) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_on_after_a_shutdown() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(
        &client,
        SampleOptions {
            documents: 20_000,
            ..SampleOptions::default()
        },
    )
    .await?;
    let mut world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let before = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    let request = world.request("c", snapshot.id, "c");
    let (_, asked) = world
        .engine
        .restores()
        .request(&world.caller, &request)
        .await?;
    let marker = client.database("__regrow_restore");
    wait_for(LIMIT, "the marker on the target", || async {
        let names = marker
            .list_collection_names()
            .await
            .map_err(|error| error.to_string())?;
        if names.is_empty() {
            Err("no marker".to_owned())
        } else {
            Ok(())
        }
    })
    .await?;
    world = world.reopen().await?;
    world.start();
    let ended = world.finished_restore("c", asked.id).await?;
    assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
    let differences = before.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{differences:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_costs_a_new_start_and_not_the_snapshot() -> anyhow::Result<()> {
    let mut mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let mut world = World::new().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let asked = world.ask_snapshot("c").await?;
    mongo.stop().await?;
    world.start();
    running(&world, asked.id).await?;
    mongo.restart().await?;
    let ended = world.finished_snapshot("c", asked.id).await?;
    assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmed_store_fails_the_restore_before_the_target_is_believed() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders
        .insert_many((0..5_000).map(|n| doc! { "_id": n, "text": "x".repeat(100) }))
        .await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let harmed = world.snapshot("c").await?;
    let packs = world.dir.path().join("snapshots/packs");
    let pack = walk(&packs)?.pop().expect("a pack was written");
    let mut bytes = std::fs::read(&pack)?;
    // The first frame of a pack is a block; a byte of it, behind the pack's header.
    bytes[200] ^= 1;
    std::fs::write(&pack, bytes)?;
    // It refers to the same documents, so it is harmed, too, and must not be believed either.
    let shares = world.snapshot("c").await?;
    orders
        .update_many(doc! {}, doc! { "$set": { "text": "changed" } })
        .await?;
    let whole = world.snapshot("c").await?;
    for snapshot in [harmed.id, shares.id] {
        let restore = world.restore("c", snapshot, "c").await?;
        assert_eq!(restore.status, Status::Failed);
        let failure = restore.failure.expect("a failed restore says why");
        assert!(failure.contains("packs/"), "it names the object: {failure}");
    }
    let restore = world.restore("c", whole.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_eq!(orders.count_documents(doc! {}).await?, 5_000);
    Ok(())
}

fn walk(path: &std::path::Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
