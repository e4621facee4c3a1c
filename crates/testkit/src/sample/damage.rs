//! What a bad day does to the sample: a database dropped, documents deleted and changed, indexes
//! and rules gone, and things that were not there before.

use bson::{Document, doc};
use mongodb::Client;

use super::run;
use crate::raw;

/// Damages a server that holds the sample; a restore has to undo every part of it.
pub async fn damage(client: &Client) -> anyhow::Result<()> {
    client.database("library").drop().await?;

    let shop = client.database("shop");
    let orders = shop.collection::<Document>("orders");
    orders
        .delete_many(doc! { "number": { "$mod": [3, 0] } })
        .await?;
    orders
        .update_many(
            doc! { "number": { "$mod": [5, 1] } },
            doc! { "$inc": { "total": 1 } },
        )
        .await?;
    run(
        client,
        "shop",
        doc! { "dropIndexes": "orders", "index": ["customer_recent", "ttl"] },
    )
    .await?;
    let hide = doc! { "name": "multikey", "hidden": true };
    run(client, "shop", doc! { "collMod": "orders", "index": hide }).await?;
    let customers = shop.collection::<Document>("customers");
    customers
        .insert_one(doc! { "_id": "was not there", "email": "new@example.org" })
        .await?;
    shop.collection::<Document>("paid_orders").drop().await?;
    shop.collection::<Document>("empty")
        .insert_one(doc! { "no longer": "empty" })
        .await?;

    let telemetry = client.database("telemetry");
    telemetry
        .collection::<Document>("measurements")
        .drop()
        .await?;
    telemetry
        .collection::<Document>("measurements")
        .insert_one(doc! { "now": "plain" })
        .await?;
    let log = telemetry.collection::<Document>("log");
    log.insert_one(doc! { "_id": "later", "line": -1, "text": "written after the snapshot" })
        .await?;
    let days = telemetry.collection::<Document>("days");
    days.update_many(doc! {}, doc! { "$set": { "sum": 0 } })
        .await?;

    let odd = client.database("odd");
    odd.collection::<Document>("values")
        .delete_many(doc! { "_id": { "$lt": 10 } })
        .await?;
    odd.collection::<Document>("empty_timestamps")
        .update_many(doc! {}, touch())
        .await?;

    let intruder = client.database("intruder");
    let documents = (0..1_000).map(|number| raw::encoded(&doc! { "_id": number }));
    raw::insert(&intruder, "things", documents).await?;
    run(
        client,
        "intruder",
        doc! { "create": "view", "viewOn": "things", "pipeline": [] },
    )
    .await?;
    Ok(())
}

fn touch() -> Document {
    doc! { "$currentDate": { "first": { "$type": "timestamp" } } }
}
