//! What must hold of filters without a server; that they decide as one does is proved in
//! `tests/it/filters`.

use bson::{Bson, Document, doc, rawdoc};

use super::*;

fn parse(filter: &Document) -> Result<Filter, FilterError> {
    Filter::parse(&bson::RawDocumentBuf::try_from(filter).unwrap())
}

fn matches(filter: Document, document: Document) -> bool {
    let document = bson::RawDocumentBuf::try_from(&document).unwrap();
    parse(&filter).unwrap().matches(&document).unwrap()
}

fn ids(filter: Document) -> Option<usize> {
    parse(&filter).unwrap().ids().map(|ids| ids.len())
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    for (filter, name) in [
        (doc! { "$expr": { "$eq": ["$a", 1] } }, "$expr"),
        (doc! { "$where": "true" }, "$where"),
        (doc! { "$text": { "$search": "x" } }, "$text"),
        (doc! { "$jsonSchema": {} }, "$jsonSchema"),
        (doc! { "a": { "$geoWithin": {} } }, "$geoWithin"),
        (doc! { "a": { "$near": [1, 2] } }, "$near"),
        (doc! { "a": { "$gt": 1, "b": 1 } }, "b"),
        (doc! { "a": { "$strange": 1 } }, "$strange"),
        (doc! { "$strange": 1 }, "$strange"),
        (doc! { "a": { "$not": { "$or": [{ "$gt": 1 }] } } }, "$or"),
        (doc! { "$or": [{ "a": 1 }, { "$where": "f()" }] }, "$where"),
        (doc! { "a": { "$regex": "(" } }, "$regex"),
        (doc! { "a": { "$regex": "a", "$options": "g" } }, "$regex"),
        (doc! { "a": { "$options": "i" } }, "$options"),
        (doc! { "a": { "$in": 1 } }, "$in"),
        (doc! { "$and": [] }, "$and"),
        (doc! { "a": { "$mod": [0, 1] } }, "$mod"),
        (doc! { "a": Bson::Undefined }, "$eq"),
    ] {
        let error = parse(&filter).unwrap_err().to_string();
        assert!(error.contains(name), "{filter}: {error}");
    }
}

#[test]
fn a_filter_is_read_from_extended_json() {
    let filter = Filter::parse_json(
        r#"{"a": {"$gte": {"$date": "2020-01-01T00:00:00Z"}}, "b": {"$regex": "x", "$options": "i"},
            "_id": {"$in": [{"$oid": "5cc9b501e5dc7c8ab1e45d65"}, {"$numberLong": "7"}]}}"#,
    )
    .unwrap();
    let date = bson::DateTime::from_millis(1_600_000_000_000);
    let matching = rawdoc! { "_id": 7, "a": date, "b": "aXb" };
    assert_eq!(filter.matches(&matching), Ok(true));
    let older = rawdoc! { "_id": 7, "a": bson::DateTime::from_millis(0), "b": "aXb" };
    assert_eq!(filter.matches(&older), Ok(false));
    for text in [
        "",
        "[]",
        "5",
        "{a: 1}",
        r#"{"$oid": "5cc9b501e5dc7c8ab1e45d65"}"#,
    ] {
        let error = Filter::parse_json(text).unwrap_err();
        assert!(matches!(error, FilterError::Json { .. }), "{text}: {error}");
    }
}

#[test]
fn a_regular_expression_that_reaches_its_limit_is_an_error_not_a_mismatch() {
    let filter = parse(&doc! { "a": { "$regex": "^(a+)+$" } }).unwrap();
    let document = rawdoc! { "a": format!("{}b", "a".repeat(40)) };
    let error = filter.matches(&document).unwrap_err();
    assert!(matches!(error, MatchError::Regex { .. }), "{error}");
}

#[test]
fn patterns_are_of_the_servers_language() {
    let found = |pattern: &str, text: &str| {
        matches(doc! { "a": { "$regex": pattern } }, doc! { "a": text })
    };
    assert!(found("end$", "the end\n"));
    assert!(!found("end\\z", "the end\n"));
    assert!(!found("^\\w$", "ä"));
    assert!(found("^.$", "ä"));
    assert!(found("(?i)Ä", "ä"));
    assert!(found("(\\w+) \\1", "two two"));
    assert!(found("a(?!b)", "abac"));
}

