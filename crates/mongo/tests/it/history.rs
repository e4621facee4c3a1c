//! Every kind of event in a server's history, by both ways.
use std::time::Duration;

use anyhow::{Context, ensure};
use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use futures::future::BoxFuture;
use mongo::{Change, ChangeLimits, Changes, Deployment, FollowWay, ResumePoint, UnknownReason};
use mongodb::Client;
use testkit::{RealMongo, wait_for};

use crate::following::{State, Tally, WIDE, follow, point, same, scan_all};
use crate::support::{connect, connect_to, create, entry, insert, numbered};

const LIMIT: Duration = Duration::from_secs(60);

/// A server and the two users that follow it, one by each way.
pub(crate) struct Stage {
    pub(crate) server: RealMongo,
    pub(crate) client: Client,
    pub(crate) sources: Vec<Deployment>,
}

impl Stage {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let how = RealMongo::replica_set().with_auth();
        let server = how.parameter("ttlMonitorSleepSecs", 1).start().await?;
        let mut sources = Vec::new();
        for role in ["backup", "readAnyDatabase"] {
            server.create_user(role, "p", &[(role, "admin")]).await?;
            sources.push(connect_to(&server.uri_as(role, "p")).await?);
        }
        let client = server.client().await?;
        Ok(Self {
            server,
            client,
            sources,
        })
    }

    pub(crate) async fn run(&self, database: &str, command: Document) -> anyhow::Result<Document> {
        let text = command.to_string();
        let done = self.client.database(database).run_command(command).await;
        done.with_context(|| text)
    }

    pub(crate) fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.client.database("shop").collection(name)
    }

    /// Takes a state by each user, lets `event` happen, follows, and compares with a scan.
    ///
    /// Returns the changes that each of the two ways gave, oplog first, with how it was followed.
    pub(crate) async fn follow<'a>(
        &'a self,
        event: impl FnOnce(&'a Self) -> BoxFuture<'a, anyhow::Result<()>>,
    ) -> anyhow::Result<Vec<(Changes, Tally)>> {
        let mut before: Vec<(ResumePoint, State)> = Vec::new();
        for source in &self.sources {
            let snapshot = source.begin_snapshot().await?;
            before.push((point(&snapshot).await?, scan_all(&snapshot).await?));
        }
        assert_eq!(before[0].0.way(), FollowWay::Oplog);
        assert_eq!(before[1].0.way(), FollowWay::ChangeStream);
        event(self).await?;
        let mut found = Vec::new();
        for (source, (since, base)) in self.sources.iter().zip(before) {
            let snapshot = source.begin_snapshot().await?;
            let mut changes = snapshot.changes_since(&since, &WIDE).await?;
            let (followed, tally) = follow(base, &snapshot, &mut changes).await?;
            same(&snapshot, &followed, &scan_all(&snapshot).await?)
                .with_context(|| format!("{:?}", since.way()))?;
            let changes = snapshot.changes_since(&since, &WIDE).await?;
            found.push((changes, tally));
        }
        Ok(found)
    }

    /// Returns what is known of a collection that exists now.
    pub(crate) async fn change(&self, changes: &mut Changes, name: &str) -> anyhow::Result<Change> {
        let catalog = self.sources[0].catalog().await?;
        Ok(changes.take(&entry(&catalog, "shop", name)?))
    }
}

fn int(number: i32) -> Vec<u8> {
    [b"\x10_id\0".as_slice(), &number.to_le_bytes()].concat()
}

