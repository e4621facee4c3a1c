//! Restores beside that do not hear the whole truth: one fails in a collection while the server is
//! still busy with another one's documents, and others miss the answer to something that was done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::RestoreRequest;
use model::{RestoreMode, Snapshot, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::{RealMongo, sample, wait_for};

use crate::world::World;

/// Where a restore marks its target.
const MARKER: &str = "__regrow_restore";
/// Documents of the collection of which not all can be read; it has three blocks.
const LOST: i32 = 2_000;

/// A document of a kilobyte and a half that hardly shrinks.
fn lost(id: i32) -> Document {
    let mut number = u64::from(id.unsigned_abs()) + 1;
    let mut next = || {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{:08x}", number >> 32)
    };
    doc! { "_id": id, "text": (0..180).map(|_| next()).collect::<String>() }
}

/// Lets the next insert of the engine wait before the server begins with it.
async fn hold_an_insert(client: &Client) -> anyhow::Result<()> {
    let hold = doc! {
        "configureFailPoint": "failCommand", "mode": { "times": 1 },
        "data": {
            "failCommands": ["insert"], "appName": "regrow",
            "blockConnection": true, "blockTimeMS": 3_000,
        },
    };
    client.database("admin").run_command(hold).await?;
    Ok(())
}

/// Waits until the server is busy with no insert of the engine.
async fn nothing_under_way(client: &Client) -> anyhow::Result<()> {
    wait_for(Duration::from_secs(60), "no insert", || async {
        let inserts = doc! { "command.insert": { "$exists": true }, "appName": "regrow" };
        let pipeline = [doc! { "$currentOp": {} }, doc! { "$match": inserts }];
        let found = client.database("admin").aggregate(pipeline).await;
        let mut found = found.map_err(|error| error.to_string())?;
        match found.advance().await {
            Ok(false) => Ok(()),
            Ok(true) => Err(format!("{:?}", found.current())),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

fn packs(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for shard in std::fs::read_dir(folder)? {
        for pack in std::fs::read_dir(shard?.path())? {
            found.push(pack?.path());
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_under_way_makes_nothing_again_that_was_undone() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().parameter("enableTestCommands", 1);
    let server = server.start().await?;
    let client = server.client().await?;
    let shop = client.database("shop");
    let slow = shop.collection::<Document>("slow");
    slow.insert_one(doc! { "_id": 1 }).await?;
    let world = World::started().await?;
    world.attach("c", &server.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    let folder = world.dir.path().join("snapshots/packs");
    let before = packs(&folder)?;
    let all = shop.collection::<Document>("lost");
    all.insert_many((0..LOST).map(lost)).await?;
    let snapshot = world.snapshot("c").await?;
    let new = packs(&folder)?;
    for pack in new.iter().filter(|pack| !before.contains(pack)) {
        let mut bytes = std::fs::read(pack)?;
        // In the last of its blocks, which come before everything else.
        let at = bytes.len() * 4 / 5;
        bytes[at] ^= 1;
        std::fs::write(pack, bytes)?;
    }
    let state = sample::state(&client).await?;
    hold_an_insert(&client).await?;
    let request = RestoreRequest {
        mode: Some(RestoreMode::Safe),
        ..world.request("c", snapshot.id, "c")
    };
    let restore = world.restored(&request).await?;
    assert_eq!(restore.status, Status::Failed);
    let why = restore.failure.expect("a failed restore says why");
    assert!(why.contains("as it was before the restore"), "{why}");
    nothing_under_way(&client).await?;
    let differences = state.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

/// Lets the server do every update of the engine after `skip` others, and say that it is not known
/// whether a majority has it.
async fn lose_answers(client: &Client, code: i32, skip: i32) -> anyhow::Result<()> {
    let concern = doc! { "code": code, "errmsg": "no majority was heard of" };
    let lose = doc! {
        "configureFailPoint": "failCommand", "mode": { "skip": skip },
        "data": { "failCommands": ["update"], "appName": "regrow", "writeConcernError": concern },
    };
    client.database("admin").run_command(lose).await?;
    Ok(())
}

async fn lose_nothing(client: &Client) -> anyhow::Result<()> {
    let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
    client.database("admin").run_command(off).await?;
    Ok(())
}

/// A server with one small collection, a snapshot of it, and another document since then.
async fn small() -> anyhow::Result<(RealMongo, Client, World, Snapshot)> {
    let server = RealMongo::replica_set().parameter("enableTestCommands", 1);
    let server = server.start().await?;
    let client = server.client().await?;
    let only = client.database("shop").collection::<Document>("only");
    only.insert_one(doc! { "_id": 1 }).await?;
    let world = World::started().await?;
    world.attach("c", &server.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    only.insert_one(doc! { "_id": 2 }).await?;
    Ok((server, client, world, snapshot))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_says_of_its_target_is_so_whichever_answers_are_lost() -> anyhow::Result<()>
{
    let (_server, client, world, snapshot) = small().await?;
    let only = client.database("shop").collection::<Document>("only");
    let before = sample::state(&client).await?;
    only.delete_one(doc! { "_id": 2 }).await?;
    let wanted = sample::state(&client).await?;
    let request = RestoreRequest {
        mode: Some(RestoreMode::Safe),
        ..world.request("c", snapshot.id, "c")
    };
    let mut went_on = 0;
    for skip in 0.. {
        let new = only.replace_one(doc! { "_id": 2 }, doc! { "_id": 2 });
        new.upsert(true).await?;
        // `UnsatisfiableWriteConcern`, which does not pass.
        lose_answers(&client, 100, skip).await?;
        let restore = world.restored(&request).await?;
        lose_nothing(&client).await?;
        let mut found = sample::state(&client).await?;
        found.documents.remove(MARKER);
        found.catalog.remove(MARKER);
        if restore.status == Status::Completed {
            assert!(wanted.differences(&found).is_empty(), "{skip}");
            break;
        }
        let why = restore.failure.expect("a failed restore says why");
        if why.contains("the target is incomplete") {
            // All was proved: it went on, up to the end of the flip.
            assert!(wanted.differences(&found).is_empty(), "{skip}: {why}");
            went_on += 1;
        } else {
            assert!(before.differences(&found).is_empty(), "{skip}: {why}");
        }
    }
    assert!(
        went_on > 1,
        "neither the last step of loading nor the flip was met"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_for_a_while_is_waited_for() -> anyhow::Result<()> {
    let (_server, client, world, snapshot) = small().await?;
    let restores = world.engine.restores();
    let request = RestoreRequest {
        mode: Some(RestoreMode::Safe),
        ..world.request("c", snapshot.id, "c")
    };
    // `WriteConcernFailed`, of which the next try may know more.
    lose_answers(&client, 64, 0).await?;
    let (_, asked) = restores.request(&world.caller, &request).await?;
    wait_for(Duration::from_secs(60), "a marker", || async {
        let names = client.list_database_names().await;
        let names = names.map_err(|error| error.to_string())?;
        let is_there = names.iter().any(|name| name == MARKER);
        is_there.then_some(()).ok_or_else(|| format!("{names:?}"))
    })
    .await?;
    lose_nothing(&client).await?;
    let restore = world.finished_restore("c", asked.id).await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    Ok(())
}
