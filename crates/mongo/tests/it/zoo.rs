//! One of everything that a user database can hold.
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, RawBson, RawDocumentBuf, Timestamp, doc, rawdoc};
use mongodb::Client;

use crate::support::{create, insert, numbered};

/// The databases that the zoo fills.
pub(crate) const DATABASES: [&str; 3] = ["kinds", "räume", "indexed"];

/// Fills the server.
pub(crate) async fn fill(client: &Client) -> anyhow::Result<()> {
    kinds(client).await?;
    names(client).await?;
    values(client).await?;
    indexes(client).await
}

/// Every kind of collection and view.
async fn kinds(client: &Client) -> anyhow::Result<()> {
    let database = client.database("kinds");
    create(client, "kinds", "empty", doc! {}).await?;
    create(
        client,
        "kinds",
        "capped",
        doc! { "capped": true, "size": 70_000, "max": 500 },
    )
    .await?;
    // More than fit, so that the oldest are gone and natural order does not begin at 0.
    insert(
        client,
        "kinds",
        "capped",
        numbered(0..800).into_iter().rev().collect(),
    )
    .await?;
    let clustered =
        doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "by id" } };
    create(client, "kinds", "clustered", clustered.clone()).await?;
    insert(client, "kinds", "clustered", numbered(0..300)).await?;
    for name in ["clustered capped", "clustered capped few"] {
        create(client, "kinds", name, clustered.clone()).await?;
        let convert = doc! { "convertToCapped": name, "size": 100_000 };
        client.database("kinds").run_command(convert).await?;
        insert(client, "kinds", name, numbered(0..30)).await?;
    }
    let few = doc! { "collMod": "clustered capped few", "cappedMax": 200 };
    client.database("kinds").run_command(few).await?;
    let mut expiring = clustered;
    expiring.insert("expireAfterSeconds", 900_000_000_i64);
    create(client, "kinds", "clustered expiring", expiring).await?;
    let dated = rawdoc! { "_id": bson::DateTime::from_millis(1_000), "a": 1 };
    insert(client, "kinds", "clustered expiring", vec![dated]).await?;
    create(
        client,
        "kinds",
        "images",
        doc! { "changeStreamPreAndPostImages": { "enabled": true } },
    )
    .await?;
    insert(client, "kinds", "images", numbered(0..3)).await?;
    create(
        client,
        "kinds",
        "padded",
        doc! { "storageEngine": {
        "wiredTiger": { "configString": "block_compressor=zstd" } } },
    )
    .await?;
    create(
        client,
        "kinds",
        "old id",
        doc! { "idIndex": {
        "v": 1, "key": { "_id": 1 }, "name": "_id_" } },
    )
    .await?;
    insert(client, "kinds", "old id", numbered(0..3)).await?;
    let french = doc! { "locale": "fr", "strength": 1, "caseLevel": true };
    create(
        client,
        "kinds",
        "collated",
        doc! { "collation": french.clone() },
    )
    .await?;
    insert(
        client,
        "kinds",
        "collated",
        vec![rawdoc! { "_id": "é" }, rawdoc! { "_id": "f" }],
    )
    .await?;
    let strict = doc! { "validator": { "$jsonSchema": { "required": ["never"] } },
    "validationLevel": "strict", "validationAction": "error" };
    create(client, "kinds", "strict", strict).await?;
    insert(client, "kinds", "strict", numbered(0..10)).await?;
    create(
        client,
        "kinds",
        "warned",
        doc! { "validator": { "a": { "$gt": 5 } },
        "validationLevel": "moderate", "validationAction": "warn" },
    )
    .await?;
    timeseries(client).await?;
    let pipeline = vec![
        doc! { "$match": { "_id": { "$lt": 100 } } },
        doc! { "$project": { "a.b": 1 } },
    ];
    create(
        client,
        "kinds",
        "a view",
        doc! { "viewOn": "clustered", "pipeline": pipeline },
    )
    .await?;
    create(
        client,
        "kinds",
        "Z view on view",
        doc! { "viewOn": "a view", "pipeline": [] },
    )
    .await?;
    create(
        client,
        "kinds",
        "collated view",
        doc! {
        "viewOn": "collated", "pipeline": [], "collation": french },
    )
    .await?;
    create(
        client,
        "kinds",
        "view of time",
        doc! { "viewOn": "weather", "pipeline": [] },
    )
    .await?;
    let functions = database.collection::<RawDocumentBuf>("system.js");
    functions
        .insert_one(
            rawdoc! { "_id": "add", "value": RawBson::JavaScriptCode("function(){}".into()) },
        )
        .await?;
    database.run_command(doc! { "profile": 2 }).await?;
    database.run_command(doc! { "find": "empty" }).await?;
    database.run_command(doc! { "profile": 0 }).await?;
    Ok(())
}

