//! The catalog of a snapshot is the one at its time, also where it changes and changes back while
//! it is listed.
use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use bson::{Bson, Document, Timestamp, doc};
use futures::TryStreamExt;
use mongo::{ClusterTime, Deployment};
use mongodb::Client;
use testkit::RealMongo;

use crate::support::{connect, connect_to, create, insert, numbered};

/// Hold a server up before it lists one or the other.
const HANGS: [&str; 2] = ["hangBeforeListCollections", "hangBeforeListDatabases"];

/// A server that can be held up, with one collection.
struct Stage {
    _server: RealMongo,
    client: Client,
    source: Deployment,
}

impl Stage {
    async fn start() -> anyhow::Result<Self> {
        let how = RealMongo::replica_set().parameter("enableTestCommands", 1);
        let server = how.start().await?;
        let client = server.client().await?;
        insert(&client, "shop", "orders", numbered(0..10)).await?;
        let source = connect(&server).await?;
        Ok(Self {
            _server: server,
            client,
            source,
        })
    }

    async fn run(&self, database: &str, command: Document) -> anyhow::Result<Document> {
        let text = command.to_string();
        let done = self.client.database(database).run_command(command).await;
        done.with_context(|| text)
    }

    /// Runs a command on `shop` and returns its time.
    async fn apply(&self, command: Document) -> anyhow::Result<ClusterTime> {
        let reply = self.run("shop", command).await?;
        Ok(reply.get_timestamp("operationTime")?.into())
    }

    /// Switches one of [`HANGS`]; returns how often it has held something up.
    async fn switch(&self, hang: &str, mode: impl Into<Bson>) -> anyhow::Result<i32> {
        let switch = doc! { "configureFailPoint": hang, "mode": mode.into() };
        Ok(self.run("admin", switch).await?.get_i32("count")?)
    }

    async fn is_held_up(&self, hang: &str, before: i32) -> anyhow::Result<()> {
        let wait = doc! {
            "waitForFailPoint": hang, "timesEntered": before + 1, "maxTimeMS": 30_000,
        };
        self.run("admin", wait).await.map(drop)
    }

    /// Begins a snapshot; `first` happens between the first list and the time, `then` between the
    /// time and the second list. Returns the snapshot's time and what `then` returned.
    async fn begin_amid(
        &self,
        first: impl Future<Output = anyhow::Result<()>>,
        then: impl Future<Output = anyhow::Result<ClusterTime>>,
    ) -> anyhow::Result<(ClusterTime, ClusterTime)> {
        // The first list asks once, and then a restore that has not ended is looked for.
        let before = self.switch(HANGS[0], doc! { "skip": 1 }).await?;
        let begin = async { Ok(self.source.begin_snapshot().await?) };
        let (snapshot, last) = tokio::try_join!(begin, async {
            self.is_held_up(HANGS[0], before).await?;
            first.await?;
            let before = self.switch(HANGS[1], "alwaysOn").await?;
            self.switch(HANGS[0], "off").await?;
            self.is_held_up(HANGS[1], before).await?;
            let last = then.await?;
            self.switch(HANGS[1], "off").await?;
            anyhow::Ok(last)
        })?;
        Ok((snapshot.time().context("a time")?, last))
    }
}

fn make_index(collection: &str, name: &str) -> Document {
    let index = doc! { "key": { name: 1 }, "name": name };
    doc! { "createIndexes": collection, "indexes": [index] }
}

fn drop_index(collection: &str, name: &str) -> Document {
    doc! { "dropIndexes": collection, "index": name }
}

