//! The many ordinary documents of the sample: a shop, a library and some measurements, with an
//! index of every kind.

use bson::oid::ObjectId;
use bson::{DateTime, Document, doc};
use mongodb::Client;

use super::{SampleOptions, create_indexes, run};
use crate::random::Random;
use crate::raw;

/// 2024-01-01T00:00:00Z in milliseconds: when the sample's world begins.
pub(super) const EPOCH_MS: i64 = 1_704_067_200_000;
/// 2100-01-01T00:00:00Z in milliseconds: nothing of the sample expires before.
const FAR_FUTURE_MS: i64 = 4_102_444_800_000;

/// Loads the shop, the library and the measurements.
pub(super) async fn load(client: &Client, options: SampleOptions) -> anyhow::Result<()> {
    let hundredth = i32::try_from(options.documents / 100).unwrap_or(i32::MAX / 100);
    let share = |percent: i32| hundredth * percent;
    let mut random = Random::new(options.seed);
    let shop = client.database("shop");
    let orders = (0..share(45)).map(|number| order(number, &mut random));
    raw::insert(&shop, "orders", orders).await?;
    create_indexes(client, "shop", "orders", order_indexes()).await?;

    let customers = (0..share(20)).map(|number| customer(number, &mut random));
    raw::insert(&shop, "customers", customers).await?;
    create_indexes(client, "shop", "customers", customer_indexes()).await?;

    let books = (0..share(15)).map(|number| book(number, &mut random));
    raw::insert(&client.database("library"), "books", books).await?;
    create_indexes(client, "library", "books", book_indexes()).await?;

    let series = doc! { "timeField": "at", "metaField": "sensor", "granularity": "minutes" };
    let create = doc! {
        "create": "measurements", "timeseries": series, "expireAfterSeconds": 1_000_000_000_i64
    };
    run(client, "telemetry", create).await?;
    let measurements = (0..share(15)).map(|number| measurement(number, &mut random));
    raw::insert(&client.database("telemetry"), "measurements", measurements).await?;
    let by_sensor = doc! { "key": { "sensor.room": 1, "at": -1 }, "name": "by_room" };
    create_indexes(client, "telemetry", "measurements", vec![by_sensor]).await
}

/// Returns an id that is always the same for the same number, and rises with it.
pub(super) fn object_id(number: i32, random: &mut Random) -> ObjectId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&(0x6592_0080_i32 + number).to_be_bytes());
    bytes[4..].copy_from_slice(&random.bits().to_be_bytes());
    ObjectId::from_bytes(bytes)
}

fn order(number: i32, random: &mut Random) -> Vec<u8> {
    let items: Vec<Document> = (0..1 + random.int(4))
        .map(|_| doc! { "sku": format!("SKU-{:05}", random.int(5_000)), "count": random.int(9) })
        .collect();
    let placed = DateTime::from_millis(EPOCH_MS + i64::from(number) * 61_000);
    let mut order = doc! {
        "_id": object_id(number, random),
        "number": number,
        "customer": random.int(40_000),
        "placedAt": placed,
        "state": random.pick(&["new", "paid", "sent", "returned"]),
        "total": f64::from(random.int(100_000)) / 100.0,
        "items": items,
        "expiresAt": DateTime::from_millis(FAR_FUTURE_MS),
        "note": random.words(12),
        "token": random.token(24),
    };
    if number % 7 == 0 {
        order.insert("coupon", format!("C{number}"));
    }
    raw::encoded(&order)
}

