//! Looking into snapshots: what is found is what the server would find.

use anyhow::Context;
use bson::{Document, doc};
use engine::{
    Change, CollectionDifference, DiffRequest, DifferenceCounts, Differs, DocumentDifference,
    FindRequest, Found, Presence, Written,
};
use futures::TryStreamExt;
use model::{Error, SnapshotId, Tier};
use mongodb::Client;
use testkit::RealMongo;

use crate::world::World;

/// A cluster with one snapshot.
struct Peeked {
    world: World,
    client: Client,
    snapshot: SnapshotId,
    _mongo: RealMongo,
}

impl Peeked {
    async fn new() -> anyhow::Result<Peeked> {
        let mongo = RealMongo::replica_set().start().await?;
        let client = mongo.client().await?;
        fill(&client).await?;
        let world = World::started().await?;
        world.attach("c", &mongo.uri(), Tier::M2).await?;
        let snapshot = world.snapshot("c").await?.id;
        Ok(Peeked {
            world,
            client,
            snapshot,
            _mongo: mongo,
        })
    }

    fn request(&self, database: &str, collection: &str, filter: &str) -> FindRequest {
        FindRequest {
            project: self.world.project,
            cluster: "c".to_owned(),
            snapshot: self.snapshot,
            database: database.to_owned(),
            collection: collection.to_owned(),
            filter: filter.to_owned(),
            limit: None,
            written: Some(Written::Canonical),
        }
    }

    /// Returns the documents, and how many the last piece claims.
    async fn find(&self, request: &FindRequest) -> Result<(Vec<String>, u64), Error> {
        let peek = self.world.engine.peek();
        let pieces = peek.find(&self.world.caller, request).await?;
        let pieces: Vec<Found> = pieces.try_collect().await?;
        let Some(Found::End(count)) = pieces.last() else {
            panic!("the last piece is no end: {pieces:?}")
        };
        let mut documents = Vec::new();
        for piece in &pieces {
            if let Found::Documents(found) = piece {
                documents.extend_from_slice(found);
            }
        }
        Ok((documents, *count))
    }

    async fn refused(&self, request: &FindRequest) -> String {
        match self.find(request).await {
            Ok(found) => panic!("it was answered: {found:?}"),
            Err(error) => error.to_string(),
        }
    }
}

/// The last documents of the large collection.
const LATE: std::ops::Range<i32> = 2_970..3_000;
/// Bytes of each of its documents, which do not compress: 345 fill a block.
const NOISY_BYTES: usize = 3_000;

/// Adds documents to a collection `shop.noisy`, in the order of their `_id`s.
async fn fill_noisy(client: &Client, numbers: std::ops::Range<i32>) -> anyhow::Result<()> {
    let mut state = u64::from(numbers.start.unsigned_abs()) + 1;
    let mut noise = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        (state >> 56) as u8
    };
    let documents = numbers.map(|number| {
        let bytes = (0..NOISY_BYTES).map(|_| noise()).collect();
        let subtype = bson::spec::BinarySubtype::Generic;
        doc! { "_id": number, "number": number, "noise": bson::Binary { subtype, bytes } }
    });
    let noisy = client.database("shop").collection("noisy");
    noisy.insert_many(documents).await?;
    Ok(())
}

/// A cluster with a snapshot of a large collection, of which the last documents, and none of the
/// others, are in a pack of their own.
async fn noisy() -> anyhow::Result<Peeked> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    fill_noisy(&client, 0..LATE.start).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    fill_noisy(&client, LATE).await?;
    let snapshot = world.snapshot("c").await?.id;
    Ok(Peeked {
        world,
        client,
        snapshot,
        _mongo: mongo,
    })
}

