//! Puts back documents with a top-level `Timestamp(0, 0)`, which inserts silently rewrite.
//!
//! A server replaces such a value by the present time when a document is inserted, by `insert` as
//! by `applyOps` (`fixDocumentForInsert` in `src/mongo/db/ops/insert.cpp`), unless it is the `_id`
//! and comes first. An update by an aggregation pipeline does not go through that: so the document
//! is inserted, comes out wrong with its right size, and is then replaced by the literal one.
use bson::{RawDocumentBuf, rawdoc};

use crate::load::id_element;
use crate::raw::{self, Builder, Elements, Malformed};

/// Tells whether an insert would change this document.
pub(crate) fn is_rewritten(document: &[u8]) -> Result<bool, Malformed> {
    for (position, element) in Elements::of(document)?.enumerate() {
        let element = element?;
        let is_first_id = position == 0 && element.name == b"_id";
        if element.kind == raw::TIMESTAMP
            && !is_first_id
            && document[element.value..element.end] == [0; 8]
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the command that replaces documents by what they should be, or with `upsert` also adds
/// those that are not there.
pub(crate) fn replace_command(
    collection: &str,
    documents: &[&[u8]],
    bypass_validation: bool,
    upsert: bool,
) -> Result<RawDocumentBuf, Malformed> {
    let mut updates = Vec::with_capacity(documents.len());
    for document in documents {
        updates.push(replacement(document, upsert)?);
    }
    let head = rawdoc! {
        "update": collection,
        "ordered": false,
        "bypassDocumentValidation": bypass_validation,
        "writeConcern": { "w": 1_i32, "j": false },
    };
    let updates: Vec<&[u8]> = updates.iter().map(|update| update.as_bytes()).collect();
    let mut builder = Builder::after(head, updates.iter().map(|update| update.len() + 8).sum());
    builder.documents("updates", &updates);
    Ok(builder.finish())
}

fn replacement(document: &[u8], upsert: bool) -> Result<RawDocumentBuf, Malformed> {
    let whole = |bytes: Vec<u8>| {
        RawDocumentBuf::from_bytes(bytes).map_err(|_| Malformed("a document is not valid BSON"))
    };
    let mut query = Builder::after(rawdoc! {}, 64);
    query.element(id_element(document)?);
    let literal = whole(document.to_vec())?;
    Ok(rawdoc! {
        "q": query.finish(),
        "u": [{ "$replaceWith": { "$literal": literal } }],
        "upsert": upsert,
    })
}

#[cfg(test)]
mod tests {
    use bson::{Timestamp, rawdoc};

    use super::*;

    #[test]
    fn only_a_zero_timestamp_at_the_top_is_rewritten() {
        let zero = Timestamp {
            time: 0,
            increment: 0,
        };
        let other = Timestamp {
            time: 0,
            increment: 1,
        };
        let cases = [
            (rawdoc! { "_id": 1, "t": zero }, true),
            (rawdoc! { "_id": 1, "t": other }, false),
            (rawdoc! { "_id": 1, "d": { "t": zero } }, false),
            (rawdoc! { "_id": 1, "a": [zero] }, false),
            (rawdoc! { "_id": zero, "a": 1 }, false),
            (rawdoc! { "_id": 1, "n": 0_i64 }, false),
        ];
        for (document, expected) in cases {
            assert_eq!(
                is_rewritten(document.as_bytes()),
                Ok(expected),
                "{document:?}"
            );
        }
    }
}
