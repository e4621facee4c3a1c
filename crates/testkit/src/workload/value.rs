//! What is written: identities from a small space, so that writers meet, and documents of many
//! sizes and kinds.

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};

use crate::random::Random;

/// One in so many documents is large.
const LARGE_ONE_IN: u32 = 40;
/// Digits of a large document at most.
const LARGE_DIGITS: u32 = 60_000;

/// Returns one of `space` identities, of all the types that are usual and some that are not.
pub(super) fn id(random: &mut Random, space: u32) -> Bson {
    let number = random.below(space);
    let small = i32::try_from(number).expect("spaces are small");
    match number % 8 {
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
        _ => Bson::DateTime(DateTime::from_millis(small.into())),
    }
}

/// Returns a number and an equal one of another type: one identity to the server, two to whoever
/// compares bytes.
pub(super) fn equal_ids(random: &mut Random, space: u32) -> (Bson, Bson) {
    let number = i32::try_from(random.below(space)).expect("spaces are small");
    let of_type = |kind: u32| match kind % 3 {
        0 => Bson::Int32(number),
        1 => Bson::Int64(number.into()),
        _ => Bson::Double(number.into()),
    };
    let first = random.below(3);
    (of_type(first), of_type(first + 1 + random.below(2)))
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
