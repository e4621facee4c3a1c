//! Documents asked for by their ids: whatever the ids are, as they were at the time, by an index.
use std::collections::BTreeSet;

use anyhow::Context;
use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use bytes::Bytes;
use futures::TryStreamExt;
use mongo::{Collection, Error, LostReason, SourceSnapshot};
use mongodb::Client;
use testkit::RealMongo;

use crate::following::{Documents, scan};
use crate::support::{connect, connect_to, create, entry, insert, numbered};

/// Returns the documents found, and checks that each id was asked for once.
async fn reread(
    snapshot: &SourceSnapshot,
    collection: &Collection,
    ids: &[Vec<u8>],
) -> Result<Documents, Error> {
    let wanted: Vec<Bytes> = ids.iter().cloned().map(Bytes::from).collect();
    let mut asked = Vec::new();
    let mut found = Documents::new();
    let mut items = snapshot.reread(collection, wanted);
    while let Some((ids, batch)) = items.try_next().await? {
        asked.extend(ids.iter().map(|id| id.to_vec()));
        for span in &batch.documents {
            found.insert(batch.id(span).to_vec(), batch.document(span).to_vec());
        }
    }
    asked.sort_unstable();
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    assert_eq!(asked, ids);
    Ok(found)
}

/// Returns the `_id` element of a document that has it first.
fn id_of(document: &RawDocumentBuf) -> Vec<u8> {
    let id = document.get("_id").ok().flatten().expect("it has one");
    let only = rawdoc! { "_id": bson::RawBson::from(id) };
    let bytes = only.as_bytes();
    bytes[4..bytes.len() - 1].to_vec()
}

/// Ids of every type, and some that look like operators, patterns or other ids.
fn odd_ids() -> Vec<Bson> {
    let text = |text: &'static str| text.try_into().expect("no zero is in it");
    let (pattern, options) = (text("^a"), text(""));
    let regex = Bson::RegularExpression(bson::Regex { pattern, options });
    let scope = doc! { "x": 1 };
    let scoped = bson::JavaScriptCodeWithScope {
        code: "f()".into(),
        scope,
    };
    let binary = bson::Binary {
        subtype: bson::spec::BinarySubtype::Uuid,
        bytes: vec![3; 16],
    };
    vec![
        Bson::Int32(1),
        Bson::Int64(2),
        Bson::Double(3.5),
        Bson::Double(-0.0),
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Decimal128("4.50".parse().expect("a number")),
        Bson::String("abc".into()),
        Bson::String(String::new()),
        Bson::Symbol("symbol".into()),
        Bson::Null,
        Bson::Boolean(true),
        Bson::MinKey,
        Bson::MaxKey,
        Bson::ObjectId(bson::oid::ObjectId::from_bytes([7; 12])),
        Bson::DateTime(bson::DateTime::from_millis(-5)),
        Bson::Timestamp(bson::Timestamp {
            time: 0,
            increment: 0,
        }),
        Bson::JavaScriptCode("g()".into()),
        Bson::JavaScriptCodeWithScope(scoped),
        Bson::Binary(binary),
        Bson::Document(doc! {}),
        Bson::Document(doc! { "a": 1, "b": { "c": [1, 2] } }),
        Bson::Document(doc! { "b": { "c": [1, 2] }, "a": 1 }),
        Bson::Document(doc! { "matches": regex }),
        Bson::Document(doc! { "$ref": "orders", "$id": 5 }),
        Bson::String("x".repeat(1 << 20)),
        Bson::String("y".repeat(1 << 20)),
        Bson::String("z".repeat(3 << 20)),
    ]
}

