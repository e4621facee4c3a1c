//! The values that a dotted path reaches in a document: through documents by name, through arrays
//! both by position and by looking into every element, as the server's `BSONElementIterator` does
//! (`src/mongo/db/matcher/path.cpp`).

use super::error::{FilterError, MatchError};
use crate::value::{Fields, Value, kind};

/// How many parts a path may have; documents are at most 180 levels deep.
const PARTS_MAX: usize = 200;

/// What is asked of each value; `None` where the path leads nowhere. True ends the walk.
pub(super) type Visit<'v> = dyn FnMut(Option<Value<'_>>) -> Result<bool, MatchError> + 'v;

/// A dotted path.
#[derive(Clone, Debug)]
pub(super) struct Path {
    parts: Vec<Vec<u8>>,
}

/// Whether an array at the end of the path stands for its elements, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// Each element is asked, then the array itself.
    Elements,
    /// Only the array itself is asked.
    Whole,
}

impl Path {
    pub(super) fn parse(path: &[u8]) -> Result<Self, FilterError> {
        let parts: Vec<_> = path
            .split(|byte| *byte == b'.')
            .map(<[u8]>::to_vec)
            .collect();
        if parts.len() > PARTS_MAX {
            return Err(FilterError::TooDeep { limit: PARTS_MAX });
        }
        Ok(Self { parts })
    }

    /// Returns whether the path is this one name.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(&self.parts[..], [part] if part == name.as_bytes())
    }

    /// Asks `visit` of every value reached, until it answers true; returns whether it did.
    pub(super) fn any(
        &self,
        document: &[u8],
        at_end: AtEnd,
        visit: &mut Visit<'_>,
    ) -> Result<bool, MatchError> {
        through_document(document, &self.parts, at_end, visit)
    }
}

fn through_document(
    mut document: &[u8],
    parts: &[Vec<u8>],
    at_end: AtEnd,
    visit: &mut Visit<'_>,
) -> Result<bool, MatchError> {
    for (position, part) in parts.iter().enumerate() {
        let rest = &parts[position + 1..];
        match first_named(document, part)? {
            Some(array) if array.kind == kind::ARRAY => {
                return through_array(array, rest, at_end, visit);
            }
            Some(value) if rest.is_empty() => return visit(Some(value)),
            Some(value) if value.kind == kind::DOCUMENT => document = value.bytes,
            _ => break,
        }
    }
    visit(None)
}

/// Returns the first field of this name: the server, too, looks no further.
fn first_named<'a>(document: &'a [u8], name: &[u8]) -> Result<Option<Value<'a>>, MatchError> {
    for field in Fields::of(document)? {
        let (found, value) = field?;
        if found == name {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn through_array(
    array: Value<'_>,
    rest: &[Vec<u8>],
    at_end: AtEnd,
    visit: &mut Visit<'_>,
) -> Result<bool, MatchError> {
    // A path that ends with a dot ends here for the server, although its last part is empty.
    let ends = rest.iter().all(Vec::is_empty) && rest.len() <= 1;
    if !ends {
        return into_elements(array, rest, at_end, visit);
    }
    if at_end == AtEnd::Elements {
        for field in array.fields()? {
            if visit(Some(field?.1))? {
                return Ok(true);
            }
        }
    }
    visit(Some(array))
}

/// Follows `rest` into every element that is a document, and into the one at its position.
fn into_elements(
    array: Value<'_>,
    rest: &[Vec<u8>],
    at_end: AtEnd,
    visit: &mut Visit<'_>,
) -> Result<bool, MatchError> {
    let (next, after) = rest.split_first().expect("the path does not end here");
    let is_position = !next.is_empty() && next.iter().all(u8::is_ascii_digit);
    for field in array.fields()? {
        let (name, element) = field?;
        let is_document = element.kind == kind::DOCUMENT;
        if is_document && through_document(element.bytes, rest, at_end, visit)? {
            return Ok(true);
        }
        if !is_position || name != next {
            continue;
        }
        let found = match element.kind {
            // The position ends the path: an array there is not looked into.
            _ if after.is_empty() => visit(Some(element))?,
            kind::DOCUMENT => through_document(element.bytes, after, at_end, visit)?,
            kind::ARRAY => through_array(element, after, at_end, visit)?,
            _ => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