fn order_indexes() -> Vec<Document> {
    vec![
        doc! { "key": { "number": 1 }, "name": "number", "unique": true },
        doc! { "key": { "customer": 1, "placedAt": -1 }, "name": "customer_recent" },
        doc! { "key": { "items.sku": 1 }, "name": "multikey" },
        doc! { "key": { "coupon": 1 }, "name": "coupon", "unique": true, "sparse": true },
        doc! {
            "key": { "total": -1 }, "name": "large_unsent",
            "partialFilterExpression": { "state": "paid", "total": { "$gt": 500.0 } }
        },
        doc! { "key": { "state": 1 }, "name": "partial_on_all", "partialFilterExpression": {} },
        doc! { "key": { "expiresAt": 1 }, "name": "ttl", "expireAfterSeconds": 3_600 },
        doc! { "key": { "customer": "hashed" }, "name": "hashed" },
        doc! { "key": { "placedAt": -1 }, "name": "hidden", "hidden": true },
        doc! { "key": { "_id": "hashed" }, "name": "id_hashed" },
        doc! { "key": { "state": 1.5, "number": -0.5 }, "name": "odd_directions" },
    ]
}

fn customer(number: i32, random: &mut Random) -> Vec<u8> {
    let place = [random.unit() * 360.0 - 180.0, random.unit() * 170.0 - 85.0];
    let mut customer = doc! {
        "_id": number,
        "name": random.words(2),
        "place": { "type": "Point", "coordinates": place.to_vec() },
        "onMap": [place[0], place[1]],
        "likes": { "color": random.words(1), "number": random.int(100) },
        "secret": { "token": random.token(40) },
        "about": random.words(20),
        "motto": random.words(4),
    };
    if number % 3 != 0 {
        customer.insert("email", format!("{number}@example.org"));
    }
    raw::encoded(&customer)
}

fn customer_indexes() -> Vec<Document> {
    vec![
        doc! { "key": { "email": 1 }, "name": "email", "unique": true, "sparse": true },
        doc! {
            "key": { "name": 1 }, "name": "name_as_people_sort",
            "collation": { "locale": "de", "strength": 1, "numericOrdering": true }
        },
        doc! { "key": { "place": "2dsphere" }, "name": "sphere" },
        doc! { "key": { "onMap": "2d" }, "name": "plane", "bits": 20, "min": -200.0, "max": 200.0 },
        doc! {
            "key": { "about": "text", "motto": "text" }, "name": "words",
            "weights": { "motto": 5, "about": 1 }, "default_language": "english",
            "language_override": "tongue"
        },
        doc! {
            "key": { "$**": 1 }, "name": "anything_but_secrets",
            "wildcardProjection": { "secret": 0, "about": 0 }
        },
        doc! { "key": { "likes.$**": 1 }, "name": "any_like" },
    ]
}

fn book(number: i32, random: &mut Random) -> Vec<u8> {
    // Ids that come in no order, as UUIDs and hashes do.
    raw::encoded(&doc! {
        "_id": random.token(32),
        "isbn": i64::from(number) + 9_780_000_000_000,
        "title": random.words(5),
        "pages": random.int(1_200),
        "price": bson::Decimal128::from_bytes(decimal_cents(random.int(9_999))),
        "chapters": [random.words(3), random.words(3)],
        "loans": { "count": random.int(50), "last": DateTime::from_millis(EPOCH_MS) },
    })
}

/// Returns a Decimal128 of so many hundredths: coefficient, and the exponent -2 with its bias.
fn decimal_cents(cents: i32) -> [u8; 16] {
    let biased_exponent: u128 = 6176 - 2;
    let coefficient = u128::try_from(cents).expect("prices aren't negative");
    ((biased_exponent << 113) | coefficient).to_le_bytes()
}

fn book_indexes() -> Vec<Document> {
    vec![
        doc! { "key": { "isbn": 1 }, "name": "isbn", "unique": true },
        doc! { "key": { "title": "text", "pages": -1 }, "name": "title_text" },
        doc! { "key": { "price": 1, "title": 1 }, "name": "price_title", "sparse": true },
        doc! { "key": { "loans.count": "hashed", "pages": 1 }, "name": "hashed_compound" },
    ]
}

fn measurement(number: i32, random: &mut Random) -> Vec<u8> {
    let room = format!("room-{}", random.int(40));
    raw::encoded(&doc! {
        "_id": number,
        "at": DateTime::from_millis(EPOCH_MS + i64::from(number) * 5_000),
        "sensor": { "room": room, "kind": random.pick(&["heat", "light"]) },
        "value": random.unit() * 40.0,
    })
}
