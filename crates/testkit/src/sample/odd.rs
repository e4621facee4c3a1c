//! Documents with values that are easily changed on the way: signed zeroes, deprecated types,
//! empty timestamps, names that occur twice, text that is no text, and very large or deep ones.

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, JavaScriptCodeWithScope, Regex, Timestamp, doc};
use mongodb::Client;

use super::run;
use crate::raw::{self, Raw};

/// How deep the deepest document is; the server allows 180 levels.
const DEPTH: usize = 120;

/// Loads the database `odd`, and stored JavaScript.
pub(super) async fn load(client: &Client) -> anyhow::Result<()> {
    let odd = client.database("odd");
    raw::insert(
        &odd,
        "values",
        typed_values().into_iter().enumerate().map(with_id),
    )
    .await?;
    raw::insert(&odd, "bytes", untyped_values()).await?;
    raw::insert(
        &odd,
        "ids",
        ids()
            .into_iter()
            .map(|id| raw::encoded(&doc! { "_id": id })),
    )
    .await?;
    raw::insert(&odd, "large", large()).await?;
    empty_timestamps(client).await?;
    let body = Bson::JavaScriptCode("function (a, b) { return a + b; }".into());
    let stored = raw::encoded(&doc! { "_id": "add", "value": body });
    raw::insert(&odd, "system.js", [stored]).await
}

fn with_id((number, value): (usize, Bson)) -> Vec<u8> {
    let number = i64::try_from(number).expect("there are a few dozen");
    raw::encoded(&doc! { "_id": number, "value": value.clone(), "list": [value] })
}

fn typed_values() -> Vec<Bson> {
    let code = JavaScriptCodeWithScope {
        code: "x + 1".into(),
        scope: doc! { "x": -0.0 },
    };
    let regex = |pattern: &str, options: &str| {
        let text = |text: &str| text.try_into().expect("there is no zero byte in it");
        Bson::RegularExpression(Regex {
            pattern: text(pattern),
            options: text(options),
        })
    };
    let mut values = vec![
        Bson::Double(-0.0),
        Bson::Double(f64::NAN),
        Bson::Double(f64::from_bits(0xFFF8_0000_0000_1234)),
        Bson::Double(f64::NEG_INFINITY),
        Bson::Double(5e-324),
        Bson::Int64(1),
        Bson::Int64(i64::MIN),
        Bson::Document(doc! { "kept below the top level": empty_timestamp() }),
        Bson::Timestamp(Timestamp {
            time: u32::MAX,
            increment: u32::MAX,
        }),
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Undefined,
        Bson::Null,
        Bson::Symbol("symbol".into()),
        Bson::JavaScriptCode("return 1;".into()),
        Bson::JavaScriptCodeWithScope(code),
        Bson::DateTime(DateTime::MIN),
        Bson::DateTime(DateTime::MAX),
        Bson::String("with \0 inside".into()),
        Bson::String(String::new()),
        Bson::Document(doc! {}),
        Bson::Array(vec![]),
        Bson::Document(doc! { "": { "": 1 }, "dotted.name": 1, "$dollar": { "$gt": 1 } }),
        regex("^a.*[/\\\\]$", "imsx"),
        regex("", ""),
    ];
    // NaN, -0, 1E+3 (not 1000), 1.0 (not 1), the largest.
    let decimals = [
        "NaN",
        "-0",
        "1E+3",
        "1.0",
        "-Infinity",
        "9.999999999999999999999999999999999E+6144",
    ];
    values.extend(decimals.iter().map(|text| {
        Bson::Decimal128(
            text.parse::<Decimal128>()
                .expect("a number that the standard allows"),
        )
    }));
    let subtypes = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x80, 0xFF];
    values.extend(subtypes.map(|subtype| {
        let subtype = BinarySubtype::from(subtype);
        let bytes = match subtype {
            // Servers look into it (6.0.27 does, 6.0.5 does not): this one is of no value.
            BinarySubtype::Column => vec![0],
            _ => vec![0, 1, 2, 0xFF],
        };
        Bson::Binary(Binary { subtype, bytes })
    }));
    values
}