pub(crate) fn ids(change: &Change) -> Vec<Vec<u8>> {
    match change {
        Change::Documents(ids) => ids.iter().map(|id| id.to_vec()).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_kind_of_write_is_followed() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    for name in ["orders", "expiring", "untouched"] {
        insert(&stage.client, "shop", name, numbered(0..200)).await?;
    }
    let mut found = stage
        .follow(|stage| Box::pin(write_in_every_way(stage)))
        .await?;
    for (changes, tally) in &mut found {
        assert_eq!(tally.scanned, 0, "{tally:?}");
        let untouched = stage.change(changes, "untouched").await?;
        assert_eq!(untouched, Change::Unchanged);
        let orders = ids(&stage.change(changes, "orders").await?);
        for id in [0, 1, 2, 3, 4, 5, 6, 20, 29, 301, 302, 303, 304] {
            assert!(orders.contains(&int(id)), "{id}");
        }
        assert!(!orders.contains(&int(100)));
        let expired = ids(&stage.change(changes, "expiring").await?);
        assert_eq!(expired.len(), 10);
    }
    Ok(())
}

async fn write_in_every_way(stage: &Stage) -> anyhow::Result<()> {
    let orders = stage.collection("orders");
    let add = || doc! { "$inc": { "n": 1 } };
    orders.update_one(doc! { "_id": 0 }, add()).await?;
    orders
        .replace_one(doc! { "_id": 1 }, doc! { "new": true })
        .await?;
    orders.delete_one(doc! { "_id": 2 }).await?;
    orders.find_one_and_update(doc! { "_id": 3 }, add()).await?;
    orders.find_one_and_delete(doc! { "_id": 4 }).await?;
    orders.insert_one(doc! { "_id": 301 }).await?;
    let upserted = orders.update_one(doc! { "_id": 302 }, add()).upsert(true);
    upserted.await?;
    // Twice: only what it is at the end counts.
    orders.update_one(doc! { "_id": 5 }, add()).await?;
    orders.delete_one(doc! { "_id": 5 }).await?;
    orders.insert_one(doc! { "_id": 5, "again": true }).await?;
    let in_range = doc! { "_id": { "$gte": 20, "$lt": 30 } };
    orders.delete_many(in_range).await?;
    let bulk = doc! {
        "update": "orders", "ordered": false,
        "updates": [
            { "q": { "_id": 6 }, "u": { "$set": { "bulk": 1 } } },
            { "q": { "_id": 7 }, "u": [{ "$set": { "bulk": "$_id" } }] },
            { "q": { "_id": 303 }, "u": { "$set": { "bulk": 1 } }, "upsert": true },
        ],
    };
    stage.run("shop", bulk).await?;
    let merge = doc! {
        "aggregate": "orders", "cursor": {},
        "pipeline": [
            { "$match": { "_id": { "$in": [8, 9] } } },
            { "$set": { "merged": true } },
            { "$merge": { "into": "orders" } },
        ],
    };
    stage.run("shop", merge).await?;
    let mut session = stage.client.start_session().await?;
    session.start_transaction().await?;
    orders
        .insert_one(doc! { "_id": 304 })
        .session(&mut session)
        .await?;
    orders
        .delete_one(doc! { "_id": 10 })
        .session(&mut session)
        .await?;
    session.commit_transaction().await?;
    session.start_transaction().await?;
    orders
        .delete_one(doc! { "_id": 11 })
        .session(&mut session)
        .await?;
    session.abort_transaction().await?;
    expire(stage).await
}

/// Lets the server delete ten documents because their time has come.
async fn expire(stage: &Stage) -> anyhow::Result<()> {
    let expiring = stage.collection("expiring");
    let long_ago = bson::DateTime::from_millis(0);
    let ten = doc! { "_id": { "$lt": 10 } };
    expiring
        .update_many(ten.clone(), doc! { "$set": { "at": long_ago } })
        .await?;
    let index = doc! { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 1 };
    stage
        .run(
            "shop",
            doc! { "createIndexes": "expiring", "indexes": [index] },
        )
        .await?;
    wait_for(LIMIT, "ten documents to expire", || async {
        match expiring.count_documents(ten.clone()).await {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_transaction_of_any_size_is_followed() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    insert(&stage.client, "shop", "orders", numbered(0..10)).await?;
    let found = stage
        .follow(|stage| {
            Box::pin(async {
                let orders = stage.collection("orders");
                let text = "x".repeat(6 << 20);
                let mut session = stage.client.start_session().await?;
                session.start_transaction().await?;
                for number in 100..105 {
                    let large = doc! { "_id": number, "text": &text };
                    orders.insert_one(large).session(&mut session).await?;
                    let small = doc! { "_id": number - 100 };
                    orders.delete_one(small).session(&mut session).await?;
                }
                session.commit_transaction().await?;
                Ok(())
            })
        })
        .await?;
    let oplog = stage
        .client
        .database("local")
        .collection::<Document>("oplog.rs");
    let parts = doc! { "o.applyOps": { "$exists": true }, "txnNumber": { "$exists": true } };
    assert!(oplog.count_documents(parts).await? > 1);
    for (_, tally) in found {
        assert_eq!((tally.reread, tally.scanned), (1, 0));
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_began_before_the_point_is_followed_back() -> anyhow::Result<()> {
    let one = RealMongo::replica_set();
    let one = one.parameter("maxNumberOfTransactionOperationsInSingleOplogEntry", 1);
    let server = one.start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..10)).await?;
    let orders = client.database("shop").collection::<Document>("orders");
    let mut session = client.start_session().await?;
    session.start_transaction().await?;
    for number in 0..5 {
        let one = doc! { "_id": number };
        orders.delete_one(one).session(&mut session).await?;
    }
    session.commit_transaction().await?;

    // A majority may have had the first three of the five entries when a snapshot was taken.
    let oplog = client
        .database("local")
        .collection::<RawDocumentBuf>("oplog.rs");
    let parts = doc! { "o.applyOps": { "$exists": true }, "txnNumber": { "$exists": true } };
    let mut parts = oplog.find(parts).await?;
    let mut third = None;
    for _ in 0..3 {
        ensure!(parts.advance().await?);
        third = Some(parts.current().to_owned());
    }
    let third = third.context("three entries")?;
    let since = rawdoc! {
        "version": 1,
        "time": third.get_timestamp("ts")?,
        "pass": false,
        "entry": bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: blake3::hash(third.as_bytes()).as_bytes().to_vec(),
        },
    };
    let since = ResumePoint::from_bytes(since.as_bytes())?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let mut changes = snapshot.changes_since(&since, &WIDE).await?;
    let found = changes.take(&entry(snapshot.catalog(), "shop", "orders")?);
    assert_eq!(ids(&found), (0..5).map(int).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn collections_that_come_go_and_move_are_followed() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let names = [
        "moved", "crossing", "ousting", "ousted", "dropped", "remade", "out", "changed",
    ];
    for name in names {
        insert(&stage.client, "shop", name, numbered(0..20)).await?;
    }
    insert(&stage.client, "gone", "orders", numbered(0..20)).await?;
    let mut found = stage
        .follow(|stage| Box::pin(change_the_catalog(stage)))
        .await?;
    for (changes, _) in &mut found {
        let moved = stage.change(changes, "moved elsewhere").await?;
        assert_eq!(ids(&moved), [int(3)]);
        // The same documents under another name.
        let onto = stage.change(changes, "ousted").await?;
        assert_eq!(onto, Change::Unchanged);
        let changed = stage.change(changes, "changed").await?;
        assert_eq!(changed, Change::Unchanged);
    }
    Ok(())
}

async fn change_the_catalog(stage: &Stage) -> anyhow::Result<()> {
    let rename = |from: &str, to: &str| {
        let rename = doc! { "renameCollection": from, "to": to, "dropTarget": true };
        stage.run("admin", rename)
    };
    rename("shop.moved", "shop.moved elsewhere").await?;
    let moved = stage.collection("moved elsewhere");
    moved.delete_one(doc! { "_id": 3 }).await?;
    rename("shop.crossing", "other.crossing").await?;
    rename("shop.ousting", "shop.ousted").await?;
    stage.collection("dropped").drop().await?;
    stage.collection("remade").drop().await?;
    insert(&stage.client, "shop", "remade", numbered(5..9)).await?;
    stage.client.database("gone").drop().await?;
    insert(&stage.client, "gone", "orders", numbered(7..9)).await?;
    for into in ["out", "new out"] {
        let pipeline = vec![
            doc! { "$match": { "_id": { "$lt": 5 } } },
            doc! { "$out": into },
        ];
        stage
            .run(
                "shop",
                doc! { "aggregate": "remade", "cursor": {}, "pipeline": pipeline },
            )
            .await?;
    }
    let validator = doc! { "text": { "$exists": true } };
    stage
        .run(
            "shop",
            doc! { "collMod": "changed", "validator": validator },
        )
        .await?;
    let index = doc! { "key": { "text": 1 }, "name": "text" };
    stage
        .run(
            "shop",
            doc! { "createIndexes": "changed", "indexes": [index] },
        )
        .await?;
    stage
        .run("shop", doc! { "dropIndexes": "changed", "index": "text" })
        .await?;
    let view = doc! { "viewOn": "changed", "pipeline": [] };
    create(&stage.client, "shop", "view", view).await?;
    Ok(())
}

#[tokio::test]
async fn collections_of_every_kind_are_followed_or_said_not_to_be() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let make = |name: &'static str, options: Document| create(&stage.client, "shop", name, options);
    make("capped", doc! { "capped": true, "size": 4096, "max": 5 }).await?;
    make("emptied", doc! { "capped": true, "size": 4096 }).await?;
    make(
        "series",
        doc! { "timeseries": { "timeField": "at", "metaField": "of" } },
    )
    .await?;
    let key = doc! { "key": { "_id": 1 }, "unique": true };
    make("clustered", doc! { "clusteredIndex": key }).await?;
    make("plain", doc! {}).await?;
    for name in ["capped", "emptied", "clustered", "plain", "system.js"] {
        insert(&stage.client, "shop", name, numbered(0..20)).await?;
    }
    let measure = |count: i64| {
        let measured = (0..count).map(|n| {
            let at = bson::DateTime::from_millis(n * 10_000_000);
            doc! { "at": at, "of": n % 3, "n": n }
        });
        let measured: Vec<Document> = measured.collect();
        stage.run("shop", doc! { "insert": "series", "documents": measured })
    };
    measure(30).await?;
    let mut found = stage
        .follow(|stage| {
            Box::pin(async {
                for name in ["clustered", "system.js"] {
                    let touched = stage.collection(name);
                    touched.delete_one(doc! { "_id": 3 }).await?;
                    let add = doc! { "$set": { "text": "other" } };
                    touched.update_one(doc! { "_id": 4 }, add).await?;
                    insert(&stage.client, "shop", name, numbered(40..41)).await?;
                }
                insert(&stage.client, "shop", "capped", numbered(40..41)).await?;
                let convert = doc! { "convertToCapped": "plain", "size": 100_000 };
                stage.run("shop", convert).await?;
                measure(7).await?;
                let delete = doc! { "q": { "of": 1 }, "limit": 0 };
                stage
                    .run("shop", doc! { "delete": "series", "deletes": [delete] })
                    .await?;
                Ok(())
            })
        })
        .await?;
    let touched = [int(3), int(4), int(40)];
    for (changes, _) in &mut found {
        let not_followed = Change::Unknown(UnknownReason::NotFollowed);
        for name in ["capped", "emptied", "plain"] {
            assert_eq!(stage.change(changes, name).await?, not_followed, "{name}");
        }
        assert_eq!(ids(&stage.change(changes, "clustered").await?), touched);
        let series = stage.change(changes, "series").await?;
        let functions = stage.change(changes, "system.js").await?;
        if changes.way() == FollowWay::Oplog {
            assert!(ids(&series).len() >= 10);
            assert_eq!(ids(&functions), touched);
        } else {
            assert_eq!(series, not_followed);
            assert_eq!(functions, not_followed);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_document_whose_id_changes_its_type_is_not_there_twice() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    let ignoring_case = doc! { "collation": { "locale": "en", "strength": 2 } };
    create(&stage.client, "shop", "words", ignoring_case).await?;
    let words = ["A", "B", "c"].map(|word| rawdoc! { "_id": word });
    insert(&stage.client, "shop", "words", words.to_vec()).await?;
    insert(&stage.client, "shop", "orders", numbered(0..10)).await?;
    let embedded = rawdoc! { "_id": { "a": 1 } };
    insert(&stage.client, "shop", "orders", vec![embedded]).await?;
    let found = stage
        .follow(|stage| {
            Box::pin(async {
                let orders = stage.collection("orders");
                let decimal: bson::Decimal128 = "3.00".parse()?;
                let others: [(Bson, Bson); 5] = [
                    (0.into(), Bson::Double(-0.0)),
                    (1.into(), Bson::Double(1.0)),
                    (2.into(), Bson::Int64(2)),
                    (3.into(), decimal.into()),
                    (doc! { "a": 1 }.into(), doc! { "a": 1.0 }.into()),
                ];
                for (old, new) in others {
                    let with = doc! { "_id": new, "new": true };
                    orders.replace_one(doc! { "_id": old }, with).await?;
                }
                orders.delete_one(doc! { "_id": 4.0 }).await?;
                orders.insert_one(doc! { "_id": 4.0 }).await?;
                let words = stage.collection("words");
                words.delete_one(doc! { "_id": "a" }).await?;
                words.insert_one(doc! { "_id": "a" }).await?;
                let set = doc! { "$set": { "new": true } };
                words.update_one(doc! { "_id": "b" }, set).await?;
                words.delete_one(doc! { "_id": "C" }).await?;
                Ok(())
            })
        })
        .await?;
    for (_, tally) in found {
        assert_eq!((tally.reread, tally.scanned), (2, 0));
    }
    Ok(())
}

#[tokio::test]
async fn a_collection_made_anew_under_its_uuid_is_scanned() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    insert(&stage.client, "shop", "orders", numbered(0..10)).await?;
    let catalog = stage.sources[0].catalog().await?;
    let uuid = entry(&catalog, "shop", "orders")?.uuid.context("a UUID")?;
    let uuid = bson::Uuid::from_bytes(uuid);
    let mut found = stage
        .follow(|stage| {
            Box::pin(async move {
                stage.collection("orders").drop().await?;
                let create = doc! { "create": "orders" };
                let create = doc! { "op": "c", "ns": "shop.$cmd", "ui": uuid, "o": create };
                stage.run("admin", doc! { "applyOps": [create] }).await?;
                insert(&stage.client, "shop", "orders", numbered(8..9)).await
            })
        })
        .await?;
    for (changes, _) in &mut found {
        let orders = stage.change(changes, "orders").await?;
        assert_eq!(orders, Change::Unknown(UnknownReason::Remade));
    }
    Ok(())
}

#[tokio::test]
async fn more_than_the_limits_is_unknown_and_the_rest_is_not() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    for name in ["few", "many"] {
        insert(&client, "shop", name, numbered(0..1)).await?;
    }
    let source = connect(&server).await?;
    let since = point(&source.begin_snapshot().await?).await?;
    insert(&client, "shop", "few", numbered(1..10)).await?;
    insert(&client, "shop", "many", numbered(1..100)).await?;
    let too_many = Change::Unknown(UnknownReason::TooMany);
    for (ids_per_collection, bytes) in [(50, 1 << 20), (1000, 6000)] {
        let limits = ChangeLimits {
            ids_per_collection,
            bytes,
        };
        let followed = source.changes_until_now(&since, &limits, None).await?;
        assert!(followed.until > since.time());
        let mut changes = followed.changes;
        assert!(changes.entries_read() >= 108 && changes.bytes_read() > 1000);
        let catalog = source.catalog().await?;
        let many = entry(&catalog, "shop", "many")?;
        assert_eq!(changes.count(&many), None);
        assert_eq!(changes.take(&many), too_many);
        let few = entry(&catalog, "shop", "few")?;
        assert_eq!(changes.count(&few), Some(9));
        assert_eq!(ids(&changes.take(&few)).len(), 9);
    }
    Ok(())
}