/// Overwrites a part of the only large pack of the store: most of the earlier blocks, whichever of
/// them came first.
fn harm_earlier_blocks(world: &World) -> anyhow::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut large = Vec::new();
    for folder in std::fs::read_dir(world.dir.path().join("snapshots/packs"))? {
        for pack in std::fs::read_dir(folder?.path())? {
            let pack = pack?;
            if pack.metadata()?.len() > 8 << 20 {
                large.push(pack.path());
            }
        }
    }
    let [pack] = large.as_slice() else {
        anyhow::bail!("one pack is large: {large:?}")
    };
    let file = std::fs::OpenOptions::new().write(true).open(pack)?;
    // Blocks come first.
    file.write_all_at(&vec![0; 6 << 20], 16)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_found_by_id_without_reading_other_blocks() -> anyhow::Result<()> {
    let peeked = noisy().await?;
    harm_earlier_blocks(&peeked.world)?;
    let find = async |filter: &str| {
        let mut request = peeked.request("shop", "noisy", filter);
        request.written = None;
        peeked.find(&request).await.map(|(_, count)| count)
    };
    assert_eq!(find(r#"{"_id": 2990}"#).await?, 1);
    assert_eq!(find(r#"{"_id": {"$in": [2980, 2990, 5000]}}"#).await?, 2);
    // What has to read the harmed blocks says so: of each of the nine there is one of these.
    let mut unreadable = 0;
    for id in (170..LATE.start).step_by(345) {
        unreadable += i32::from(find(&format!(r#"{{"_id": {id}}}"#)).await.is_err());
    }
    assert!((5..=7).contains(&unreadable), "{unreadable} of nine");
    assert!(find(r#"{"number": 2990}"#).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_reads_no_block_that_both_share() -> anyhow::Result<()> {
    let peeked = noisy().await?;
    let first = peeked.snapshot;
    let noisy = peeked.client.database("shop");
    let noisy = noisy.collection::<Document>("noisy");
    noisy.delete_one(doc! { "_id": 2_990 }).await?;
    let set = doc! { "$set": { "changed": true } };
    noisy.update_one(doc! { "_id": 2_980 }, set).await?;
    let snapshot = peeked.world.snapshot("c").await?.id;
    harm_earlier_blocks(&peeked.world)?;
    for detail in [None, Some(false), Some(true)] {
        let (collections, documents) = diff(&peeked, first, snapshot, detail).await?;
        let counts = DifferenceCounts {
            removed: 1,
            added: 0,
            changed: 1,
        };
        assert_eq!(collections[0].documents, counts);
        assert_eq!(documents.len(), if detail.is_some() { 2 } else { 0 });
    }
    Ok(())
}

async fn fill(client: &Client) -> anyhow::Result<()> {
    let shop = client.database("shop");
    let orders = (0..3_000).map(|number| {
        doc! { "_id": number, "tags": ["a", format!("t{}", number % 7)], "total": number / 10 }
    });
    shop.collection("orders").insert_many(orders).await?;
    let odd = client.database("räume");
    odd.collection("a.b %c \"d\"")
        .insert_one(doc! { "_id": "x" })
        .await?;
    shop.run_command(doc! { "create": "v", "viewOn": "orders", "pipeline": [] })
        .await?;
    let series = doc! { "create": "weather", "timeseries": { "timeField": "at" } };
    shop.run_command(series).await?;
    let measured = (0..5).map(|minute| {
        doc! { "at": bson::DateTime::from_millis(60_000 * minute), "celsius": minute }
    });
    shop.collection("weather").insert_many(measured).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_is_what_the_server_finds() -> anyhow::Result<()> {
    let peeked = Peeked::new().await?;
    let orders = peeked
        .client
        .database("shop")
        .collection::<Document>("orders");
    for filter in [
        "{}",
        r#"{"_id": 1234}"#,
        r#"{"_id": {"$in": [{"$numberLong": "5"}, 7.0, 9999, 0]}}"#,
        r#"{"tags": "t3", "total": {"$gte": 290}}"#,
        r#"{"tags": {"$regex": "^T5$", "$options": "i"}, "_id": {"$lt": 100}}"#,
        r#"{"nothing": {"$exists": true}}"#,
    ] {
        let request = peeked.request("shop", "orders", filter);
        let (mut found, count) = peeked.find(&request).await.context(filter)?;
        let parsed: serde_json::Value = serde_json::from_str(filter)?;
        let parsed: bson::Bson = parsed.try_into()?;
        let expected = parsed.as_document().context("a document")?.clone();
        let expected: Vec<Document> = orders.find(expected).await?.try_collect().await?;
        let json = |document| {
            bson::Bson::Document(document)
                .into_canonical_extjson()
                .to_string()
        };
        let mut expected: Vec<String> = expected.into_iter().map(json).collect();
        assert_eq!(count, expected.len() as u64, "{filter}");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{filter}");

        let limited = FindRequest {
            limit: Some(3),
            written: Some(Written::Relaxed),
            ..request.clone()
        };
        assert_eq!(peeked.find(&limited).await?.0.len(), expected.len().min(3));
        let counted = FindRequest {
            written: None,
            ..request
        };
        assert_eq!(
            peeked.find(&counted).await?,
            (Vec::new(), expected.len() as u64)
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_work_and_what_holds_no_documents_says_so() -> anyhow::Result<()> {
    let peeked = Peeked::new().await?;
    let odd = peeked.request("räume", "a.b %c \"d\"", "{}");
    assert_eq!(peeked.find(&odd).await?.0, [r#"{"_id":"x"}"#]);
    // Of a time series the buckets are stored, and found.
    let buckets = peeked
        .find(&peeked.request("shop", "weather", "{}"))
        .await?;
    assert!(
        buckets.1 > 0 && buckets.0[0].contains("\"control\""),
        "{buckets:?}"
    );

    let missing = peeked.request("shop", "Orders", "{}");
    let refused = peeked.refused(&missing).await;
    assert!(
        refused.contains("there is no shop.Orders in snapshot"),
        "{refused}"
    );
    let refused = peeked.refused(&peeked.request("shop", "v", "{}")).await;
    assert!(refused.contains("shop.v is a view"), "{refused}");
    for (filter, fault) in [
        (r#"{"$where": "true"}"#, "$where"),
        (r#"{"a": {"$strange": 1}}"#, "$strange"),
        ("[]", "extended JSON"),
    ] {
        let refused = peeked
            .refused(&peeked.request("shop", "orders", filter))
            .await;
        assert!(
            refused.contains("filter") && refused.contains(fault),
            "{refused}"
        );
    }
    Ok(())
}

async fn diff(
    peeked: &Peeked,
    first: SnapshotId,
    second: SnapshotId,
    detail: Option<bool>,
) -> anyhow::Result<(Vec<CollectionDifference>, Vec<DocumentDifference>)> {
    let request = DiffRequest {
        project: peeked.world.project,
        cluster: "c".to_owned(),
        first,
        second,
        namespace: None,
        written: detail.map(|_| Written::Relaxed),
        whole: detail == Some(true),
    };
    let peek = peeked.world.engine.peek();
    let pieces = peek.diff(&peeked.world.caller, &request).await?;
    let (mut collections, mut documents) = (Vec::new(), Vec::new());
    let mut end = None;
    for piece in pieces.try_collect::<Vec<_>>().await? {
        match piece {
            Differs::Documents(some) => documents.extend(some),
            Differs::Collection(one) => collections.push(one),
            Differs::Progress => {}
            Differs::End(count) => end = Some(count),
        }
    }
    assert_eq!(end, Some(collections.len() as u64));
    Ok((collections, documents))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_says_what_was_done_between_two_snapshots() -> anyhow::Result<()> {
    let peeked = Peeked::new().await?;
    let first = peeked.snapshot;
    let shop = peeked.client.database("shop");
    let orders = shop.collection::<Document>("orders");
    orders.delete_one(doc! { "_id": 7 }).await?;
    orders
        .insert_one(doc! { "_id": 5_000, "new": true })
        .await?;
    orders
        .update_one(doc! { "_id": 100 }, doc! { "$set": { "total": "much" } })
        .await?;
    let index = mongodb::IndexModel::builder()
        .keys(doc! { "total": 1 })
        .build();
    orders.create_index(index).await?;
    shop.collection("fresh")
        .insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }])
        .await?;
    let odd = peeked
        .client
        .database("räume")
        .collection::<Document>("a.b %c \"d\"");
    odd.drop().await?;
    let options = doc! { "collMod": "v", "viewOn": "fresh", "pipeline": [] };
    shop.run_command(options).await?;
    let second = peeked.world.snapshot("c").await?.id;

    let (same, _) = diff(&peeked, second, second, None).await?;
    assert_eq!(same, []);
    let (collections, none) = diff(&peeked, first, second, None).await?;
    assert_eq!(none, []);
    let named = |name: &str| {
        let found = collections.iter().find(|one| one.collection == name);
        found.with_context(|| format!("{name} is missing in {collections:?}"))
    };
    let counts = |removed, added, changed| DifferenceCounts {
        removed,
        added,
        changed,
    };
    let changed = named("orders")?;
    assert_eq!(
        (changed.documents, changed.presence),
        (counts(1, 1, 1), Presence::Both)
    );
    assert_eq!(
        (changed.indexes, changed.options, changed.recreated),
        (true, false, false)
    );
    let fresh = named("fresh")?;
    assert_eq!(
        (fresh.documents, fresh.presence),
        (counts(0, 2, 0), Presence::Second)
    );
    let gone = named("a.b %c \"d\"")?;
    assert_eq!(
        (gone.documents, gone.presence),
        (counts(1, 0, 0), Presence::First)
    );
    assert!(named("v")?.options);
    assert_eq!(collections.len(), 4, "{collections:?}");

    let (again, ids) = diff(&peeked, first, second, Some(false)).await?;
    assert_eq!(again, collections);
    let mut ids: Vec<_> = ids
        .into_iter()
        .map(|one| (one.change, one.id, one.before))
        .collect();
    ids.sort_unstable_by(|left, right| left.1.cmp(&right.1));
    let expected = [
        (Change::Changed, "100".to_owned(), None),
        (Change::Added, "5000".to_owned(), None),
        (Change::Removed, "7".to_owned(), None),
    ];
    assert_eq!(ids, expected);
    let (_, whole) = diff(&peeked, first, second, Some(true)).await?;
    let changed = whole.iter().find(|one| one.change == Change::Changed);
    let changed = changed.context("one was changed")?;
    assert!(
        changed
            .before
            .as_ref()
            .is_some_and(|text| text.contains("\"total\":10"))
    );
    assert!(
        changed
            .after
            .as_ref()
            .is_some_and(|text| text.contains("\"total\":\"much\""))
    );
    Ok(())
}
