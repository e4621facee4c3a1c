//! A restore that ends at any of its commands leaves the old data or finishes the new.
//!
//! From one command on the server refuses everything the restore asks for, its own undoing
//! included: for the target that is a process that was killed. Then the same job goes on.

use model::{RestoreId, RestoreJob, RestoreMode, Tier};
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use testkit::RealMongo;
use testkit::sample::{self, State};

use crate::pump::SharedCounter;
use crate::test_world::World;

/// Every command that a restore sends, but for those that only ask what the server is.
const COMMANDS: [&str; 15] = [
    "aggregate",
    "collMod",
    "create",
    "createIndexes",
    "delete",
    "drop",
    "dropDatabase",
    "find",
    "getMore",
    "insert",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "renameCollection",
    "update",
];
const MARKER: &str = "__regrow_restore";
/// Every how many commands a restore ends, unless all of them are asked for.
const STRIDE: i64 = 5;

struct Scene {
    _server: RealMongo,
    client: Client,
    world: World,
    job: RestoreJob,
    /// What the snapshot holds.
    wanted: State,
}

async fn scene() -> anyhow::Result<Scene> {
    let server = RealMongo::replica_set()
        .args(["--setParameter", "enableTestCommands=1"])
        .start()
        .await?;
    let client = server.client().await?;
    fill(&client, "as it was").await?;
    let world = World::started().await?;
    let cluster = world.attach("c", &server.uri(), Tier::M2).await?;
    let wanted = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    // Asked for and failed at once, as a row to begin from.
    let request = world.request("c", snapshot.id, "c");
    let (_, mut job) = world
        .engine
        .restores()
        .request(&world.caller, &request)
        .await?;
    let _ = world.finished_restore("c", job.id).await?;
    job.target_cluster_id = cluster.id;
    Ok(Scene {
        _server: server,
        client,
        world,
        job,
        wanted,
    })
}

/// Everything that a flip treats differently, with `text` in each document.
async fn fill(client: &Client, text: &str) -> anyhow::Result<()> {
    for name in client.list_database_names().await? {
        if !["admin", "config", "local"].contains(&name.as_str()) {
            client.database(&name).drop().await?;
        }
    }
    let shop = client.database("shop");
    let dated = |n: i32| doc! { "_id": n, "text": text, "at": mongodb::bson::DateTime::now() };
    let orders = shop.collection::<Document>("orders");
    orders.insert_many((0..50).map(dated)).await?;
    shop.collection::<Document>("carts")
        .insert_many((0..50).map(dated))
        .await?;
    let ttl = doc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 100_000 };
    shop.run_command(doc! { "createIndexes": "orders", "indexes": [ttl] })
        .await?;
    shop.run_command(doc! { "create": "series", "timeseries": { "timeField": "at" } })
        .await?;
    let series = shop.collection::<Document>("series");
    series.insert_many((0..3).map(dated)).await?;
    shop.run_command(doc! { "create": "view", "viewOn": text, "pipeline": [] })
        .await?;
    let functions = shop.collection::<Document>("system.js");
    functions
        .insert_one(doc! { "_id": "f", "value": text })
        .await?;
    let own = client.database(&text.replace(' ', "_"));
    own.collection::<Document>("only here")
        .insert_one(dated(1))
        .await?;
    Ok(())
}

/// Changes documents and adds others, in the collections that are there.
async fn disturb(client: &Client) -> anyhow::Result<()> {
    let shop = client.database("shop");
    for name in ["orders", "carts"] {
        let collection = shop.collection::<Document>(name);
        let changed = doc! { "$set": { "text": "since then" } };
        collection
            .update_many(doc! { "_id": { "$lt": 7 } }, changed)
            .await?;
        collection.delete_one(doc! { "_id": 20 }).await?;
        collection.insert_one(doc! { "_id": 1000 }).await?;
    }
    shop.run_command(doc! { "drop": "view" }).await?;
    let other = client.database("other").collection::<Document>("new");
    other.insert_one(doc! { "_id": 1 }).await?;
    Ok(())
}

impl Scene {
    /// Lets the server refuse every command of the engine from the one after `skip` others on.
    async fn refuse_after(&self, skip: i64) -> anyhow::Result<()> {
        let data = doc! { "failCommands": &COMMANDS[..], "errorCode": 96, "appName": "regrow" };
        self.fail_point(doc! { "skip": skip }.into(), data).await
    }

    async fn refuse_nothing(&self) -> anyhow::Result<()> {
        self.fail_point("off".into(), doc! {}).await
    }

