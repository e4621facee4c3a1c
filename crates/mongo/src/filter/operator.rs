//! The operators on one field that hold no further operators.

use super::bits::BitTest;
use super::compare::compare;
use super::error::FilterError;
use super::parse::{is_expression, literal};
use super::pattern::Pattern;
use super::tree::{Comparison, Condition, List, Predicate};
use crate::number::Number;
use crate::value::{Value, kind};

/// The operators that only a server can decide, and what they would need.
const UNSUPPORTED: [(&str, &str); 19] = [
    ("$expr", NO_EXPRESSIONS),
    ("$where", NO_EXPRESSIONS),
    ("$function", NO_EXPRESSIONS),
    (
        "$jsonSchema",
        "schemas are not evaluated on stored documents",
    ),
    ("$text", "it needs a text index"),
    ("$search", "it needs a text index"),
    ("$near", NO_GEOMETRY),
    ("$nearSphere", NO_GEOMETRY),
    ("$geoNear", NO_GEOMETRY),
    ("$geoWithin", NO_GEOMETRY),
    ("$geoIntersects", NO_GEOMETRY),
    ("$geoNever", NO_GEOMETRY),
    ("$within", NO_GEOMETRY),
    ("$maxDistance", NO_GEOMETRY),
    ("$minDistance", NO_GEOMETRY),
    ("$sampleRate", "its answer is random"),
    ("$rand", "its answer is random"),
    ("$alwaysTrue", "it is internal to the server"),
    ("$alwaysFalse", "it is internal to the server"),
];
const NO_EXPRESSIONS: &str = "expressions are not evaluated on stored documents";
const NO_GEOMETRY: &str = "geometry is not evaluated on stored documents";

/// The names that `$type` knows, and their type bytes.
const TYPE_NAMES: [(&str, &[u8]); 22] = [
    ("double", &[kind::DOUBLE]),
    ("string", &[kind::STRING]),
    ("object", &[kind::DOCUMENT]),
    ("array", &[kind::ARRAY]),
    ("binData", &[kind::BINARY]),
    ("undefined", &[kind::UNDEFINED]),
    ("objectId", &[kind::OBJECT_ID]),
    ("bool", &[kind::BOOLEAN]),
    ("date", &[kind::DATE]),
    ("null", &[kind::NULL]),
    ("regex", &[kind::REGEX]),
    ("dbPointer", &[kind::DB_POINTER]),
    ("javascript", &[kind::CODE]),
    ("symbol", &[kind::SYMBOL]),
    ("javascriptWithScope", &[kind::CODE_WITH_SCOPE]),
    ("int", &[kind::INT]),
    ("timestamp", &[kind::TIMESTAMP]),
    ("long", &[kind::LONG]),
    ("decimal", &[kind::DECIMAL]),
    ("minKey", &[kind::MIN_KEY]),
    ("maxKey", &[kind::MAX_KEY]),
    (
        "number",
        &[kind::DOUBLE, kind::INT, kind::LONG, kind::DECIMAL],
    ),
];

/// Returns why an operator is not taken here.
pub(super) fn refused(name: &str) -> FilterError {
    let known = UNSUPPORTED.iter().find(|(known, _)| *known == name);
    let name = name.to_owned();
    match known {
        Some((_, reason)) => FilterError::Unsupported { name, reason },
        None => FilterError::Unknown { name },
    }
}

/// Returns whether an operator stands where a path would, not behind one.
pub(super) fn takes_no_path(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 10] = [
        b"$and",
        b"$or",
        b"$nor",
        b"$comment",
        b"$expr",
        b"$where",
        b"$text",
        b"$jsonSchema",
        b"$alwaysTrue",
        b"$alwaysFalse",
    ];
    NAMES.contains(&name)
}

/// Reads an operator whose argument holds no operators.
pub(super) fn simple(name: &str, argument: Value<'_>) -> Result<Condition, FilterError> {
    let is = |predicate| Ok(Condition::Is(predicate));
    let not = |condition| Ok(Condition::Not(Box::new(condition)));
    match name {
        "$eq" => equal(argument),
        "$ne" => not(comparison(name, Comparison::Equal, argument)?),
        "$lt" => comparison(name, Comparison::Less, argument),
        "$lte" => comparison(name, Comparison::LessOrEqual, argument),
        "$gt" => comparison(name, Comparison::Greater, argument),
        "$gte" => comparison(name, Comparison::GreaterOrEqual, argument),
        "$in" => list(name, argument),
        "$nin" => not(list(name, argument)?),
        "$exists" if is_true(argument)? => is(Predicate::Exists),
        "$exists" => not(Condition::Is(Predicate::Exists)),
        "$type" => is(Predicate::Kind(kinds(argument)?)),
        "$size" => is(Predicate::Size(size(argument)?)),
        "$mod" => is(modulo(argument)?),
        "$bitsAllSet" | "$bitsAllClear" | "$bitsAnySet" | "$bitsAnyClear" => {
            is(Predicate::Bits(BitTest::parse(name, argument)?))
        }
        _ => Err(refused(name)),
    }
}

/// Reads a value to equal.
pub(super) fn equal(value: Value<'_>) -> Result<Condition, FilterError> {
    let literal = literal("$eq", value)?;
    Ok(Condition::Is(Predicate::Compare(
        Comparison::Equal,
        literal,
    )))
}

/// Reads a value to equal, or a regular expression to search with.
pub(super) fn equal_or_pattern(value: Value<'_>) -> Result<Condition, FilterError> {
    if value.kind != kind::REGEX {
        return equal(value);
    }
    let (pattern, options) = value.regex()?;
    Ok(Condition::Is(Predicate::Pattern(Pattern::new(
        pattern, options,
    )?)))
}

