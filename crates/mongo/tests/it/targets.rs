//! A target holds what was written to it, or says what it does not.
use std::time::Duration;

use anyhow::{Context, ensure};
use bson::{Document, RawDocumentBuf, doc, rawdoc};
use mongo::{Catalog, Collection, Deployment, Error, MARKER_DATABASE, Target};
use mongodb::Client;
use testkit::{RealMongo, wait_for};

use crate::support::{connect, create, documents, entry, insert, numbered, restore};

const LIMIT: Duration = Duration::from_secs(60);

/// A running server, a client of it and a target of it that has begun.
struct Begun {
    _server: RealMongo,
    client: Client,
    deployment: Deployment,
    target: Target,
}

async fn begun(arguments: &[&str]) -> anyhow::Result<Begun> {
    let server = RealMongo::replica_set()
        .args(arguments.iter().copied())
        .start()
        .await?;
    let client = server.client().await?;
    let deployment = connect(&server).await?;
    let target = deployment.target("job").await?;
    target.begin().await?;
    Ok(Begun {
        _server: server,
        client,
        deployment,
        target,
    })
}

impl Begun {
    /// Creates a collection by hand and returns its catalog entry.
    async fn make(&self, name: &str, options: Document) -> anyhow::Result<Collection> {
        create(&self.client, "shop", name, options).await?;
        entry(&self.deployment.catalog().await?, "shop", name)
    }
}

