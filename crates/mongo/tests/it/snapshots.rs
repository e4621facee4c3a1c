//! A snapshot is the state at one time, or an error; never something in between.
use std::time::Duration;

use anyhow::{Context, ensure};
use bson::{Document, RawDocument, doc};
use futures::{StreamExt, TryStreamExt};
use mongo::{Deployment, Error, LostReason, MARKER_DATABASE, SourceSnapshot};
use testkit::{RealMongo, wait_for};

use crate::support::{connect, connect_to, create, documents, entry, insert, numbered};

/// How long a condition on a server may take to come true.
const LIMIT: Duration = Duration::from_secs(60);

/// Reads a whole snapshot and returns how many documents it holds.
async fn read_all(snapshot: &SourceSnapshot) -> Result<usize, Error> {
    let mut count = 0;
    for collection in &snapshot.catalog().collections {
        count += documents(snapshot.scan(collection)).await?.len();
    }
    snapshot.finish().await?;
    Ok(count)
}

/// Checks that a scan of `shop.orders` fails for one of these reasons.
async fn check_lost(snapshot: &SourceSnapshot, reasons: &[LostReason]) -> anyhow::Result<()> {
    let orders = entry(snapshot.catalog(), "shop", "orders")?;
    match documents(snapshot.scan(&orders)).await {
        Err(Error::SnapshotLost { namespace, reason }) => {
            ensure!(
                namespace == "shop.orders" && reasons.contains(&reason),
                "{reason:?}"
            );
            Ok(())
        }
        other => anyhow::bail!("{:?}", other.map(|documents| documents.len())),
    }
}

#[tokio::test]
async fn later_writes_are_not_seen() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..1000)).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders.delete_many(doc! { "_id": { "$lt": 300 } }).await?;
    orders
        .update_many(doc! {}, doc! { "$set": { "text": "later" } })
        .await?;
    insert(&client, "shop", "orders", numbered(1000..1200)).await?;
    insert(&client, "shop", "later", numbered(0..1)).await?;
    client
        .database("shop")
        .run_command(doc! { "createIndexes": "orders", "indexes": [
        { "key": { "text": 1 }, "name": "later" } ] })
        .await?;

    let found = entry(snapshot.catalog(), "shop", "orders")?;
    assert!(snapshot.exact(&found));
    let mut found = documents(snapshot.scan(&found)).await?;
    found.sort_unstable();
    let mut expected: Vec<Vec<u8>> = numbered(0..1000)
        .into_iter()
        .map(|d| d.into_bytes())
        .collect();
    expected.sort_unstable();
    assert!(found == expected);
    assert_eq!(snapshot.catalog().collections.len(), 1);
    snapshot.finish().await?;
    Ok(())
}

#[tokio::test]
async fn two_collections_are_read_at_the_same_time() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    for name in ["left", "right"] {
        insert(&client, "shop", name, numbered(0..1)).await?;
    }
    let writer = {
        let client = client.clone();
        tokio::spawn(async move {
            let mut session = client.start_session().await?;
            loop {
                session.start_transaction().await?;
                for name in ["left", "right"] {
                    let side = client.database("shop").collection::<Document>(name);
                    let add = doc! { "$inc": { "n": 1 } };
                    side.update_one(doc! { "_id": 0 }, add)
                        .session(&mut session)
                        .await?;
                }
                session.commit_transaction().await?;
            }
            #[expect(unreachable_code, reason = "it names the type of the error")]
            mongodb::error::Result::Ok(())
        })
    };
    let source = connect(&server).await?;
    let mut last = -1;
    for _ in 0..15 {
        let snapshot = source.begin_snapshot().await?;
        let mut numbers = Vec::new();
        for name in ["left", "right"] {
            let side = documents(snapshot.scan(&entry(snapshot.catalog(), "shop", name)?)).await?;
            let n = RawDocument::from_bytes(&side[0])?
                .get_i32("n")
                .unwrap_or_default();
            numbers.push(n);
        }
        assert_eq!(numbers[0], numbers[1]);
        assert!(numbers[0] >= last);
        last = numbers[0];
    }
    assert!(last > 0);
    writer.abort();
    Ok(())
}