    async fn fail_point(&self, mode: Bson, data: Document) -> anyhow::Result<()> {
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        self.client.database("admin").run_command(command).await?;
        Ok(())
    }

    async fn attempt(&self, job: &RestoreJob) -> Result<RestoreMode, String> {
        let meta = &self.world.engine.parts.meta;
        let snapshot = meta.snapshot(job.cluster_id, job.snapshot_id).await;
        let snapshot = snapshot
            .expect("the metadata is fine")
            .expect("it is there");
        let target = meta.cluster(job.target_cluster_id).await;
        let target = target.expect("the metadata is fine").expect("it is there");
        let counter = SharedCounter::default();
        let words = |error: super::Error| error.to_string();
        let planned = super::plan(&self.world.engine, job, &snapshot, &target, &counter)
            .await
            .map_err(words)?;
        let mode = planned.chosen().mode;
        planned.run().await.map_err(words)?;
        Ok(mode)
    }

    /// What the marker says: none without one, else whether the data under other names is whole.
    async fn marked_whole(&self) -> anyhow::Result<Option<bool>> {
        let marker = self.client.database(MARKER);
        let names = marker.list_collection_names().await?;
        let Some(name) = names.first() else {
            return Ok(None);
        };
        let said = marker.collection::<Document>(name);
        let said = said.find_one(doc! { "_id": "restore" }).await?;
        Ok(Some(said.is_some_and(|said| {
            said.get_bool("whole").unwrap_or(false)
        })))
    }

    /// Returns how many commands a restore in this mode takes.
    async fn ends_at_every_command(&self, mode: RestoreMode) -> anyhow::Result<i64> {
        let all = std::env::var_os("REGROW_TEST_LONG").is_some();
        let mut random = 0_u8;
        let mut skip = 0;
        loop {
            match mode {
                RestoreMode::Rewind => disturb(&self.client).await?,
                _ => fill(&self.client, "since then").await?,
            }
            let before = sample::state(&self.client).await?;
            random += 1;
            let job = RestoreJob {
                id: RestoreId::from_bytes([random; 12]),
                mode: Some(mode),
                ..self.job.clone()
            };
            self.refuse_after(skip).await?;
            let first = self.attempt(&job).await;
            self.refuse_nothing().await?;
            let whole = self.marked_whole().await?;
            if mode == RestoreMode::Safe && first.is_err() && whole != Some(false) {
                self.require_same(&before, &format!("untouched after {skip}"))
                    .await?;
            }
            if first.is_ok() {
                self.require_same(&self.wanted, "done").await?;
                assert_eq!(whole, None);
                return Ok(skip);
            }
            let again = self.attempt(&job).await;
            anyhow::ensure!(again == Ok(mode), "after {skip}: {first:?}, then {again:?}");
            self.require_same(&self.wanted, &format!("finished after {skip}"))
                .await?;
            anyhow::ensure!(
                self.marked_whole().await?.is_none(),
                "a marker stays: {skip}"
            );
            let left = self.left_beside().await?;
            anyhow::ensure!(left.is_empty(), "after {skip}: {left:?} is left");
            skip += if all { 1 } else { STRIDE };
        }
    }

    async fn left_beside(&self) -> anyhow::Result<Vec<String>> {
        let mut left = Vec::new();
        for database in self.client.list_database_names().await? {
            let names = self
                .client
                .database(&database)
                .list_collection_names()
                .await?;
            left.extend(
                names
                    .into_iter()
                    .filter(|name| name.starts_with("__regrow_")),
            );
        }
        Ok(left)
    }

    /// Compares but for what is marked as ours.
    async fn require_same(&self, expected: &State, when: &str) -> anyhow::Result<()> {
        let mut differences = expected.differences(&sample::state(&self.client).await?);
        // A database that the old data lacks is there as soon as something is loaded beside.
        differences.retain(|line| {
            !line.contains("__regrow_") && !line.contains("as_it_was: only the second has")
        });
        anyhow::ensure!(differences.is_empty(), "{when}: {}", differences.join("\n"));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_restore_may_end_at_any_command() -> anyhow::Result<()> {
    let scene = scene().await?;
    let commands = scene.ends_at_every_command(RestoreMode::Safe).await?;
    assert!(
        commands > 50,
        "{commands} commands are too few to mean anything"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_may_end_at_any_command() -> anyhow::Result<()> {
    let scene = scene().await?;
    let commands = scene.ends_at_every_command(RestoreMode::Rewind).await?;
    assert!(
        commands > 50,
        "{commands} commands are too few to mean anything"
    );
    Ok(())
}