#[test]
fn ids_are_listed_where_the_filter_pins_them() {
    // As 32-bit, 64-bit, double, and decimal with 0 to 33 zeroes at its end.
    assert_eq!(ids(doc! { "_id": 1 }), Some(37));
    assert_eq!(ids(doc! { "_id": 12_i64 }), Some(36));
    assert_eq!(ids(doc! { "_id": 0.5 }), Some(35));
    // Too many digits for a decimal.
    assert_eq!(ids(doc! { "_id": 0.1 }), Some(1));
    // As string and as symbol.
    assert_eq!(ids(doc! { "_id": "a" }), Some(2));
    assert_eq!(ids(doc! { "_id": { "$in": ["a", "b"] }, "x": 1 }), Some(4));
    assert_eq!(ids(doc! { "_id": { "a": "x", "b": true } }), Some(2));
    assert_eq!(ids(doc! { "_id": { "a": 1, "b": 2 } }), Some(37 * 37));
    assert_eq!(ids(doc! { "_id": { "a": 1, "b": 2, "c": 3 } }), None);
    let id = bson::oid::ObjectId::new();
    assert_eq!(ids(doc! { "_id": id }), Some(1));
    assert_eq!(
        ids(doc! { "$or": [{ "_id": id }, { "_id": true }] }),
        Some(2)
    );
    assert_eq!(
        ids(doc! { "$and": [{ "_id": { "$in": [id, true] } }, { "_id": id }] }),
        Some(1)
    );
    assert_eq!(ids(doc! { "_id": { "$in": [] } }), Some(0));
}

#[test]
fn ids_are_not_claimed_where_they_cannot_be_listed() {
    for filter in [
        doc! {},
        doc! { "x": 1 },
        doc! { "_id": 0 },
        doc! { "_id": f64::NAN },
        doc! { "_id": f64::INFINITY },
        doc! { "_id": Bson::Null },
        doc! { "_id": [1] },
        doc! { "_id": { "$gt": 1 } },
        doc! { "_id": { "$ne": 1 } },
        doc! { "_id": { "$in": ["a", { "n": 0 }] } },
        doc! { "_id.a": 1 },
        doc! { "$or": [{ "_id": 1 }, { "x": 1 }] },
        doc! { "$nor": [{ "_id": 1 }] },
    ] {
        assert_eq!(parse(&filter).unwrap().ids(), None, "{filter}");
    }
}

#[test]
fn every_listed_id_is_equal_to_the_pinned_one() {
    for value in [
        Bson::from(7),
        250_i64.into(),
        1.5.into(),
        Bson::from(-3),
        "text".into(),
    ] {
        let filter = parse(&doc! { "_id": value.clone() }).unwrap();
        for id in filter.ids().unwrap() {
            let length = i32::try_from(id.len() + 5).unwrap().to_le_bytes();
            let document = [&length[..], &id, &[0]].concat();
            let document = RawDocument::from_bytes(&document).unwrap();
            assert_eq!(filter.matches(document), Ok(true), "{value}: {document:?}");
        }
    }
}

#[test]
fn a_filter_nested_too_deep_is_refused() {
    let mut filter = doc! { "a": 1 };
    for _ in 0..120 {
        filter = doc! { "$and": [filter] };
    }
    assert!(matches!(parse(&filter), Err(FilterError::TooDeep { .. })));
    let mut value = doc! { "a": 1 };
    for _ in 0..250 {
        value = doc! { "a": value };
    }
    assert!(matches!(parse(&value), Err(FilterError::TooDeep { .. })));
}

#[test]
fn a_damaged_document_is_an_error() {
    let filter = parse(&doc! { "a.b": 1 }).unwrap();
    let mut bytes = rawdoc! { "a": { "b": 1 } }.into_bytes();
    // The length of the document within.
    bytes[7] = 100;
    let document = RawDocument::from_bytes(&bytes).unwrap();
    assert!(matches!(
        filter.matches(document),
        Err(MatchError::Document { .. })
    ));
}

#[test]
fn no_flipped_byte_of_filter_or_document_makes_it_panic() {
    let filter = doc! {
        "$or": [{ "a.0.b": { "$gt": 1.5, "$not": { "$in": [1, "x", { "y": 2_i64 }] } } }],
        "s": { "$regex": "^a+", "$options": "i" }, "n": { "$mod": [3, 1], "$bitsAllSet": 5 },
        "_id": { "$in": [1, "a", "1.5".parse::<bson::Decimal128>().unwrap()] },
        "l": { "$elemMatch": { "$size": 1 }, "$all": [{ "$elemMatch": { "b": Bson::Null } }] },
    };
    let document = rawdoc! {
        "_id": 1, "a": [{ "b": 2 }], "s": "aaa", "n": 7, "l": [[1], { "b": "x" }],
    };
    let (filter, document) = (
        bson::RawDocumentBuf::try_from(&filter)
            .unwrap()
            .into_bytes(),
        document.into_bytes(),
    );
    let whole = Filter::parse(RawDocument::from_bytes(&filter).unwrap()).unwrap();
    for value in [0, 1, 2, 4, 0x0B, 0x10, 0x13, 0x24, 0x7F, 0x80, 0xFF] {
        for position in 0..filter.len() {
            let mut broken = filter.clone();
            broken[position] = value;
            let Ok(broken) = RawDocument::from_bytes(&broken) else {
                continue;
            };
            if let Ok(parsed) = Filter::parse(broken) {
                let _ = parsed.ids();
                let _ = parsed.matches(RawDocument::from_bytes(&document).unwrap());
            }
        }
        for position in 0..document.len() {
            let mut broken = document.clone();
            broken[position] = value;
            if let Ok(broken) = RawDocument::from_bytes(&broken) {
                let _ = whole.matches(broken);
            }
        }
    }
}