/// Indexes that compare otherwise than their collection does.
async fn collated_indexes(client: &Client) -> anyhow::Result<()> {
    let simple = doc! { "locale": "simple" };
    let indexes = vec![
        doc! { "key": { "a": 1 }, "name": "simple", "unique": true, "sparse": true,
        "collation": simple.clone() },
        doc! { "key": { "t": "text" }, "name": "text", "collation": simple.clone() },
        doc! { "key": { "a": 1 }, "name": "german", "collation": { "locale": "de" } },
        doc! { "key": { "b": 1 }, "name": "as the collection" },
    ];
    let command = doc! { "createIndexes": "collated", "indexes": indexes };
    client.database("kinds").run_command(command).await?;
    let options = doc! { "timeseries": { "timeField": "t", "metaField": "m" },
    "collation": { "locale": "de" } };
    create(client, "kinds", "collated series", options).await?;
    let indexes = vec![
        doc! { "key": { "m.x": 1 }, "name": "simple", "collation": simple },
        doc! { "key": { "t": 1 }, "name": "as the collection" },
    ];
    let command = doc! { "createIndexes": "collated series", "indexes": indexes };
    client.database("kinds").run_command(command).await?;
    Ok(())
}

async fn timeseries(client: &Client) -> anyhow::Result<()> {
    create(
        client,
        "kinds",
        "weather",
        doc! {
        "timeseries": { "timeField": "at", "metaField": "place", "granularity": "minutes" },
        "expireAfterSeconds": 900_000_000_i64 },
    )
    .await?;
    collated_indexes(client).await?;
    create(
        client,
        "kinds",
        "plain series",
        doc! { "timeseries": { "timeField": "t" } },
    )
    .await?;
    let day = 86_400_000_i64;
    let measured = |number: i64| {
        let at = bson::DateTime::from_millis(1_700_000_000_000 + number % 7 * day + number * 1000);
        let place = rawdoc! { "room": number % 5, "zero": Timestamp { time: 0, increment: 0 } };
        rawdoc! { "at": at, "place": place, "degrees": -0.0, "n": number }
    };
    insert(client, "kinds", "weather", (0..500).map(measured).collect()).await?;
    let plain =
        |number: i64| rawdoc! { "t": bson::DateTime::from_millis(number * 1000), "x": number };
    insert(
        client,
        "kinds",
        "plain series",
        (0..50).map(plain).collect(),
    )
    .await?;
    // A bucket whose own top level has the timestamp that inserts rewrite.
    let zero = doc! { "timeseries": { "timeField": "t", "metaField": "m" } };
    create(client, "kinds", "zero series", zero).await?;
    let at = bson::DateTime::from_millis(1_600_000_000_000);
    let zero = rawdoc! { "t": at, "m": Timestamp { time: 0, increment: 0 } };
    insert(client, "kinds", "zero series", vec![zero]).await?;
    let index = doc! { "key": { "place.room": 1, "at": -1 }, "name": "by room" };
    client
        .database("kinds")
        .run_command(doc! { "createIndexes": "weather", "indexes": [index] })
        .await?;
    Ok(())
}

/// Names that tools have stumbled over.
async fn names(client: &Client) -> anyhow::Result<()> {
    let long = "x".repeat(255 - "räume.".len());
    for name in [
        "line\nbreak",
        "a.b.c",
        "a..",
        "semi;colon#'",
        "\u{1F996} ünï",
        " space ",
        "%2F/\\\"",
        &long,
    ] {
        insert(client, "räume", name, numbered(0..5)).await?;
    }
    Ok(())
}

/// Values that are easily changed on the way.
async fn values(client: &Client) -> anyhow::Result<()> {
    let odd = doc! {
        "_id": "types", "minus zero": -0.0, "infinite": f64::NEG_INFINITY,
        "payload": f64::from_bits(0x7FF8_0000_0000_BEEF),
        "signalling": f64::from_bits(0xFFF0_0000_0000_0001),
        "undefined": Bson::Undefined, "symbol": Bson::Symbol("s".into()), "min": Bson::MinKey,
        "max": Bson::MaxKey, "code": Bson::JavaScriptCode("f()".into()),
        "scoped": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! { "x": 1 } },
        "decimal": "-0E-6176".parse::<bson::Decimal128>()?,
        "old binary": Binary { subtype: BinarySubtype::BinaryOld, bytes: vec![1, 2, 3] },
        "user binary": Binary { subtype: BinarySubtype::UserDefined(0x90), bytes: vec![] },
        "early": bson::DateTime::from_millis(i64::MIN),
        "late": bson::DateTime::from_millis(i64::MAX),
        "nested zero": { "t": Timestamp { time: 0, increment: 0 } },
        "": "empty name", "a.b": 1, "$c": 2,
        "regex": bson::Regex { pattern: "^a".try_into()?, options: "im".try_into()? },
    };
    let mut all = vec![RawDocumentBuf::try_from(&odd)?];
    // The same name twice, a string that is not UTF-8, a database pointer: from other drivers.
    all.push(raw(&[
        b"\x10_id\0\x01\0\0\0",
        b"\x10a\0\x01\0\0\0",
        b"\x10a\0\x02\0\0\0",
    ])?);
    all.push(raw(&[
        b"\x10_id\0\x02\0\0\0",
        b"\x02s\0\x03\0\0\0\xFF\xFE\0",
    ])?);
    all.push(raw(&[
        b"\x10_id\0\x03\0\0\0",
        b"\x0Cp\0\x02\0\0\0d\0",
        &[7; 12],
    ])?);
    all.push(rawdoc! { "_id": Timestamp { time: 0, increment: 0 } });
    all.push(rawdoc! { "_id": f64::NAN });
    all.push(rawdoc! { "_id": RawBson::Null });
    all.push(rawdoc! { "_id": { "b": 1, "a": -0.0 }, "x": "y" });
    insert(client, "räume", "values", all).await?;
    for (name, options) in [
        ("zeros", doc! {}),
        ("capped zeros", doc! { "capped": true, "size": 4096 }),
    ] {
        create(client, "räume", name, options).await?;
        for number in 0..3 {
            insert(client, "räume", name, vec![rawdoc! { "_id": number }]).await?;
        }
        let wanted = doc! { "_id": 1, "zero": Timestamp { time: 0, increment: 0 }, "$d": -0.0,
        "a.b": { "deep": [Timestamp { time: 0, increment: 0 }] },
            "other": Timestamp { time: 0, increment: 0 } };
        let replace = vec![doc! { "$replaceWith": { "$literal": wanted } }];
        client
            .database("räume")
            .collection::<Document>(name)
            .update_one(doc! { "_id": 1 }, replace)
            .await?;
    }
    Ok(())
}