fn comparison(
    name: &str,
    comparison: Comparison,
    argument: Value<'_>,
) -> Result<Condition, FilterError> {
    if argument.kind == kind::REGEX {
        return Err(FilterError::argument(name, "takes no regular expression"));
    }
    let literal = literal(name, argument)?;
    Ok(Condition::Is(Predicate::Compare(comparison, literal)))
}

fn list(name: &str, argument: Value<'_>) -> Result<Condition, FilterError> {
    if argument.kind != kind::ARRAY {
        return Err(FilterError::argument(name, "takes a list"));
    }
    let (mut values, mut patterns) = (Vec::new(), Vec::new());
    for field in argument.fields()? {
        let (_, value) = field?;
        if is_expression(value)? {
            return Err(FilterError::argument(
                name,
                "takes no operators in its list",
            ));
        }
        if value.kind == kind::REGEX {
            let (pattern, options) = value.regex()?;
            patterns.push(Pattern::new(pattern, options)?);
            // A stored regular expression that is written the same is found by the pattern.
        } else {
            values.push(literal(name, value)?);
        }
    }
    values.sort_by(|left, right| {
        compare(left.value(), right.value()).expect("the whole filter was validated")
    });
    Ok(Condition::Is(Predicate::In(List { values, patterns })))
}

/// Reads `$regex` of a document of operators, with its `$options`.
pub(super) fn pattern(argument: Value<'_>, operators: Value<'_>) -> Result<Condition, FilterError> {
    let fault = |fault| Err(FilterError::argument("$regex", fault));
    let (pattern, own_options) = match argument.kind {
        kind::STRING => (argument.text()?, &b""[..]),
        kind::REGEX => argument.regex()?,
        _ => return fault("takes a string or a regular expression"),
    };
    let options = match sibling(operators, b"$options")? {
        Some(options) if options.kind != kind::STRING => {
            return Err(FilterError::argument("$options", "takes a string"));
        }
        Some(_) if !own_options.is_empty() => {
            return fault("and $options both have options");
        }
        Some(options) => options.text()?,
        None => own_options,
    };
    Ok(Condition::Is(Predicate::Pattern(Pattern::new(
        pattern, options,
    )?)))
}

/// Checks that `$options` has a `$regex` to belong to, which reads it.
pub(super) fn options(argument: Value<'_>, operators: Value<'_>) -> Result<(), FilterError> {
    let fault = match sibling(operators, b"$regex")? {
        Some(_) if argument.kind == kind::STRING => return Ok(()),
        Some(_) => "takes a string",
        None => "needs a $regex",
    };
    Err(FilterError::argument("$options", fault))
}

fn sibling<'a>(operators: Value<'a>, name: &[u8]) -> Result<Option<Value<'a>>, FilterError> {
    for field in operators.fields()? {
        let (found, value) = field?;
        if found == name {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn is_true(value: Value<'_>) -> Result<bool, FilterError> {
    Ok(match value.kind {
        kind::UNDEFINED | kind::NULL => false,
        kind::BOOLEAN => value.bytes != [0],
        _ => !value.number()?.is_some_and(Number::is_zero),
    })
}

fn kinds(argument: Value<'_>) -> Result<Vec<u8>, FilterError> {
    if argument.kind != kind::ARRAY {
        return Ok(kind_named(argument)?.to_vec());
    }
    let mut kinds = Vec::new();
    for field in argument.fields()? {
        kinds.extend_from_slice(kind_named(field?.1)?);
    }
    if kinds.is_empty() {
        return Err(FilterError::argument("$type", "takes at least one type"));
    }
    Ok(kinds)
}

/// Returns the type bytes that a name or number of a type stands for.
fn kind_named(value: Value<'_>) -> Result<&'static [u8], FilterError> {
    let found = if value.kind == kind::STRING {
        let name = value.lossy_text()?;
        TYPE_NAMES.iter().find(|(known, _)| *known == name)
    } else {
        // The smallest key is minus one, as a signed byte.
        let number = value.number()?.and_then(Number::whole);
        let number = number.and_then(|number| i8::try_from(number).ok());
        let number = number.map(i8::cast_unsigned);
        TYPE_NAMES
            .iter()
            .find(|(_, kinds)| kinds.len() == 1 && number == Some(kinds[0]))
    };
    found.map(|(_, kinds)| *kinds).ok_or_else(|| {
        let fault = "takes the name or number of a BSON type, or a list of them";
        FilterError::argument("$type", fault)
    })
}

fn size(argument: Value<'_>) -> Result<usize, FilterError> {
    let whole = argument.number()?.and_then(Number::whole);
    whole
        .and_then(|size| u32::try_from(size).ok())
        .map(|size| size as usize)
        .ok_or_else(|| FilterError::argument("$size", "takes a whole number that is not negative"))
}

fn modulo(argument: Value<'_>) -> Result<Predicate, FilterError> {
    let fault = || FilterError::argument("$mod", "takes a list of a divisor and a remainder");
    if argument.kind != kind::ARRAY {
        return Err(fault());
    }
    let mut numbers = Vec::new();
    for field in argument.fields()? {
        let number = field?.1.number()?.and_then(Number::truncated);
        numbers.push(number.ok_or_else(fault)?);
    }
    match numbers[..] {
        [0, _] => Err(FilterError::argument("$mod", "takes no divisor of zero")),
        [divisor, remainder] => Ok(Predicate::Mod { divisor, remainder }),
        _ => Err(fault()),
    }
}