#[tokio::test]
async fn what_was_there_or_gone_for_a_moment_only_is_seen() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    create(&stage.client, "shop", "empty", doc! {}).await?;
    stage.apply(make_index("empty", "lasting")).await?;
    let view = |name: &str| doc! { "create": name, "viewOn": "orders", "pipeline": [] };
    stage.apply(view("view")).await?;
    let level = |level: &str| doc! { "collMod": "orders", "validationLevel": level };
    stage.apply(level("strict")).await?;
    for (first, then) in [
        (make_index("empty", "short"), drop_index("empty", "short")),
        (
            drop_index("empty", "lasting"),
            make_index("empty", "lasting"),
        ),
        (doc! { "create": "short" }, doc! { "drop": "short" }),
        (view("short"), doc! { "drop": "short" }),
        (doc! { "drop": "view" }, view("view")),
        (level("moderate"), level("strict")),
    ] {
        let what = first.to_string();
        let first = async { stage.apply(first).await.map(drop) };
        let begun = stage.begin_amid(first, stage.apply(then)).await;
        let (time, last) = begun.with_context(|| what.clone())?;
        ensure!(time >= last, "{what}: it is at {time}, before {last}");
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_makes_a_collection_for_a_moment_is_seen() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let short = stage
        .client
        .database("shop")
        .collection::<Document>("short");
    let mut session = stage.client.start_session().await?;
    session.start_transaction().await?;
    short.insert_one(doc! {}).session(&mut session).await?;
    let first = async { Ok(session.commit_transaction().await?) };
    let then = stage.apply(doc! { "drop": "short" });
    let (time, last) = stage.begin_amid(first, then).await?;
    ensure!(time >= last, "it is at {time}, before {last}");
    Ok(())
}

#[tokio::test]
async fn what_changes_no_catalog_costs_no_second_look() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let orders = stage
        .client
        .database("shop")
        .collection::<Document>("orders");
    let mut session = stage.client.start_session().await?;
    session.start_transaction().await?;
    for number in 20..30 {
        let one = doc! { "_id": number };
        orders.insert_one(one).session(&mut session).await?;
    }
    let first = async {
        session.commit_transaction().await?;
        create(&stage.client, "config", "of the server", doc! {}).await
    };
    let then = stage.apply(doc! { "insert": "orders", "documents": [{ "_id": "last" }] });
    let (time, last) = stage.begin_amid(first, then).await?;
    ensure!(time < last, "it is at {time}, not before {last}");
    Ok(())
}

/// Returns the names of the indexes of `shop.empty` at a time, as the oplog tells them.
async fn indexes_at(client: &Client, time: ClusterTime) -> anyhow::Result<BTreeSet<String>> {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let until = doc! { "op": "c", "ns": "shop.$cmd", "ts": { "$lte": Timestamp::from(time) } };
    let mut entries = oplog.find(until).sort(doc! { "$natural": 1 }).await?;
    let mut names = BTreeSet::from(["_id_".to_owned()]);
    while let Some(entry) = entries.try_next().await? {
        let command = entry.get_document("o")?;
        if command.contains_key("createIndexes") {
            names.insert(command.get_str("name")?.to_owned());
        } else if command.contains_key("dropIndexes") {
            names.remove(command.get_str("index")?);
        }
    }
    Ok(names)
}

#[tokio::test]
async fn amid_changes_the_indexes_are_those_at_the_time() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    create(&client, "shop", "empty", doc! {}).await?;
    let source = connect(&server).await?;
    let shop = client.database("shop");
    for round in 0..40 {
        let (snapshot, changed) = tokio::join!(source.begin_snapshot(), async {
            for _ in 0..round {
                shop.run_command(doc! { "ping": 1 }).await?;
            }
            shop.run_command(make_index("empty", "short")).await?;
            shop.run_command(drop_index("empty", "short")).await
        });
        changed?;
        let snapshot = snapshot?;
        let time = snapshot.time().context("a time")?;
        let empty = snapshot.catalog().find("shop", "empty").context("it")?;
        let names = empty.indexes.iter().map(|index| index.get_str("name"));
        let names: Result<BTreeSet<&str>, _> = names.collect();
        let expected = indexes_at(&client, time).await?;
        ensure!(
            names?.into_iter().eq(&expected),
            "{round}: at {time}: {expected:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn who_may_not_read_the_oplog_gets_a_time_all_the_same() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    let role = "readAnyDatabase";
    server.create_user(role, "p", &[(role, "admin")]).await?;
    insert(&server.client().await?, "shop", "orders", numbered(0..10)).await?;
    let source = connect_to(&server.uri_as(role, "p")).await?;
    ensure!(source.begin_snapshot().await?.time().is_some());
    Ok(())
}