#[tokio::test]
async fn the_same_document_may_come_twice_and_another_may_not() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    let zero = bson::Timestamp {
        time: 0,
        increment: 0,
    };
    for (name, options) in [
        ("plain", doc! {}),
        ("capped", doc! { "capped": true, "size": 1_000_000 }),
        (
            "clustered",
            doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true } },
        ),
    ] {
        let collection = begun.make(name, options).await?;
        let loader = begun.target.loader(&collection);
        let mut first = numbered(0..50);
        first.push(rawdoc! { "_id": 50, "zero": zero });
        let bytes = |list: &[RawDocumentBuf]| -> Vec<Vec<u8>> {
            list.iter().map(|one| one.as_bytes().to_vec()).collect()
        };
        loader.insert(&bytes(&first)).await?;
        let mut more = first.clone();
        more.extend(numbered(51..60));
        loader
            .insert(&bytes(&more))
            .await
            .context("again, and some more")?;
        begun.target.barrier().await?;
        let held = documents(begun.target.read_back(&collection)).await?;
        ensure!(held == bytes(&more), "{name}: {}", held.len());

        let other = [
            numbered(0..3),
            vec![rawdoc! { "_id": 3, "text": "different" }],
        ]
        .concat();
        let refused = loader.insert(&bytes(&other)).await;
        ensure!(
            matches!(refused, Err(Error::Conflict { .. })),
            "{name}: {refused:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn documents_of_every_size_go_in() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    let collection = begun.make("sizes", doc! {}).await?;
    let mut expected = Vec::new();
    // The longest document that a server stores is 16 MiB; 25 bytes are its framing here.
    for (id, size) in [0, 1, 4 << 20, (16 << 20) - 25, 10, 100_000, 3 << 20]
        .into_iter()
        .enumerate()
    {
        let id = i32::try_from(id)?;
        expected.push(rawdoc! { "_id": id, "text": "x".repeat(size) }.into_bytes());
    }
    assert!(expected.iter().any(|document| document.len() == 16 << 20));
    let loader = begun.target.loader(&collection);
    assert!(!loader.ordered());
    loader.insert(&expected).await?;
    let many: Vec<Vec<u8>> = (100..120_100)
        .map(|n| rawdoc! { "_id": n }.into_bytes())
        .collect();
    loader.insert(&many).await?;
    expected.extend(many);
    begun.target.barrier().await?;
    assert!(documents(begun.target.read_back(&collection)).await? == expected);
    Ok(())
}

#[tokio::test]
async fn several_loaders_fill_one_collection() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    let collection = begun.make("shared", doc! {}).await?;
    let mut tasks = Vec::new();
    for part in 0..4_i32 {
        let loader = begun.target.loader(&collection);
        let range = part * 5000..(part + 1) * 5000;
        let documents: Vec<Vec<u8>> = numbered(range)
            .into_iter()
            .map(|d| d.into_bytes())
            .collect();
        tasks.push(tokio::spawn(async move {
            for chunk in documents.chunks(700) {
                loader.insert(chunk).await?;
            }
            Ok::<_, Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    begun.target.barrier().await?;
    let mut found = documents(begun.target.read_back(&collection)).await?;
    found.sort_unstable();
    let mut expected: Vec<Vec<u8>> = numbered(0..20_000)
        .into_iter()
        .map(|d| d.into_bytes())
        .collect();
    expected.sort_unstable();
    assert!(found == expected);
    Ok(())
}

#[tokio::test]
async fn a_refused_document_is_an_error() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    let collection = begun.make("c", doc! {}).await?;
    let loader = begun.target.loader(&collection);
    let array_id = rawdoc! { "_id": [1], "secret": "hidden" }.into_bytes();
    let good = rawdoc! { "_id": 1 }.into_bytes();
    let refused = loader
        .insert(&[good.clone(), array_id])
        .await
        .expect_err("arrays are no ids");
    assert!(
        matches!(refused, Error::WriteRefused { count: 1, .. }),
        "{refused}"
    );
    assert!(!format!("{refused:?} {refused}").contains("hidden"));
    let broken = loader.insert(&[b"\x05\0\0\0\x01".to_vec()]).await;
    assert!(
        matches!(broken, Err(Error::InvalidInput { .. })),
        "{broken:?}"
    );
    begun.target.barrier().await?;
    assert_eq!(
        documents(begun.target.read_back(&collection)).await?,
        [good]
    );
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_is_mended_by_sending_again() -> anyhow::Result<()> {
    let begun = begun(&["--setParameter", "enableTestCommands=1"]).await?;
    let collection = begun.make("c", doc! {}).await?;
    let loader = begun.target.loader(&collection);
    let fail = |how: Document, times: i32| {
        let mut data = doc! { "failCommands": ["insert"] };
        data.extend(how);
        let command =
            doc! { "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data };
        let admin = begun.client.database("admin");
        async move { admin.run_command(command).await }
    };
    let bytes = |range| -> Vec<Vec<u8>> {
        numbered(range)
            .into_iter()
            .map(|d| d.into_bytes())
            .collect()
    };
    fail(doc! { "closeConnection": true }, 2).await?;
    loader
        .insert(&bytes(0..10))
        .await
        .context("closed connections")?;
    fail(doc! { "errorCode": 11602 }, 1).await?;
    loader
        .insert(&bytes(10..20))
        .await
        .context("a primary that steps down")?;
    // The write happens, but its reply says that it may not last: it is sent again.
    let concern = doc! { "code": 91, "errmsg": "shutting down" };
    fail(doc! { "writeConcernError": concern }, 1).await?;
    loader
        .insert(&bytes(20..30))
        .await
        .context("a write concern error")?;
    fail(doc! { "closeConnection": true }, 1000).await?;
    let lost = loader
        .insert(&bytes(30..40))
        .await
        .expect_err("it never works");
    assert!(
        matches!(lost, Error::Network { .. }) && lost.is_transient(),
        "{lost}"
    );
    fail(doc! { "errorCode": 1 }, 1).await?;
    let refused = loader
        .insert(&bytes(30..40))
        .await
        .expect_err("not transient");
    assert!(!refused.is_transient(), "{refused}");
    begun.target.barrier().await?;
    assert!(documents(begun.target.read_back(&collection)).await? == bytes(0..30));
    Ok(())
}

#[tokio::test]
async fn nothing_expires_before_it_was_verified() -> anyhow::Result<()> {
    let source = RealMongo::replica_set()
        .args(["--setParameter", "ttlMonitorEnabled=false"])
        .start()
        .await?;
    let from = source.client().await?;
    create(&from, "shop", "indexed", doc! {}).await?;
    let index = doc! { "key": { "at": 1 }, "name": "expiring", "expireAfterSeconds": 1 };
    from.database("shop")
        .run_command(doc! { "createIndexes": "indexed", "indexes": [index] })
        .await?;
    create(
        &from,
        "shop",
        "clustered",
        doc! { "expireAfterSeconds": 1_i64,
        "clusteredIndex": { "key": { "_id": 1 }, "unique": true } },
    )
    .await?;
    create(
        &from,
        "shop",
        "series",
        doc! { "expireAfterSeconds": 1_i64,
        "timeseries": { "timeField": "at" } },
    )
    .await?;
    // Not too old: servers were seen not to expire time series of 2001.
    let old = |n: i64| bson::DateTime::from_millis(1_600_000_000_000 + n);
    let names = ["indexed", "clustered", "series"];
    for name in names {
        let dated = (0..20).map(|n| rawdoc! { "_id": old(n), "at": old(n) });
        insert(&from, "shop", name, dated.collect()).await?;
    }
    let snapshot = connect(&source).await?.begin_snapshot().await?;

    let begun = begun(&["--setParameter", "ttlMonitorSleepSecs=1"]).await?;
    let target = &begun.target;
    for collection in &snapshot.catalog().collections {
        target.create(collection).await?;
        let documents = documents(snapshot.scan(collection)).await?;
        target.loader(collection).insert(&documents).await?;
        target.build_indexes(collection).await?;
    }
    let passes = || async {
        let status = begun
            .client
            .database("admin")
            .run_command(doc! { "serverStatus": 1 })
            .await?;
        anyhow::Ok(
            status
                .get_document("metrics")?
                .get_document("ttl")?
                .get_i64("passes")?,
        )
    };
    target.barrier().await?;
    let before = passes().await?;
    wait_for(LIMIT, "three rounds of the TTL monitor", || async {
        match passes().await {
            Ok(now) if now >= before + 3 => Ok(()),
            Ok(now) => Err(format!("{now} rounds")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    for collection in &snapshot.catalog().collections {
        let expected = documents(snapshot.scan(collection)).await?;
        let held = documents(target.read_back(collection)).await?;
        ensure!(
            held == expected && !held.is_empty(),
            "{}",
            collection.namespace()
        );
        target.finish_collection(collection).await?;
    }
    assert_eq!(target.compare_catalog(snapshot.catalog()).await?, []);
    let deployment = &begun.deployment;
    wait_for(LIMIT, "everything to expire", || async {
        for collection in &snapshot.catalog().collections {
            let held = documents(target.read_back(collection))
                .await
                .map_err(|e| e.to_string())?;
            if !held.is_empty() {
                return Err(format!("{}: {}", collection.namespace(), held.len()));
            }
        }
        Ok(())
    })
    .await?;
    assert_eq!(deployment.catalog().await?.collections.len(), names.len());
    Ok(())
}

#[tokio::test]
async fn a_later_restore_takes_the_target_over() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let deployment = connect(&server).await?;
    let (first, second) = (
        deployment.target("first").await?,
        deployment.target("second").await?,
    );
    let refused = first.wipe().await;
    assert!(
        matches!(refused, Err(Error::TargetTaken { .. })),
        "not begun: {refused:?}"
    );
    first.begin().await?;
    first.begin().await?;
    first.barrier().await?;
    second.begin().await?;
    for answer in [
        first.held().await,
        first.barrier().await.map(drop),
        first.wipe().await,
        first.release().await,
    ] {
        assert!(
            matches!(&answer, Err(Error::TargetTaken { job }) if job == "first"),
            "{answer:?}"
        );
    }
    second.held().await?;
    second.release().await?;
    assert!(matches!(
        second.release().await,
        Err(Error::TargetTaken { .. })
    ));
    deployment.begin_snapshot().await?;
    for job in ["", "a.b", "a b", "system.x", &"x".repeat(65)] {
        assert!(
            matches!(
                deployment.target(job).await,
                Err(Error::InvalidInput { .. })
            ),
            "{job}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn wiping_leaves_the_servers_own_databases_and_the_marker() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    for database in ["a", "B", "admin", "config"] {
        insert(&begun.client, database, "mine", numbered(0..1)).await?;
    }
    begun.target.wipe().await?;
    let mut names = begun.client.list_database_names().await?;
    names.sort_unstable();
    assert_eq!(names, [MARKER_DATABASE, "admin", "config", "local"]);
    for database in ["admin", "config"] {
        let mine = begun
            .client
            .database(database)
            .collection::<Document>("mine");
        assert_eq!(mine.count_documents(doc! {}).await?, 1, "{database}");
    }
    begun.target.held().await?;
    Ok(())
}

#[tokio::test]
async fn creating_twice_is_the_same_as_once_and_other_options_are_refused() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    let capped = begun
        .make("c", doc! { "capped": true, "size": 4096 })
        .await?;
    let view = begun
        .make("v", doc! { "viewOn": "c", "pipeline": [] })
        .await?;
    begun.target.create(&capped).await?;
    begun.target.create_view(&view).await?;
    let mut other = capped.clone();
    other.options = rawdoc! { "capped": true, "size": 8192 };
    let refused = begun.target.create(&other).await;
    assert!(
        matches!(refused, Err(Error::Command { code: 48, .. })),
        "{refused:?}"
    );
    let mut refused_view = view.clone();
    refused_view.options = rawdoc! { "viewOn": "d", "pipeline": [] };
    assert!(begun.target.create_view(&refused_view).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_unique_index_over_equal_values_fails_without_quoting_them() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    let mut collection = begun.make("c", doc! {}).await?;
    let twice = [1, 2].map(|id| rawdoc! { "_id": id, "a": "hidden" }.into_bytes());
    begun.target.loader(&collection).insert(&twice).await?;
    collection
        .indexes
        .push(rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a", "unique": true });
    let refused = begun
        .target
        .build_indexes(&collection)
        .await
        .expect_err("not unique");
    assert!(
        matches!(refused, Error::Command { code: 11000, .. }),
        "{refused}"
    );
    assert!(!format!("{refused:?}").contains("hidden"));
    Ok(())
}

#[tokio::test]
async fn every_difference_of_the_catalogs_is_reported() -> anyhow::Result<()> {
    let begun = begun(&[]).await?;
    insert(&begun.client, "shop", "orders", numbered(0..1)).await?;
    create(
        &begun.client,
        "shop",
        "view",
        doc! { "viewOn": "orders", "pipeline": [] },
    )
    .await?;
    let expected = begun.deployment.catalog().await?;
    let shop = begun.client.database("shop");
    let differences = |expected: &Catalog| {
        let (target, expected) = (begun.target.clone(), expected.clone());
        async move {
            let found = target.compare_catalog(&expected).await?;
            anyhow::Ok(found.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
    };
    assert_eq!(differences(&expected).await?, [""; 0]);
    shop.run_command(doc! { "createIndexes": "orders", "indexes": [
    { "key": { "a": 1 }, "name": "a" } ] })
        .await?;
    shop.run_command(doc! { "collMod": "orders", "validationLevel": "off" })
        .await?;
    shop.run_command(doc! { "collMod": "view", "viewOn": "orders", "pipeline": [{ "$limit": 1 }] })
        .await?;
    insert(&begun.client, "extra", "c", numbered(0..1)).await?;
    assert_eq!(
        differences(&expected).await?,
        [
            "shop.orders: option `validationAction` differs",
            "shop.orders: index `a` is there and should not be",
            "shop.view: option `pipeline` differs",
            "extra.c: is there and should not be",
        ]
    );
    shop.drop().await?;
    assert_eq!(
        differences(&expected).await?,
        [
            "shop.orders: is missing",
            "shop.view: is missing",
            "extra.c: is there and should not be"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_restore_into_a_standalone_server_is_whole() -> anyhow::Result<()> {
    let (source, target) = (
        RealMongo::replica_set().start().await?,
        RealMongo::standalone().start().await?,
    );
    let from = source.client().await?;
    insert(&from, "shop", "orders", numbered(0..1000)).await?;
    create(
        &from,
        "shop",
        "log",
        doc! { "capped": true, "size": 100_000 },
    )
    .await?;
    insert(
        &from,
        "shop",
        "log",
        numbered(0..100).into_iter().rev().collect(),
    )
    .await?;
    create(
        &from,
        "shop",
        "series",
        doc! { "timeseries": { "timeField": "t" } },
    )
    .await?;
    insert(
        &from,
        "shop",
        "series",
        vec![rawdoc! { "t": bson::DateTime::from_millis(5) }],
    )
    .await?;
    let snapshot = connect(&source).await?.begin_snapshot().await?;
    restore(&snapshot, &connect(&target).await?.target("job").await?).await
}