#[tokio::test]
async fn a_document_is_found_by_any_id_that_there_can_be() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    let client = server.client().await?;
    let of = |id: &Bson| -> anyhow::Result<RawDocumentBuf> {
        Ok(RawDocumentBuf::try_from(
            &doc! { "_id": id.clone(), "v": 1 },
        )?)
    };
    let documents: Vec<RawDocumentBuf> = odd_ids().iter().map(of).collect::<Result<_, _>>()?;
    insert(&client, "shop", "odd", documents.clone()).await?;
    insert(&client, "shop", "odd", numbered(1000..4000)).await?;
    let odd: Vec<Vec<u8>> = documents.iter().map(id_of).collect();
    for role in ["backup", "readAnyDatabase"] {
        server.create_user(role, "p", &[(role, "admin")]).await?;
        let source = connect_to(&server.uri_as(role, "p")).await?;
        let snapshot = source.begin_snapshot().await?;
        let collection = entry(snapshot.catalog(), "shop", "odd")?;
        let all = scan(&snapshot, &collection).await?;

        let found = reread(&snapshot, &collection, &odd).await?;
        let expected = all.iter().filter(|(id, _)| odd.contains(id));
        assert!(found.iter().eq(expected), "{role}");

        let everything: Vec<Vec<u8>> = all.keys().cloned().collect();
        assert!(reread(&snapshot, &collection, &everything).await? == all);
        for id in &odd {
            let found = reread(&snapshot, &collection, std::slice::from_ref(id)).await?;
            assert!(found.contains_key(id), "{role}: {:?}", id[0]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn ids_that_no_server_stores_are_asked_for_without_harm() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    insert(&server.client().await?, "shop", "orders", numbered(0..10)).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let orders = entry(snapshot.catalog(), "shop", "orders")?;
    let regex = b"\x0b_id\0.*\0\0".to_vec();
    let undefined = b"\x06_id\0".to_vec();
    let array = [b"\x04_id\0", &rawdoc! { "0": 1, "1": 99 }.into_bytes()[..]].concat();
    let operator = [b"\x03_id\0", &rawdoc! { "$gt": 0 }.into_bytes()[..]].concat();
    for id in [regex, undefined, operator] {
        assert!(reread(&snapshot, &orders, &[id]).await?.is_empty());
    }
    // It means any of its elements, which is more than was asked for, and does no harm.
    assert!(reread(&snapshot, &orders, &[array]).await?.len() <= 1);
    let none = reread(&snapshot, &orders, &[]).await?;
    assert!(none.is_empty());
    let broken = reread(&snapshot, &orders, &[b"\x10id\0".to_vec()]).await;
    assert!(matches!(broken, Err(Error::InvalidInput { .. })));
    Ok(())
}

#[tokio::test]
async fn what_is_equal_to_the_server_is_found_under_its_own_id() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let ignoring_case = doc! { "collation": { "locale": "en", "strength": 2 } };
    create(&client, "shop", "words", ignoring_case).await?;
    let stored = [
        rawdoc! { "_id": "Apple" },
        rawdoc! { "_id": 7.0 },
        rawdoc! { "_id": 0 },
    ];
    insert(&client, "shop", "words", stored.to_vec()).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let words = entry(snapshot.catalog(), "shop", "words")?;
    let asked = [
        rawdoc! { "_id": "aPPLE" },
        rawdoc! { "_id": 7_i64 },
        rawdoc! { "_id": -0.0 },
        rawdoc! { "_id": "pear" },
    ];
    let asked: Vec<Vec<u8>> = asked.iter().map(id_of).collect();
    let found = reread(&snapshot, &words, &asked).await?;
    let ids: BTreeSet<Vec<u8>> = found.into_keys().collect();
    assert_eq!(ids, stored.iter().map(id_of).collect());
    Ok(())
}

/// Returns how many documents and how many whole collections the server has looked through.
async fn counters(client: &Client) -> anyhow::Result<(i64, i64)> {
    let admin = client.database("admin");
    let status = admin.run_command(doc! { "serverStatus": 1 }).await?;
    let executor = status
        .get_document("metrics")?
        .get_document("queryExecutor")?;
    let scans = executor.get_document("collectionScans")?;
    Ok((executor.get_i64("scannedObjects")?, scans.get_i64("total")?))
}

#[tokio::test]
async fn an_index_is_used_and_what_came_later_is_not_seen() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let key = doc! { "key": { "_id": 1 }, "unique": true };
    create(&client, "shop", "clustered", doc! { "clusteredIndex": key }).await?;
    let series = doc! { "timeseries": { "timeField": "at", "metaField": "of" } };
    create(&client, "shop", "series", series).await?;
    for name in ["plain", "clustered"] {
        insert(&client, "shop", name, numbered(0..20_000)).await?;
    }
    let measured = (0..3000_i32).map(|n| {
        rawdoc! { "at": bson::DateTime::from_millis(i64::from(n) * 10_000_000), "of": n }
    });
    insert(&client, "shop", "series", measured.collect()).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    for name in ["plain", "clustered", "series"] {
        let collection = entry(snapshot.catalog(), "shop", name)?;
        let all = scan(&snapshot, &collection).await?;
        let wanted: Vec<Vec<u8>> = all.keys().step_by(20).cloned().collect();
        let shop = client.database("shop");
        if name != "series" {
            let documents = shop.collection::<Document>(name);
            let add = doc! { "$set": { "text": "later" } };
            documents.update_many(doc! {}, add).await?;
            documents
                .delete_many(doc! { "_id": { "$gt": 15_000 } })
                .await?;
        }
        let before = counters(&client).await?;
        let found = reread(&snapshot, &collection, &wanted).await?;
        let after = counters(&client).await?;
        assert_eq!(found.len(), wanted.len());
        let expected = all.iter().filter(|(id, _)| found.contains_key(*id));
        assert!(found.iter().eq(expected), "{name}");
        if name == "plain" {
            assert_eq!(after.1, before.1, "collection scans of {name}");
        }
        let looked_at = usize::try_from(after.0 - before.0)?;
        assert!(
            looked_at <= 3 * wanted.len() + 100,
            "{name}: {looked_at} looked at for {}",
            wanted.len()
        );
    }
    snapshot.finish().await.context("what was reread is read")?;
    Ok(())
}

