//! Which `_id`s a filter can match, as the bytes that may be stored.
//!
//! Values of different types can be equal, and a decimal can be written in many ways, so one value
//! of a filter stands for several encodings. Where they can't all be listed there is no answer.

use bytes::Bytes;

use super::tree::{Comparison, Condition, Node, Predicate};
use crate::number::{Decimal, EXPONENT_BIAS, Number, STORED_EXPONENT_MAX};
use crate::raw::Malformed;
use crate::value::{Value, kind};

/// How many ids are listed at most; a filter with more is answered by reading everything.
const IDS_MAX: usize = 100_000;
/// How many encodings of one value are listed at most.
const ENCODINGS_MAX: usize = 2_000;
/// The largest coefficient of a decimal.
const COEFFICIENT_MAX: u128 = 10u128.pow(34) - 1;

/// A type byte and the bytes of a value.
type Encoding = (u8, Vec<u8>);

/// Returns the raw `_id` elements a matching document can have; `None` if they can't be listed.
pub(super) fn of_node(node: &Node) -> Option<Vec<Bytes>> {
    let mut ids = match node {
        // Each child alone narrows the answer: the shortest list will do.
        Node::And(nodes) => nodes.iter().filter_map(of_node).min_by_key(Vec::len)?,
        Node::Or(nodes) => {
            let lists: Option<Vec<_>> = nodes.iter().map(of_node).collect();
            lists?.concat()
        }
        Node::Nor(_) => return None,
        Node::Field { path, condition } if path.is("_id") => of_condition(condition)?,
        Node::Field { .. } => return None,
    };
    ids.sort_unstable();
    ids.dedup();
    (ids.len() <= IDS_MAX).then_some(ids)
}

fn of_condition(condition: &Condition) -> Option<Vec<Bytes>> {
    match condition {
        Condition::All(conditions) => conditions
            .iter()
            .filter_map(of_condition)
            .min_by_key(Vec::len),
        Condition::Never => Some(Vec::new()),
        Condition::Not(_) => None,
        Condition::Is(Predicate::Compare(Comparison::Equal, value)) => of_value(value.value()),
        Condition::Is(Predicate::In(list)) if list.patterns.is_empty() => {
            let mut ids = Vec::new();
            for value in &list.values {
                ids.extend(of_value(value.value())?);
                if ids.len() > IDS_MAX {
                    return None;
                }
            }
            Some(ids)
        }
        Condition::Is(_) => None,
    }
}

fn of_value(value: Value<'_>) -> Option<Vec<Bytes>> {
    // Null matches documents without an `_id`, and no `_id` is an array.
    if matches!(value.kind, kind::NULL | kind::ARRAY) {
        return None;
    }
    let encodings = encodings(value).ok()??;
    let element = |(kind, bytes): Encoding| [&[kind][..], b"_id\0", &bytes].concat().into();
    Some(encodings.into_iter().map(element).collect())
}

/// Lists how a value that is equal to this one can be stored.
fn encodings(value: Value<'_>) -> Result<Option<Vec<Encoding>>, Malformed> {
    if let Some(number) = value.number()? {
        return Ok(of_number(number));
    }
    Ok(Some(match value.kind {
        kind::STRING | kind::SYMBOL => [kind::STRING, kind::SYMBOL]
            .map(|kind| (kind, value.bytes.to_vec()))
            .to_vec(),
        kind::DOCUMENT | kind::ARRAY => return of_fields(value),
        // The scope can hold numbers; nobody names documents by code.
        kind::CODE_WITH_SCOPE => return Ok(None),
        _ => vec![(value.kind, value.bytes.to_vec())],
    }))
}