#[tokio::test]
async fn a_collection_that_was_dropped_or_renamed_fails_its_scan() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    let client = server.client().await?;
    server
        .create_user("by-uuid", "p", &[("backup", "admin")])
        .await?;
    server
        .create_user("by-name", "p", &[("readAnyDatabase", "admin")])
        .await?;
    let rename = |from: &str, to: &str| {
        let command =
            doc! { "renameCollection": format!("shop.{from}"), "to": format!("shop.{to}") };
        let admin = client.database("admin");
        async move { admin.run_command(command).await }
    };
    let orders = client.database("shop").collection::<Document>("orders");
    for user in ["by-uuid", "by-name"] {
        let source = connect_to(&server.uri_as(user, "p")).await?;
        let begin = || async {
            client.database("shop").drop().await?;
            insert(&client, "shop", "orders", numbered(0..10)).await?;
            let other = client.database("shop").collection::<Document>("other");
            other.insert_one(doc! { "_id": "other" }).await?;
            let snapshot = source.begin_snapshot().await?;
            insert(&client, "shop", "orders", numbered(10..20)).await?;
            anyhow::Ok(snapshot)
        };
        use LostReason::{Gone, Unavailable};

        let snapshot = begin().await?;
        assert_eq!(read_all(&snapshot).await?, 11, "{user}");
        orders.drop().await?;
        check_lost(&snapshot, &[Gone]).await.context("dropped")?;

        let snapshot = begin().await?;
        orders.drop().await?;
        insert(&client, "shop", "orders", numbered(5..7)).await?;
        check_lost(&snapshot, &[Gone, Unavailable])
            .await
            .context("dropped and made anew")?;

        let snapshot = begin().await?;
        rename("orders", "elsewhere").await?;
        check_lost(&snapshot, &[Gone, Unavailable])
            .await
            .context("renamed")?;
        rename("elsewhere", "orders").await?;
        check_lost(&snapshot, &[Gone, Unavailable])
            .await
            .context("renamed there and back")?;

        let snapshot = begin().await?;
        rename("orders", "elsewhere").await?;
        rename("other", "orders").await?;
        check_lost(&snapshot, &[Gone, Unavailable])
            .await
            .context("replaced by another")?;

        let snapshot = begin().await?;
        client.database("shop").drop().await?;
        check_lost(&snapshot, &[Gone, Unavailable])
            .await
            .context("database dropped")?;
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_collection_read_by_name_is_empty_and_not_lost() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    let client = server.client().await?;
    server
        .create_user("by-name", "p", &[("readAnyDatabase", "admin")])
        .await?;
    create(&client, "shop", "orders", doc! {}).await?;
    create(
        &client,
        "shop",
        "capped",
        doc! { "capped": true, "size": 4096 },
    )
    .await?;
    create(
        &client,
        "shop",
        "series",
        doc! { "timeseries": { "timeField": "t" } },
    )
    .await?;
    let source = connect_to(&server.uri_as("by-name", "p")).await?;
    assert_eq!(read_all(&source.begin_snapshot().await?).await?, 0);
    Ok(())
}

#[tokio::test]
async fn dropping_a_collection_breaks_the_cursor_that_reads_it() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let text = "x".repeat(100_000);
    let big = |n: i32| bson::rawdoc! { "_id": n, "text": text.as_str() };
    insert(&client, "shop", "orders", (0..200).map(big).collect()).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let mut scan = snapshot.scan(&entry(snapshot.catalog(), "shop", "orders")?);
    assert!(scan.try_next().await?.is_some());
    client
        .database("shop")
        .collection::<Document>("orders")
        .drop()
        .await?;
    let lost = scan.try_for_each(|_| async { Ok(()) }).await;
    assert!(
        matches!(
            lost,
            Err(Error::SnapshotLost {
                reason: LostReason::Gone,
                ..
            })
        ),
        "{lost:?}"
    );
    assert!(matches!(
        snapshot.finish().await,
        Err(Error::NotRead { .. })
    ));
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_is_too_old_says_so() -> anyhow::Result<()> {
    let window = ["--setParameter", "minSnapshotHistoryWindowInSeconds=1"];
    let server = RealMongo::replica_set().args(window).start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..10)).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let orders = entry(snapshot.catalog(), "shop", "orders")?;
    let mut next = 10;
    let reason = wait_for(LIMIT, "the snapshot to be too old", || {
        next += 1;
        let (snapshot, orders, client) = (snapshot.clone(), orders.clone(), client.clone());
        async move {
            let written = insert(&client, "shop", "orders", numbered(next..next + 1)).await;
            written.map_err(|error| error.to_string())?;
            match documents(snapshot.scan(&orders)).await {
                Ok(documents) if documents.len() == 10 => Err("still there".to_owned()),
                Ok(documents) => Ok(Err(documents.len())),
                Err(Error::SnapshotLost { reason, .. }) => Ok(Ok(reason)),
                Err(error) => Err(error.to_string()),
            }
        }
    })
    .await?;
    assert_eq!(reason, Ok(LostReason::TooOld));
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_keeps_changing_gives_a_proof_or_an_error() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..10)).await?;
    let churn = {
        let client = client.clone();
        tokio::spawn(async move {
            for round in 0.. {
                let name = format!("temporary {}", round % 3);
                insert(&client, "shop", &name, numbered(0..5)).await?;
                if round % 2 == 1 {
                    client
                        .database("shop")
                        .collection::<Document>(&name)
                        .drop()
                        .await?;
                }
            }
            anyhow::Ok(())
        })
    };
    let source = connect(&server).await?;
    for _ in 0..10 {
        match source.begin_snapshot().await {
            Err(Error::CatalogChanged { what }) => assert!(what.contains("shop"), "{what}"),
            Err(error) => return Err(error.into()),
            Ok(snapshot) => match read_all(&snapshot).await {
                Ok(count) => assert!(count >= 10, "{count}"),
                Err(Error::SnapshotLost { namespace, .. }) => {
                    assert!(namespace.contains("temporary"), "{namespace}");
                }
                Err(error) => return Err(error.into()),
            },
        }
    }
    churn.abort();
    Ok(())
}

