//! The kinds of collection of the sample: views, capped, clustered, validated, collated, empty,
//! with odd names, with storage options.

use bson::{Document, doc};
use mongodb::Client;

use super::bulk::object_id;
use super::{SampleOptions, create_indexes, run};
use crate::random::Random;
use crate::raw;

/// Names that are legal and that software trips over.
const ODD_NAMES: [&str; 8] = [
    "späße ☕",
    "many.dots..in.a.row",
    "line\nbreak",
    "with space, comma and 'quotes\"",
    "per%cent%2Fencoded",
    "up/../and\\down",
    "x.bson",
    "CON",
];

/// Creates and fills them; change stream images exist only where there is a replica set.
pub(super) async fn load(
    client: &Client,
    options: SampleOptions,
    is_replica_set: bool,
) -> anyhow::Result<()> {
    let mut random = Random::new(options.seed ^ 1);
    let few = i32::try_from(options.documents / 40).unwrap_or(i32::MAX);
    views(client).await?;
    capped_and_clustered(client, few, &mut random).await?;
    validated(client, &mut random).await?;
    collated(client, &mut random).await?;
    oddly_named(client).await?;
    run(client, "shop", doc! { "create": "empty" }).await?;
    let by_nothing = doc! { "key": { "nothing": 1 }, "name": "by_nothing" };
    create_indexes(client, "shop", "empty", vec![by_nothing]).await?;
    if is_replica_set {
        let images = doc! { "enabled": true };
        let create = doc! { "create": "with_images", "changeStreamPreAndPostImages": images };
        run(client, "shop", create).await?;
        let documents = (0..20).map(|number| raw::encoded(&doc! { "_id": number }));
        raw::insert(&client.database("shop"), "with_images", documents).await?;
    }
    let engine = doc! { "wiredTiger": { "configString": "block_compressor=zlib" } };
    run(
        client,
        "library",
        doc! { "create": "packed_with_zlib", "storageEngine": engine },
    )
    .await?;
    let documents = (0..50).map(|number| raw::encoded(&doc! { "_id": number, "a": "packed" }));
    raw::insert(&client.database("library"), "packed_with_zlib", documents).await
}

async fn views(client: &Client) -> anyhow::Result<()> {
    let pipeline = vec![doc! { "$match": { "state": "paid" } }];
    let french = doc! { "locale": "fr" };
    let paid = doc! {
        "create": "paid_orders", "viewOn": "orders", "pipeline": pipeline, "collation": &french
    };
    run(client, "shop", paid).await?;
    let pipeline = vec![
        doc! { "$group": { "_id": "$customer", "total": { "$sum": "$total" } } },
        doc! { "$match": { "total": { "$gte": 1000 } } },
    ];
    let of_paid = doc! {
        "create": "good_customers", "viewOn": "paid_orders", "pipeline": pipeline,
        "collation": french
    };
    run(client, "shop", of_paid).await?;
    let on_nothing = doc! { "create": "on_nothing", "viewOn": "no_such", "pipeline": [] };
    run(client, "library", on_nothing).await?;
    Ok(())
}

async fn capped_and_clustered(
    client: &Client,
    few: i32,
    random: &mut Random,
) -> anyhow::Result<()> {
    // Room for half of what is written: the oldest documents are gone, as in a log that runs.
    let capped = doc! {
        "create": "log", "capped": true, "size": 64 * 1024 * 1024, "max": i64::from(few / 2)
    };
    run(client, "telemetry", capped).await?;
    let lines: Vec<_> = (0..few)
        .map(|number| {
            let id = object_id(number, random);
            raw::encoded(&doc! { "_id": id, "line": number, "text": random.words(8) })
        })
        .collect();
    raw::insert(&client.database("telemetry"), "log", lines).await?;
    let by_line = doc! { "key": { "line": 1 }, "name": "by_line" };
    create_indexes(client, "telemetry", "log", vec![by_line]).await?;

    let index = doc! { "key": { "_id": 1 }, "unique": true, "name": "clustered by day" };
    let clustered = doc! { "create": "days", "clusteredIndex": index };
    run(client, "telemetry", clustered).await?;
    let days: Vec<_> = (0..few)
        .map(|number| raw::encoded(&doc! { "_id": i64::from(number), "sum": random.int(9_000) }))
        .collect();
    raw::insert(&client.database("telemetry"), "days", days).await?;
    let by_sum = doc! { "key": { "sum": -1 }, "name": "by_sum" };
    create_indexes(client, "telemetry", "days", vec![by_sum]).await
}

/// Collections with validators, each with documents that break its rule.
async fn validated(client: &Client, random: &mut Random) -> anyhow::Result<()> {
    let schema = doc! {
        "bsonType": "object", "required": ["name"],
        "properties": { "age": { "bsonType": "int", "minimum": 0, "maximum": 150 } }
    };
    let strict = doc! {
        "create": "members", "validator": { "$jsonSchema": schema },
        "validationLevel": "strict", "validationAction": "error"
    };
    run(client, "library", strict).await?;
    let lenient = doc! {
        "create": "visitors", "validator": { "age": { "$gte": 18 } },
        "validationLevel": "moderate", "validationAction": "warn"
    };
    run(client, "library", lenient).await?;
    for collection in ["members", "visitors"] {
        let people = (0..200).map(|number| match number % 4 {
            0 => raw::encoded(&doc! { "_id": number, "age": -1 }),
            _ => raw::encoded(&doc! { "_id": number, "name": random.words(2), "age": 30 }),
        });
        raw::insert(&client.database("library"), collection, people).await?;
    }
    let unique = doc! { "key": { "name": 1, "_id": 1 }, "name": "unique_pair", "unique": true };
    create_indexes(client, "library", "members", vec![unique]).await
}

async fn collated(client: &Client, random: &mut Random) -> anyhow::Result<()> {
    let swedish = doc! { "locale": "sv", "strength": 3, "caseFirst": "upper" };
    run(
        client,
        "library",
        doc! { "create": "names", "collation": swedish },
    )
    .await?;
    let names = (0..300).map(|number| {
        raw::encoded(&doc! { "_id": format!("Åsa {number}"), "nick": random.words(1) })
    });
    raw::insert(&client.database("library"), "names", names).await?;
    let simple = doc! { "locale": "simple" };
    let indexes = vec![
        doc! { "key": { "nick": 1 }, "name": "inherits_the_collation" },
        doc! { "key": { "nick": -1 }, "name": "keeps_its_own", "collation": simple },
    ];
    create_indexes(client, "library", "names", indexes).await
}

async fn oddly_named(client: &Client) -> anyhow::Result<()> {
    let long = "n".repeat(200);
    for database in ["größe-√2", "odd"] {
        for name in ODD_NAMES.iter().copied().chain([long.as_str()]) {
            let documents = (0..5).map(|number| raw::encoded(&doc! { "_id": number, "in": name }));
            raw::insert(&client.database(database), name, documents).await?;
            let index: Document = doc! { "key": { "in": 1, "a.b": -1 }, "name": "índex ☕.1" };
            create_indexes(client, database, name, vec![index]).await?;
        }
    }
    Ok(())
}