/// Lists the documents with each combination of encodings of the fields.
fn of_fields(value: Value<'_>) -> Result<Option<Vec<Encoding>>, Malformed> {
    let mut bodies = vec![Vec::new()];
    for field in value.fields()? {
        let (name, value) = field?;
        let Some(encodings) = encodings(value)? else {
            return Ok(None);
        };
        if bodies.len() * encodings.len() > ENCODINGS_MAX {
            return Ok(None);
        }
        bodies = bodies
            .iter()
            .flat_map(|body| {
                encodings
                    .iter()
                    .map(move |(kind, bytes)| [&body[..], &[*kind], name, &[0], bytes].concat())
            })
            .collect();
    }
    let whole = |body: Vec<u8>| {
        let length = u32::try_from(body.len() + 5).expect("a filter is far below 4 GiB");
        let bytes = [&length.to_le_bytes()[..], &body, &[0]].concat();
        (value.kind, bytes)
    };
    Ok(Some(bodies.into_iter().map(whole).collect()))
}

/// Lists the encodings of a number that is neither zero nor infinite: those have too many.
fn of_number(number: Number) -> Option<Vec<Encoding>> {
    if number.is_zero() {
        return None;
    }
    let mut encodings = decimals(number)?;
    if let Some(whole) = number.whole() {
        encodings.push((kind::LONG, whole.to_le_bytes().to_vec()));
        if let Ok(int) = i32::try_from(whole) {
            encodings.push((kind::INT, int.to_le_bytes().to_vec()));
        }
    }
    if let Some(double) = nearest_double(number)
        && number.compare(Number::Double(double)).is_eq()
    {
        encodings.push((kind::DOUBLE, double.to_le_bytes().to_vec()));
    }
    Some(encodings)
}

/// Lists the decimals of this value: the coefficient with and without zeroes at its end.
fn decimals(number: Number) -> Option<Vec<Encoding>> {
    let (negative, mut coefficient, mut exponent) = match number {
        Number::Int(int) => (int < 0, u128::from(int.unsigned_abs()), 0),
        Number::Decimal(Decimal::Finite {
            negative,
            coefficient,
            exponent,
        }) => (negative, coefficient, exponent),
        Number::Double(double) if double.is_finite() => {
            match decimal_of_double(double) {
                Some(parts) => parts,
                // It has more digits than a decimal: none is equal.
                None => return Some(Vec::new()),
            }
        }
        Number::Decimal(_) | Number::Double(_) => return None,
    };
    while coefficient.is_multiple_of(10) {
        coefficient /= 10;
        exponent += 1;
    }
    let mut decimals = Vec::new();
    while coefficient <= COEFFICIENT_MAX {
        if let Ok(stored) = u128::try_from(exponent + EXPONENT_BIAS)
            && exponent + EXPONENT_BIAS <= STORED_EXPONENT_MAX
        {
            let bits = u128::from(negative) << 127 | stored << 113 | coefficient;
            decimals.push((kind::DECIMAL, bits.to_le_bytes().to_vec()));
        }
        coefficient *= 10;
        exponent -= 1;
    }
    Some(decimals)
}

/// Returns sign, coefficient and exponent of a finite double that has at most 34 digits.
fn decimal_of_double(double: f64) -> Option<(bool, u128, i32)> {
    let written = format!("{:.33e}", double.abs());
    let (digits, exponent) = written.split_once('e')?;
    let coefficient: u128 = digits.replace('.', "").parse().ok()?;
    let exponent = exponent.parse::<i32>().ok()? - 33;
    let decimal = Decimal::Finite {
        negative: double < 0.0,
        coefficient,
        exponent,
    };
    let exact = Number::Decimal(decimal)
        .compare(Number::Double(double))
        .is_eq();
    exact.then_some((double < 0.0, coefficient, exponent))
}

/// Returns the double closest to a number that is not infinite.
fn nearest_double(number: Number) -> Option<f64> {
    match number {
        Number::Double(double) => Some(double),
        Number::Int(int) => int.to_string().parse().ok(),
        Number::Decimal(Decimal::Finite {
            negative,
            coefficient,
            exponent,
        }) => {
            let sign = if negative { "-" } else { "" };
            format!("{sign}{coefficient}e{exponent}").parse().ok()
        }
        Number::Decimal(_) => None,
    }
}
