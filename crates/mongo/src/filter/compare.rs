//! The order of BSON values: by class, then within the class, as the server's under the simple
//! collation (`BSONElement::compareElements` in `src/mongo/bson/bsonelement.cpp`).

use std::cmp::Ordering;

use crate::raw::Malformed;
use crate::value::{Fields, Value, kind};

/// Compares two values of any types.
pub(super) fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Malformed> {
    let classes = left.class().cmp(&right.class());
    if classes.is_ne() {
        return Ok(classes);
    }
    if let (Some(left), Some(right)) = (left.number()?, right.number()?) {
        return Ok(left.compare(right));
    }
    Ok(match left.kind {
        kind::STRING | kind::SYMBOL | kind::CODE => left.text()?.cmp(right.text()?),
        kind::DOCUMENT | kind::ARRAY => return fields(left.fields()?, right.fields()?),
        // The subtype stands before the bytes; the length decides first.
        kind::BINARY | kind::DB_POINTER => {
            let by_length = left.bytes.len().cmp(&right.bytes.len());
            by_length.then_with(|| left.bytes.cmp(right.bytes))
        }
        kind::OBJECT_ID | kind::BOOLEAN => left.bytes.cmp(right.bytes),
        kind::DATE => i64::from_le_bytes(left.fixed()?).cmp(&i64::from_le_bytes(right.fixed()?)),
        kind::TIMESTAMP => {
            u64::from_le_bytes(left.fixed()?).cmp(&u64::from_le_bytes(right.fixed()?))
        }
        kind::REGEX => left.regex()?.cmp(&right.regex()?),
        kind::CODE_WITH_SCOPE => {
            let ((left, left_scope), (right, right_scope)) =
                (left.scoped_code()?, right.scoped_code()?);
            match left.cmp(right) {
                Ordering::Equal => return fields(left_scope, right_scope),
                order => order,
            }
        }
        _ => Ordering::Equal,
    })
}

/// Compares documents field by field: class, then name, then value; the shorter one is less.
fn fields(left: Fields<'_>, mut right: Fields<'_>) -> Result<Ordering, Malformed> {
    for field in left {
        let (left_name, left_value) = field?;
        let Some(field) = right.next() else {
            return Ok(Ordering::Greater);
        };
        let (right_name, right_value) = field?;
        let order = left_value.class().cmp(&right_value.class());
        let order = order.then_with(|| left_name.cmp(right_name));
        if order.is_ne() {
            return Ok(order);
        }
        let order = compare(left_value, right_value)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(match right.next() {
        Some(_) => Ordering::Less,
        None => Ordering::Equal,
    })
}