#[tokio::test]
async fn batches_are_of_one_to_four_megabytes() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    for (name, size, count) in [
        ("small", 100, 60_000),
        ("middle", 1000, 8_000),
        ("large", 300_000, 40),
    ] {
        let text = "x".repeat(size);
        let documents = (0..count).map(|n| bson::rawdoc! { "_id": n, "text": text.as_str() });
        insert(&client, "shop", name, documents.collect()).await?;
    }
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    for collection in &snapshot.catalog().collections {
        let batches: Vec<_> = snapshot.scan(collection).try_collect().await?;
        for batch in &batches[..batches.len() - 1] {
            let size = batch.bytes.len();
            assert!(
                (1 << 20..=4 << 20).contains(&size),
                "{}: {size}",
                collection.namespace()
            );
        }
        assert!(batches.len() > 2, "{}", collection.namespace());
    }
    Ok(())
}

#[tokio::test]
async fn a_capped_collection_is_read_but_not_called_exact() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    create(
        &client,
        "shop",
        "log",
        doc! { "capped": true, "size": 1_000_000 },
    )
    .await?;
    insert(&client, "shop", "log", numbered(0..100)).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let log = entry(snapshot.catalog(), "shop", "log")?;
    assert!(!snapshot.exact(&log));
    let expected: Vec<Vec<u8>> = numbered(0..100)
        .into_iter()
        .map(|d| d.into_bytes())
        .collect();
    assert!(documents(snapshot.scan(&log)).await? == expected);
    snapshot.finish().await?;
    Ok(())
}

#[tokio::test]
async fn what_the_server_keeps_for_a_while_is_no_part_of_the_catalog() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..1)).await?;
    let create =
        doc! { "op": "c", "ns": "shop.$cmd", "o": { "create": "tmp.agg_out", "temp": true } };
    client
        .database("admin")
        .run_command(doc! { "applyOps": [create] })
        .await?;
    let held = client.database("shop").list_collection_names().await?;
    assert!(held.iter().any(|name| name == "tmp.agg_out"));
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    assert_eq!(snapshot.catalog().collections.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_standalone_server_is_read_without_a_time() -> anyhow::Result<()> {
    let server = RealMongo::standalone().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..1000)).await?;
    create(
        &client,
        "shop",
        "view",
        doc! { "viewOn": "orders", "pipeline": [] },
    )
    .await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    assert_eq!(snapshot.time(), None);
    assert!(!snapshot.exact(&entry(snapshot.catalog(), "shop", "orders")?));
    assert_eq!(read_all(&snapshot).await?, 1000);
    client
        .database("shop")
        .collection::<Document>("orders")
        .drop()
        .await?;
    check_lost(&snapshot, &[LostReason::Gone]).await
}