/// Documents that typed builders don't make.
fn untyped_values() -> Vec<Vec<u8>> {
    let mut pointer = Vec::new();
    pointer.extend(10_i32.to_le_bytes());
    pointer.extend(b"odd.bytes\0");
    pointer.extend([0xAB; 12]);
    vec![
        Raw::new()
            .int("_id", 1)
            .int("twice", 1)
            .int("twice", 2)
            .finish(),
        Raw::new()
            .int("_id", 2)
            .text(0x02, "latin1", b"sp\xE4t")
            .finish(),
        Raw::new()
            .int("_id", 3)
            .text(0x02, "half", b"\xF0\x9F")
            .finish(),
        Raw::new()
            .int("_id", 4)
            .element(0x0C, "pointer", &pointer)
            .finish(),
        Raw::new()
            .int("_id", 5)
            .element(0x06, "undefined", &[])
            .finish(),
        Raw::new()
            .int("_id", 6)
            .text(0x0E, "symbol", b"old")
            .finish(),
        Raw::new()
            .int("_id", 7)
            .document("a", Raw::new().int("b", 1).int("b", 1))
            .finish(),
    ]
}

fn ids() -> Vec<Bson> {
    vec![
        Bson::Null,
        Bson::Boolean(true),
        Bson::Int32(1),
        Bson::Double(1.5),
        Bson::Double(f64::NAN),
        Bson::Double(-0.0),
        Bson::String("1".into()),
        Bson::String("a\0b".into()),
        Bson::Symbol("symbol as id".into()),
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Timestamp(Timestamp {
            time: 1,
            increment: 1,
        }),
        Bson::Document(doc! {}),
        Bson::Document(doc! { "a": 1, "b": { "c": [1, 2] } }),
        Bson::Document(doc! { "b": 1, "a": 1 }),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Uuid,
            bytes: vec![7; 16],
        }),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::Int64(i64::MAX),
        Bson::JavaScriptCode("code".into()),
    ]
}

/// A document of 2 MB that compresses, one of 15 MB that hardly does, one that is deep.
fn large() -> Vec<Vec<u8>> {
    let mut random = crate::random::Random::new(3);
    let noise: Vec<u8> = (0..15 * 1024 * 128)
        .flat_map(|_| random.bits().to_le_bytes())
        .collect();
    let noise = Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: noise,
    });
    let mut deep = Bson::Int32(1);
    for _ in 0..DEPTH {
        deep = Bson::Document(doc! { "d": deep });
    }
    vec![
        raw::encoded(&doc! { "_id": "2 MB", "text": random.words(16).repeat(20_000) }),
        raw::encoded(&doc! { "_id": "15 MB", "noise": noise }),
        raw::encoded(&doc! { "_id": "deep", "d": deep }),
    ]
}

/// Empty timestamps at the top level. An insert would fill in the server's time (SERVER-88750), so
/// they are wrapped first and unwrapped by an update, which does not.
async fn empty_timestamps(client: &Client) -> anyhow::Result<()> {
    let wrapped = (0..3).map(|number| {
        let (first, last) = (empty_timestamp(), empty_timestamp());
        let whole = doc! { "_id": number, "first": first, "n": 1, "last": last };
        raw::encoded(&doc! { "_id": number, "whole": whole })
    });
    raw::insert(&client.database("odd"), "empty_timestamps", wrapped).await?;
    let unwrap = vec![doc! { "$replaceRoot": { "newRoot": "$whole" } }];
    let update = doc! { "q": {}, "u": unwrap, "multi": true };
    run(
        client,
        "odd",
        doc! { "update": "empty_timestamps", "updates": [update] },
    )
    .await?;
    Ok(())
}

fn empty_timestamp() -> Bson {
    Bson::Timestamp(Timestamp {
        time: 0,
        increment: 0,
    })
}
