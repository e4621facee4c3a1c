//! A target whose disk is full while it is loaded: what it had is there, or it says that it is not.
//!
//! The server refuses inserts as it does without room; everything else goes on, as it does then.

use model::{RestoreMode, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use testkit::RealMongo;
use testkit::sample;

use crate::world::World;

/// `OutOfDiskSpace` in `src/mongo/base/error_codes.yml` of the server's source.
const OUT_OF_DISK_SPACE: i32 = 14031;
/// `ExceededTimeLimit`, which passes; one of a server that ends would make the driver wait.
const PASSING: i32 = 262;

async fn server() -> anyhow::Result<(RealMongo, Client)> {
    let server = RealMongo::replica_set()
        .args(["--setParameter", "enableTestCommands=1"])
        .start()
        .await?;
    let client = server.client().await?;
    Ok((server, client))
}

async fn fill(client: &Client, text: &str) -> anyhow::Result<()> {
    for name in ["a", "b", "c"] {
        let all = client.database("shop").collection::<Document>(name);
        all.drop().await?;
        all.insert_many((0..20).map(|n| doc! { "_id": n, "text": text }))
            .await?;
    }
    Ok(())
}

/// Lets the server refuse commands of the engine.
async fn refuse(client: &Client, commands: &[&str], code: i32, mode: Bson) -> anyhow::Result<()> {
    let data = doc! { "failCommands": commands, "errorCode": code, "appName": "regrow" };
    let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    client.database("admin").run_command(command).await?;
    Ok(())
}

async fn is_marked(client: &Client) -> anyhow::Result<bool> {
    let names = client.list_database_names().await?;
    Ok(names.iter().any(|name| name == "__regrow_restore"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_no_data_beside_and_is_told_in_place() -> anyhow::Result<()> {
    let (server, client) = server().await?;
    fill(&client, "as it was").await?;
    let wanted = sample::state(&client).await?;
    let world = World::started().await?;
    world.attach("c", &server.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    fill(&client, "since then").await?;
    let before = sample::state(&client).await?;
    for (mode, is_kept) in [(RestoreMode::Safe, true), (RestoreMode::InPlace, false)] {
        // The first collection finds room, the others do not.
        refuse(
            &client,
            &["insert"],
            OUT_OF_DISK_SPACE,
            doc! { "skip": 1 }.into(),
        )
        .await?;
        let mut request = world.request("c", snapshot.id, "c");
        request.mode = Some(mode);
        let restore = world.restored(&request).await?;
        refuse(&client, &[], 0, "off".into()).await?;
        assert_eq!(restore.status, Status::Failed, "{mode}");
        let why = restore.failure.expect("a failed restore says why");
        let differences = before.differences(&sample::state(&client).await?);
        let words = match is_kept {
            true => "the target is as it was before the restore",
            false => "the target is incomplete, and marked so",
        };
        assert!(why.contains(words), "{mode}: {why}");
        assert_eq!(differences.is_empty(), is_kept, "{mode}: {differences:?}");
        assert_eq!(is_marked(&client).await?, !is_kept, "{mode}");
        let next = world.snapshot("c").await?;
        let expected = if is_kept {
            Status::Completed
        } else {
            Status::Failed
        };
        assert_eq!(next.status, expected, "{mode}: {:?}", next.failure);
    }
    // With room again the same restore puts everything right.
    let restore = world.restore("c", snapshot.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    let differences = wanted.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(!is_marked(&client).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_loaded_beside_is_dropped_once_the_target_answers_again() -> anyhow::Result<()> {
    let (server, client) = server().await?;
    let only = client.database("shop").collection::<Document>("only");
    only.insert_one(doc! { "_id": 1 }).await?;
    let world = World::started().await?;
    world.attach("c", &server.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    only.insert_one(doc! { "_id": 2 }).await?;
    let before = sample::state(&client).await?;
    // The one insert and its five retries, then the first drop and its five: that undoing fails.
    let refused = doc! { "times": 12 };
    refuse(&client, &["insert", "drop"], PASSING, refused.into()).await?;
    let mut request = world.request("c", snapshot.id, "c");
    request.mode = Some(RestoreMode::Safe);
    let restore = world.restored(&request).await?;
    assert_eq!(restore.status, Status::Failed);
    let why = restore.failure.expect("a failed restore says why");
    assert!(why.contains("as it was before the restore"), "{why}");
    let differences = before.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(!is_marked(&client).await?);
    Ok(())
}
