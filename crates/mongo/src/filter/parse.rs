//! Reads a filter. It must refuse, by name, whatever it would not decide as the server does.

use super::error::FilterError;
use super::operator;
use super::path::Path;
use super::tree::{Condition, Node, Predicate};
use crate::value::{Fields, Literal, Value, kind};

/// How deep operators may be nested, as on the server (`internalQueryMaxAllowedDepth`… of 100).
const OPERATORS_DEEP_MAX: usize = 100;
/// How deep the filter's BSON may be nested: the server's limit for what a client sends.
const VALUES_DEEP_MAX: usize = 200;

/// Where a document of field names stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Top,
    /// In `$elemMatch`, where the members of a database reference are names of fields.
    Element,
}

/// Reads a whole filter.
pub(super) fn filter(bytes: &[u8]) -> Result<Node, FilterError> {
    validate(Fields::of(bytes)?, 0)?;
    node(Fields::of(bytes)?, Level::Top, 0)
}

/// Checks the framing of everything, so that reading and comparing can't fail later.
fn validate(fields: Fields<'_>, depth: usize) -> Result<(), FilterError> {
    let limit = VALUES_DEEP_MAX;
    if depth > limit {
        return Err(FilterError::TooDeep { limit });
    }
    for field in fields {
        let (_, value) = field?;
        match value.kind {
            kind::DOCUMENT | kind::ARRAY => validate(value.fields()?, depth + 1)?,
            kind::STRING | kind::SYMBOL | kind::CODE => drop(value.text()?),
            kind::REGEX => drop(value.regex()?),
            kind::CODE_WITH_SCOPE => validate(value.scoped_code()?.1, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

/// Reads a document of paths and logical operators: all of them must hold.
pub(super) fn node(fields: Fields<'_>, level: Level, depth: usize) -> Result<Node, FilterError> {
    let mut nodes = Vec::new();
    for field in fields {
        let (name, value) = field?;
        if !name.starts_with(b"$") {
            nodes.push(Node::Field {
                path: Path::parse(name)?,
                condition: condition(value, depth)?,
            });
            continue;
        }
        let name = &*String::from_utf8_lossy(name);
        match name {
            "$and" => nodes.push(Node::And(list(name, value, level, depth)?)),
            "$or" => nodes.push(Node::Or(list(name, value, level, depth)?)),
            "$nor" => nodes.push(Node::Nor(list(name, value, level, depth)?)),
            "$comment" => {}
            "$ref" | "$id" | "$db" if level == Level::Element => nodes.push(Node::Field {
                path: Path::parse(name.as_bytes())?,
                condition: operator::equal(value)?,
            }),
            _ => return Err(operator::refused(name)),
        }
    }
    Ok(Node::And(nodes))
}

/// Reads the operands of a logical operator.
fn list(
    name: &str,
    value: Value<'_>,
    level: Level,
    depth: usize,
) -> Result<Vec<Node>, FilterError> {
    let fault = || FilterError::argument(name, "takes a list of at least one document");
    if value.kind != kind::ARRAY {
        return Err(fault());
    }
    let depth = deeper(depth)?;
    let mut nodes = Vec::new();
    for field in value.fields()? {
        let (_, operand) = field?;
        if operand.kind != kind::DOCUMENT {
            return Err(fault());
        }
        nodes.push(node(operand.fields()?, level, depth)?);
    }
    if nodes.is_empty() {
        return Err(fault());
    }
    Ok(nodes)
}

/// Reads what stands behind a path: operators, a regular expression, or a value to equal.
fn condition(value: Value<'_>, depth: usize) -> Result<Condition, FilterError> {
    if has_operators(value, Reference::Whole)? {
        return operators(value, depth);
    }
    operator::equal_or_pattern(value)
}

/// Reads a document of operators: all of them must hold.
pub(super) fn operators(value: Value<'_>, depth: usize) -> Result<Condition, FilterError> {
    let mut conditions = Vec::new();
    for field in value.fields()? {
        let (name, argument) = field?;
        let name = String::from_utf8_lossy(name);
        match &*name {
            "$regex" => conditions.push(operator::pattern(argument, value)?),
            "$options" => operator::options(argument, value)?,
            "$not" => conditions.push(not(argument, depth)?),
            "$elemMatch" => conditions.push(Condition::Is(element(argument, depth)?)),
            "$all" => conditions.push(every(argument, depth)?),
            name => conditions.push(operator::simple(name, argument)?),
        }
    }
    Ok(Condition::All(conditions))
}

/// Which documents count as a reference to a document rather than as operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    /// One with `$ref` and `$id`.
    Whole,
    /// One with any of `$ref`, `$id` and `$db`.
    Part,
}

/// Returns whether a value is a document whose first name is an operator's.
fn has_operators(value: Value<'_>, reference: Reference) -> Result<bool, FilterError> {
    if value.kind != kind::DOCUMENT {
        return Ok(false);
    }
    let mut first = None;
    let mut found = [false; 3];
    for field in value.fields()? {
        let (name, _) = field?;
        first.get_or_insert(name);
        for (found, member) in found.iter_mut().zip([&b"$ref"[..], b"$id", b"$db"]) {
            *found |= name == member;
        }
    }
    let is_reference = match reference {
        Reference::Whole => found[0] && found[1],
        Reference::Part => found.contains(&true),
    };
    Ok(first.is_some_and(|name| name.starts_with(b"$")) && !is_reference)
}

/// Returns whether a value would be read as operators where only values may stand.
pub(super) fn is_expression(value: Value<'_>) -> Result<bool, FilterError> {
    has_operators(value, Reference::Whole)
}

fn not(argument: Value<'_>, depth: usize) -> Result<Condition, FilterError> {
    let negated = match argument.kind {
        kind::REGEX => operator::equal_or_pattern(argument)?,
        kind::DOCUMENT if argument.fields()?.next().is_some() => {
            operators(argument, deeper(depth)?)?
        }
        _ => {
            let fault = "takes a regular expression or a document of operators";
            return Err(FilterError::argument("$not", fault));
        }
    };
    Ok(Condition::Not(Box::new(negated)))
}

/// Reads `$elemMatch`: operators on the element itself, or paths within it.
fn element(argument: Value<'_>, depth: usize) -> Result<Predicate, FilterError> {
    if argument.kind != kind::DOCUMENT {
        return Err(FilterError::argument("$elemMatch", "takes a document"));
    }
    let depth = deeper(depth)?;
    let first = argument.fields()?.next().transpose()?;
    let logical = first.is_some_and(|(name, _)| operator::takes_no_path(name));
    if has_operators(argument, Reference::Part)? && !logical {
        let condition = operators(argument, depth)?;
        return Ok(Predicate::ElementValue(Box::new(condition)));
    }
    let node = node(argument.fields()?, Level::Element, depth)?;
    Ok(Predicate::ElementDocument(Box::new(node)))
}

/// Reads `$all`: each value, regular expression or `$elemMatch` must hold.
fn every(argument: Value<'_>, depth: usize) -> Result<Condition, FilterError> {
    if argument.kind != kind::ARRAY {
        return Err(FilterError::argument("$all", "takes a list"));
    }
    let mut conditions = Vec::new();
    let mut elements = 0;
    for field in argument.fields()? {
        let (_, value) = field?;
        if let Some(argument) = only_element_match(value)? {
            elements += 1;
            conditions.push(Condition::Is(element(argument, depth)?));
        } else if is_expression(value)? {
            return Err(FilterError::argument(
                "$all",
                "takes no operators but $elemMatch",
            ));
        } else {
            conditions.push(operator::equal_or_pattern(value)?);
        }
    }
    if elements != 0 && elements != conditions.len() {
        let fault = "takes either values or $elemMatch, not both";
        return Err(FilterError::argument("$all", fault));
    }
    if conditions.is_empty() {
        return Ok(Condition::Never);
    }
    Ok(Condition::All(conditions))
}

/// Returns the argument of a document that has `$elemMatch` and nothing else.
fn only_element_match(value: Value<'_>) -> Result<Option<Value<'_>>, FilterError> {
    if value.kind != kind::DOCUMENT {
        return Ok(None);
    }
    let mut fields = value.fields()?;
    let first = fields.next().transpose()?;
    let argument = first.and_then(|(name, value)| (name == b"$elemMatch").then_some(value));
    match (argument, fields.next().transpose()?) {
        (Some(_), Some((name, _))) => Err(operator::refused(&String::from_utf8_lossy(name))),
        (argument, _) => Ok(argument),
    }
}

fn deeper(depth: usize) -> Result<usize, FilterError> {
    let limit = OPERATORS_DEEP_MAX;
    if depth >= limit {
        return Err(FilterError::TooDeep { limit });
    }
    Ok(depth + 1)
}

/// Keeps a value that is to be compared with.
pub(super) fn literal(name: &str, value: Value<'_>) -> Result<Literal, FilterError> {
    if value.kind == kind::UNDEFINED {
        return Err(FilterError::argument(name, "can't compare with undefined"));
    }
    Ok(value.into())
}