/// Makes a raw document of raw pieces.
fn raw(pieces: &[&[u8]]) -> anyhow::Result<RawDocumentBuf> {
    let body = pieces.concat();
    let length = i32::try_from(body.len() + 5)?;
    Ok(RawDocumentBuf::from_bytes(
        [&length.to_le_bytes(), body.as_slice(), &[0]].concat(),
    )?)
}

/// Every kind of index.
async fn indexes(client: &Client) -> anyhow::Result<()> {
    let far = 900_000_000_i64;
    let all = vec![
        doc! { "key": { "a": 1 }, "name": "unique", "unique": true, "sparse": true },
        doc! { "key": { "a": -1, "b": 1 }, "name": "compound" },
        doc! { "key": { "c": -0.1 }, "name": "tiny negative" },
        doc! { "key": { "c": 1_i64 }, "name": "long key" },
        doc! { "key": { "d": 1 }, "name": "partial",
        "partialFilterExpression": { "a": { "$gt": 5 } } },
        doc! { "key": { "d": 1 }, "name": "partial by nothing", "partialFilterExpression": {} },
        doc! { "key": { "$**": 1 }, "name": "wildcard", "wildcardProjection": { "a": 0, "b": 0 } },
        doc! { "key": { "e.$**": 1 }, "name": "wildcard path" },
        doc! { "key": { "e": "hashed" }, "name": "hashed" },
        doc! { "key": { "_id": "hashed" }, "name": "hashed id" },
        doc! { "key": { "t": "text", "u": "text", "v": 1 }, "name": "words",
            "default_language": "german",
        "weights": { "t": 10 }, "language_override": "sprache" },
        doc! { "key": { "p": "2dsphere" }, "name": "sphere" },
        doc! { "key": { "p": "2dsphere" }, "name": "old sphere", "sparse": true,
        "2dsphereIndexVersion": 2 },
        doc! { "key": { "q": "2d" }, "name": "plane", "min": -500.5, "max": 500.5, "bits": 20 },
        doc! { "key": { "f": 1 }, "name": "hidden", "hidden": true },
        doc! { "key": { "g": 1 }, "name": "expiring", "expireAfterSeconds": far },
        doc! { "key": { "h": 1 }, "name": "v1", "v": 1 },
        doc! { "key": { "i": 1 }, "name": "collated",
        "collation": { "locale": "de", "numericOrdering": true } },
        doc! { "key": { "j": 1 }, "name": "expiring partial", "expireAfterSeconds": 5.5e8,
        "partialFilterExpression": { "j": { "$exists": true } }, "hidden": true },
        doc! { "key": { "k": 1 }, "name": "to be unique", "prepareUnique": true },
        doc! { "key": { "_id": 1, "a": 1 }, "name": "id first" },
    ];
    let documents = (0..100).map(|n| {
        rawdoc! { "_id": n, "a": n, "b": [1, n], "e": { "x": n }, "t": "wörter und text",
        "p": { "type": "Point", "coordinates": [f64::from(n), 1.5] }, "q": [n, n],
        "g": bson::DateTime::now() }
    });
    insert(client, "indexed", "all", documents.collect()).await?;
    for index in all {
        let command = doc! { "createIndexes": "all", "indexes": [index.clone()] };
        let done = client.database("indexed").run_command(command).await;
        anyhow::Context::with_context(done, || format!("index {index}"))?;
    }
    Ok(())
}
