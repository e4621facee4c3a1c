//! What is written: identities from a small space, so that writers meet, and documents of many
//! sizes and kinds.

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Decimal128, Document, Timestamp, doc};

use crate::random::Random;

/// One in so many documents is large.
const LARGE_ONE_IN: u32 = 40;
/// Digits of a large document at most.
const LARGE_DIGITS: u32 = 60_000;

/// Returns one of `space` identities, of all the types that are usual and some that are not.
pub(super) fn id(random: &mut Random, space: u32) -> Bson {
    let number = random.below(space);
    let small = i32::try_from(number).expect("spaces are small");
    match number % 9 {
        0 | 1 => Bson::Int32(small),
        2 => Bson::Int64(small.into()),
        3 => Bson::Double(small.into()),
        4 => Bson::String(format!("id {number} ☕")),
        5 => {
            let mut bytes = [7; 12];
            bytes[8..].copy_from_slice(&number.to_be_bytes());
            Bson::ObjectId(ObjectId::from_bytes(bytes))
        }
        6 => Bson::Document(doc! { "a": small, "b": [1, "x"] }),
        7 => Bson::DateTime(DateTime::from_millis(small.into())),
        _ => odd_id(number / 9),
    }
}

/// Returns an identity that servers take and few applications have. Arrays, regular expressions
/// and undefined are refused.
fn odd_id(number: u32) -> Bson {
    let small = i32::try_from(number).expect("spaces are small");
    let binary = |subtype| Binary {
        subtype,
        bytes: number.to_be_bytes().repeat(4),
    };
    match number % 16 {
        0 => Bson::Null,
        1 => Bson::Double(f64::NAN),
        2 => Bson::Double(-0.0),
        3 => Bson::Double(f64::INFINITY),
        4 => Bson::Boolean(number % 32 < 16),
        5 => Bson::Binary(binary(BinarySubtype::Generic)),
        6 => Bson::Binary(binary(BinarySubtype::Uuid)),
        7 => decimal(&format!("{number}.50")),
        8 => decimal("NaN"),
        9 => Bson::MinKey,
        10 => Bson::MaxKey,
        11 => Bson::Timestamp(Timestamp {
            time: number,
            increment: 1,
        }),
        12 => Bson::Document(doc! {}),
        13 => Bson::Document(doc! { "a": f64::from(small), "": { "b": Bson::Null } }),
        14 => Bson::String(format!("zero \0 {number}")),
        _ => Bson::Symbol(format!("symbol {number}")),
    }
}

/// Returns a value and an equal one of another type or form: one identity to the server, two to
/// whoever compares bytes. Texts are equal only where a collation says so.
pub(super) fn equal_ids(random: &mut Random, space: u32) -> (Bson, Bson) {
    let number = i32::try_from(random.below(space)).expect("spaces are small");
    let of_form = |form: u32| match form % 4 {
        0 => Bson::Int32(number),
        1 => Bson::Int64(number.into()),
        // The other zero.
        2 if number == 0 => Bson::Double(-0.0),
        2 => Bson::Double(number.into()),
        _ => decimal(&format!("{number}.00")),
    };
    let first = random.below(4);
    let (one, other) = (of_form(first), of_form(first + 1 + random.below(3)));
    let within = |value: Bson| Bson::Document(doc! { "a": value, "b": [1, "x"] });
    match random.below(6) {
        0 => (within(one), within(other)),
        1 => {
            let text = format!("id {number} ☕");
            (text.to_uppercase().into(), text.into())
        }
        _ => (one, other),
    }
}

fn decimal(text: &str) -> Bson {
    let number = text.parse::<Decimal128>();
    Bson::Decimal128(number.expect("a number that the standard allows"))
}

/// Returns text of this length that hardly any two draws have in common, and that packs well.
pub(super) fn long_text(random: &mut Random, length: usize) -> String {
    let piece = random.token(1_000);
    let mut text = piece.repeat(length / piece.len() + 1);
    text.truncate(length);
    text
}

/// Returns the members of a document without its identity.
pub(super) fn body(random: &mut Random) -> Document {
    // Now, give or take: a workload's times are the only thing that is not of the seed.
    let at = DateTime::now().timestamp_millis() - i64::from(random.int(3_000));
    let mut document = doc! {
        "group": random.int(10), "count": random.int(1_000), "text": random.words(8),
        "nested": { "a": random.int(5), "b": { "c": random.words(2) } },
        "list": [random.int(9), random.int(9)],
        "at": DateTime::from_millis(at),
    };
    if random.below(LARGE_ONE_IN) == 0 {
        let digits = random.below(LARGE_DIGITS) as usize;
        document.insert("large", random.token(digits));
    }
    document
}

/// Returns a whole document.
pub(super) fn document(random: &mut Random, space: u32) -> Document {
    let mut document = doc! { "_id": id(random, space) };
    document.extend(body(random));
    document
}
