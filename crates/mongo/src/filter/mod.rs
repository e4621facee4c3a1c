//! `MongoDB`'s match language on raw BSON: which documents a `find` with this filter would return.
//!
//! A document is decided as the server decides it under the simple collation: arrays are traversed,
//! null matches what is missing, a comparison stays within its type, numbers are compared by value.
//! What is not understood is refused by name when the filter is parsed, never guessed at.
//! No document and no filter may make it panic.

mod error;

use bson::RawDocument;
use bytes::Bytes;

pub use error::{FilterError, MatchError};

/// A parsed filter. Cheap to clone; the clones share what was parsed.
#[derive(Clone, Debug)]
pub struct Filter {}

impl Filter {
    /// Parses a filter as it would stand in a `find`.
    ///
    /// Operators that are not known, or that only a server can decide, are refused by name.
    pub fn parse(filter: &RawDocument) -> Result<Filter, FilterError> {
        let _ = filter;
        unimplemented!("delivered next")
    }

    /// Returns whether the document matches.
    ///
    /// Fails where that can't be decided: a damaged document, or a regular expression that gave up.
    pub fn matches(&self, document: &RawDocument) -> Result<bool, MatchError> {
        let _ = document;
        unimplemented!("delivered next")
    }

    /// Returns the raw `_id` elements (type byte, `_id\0`, value) that a matching document can have.
    ///
    /// `None` where the filter doesn't pin `_id` to a list, or where the values have more encodings
    /// than can be listed. A document with one of these ids need not match: apply the filter too.
    pub fn ids(&self) -> Option<Vec<Bytes>> {
        unimplemented!("delivered next")
    }
}
