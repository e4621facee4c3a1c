//! What a parsed filter is, and deciding a document by it.

use std::cmp::Ordering;

use super::bits::BitTest;
use super::compare::compare;
use super::error::MatchError;
use super::path::{AtEnd, Path};
use super::pattern::Pattern;
use crate::number::Number;
use crate::value::{CLASS_MISSING, CLASS_NULL, Literal, Value, kind};

/// Decides a whole document.
#[derive(Clone, Debug)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Nor(Vec<Node>),
    Field { path: Path, condition: Condition },
}

/// Operators on one field; each [`Predicate`] looks for a value of its own that satisfies it.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Is(Predicate),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Never,
}

/// Decides one value.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    Compare(Comparison, Literal),
    In(List),
    Pattern(Pattern),
    Exists,
    /// The type bytes, of which one must be the value's.
    Kind(Vec<u8>),
    Mod {
        divisor: i64,
        remainder: i64,
    },
    Bits(BitTest),
    Size(usize),
    /// An array with a document (or array) that the node decides.
    ElementDocument(Box<Node>),
    /// An array with an element that satisfies the condition by itself.
    ElementValue(Box<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The values of `$in`, in ascending order, and its regular expressions.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) values: Vec<Literal>,
    pub(super) patterns: Vec<Pattern>,
}

impl Node {
    pub(super) fn matches(&self, document: &[u8]) -> Result<bool, MatchError> {
        match self {
            Node::And(nodes) => all(nodes, |node| node.matches(document)),
            Node::Or(nodes) => any(nodes, |node| node.matches(document)),
            Node::Nor(nodes) => Ok(!any(nodes, |node| node.matches(document))?),
            Node::Field { path, condition } => condition.holds(&mut |predicate| {
                path.any(document, predicate.at_end(), &mut |value| {
                    predicate.matches(value)
                })
            }),
        }
    }
}

impl Condition {
    fn holds(
        &self,
        ask: &mut dyn FnMut(&Predicate) -> Result<bool, MatchError>,
    ) -> Result<bool, MatchError> {
        match self {
            Condition::Is(predicate) => ask(predicate),
            Condition::All(conditions) => all(conditions, |condition| condition.holds(ask)),
            Condition::Not(condition) => Ok(!condition.holds(ask)?),
            Condition::Never => Ok(false),
        }
    }
}

impl Predicate {
    fn at_end(&self) -> AtEnd {
        match self {
            Predicate::Size(_) | Predicate::ElementDocument(_) | Predicate::ElementValue(_) => {
                AtEnd::Whole
            }
            _ => AtEnd::Elements,
        }
    }

    fn matches(&self, value: Option<Value<'_>>) -> Result<bool, MatchError> {
        match self {
            Predicate::Compare(comparison, literal) => comparison.holds(value, literal.value()),
            Predicate::In(list) => list.contains(value),
            _ => value.map_or(Ok(false), |value| self.matches_present(value)),
        }
    }

    /// Decides by the operators that never match what is missing.
    fn matches_present(&self, value: Value<'_>) -> Result<bool, MatchError> {
        Ok(match self {
            Predicate::Compare(..) | Predicate::In(_) => return self.matches(Some(value)),
            Predicate::Pattern(pattern) => return pattern.matches(value),
            Predicate::Exists => true,
            Predicate::Kind(kinds) => kinds.contains(&value.kind),
            Predicate::Mod { divisor, remainder } => value
                .number()?
                .and_then(Number::truncated)
                .is_some_and(|number| number.wrapping_rem(*divisor) == *remainder),
            Predicate::Bits(test) => test.matches(value)?,
            Predicate::Size(size) => {
                value.kind == kind::ARRAY && value.fields()?.take(size + 1).count() == *size
            }
            Predicate::ElementDocument(node) => {
                return any_element(value, |element| {
                    Ok(element.has_fields() && node.matches(element.bytes)?)
                });
            }
            Predicate::ElementValue(condition) => {
                return any_element(value, |element| {
                    condition.holds(&mut |predicate| predicate.matches(Some(element)))
                });
            }
        })
    }
}

impl Comparison {
    fn holds(self, value: Option<Value<'_>>, right: Value<'_>) -> Result<bool, MatchError> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let class = value.map_or(CLASS_MISSING, Value::class);
        let Some(value) = value.filter(|_| class == right.class()) else {
            return Ok(match self {
                // What is missing or undefined is null to every comparison.
                Equal | LessOrEqual | GreaterOrEqual
                    if class == CLASS_MISSING && right.class() == CLASS_NULL =>
                {
                    true
                }
                Less | LessOrEqual => right.kind == kind::MAX_KEY,
                Greater | GreaterOrEqual => right.kind == kind::MIN_KEY,
                Equal => false,
            });
        };
        if let (Some(left), Some(right)) = (value.number()?, right.number()?)
            && (left.is_nan() || right.is_nan())
        {
            // What is not a number is neither less nor greater than anything.
            let both = left.is_nan() && right.is_nan();
            return Ok(both && !matches!(self, Less | Greater));
        }
        let order = compare(value, right)?;
        Ok(match self {
            Equal => order.is_eq(),
            Less => order.is_lt(),
            LessOrEqual => order.is_le(),
            Greater => order.is_gt(),
            GreaterOrEqual => order.is_ge(),
        })
    }
}

impl List {
    fn contains(&self, value: Option<Value<'_>>) -> Result<bool, MatchError> {
        let has_null = || {
            self.values
                .iter()
                .any(|value| value.value().kind == kind::NULL)
        };
        let Some(value) = value.filter(|value| value.class() != CLASS_MISSING) else {
            return Ok(has_null());
        };
        let (mut low, mut high) = (0, self.values.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(self.values[middle].value(), value)? {
                Ordering::Equal => return Ok(true),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        any(&self.patterns, |pattern| pattern.matches(value))
    }
}

fn any_element(
    value: Value<'_>,
    mut matches: impl FnMut(Value<'_>) -> Result<bool, MatchError>,
) -> Result<bool, MatchError> {
    if value.kind != kind::ARRAY {
        return Ok(false);
    }
    for field in value.fields()? {
        if matches(field?.1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn any<T>(
    items: &[T],
    mut holds: impl FnMut(&T) -> Result<bool, MatchError>,
) -> Result<bool, MatchError> {
    for item in items {
        if holds(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn all<T>(
    items: &[T],
    mut holds: impl FnMut(&T) -> Result<bool, MatchError>,
) -> Result<bool, MatchError> {
    Ok(!any(items, |item| Ok(!holds(item)?))?)
}
