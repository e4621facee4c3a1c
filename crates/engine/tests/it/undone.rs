//! A restore that fails in one collection while the server is still busy with another one's
//! documents: what it undoes stays undone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::RestoreRequest;
use model::{RestoreMode, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::{RealMongo, sample, wait_for};

use crate::world::World;

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
