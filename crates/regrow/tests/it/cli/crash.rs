//! The service ends in the middle of a job, and the next start goes on with it.

use bson::doc;
use serde_json::Value;
use testkit::{RealMongo, sample, wait_for};

use super::world::{LIMIT, World, ended};

/// What the next start says when it takes over jobs.
const TAKEN_OVER: &str = "going on with jobs that the last process left";

async fn loaded_mongo() -> RealMongo {
    let mongo = RealMongo::replica_set()
        .args(["--setParameter", "enableTestCommands=1"])
        .start()
        .await
        .unwrap();
    let client = mongo.client().await.unwrap();
    let small = sample::SampleOptions::small();
    sample::load(&client, small).await.unwrap();
    mongo
}

/// Lets the server sit on these commands, each for a few seconds, until it is told to go on.
///
/// Returns how often it has done so before.
async fn block(mongo: &RealMongo, commands: &[&str], namespace: Option<&str>) -> i64 {
    let mut what = doc! {
        "failCommands": commands.to_vec(),
        "blockConnection": true,
        "blockTimeMS": 4_000,
    };
    if let Some(namespace) = namespace {
        what.insert("namespace", namespace);
    }
    let command = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": what };
    let answer = admin(mongo, command).await;
    answer.get_i32("count").map_or(0, i64::from)
}

/// Waits until the server sits on such a command.
async fn blocked(mongo: &RealMongo, before: i64) {
    let limit = i64::try_from(LIMIT.as_millis()).unwrap();
    let wait = doc! {
        "waitForFailPoint": "failCommand", "timesEntered": before + 1, "maxTimeMS": limit,
    };
    admin(mongo, wait).await;
}

async fn unblock(mongo: &RealMongo) {
    admin(
        mongo,
        doc! { "configureFailPoint": "failCommand", "mode": "off" },
    )
    .await;
}

async fn admin(mongo: &RealMongo, command: bson::Document) -> bson::Document {
    let client = mongo.client().await.unwrap();
    client.database("admin").run_command(command).await.unwrap()
}

/// Waits until the server works on nothing that the service has asked for.
async fn settled(mongo: &RealMongo) {
    let looked = wait_for(LIMIT, "the server to settle", || async {
        let found = admin(
            mongo,
            doc! { "currentOp": 1, "appName": "regrow", "active": true },
        )
        .await;
        let count = found.get_array("inprog").unwrap().len();
        if count == 0 {
            Ok(())
        } else {
            Err(format!("{count} at work"))
        }
    });
    looked.await.unwrap();
}

fn id(job: &Value) -> String {
    job["id"].as_str().unwrap().to_owned()
}

/// Returns how often the service has told somebody how far one snapshot is.
async fn snapshots_shown(world: &World) -> u64 {
    // A second installation fails, and changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().tls_certs_only([]).build();
    let request = client.unwrap().get(format!("{}/metrics", world.url));
    let answer = request.send().await.unwrap();
    let text = answer.text().await.unwrap();
    let is_shown = |line: &&str| {
        line.starts_with("regrow_http_requests_total{method=\"GET\"")
            && line.contains("/snapshots/{snapshotId}")
    };
    let counts = text
        .lines()
        .filter(is_shown)
        .filter_map(|line| line.rsplit(' ').next());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_snapshot_completes_after_the_service_was_killed() {
    let mongo = loaded_mongo().await;
    let mut world = World::new().await;
    world.attach("shop", &mongo).await;
    let before = block(&mongo, &["find", "getMore"], None).await;
    // Somebody waits all the while, through the end and the new start of the service.
    let mut take = world.command(&["snapshot", "take", "shop", "--wait", "--output", "json"]);
    let waiting = tokio::spawn(async move { ended(&mut take).await });
    blocked(&mongo, before).await;
    let polls = wait_for(LIMIT, "somebody to wait", || async {
        match snapshots_shown(&world).await {
            0 => Err("nobody asks"),
            _ => Ok(()),
        }
    });
    polls.await.unwrap();
    world.kill();
    unblock(&mongo).await;
    world.start(&[]).await;
    assert!(world.log().contains(TAKEN_OVER), "{}", world.log());
    let taken = waiting.await.unwrap().json();
    assert_eq!(taken["status"], "COMPLETED", "{taken}");
    let taken = id(&taken);

    // What it took can be restored, elsewhere as well.
    let before = sample::state(&mongo.client().await.unwrap()).await.unwrap();
    let other = RealMongo::replica_set().start().await.unwrap();
    world.attach("copy", &other).await;
    let line = ["restore", "start", "shop", "--snapshot", &taken, "--target"];
    world
        .json(&[&line[..], &["copy", "--yes", "--wait"]].concat())
        .await;
    let after = sample::state(&other.client().await.unwrap()).await.unwrap();
    assert_eq!(before.differences(&after), Vec::<String>::new());
}

/// Starts a restore that stands still in the middle; returns its id.
async fn restore_in_the_middle(world: &World, mongo: &RealMongo) -> String {
    world.attach("shop", mongo).await;
    world.snapshot("shop").await;
    let client = mongo.client().await.unwrap();
    sample::damage(&client).await.unwrap();
    let before = block(mongo, &["insert"], Some("shop.orders")).await;
    let line = ["restore", "start", "shop", "--snapshot", "latest"];
    let line = [
        &line[..],
        &["--target", "shop", "--yes", "--mode", "in-place"],
    ]
    .concat();
    let restore = id(&world.json(&line).await);
    blocked(mongo, before).await;
    let job = world.json(&["restore", "show", "shop", &restore]).await;
    assert_eq!(job["status"], "RUNNING", "{job}");
    restore
}

async fn completes_and_is_exact(
    world: &World,
    mongo: &RealMongo,
    restore: &str,
    before: &sample::State,
) {
    let ended = world.json(&["restore", "watch", "shop", restore]).await;
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    let after = sample::state(&mongo.client().await.unwrap()).await.unwrap();
    assert_eq!(before.differences(&after), Vec::<String>::new());
}

#[tokio::test]
async fn a_restore_completes_after_the_service_was_killed() {
    let mongo = loaded_mongo().await;
    let before = sample::state(&mongo.client().await.unwrap()).await.unwrap();
    let mut world = World::new().await;
    let restore = restore_in_the_middle(&world, &mongo).await;
    world.kill();
    unblock(&mongo).await;
    settled(&mongo).await;
    world.start(&[]).await;
    assert!(world.log().contains(TAKEN_OVER), "{}", world.log());
    completes_and_is_exact(&world, &mongo, &restore, &before).await;
}

#[tokio::test]
async fn a_restore_goes_on_after_the_service_was_stopped_in_good_order() {
    let mongo = loaded_mongo().await;
    let before = sample::state(&mongo.client().await.unwrap()).await.unwrap();
    let mut world = World::new().await;
    let restore = restore_in_the_middle(&world, &mongo).await;
    world.stop().await;
    let log = world.log();
    assert!(log.contains("SIGTERM") && log.contains("stopped"), "{log}");
    // All of the metadata is in its file: nothing was left to be recovered.
    assert!(!world.data_dir().join("regrow.db-wal").exists());
    unblock(&mongo).await;
    settled(&mongo).await;
    world.start(&[]).await;
    completes_and_is_exact(&world, &mongo, &restore, &before).await;
}