#[tokio::test]
async fn large_documents_come_in_bounded_batches() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let text = "x".repeat(300_000);
    let large = (0..100).map(|n| rawdoc! { "_id": n, "text": text.as_str() });
    insert(&client, "shop", "large", large.collect()).await?;
    let snapshot = connect(&server).await?.begin_snapshot().await?;
    let large = entry(snapshot.catalog(), "shop", "large")?;
    let ids = (0..100).map(|n: i32| Bytes::from([b"\x10_id\0", &n.to_le_bytes()[..]].concat()));
    let items: Vec<_> = snapshot.reread(&large, ids.collect()).try_collect().await?;
    let found: usize = items.iter().map(|(_, batch)| batch.documents.len()).sum();
    assert_eq!(found, 100);
    assert!(items.len() > 8, "{} items", items.len());
    assert!(items.iter().all(|(_, batch)| batch.bytes.len() < 4 << 20));
    Ok(())
}

#[tokio::test]
async fn a_collection_that_is_gone_is_never_reread_as_empty() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    let client = server.client().await?;
    for role in ["backup", "readAnyDatabase"] {
        server.create_user(role, "p", &[(role, "admin")]).await?;
        let source = connect_to(&server.uri_as(role, "p")).await?;
        for after in ["nothing", "another", "a view"] {
            insert(&client, "shop", "orders", numbered(0..10)).await?;
            let snapshot = source.begin_snapshot().await?;
            let orders = entry(snapshot.catalog(), "shop", "orders")?;
            let shop = client.database("shop");
            shop.collection::<Document>("orders").drop().await?;
            match after {
                "another" => insert(&client, "shop", "orders", numbered(0..3)).await?,
                "a view" => {
                    insert(&client, "shop", "others", numbered(0..3)).await?;
                    let view = doc! { "viewOn": "others", "pipeline": [] };
                    create(&client, "shop", "orders", view).await?;
                }
                _ => {}
            }
            let ids = [b"\x10_id\0\x01\0\0\0".to_vec()];
            let lost = reread(&snapshot, &orders, &ids).await;
            let is_lost = matches!(
                lost,
                Err(Error::SnapshotLost {
                    reason: LostReason::Gone | LostReason::Unavailable,
                    ..
                })
            );
            assert!(is_lost, "{role}, {after}: {lost:?}");
            let lost = scan(&snapshot, &orders).await;
            assert!(
                matches!(lost, Err(Error::SnapshotLost { .. })),
                "{role}, {after}: {lost:?}"
            );
            assert!(snapshot.finish().await.is_err());
            shop.drop().await?;
        }
    }
    Ok(())
}