#[tokio::test]
async fn a_server_with_an_unfinished_restore_is_not_a_source() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..1)).await?;
    let deployment: Deployment = connect(&server).await?;
    let target = deployment.target("restore-7").await?;
    target.begin().await?;
    let refused = deployment.begin_snapshot().await;
    assert!(
        matches!(&refused, Err(Error::UnfinishedRestore { job }) if job == "restore-7"),
        "{:?}",
        refused.map(|snapshot| snapshot.time())
    );
    assert_eq!(deployment.catalog().await?.databases(), ["shop"]);
    target.release().await?;
    deployment.begin_snapshot().await?;
    let names = client.list_database_names().await?;
    assert!(!names.iter().any(|name| name == MARKER_DATABASE));
    Ok(())
}

#[tokio::test]
async fn a_scan_that_is_dropped_closes_its_cursor() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let text = "x".repeat(100_000);
    let big = |n: i32| bson::rawdoc! { "_id": n, "text": text.as_str() };
    insert(&client, "shop", "orders", (0..200).map(big).collect()).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let mut scan = snapshot.scan(&entry(snapshot.catalog(), "shop", "orders")?);
    assert!(scan.next().await.is_some());
    let open = || async {
        let status = client
            .database("admin")
            .run_command(doc! { "serverStatus": 1 })
            .await?;
        let cursor = status
            .get_document("metrics")?
            .get_document("cursor")?
            .get_document("open")?;
        anyhow::Ok(cursor.get_i64("noTimeout")?)
    };
    assert_eq!(open().await?, 1);
    drop(scan);
    wait_for(LIMIT, "the cursor to be closed", || async {
        match open().await {
            Ok(0) => Ok(()),
            Ok(count) => Err(format!("{count} are open")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

#[tokio::test]
async fn an_index_that_is_still_being_built_is_not_there_yet() -> anyhow::Result<()> {
    let mut set = RealMongo::replica_set().start_three().await?;
    let client = set.client().await?;
    insert(&client, "shop", "orders", numbered(0..100)).await?;
    // Builds wait for every member that votes: this one ends when the member is back, and fails,
    // since a text is there twice.
    let secondary = (set.primary().await? + 1) % 3;
    set.kill(secondary);
    let shop = client.database("shop");
    let unique = doc! { "key": { "text": 1 }, "name": "by_text", "unique": true };
    let build = doc! { "createIndexes": "orders", "indexes": [unique] };
    let building = tokio::spawn({
        let shop = shop.clone();
        async move { shop.run_command(build).await }
    });
    wait_for(LIMIT, "the build to be listed", || async {
        let list = doc! { "listIndexes": "orders" };
        let listed = shop.run_command(list).await;
        let listed = listed.map_err(|error| error.to_string())?;
        match listed.to_string().contains("by_text") {
            true => Ok(()),
            false => Err(listed.to_string()),
        }
    })
    .await?;
    let deployment = connect_to(&set.uri()).await?;
    let names = async || {
        let snapshot = deployment.begin_snapshot().await?;
        let orders = entry(snapshot.catalog(), "shop", "orders")?;
        let indexes = orders.indexes.iter();
        let names: Result<Vec<_>, _> = indexes.map(|index| index.get_str("name")).collect();
        anyhow::Ok(names?.join(" "))
    };
    assert_eq!(names().await?, "_id_");
    set.restart(secondary).await?;
    ensure!(building.await?.is_err(), "the texts are not unique");
    assert_eq!(names().await?, "_id_");
    Ok(())
}

#[tokio::test]
async fn a_time_is_not_before_what_another_member_has_shown() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let (deployment, client) = (connect(&server).await?, server.client().await?);
    let now = deployment.begin_snapshot().await?.time();
    let now = now.context("a replica set has a time")?;
    let later = mongo::ClusterTime {
        seconds: now.seconds + 2,
        ..now
    };
    let begin = async {
        let pass = deployment.begin_pass_not_before(Some(later)).await?;
        let snapshot = deployment.begin_snapshot_not_before(Some(later)).await?;
        ensure!(snapshot.time() >= Some(later), "{:?}", snapshot.time());
        ensure!(
            snapshot.read_until().await? == snapshot.time(),
            "at its time"
        );
        let read_until = pass.read_until().await?;
        ensure!(read_until >= snapshot.time(), "{read_until:?}");
        Ok(())
    };
    // Time goes on at a server that is written to.
    let write = async {
        loop {
            insert(&client, "shop", "ticks", vec![bson::rawdoc! { "tick": 1 }]).await?;
        }
    };
    tokio::select! { begun = begin => begun, failed = write => failed }
}
