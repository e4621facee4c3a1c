//! `MongoDB`'s match language on raw BSON: which documents a `find` with this filter would return.
//!
//! A document is decided as the server decides it under the simple collation: arrays are traversed,
//! null matches what is missing, a comparison stays within its type, numbers are compared by value.
//! What is not understood is refused by name when the filter is parsed, never guessed at
//! (`docs/decisions/0009-filters.md`). No document and no filter may make it panic.

mod bits;
mod compare;
mod error;
mod ids;
mod operator;
mod parse;
mod path;
mod pattern;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use bson::{Bson, RawDocument, RawDocumentBuf};
use bytes::Bytes;

pub use error::{FilterError, MatchError};

/// A parsed filter. Cheap to clone; the clones share what was parsed.
#[derive(Clone, Debug)]
pub struct Filter {
    root: Arc<tree::Node>,
}

impl Filter {
    /// Parses a filter as it would stand in a `find`.
    ///
    /// Operators that are not known, or that only a server can decide, are refused by name.
    pub fn parse(filter: &RawDocument) -> Result<Filter, FilterError> {
        let root = Arc::new(parse::filter(filter.as_bytes())?);
        Ok(Filter { root })
    }

    /// Parses a filter from extended JSON, as [`Filter::parse`] does; types other than JSON's are
    /// written as in `{"$oid": "…"}`, `{"$date": "…"}` and `{"$numberDecimal": "…"}`.
    pub fn parse_json(text: &str) -> Result<Filter, FilterError> {
        let fault = |fault: String| FilterError::Json { fault };
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| fault(error.to_string()))?;
        let value = Bson::try_from(value).map_err(|error| fault(error.to_string()))?;
        let Bson::Document(document) = value else {
            return Err(fault("it is another kind of value".to_owned()));
        };
        let raw = RawDocumentBuf::try_from(&document).map_err(|error| fault(error.to_string()))?;
        Filter::parse(&raw)
    }

    /// Returns whether the document matches.
    ///
    /// Fails where that can't be decided: a damaged document, or a regular expression that gave up.
    pub fn matches(&self, document: &RawDocument) -> Result<bool, MatchError> {
        self.root.matches(document.as_bytes())
    }

    /// Returns the raw `_id` elements (type byte, `_id\0`, value) a matching document can have.
    ///
    /// `None` where the filter doesn't pin `_id` to a list, or where the values have more encodings
    /// than can be listed. A document with one of these ids need not match: apply the filter too.
    pub fn ids(&self) -> Option<Vec<Bytes>> {
        ids::of_node(&self.root)
    }
}
