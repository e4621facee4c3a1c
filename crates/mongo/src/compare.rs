//! Compares a restored catalog with the one it should equal.
//!
//! What is not compared, because a server cannot be told it or rewrites it: UUIDs; the order of an
//! option's or an index's members (`collMod` appends); the number type of a member (`collMod` makes
//! every `expireAfterSeconds` a long) and its fraction, where it is a time to expire; `ns` and
//! `background` of an index, which servers since 4.4 drop. Everything else is compared byte by
//! byte, so that nothing is taken for equal by mistake.
use std::collections::BTreeMap;
use std::fmt;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{Catalog, Collection};

/// One way in which a target's catalog differs from the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Database and collection.
    pub namespace: String,
    /// What differs, in words.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.namespace, self.what)
    }
}

/// The option, of an index or a collection, that lets documents expire.
pub(crate) const EXPIRY: &str = "expireAfterSeconds";
/// Members of an index specification that servers since 4.4 do not keep.
const INDEX_MEMBERS_DROPPED: [&str; 2] = ["ns", "background"];

impl Catalog {
    /// Lists what `found` has too much, too little or otherwise than this; empty means equal.
    pub fn differences(&self, found: &Catalog) -> Vec<Difference> {
        differences(self, found)
    }
}

impl Collection {
    /// Returns the first way in which `found`, whatever its name, is not like this: kind, options
    /// or indexes. UUIDs and documents are not looked at.
    pub fn difference(&self, found: &Collection) -> Option<Difference> {
        let mut differences = Vec::new();
        compare(self, found, &mut differences);
        differences.into_iter().next()
    }
}

fn differences(expected: &Catalog, found: &Catalog) -> Vec<Difference> {
    let mut differences = Vec::new();
    let (mut left, mut right) = (by_namespace(expected), by_namespace(found));
    for (key, wanted) in &mut left {
        match right.remove(key) {
            None => differences.push(difference(wanted, "is missing".to_owned())),
            Some(present) => compare(wanted, present, &mut differences),
        }
    }
    for extra in right.values() {
        differences.push(difference(extra, "is there and should not be".to_owned()));
    }
    differences
}

/// Returns the first change between two listings of the same deployment, UUIDs included.
pub(crate) fn first_change(before: &Catalog, after: &Catalog) -> Option<String> {
    let (left, right) = (&before.collections, &after.collections);
    for (a, b) in left.iter().zip(right) {
        let same = a.database == b.database
            && a.name == b.name
            && a.kind == b.kind
            && a.uuid == b.uuid
            && a.options == b.options
            && a.id_index == b.id_index
            && a.indexes == b.indexes;
        if !same {
            return Some(format!("{} or {} changed", a.namespace(), b.namespace()));
        }
    }
    let extra = left.get(right.len()).or_else(|| right.get(left.len()))?;
    Some(format!("{} came or went", extra.namespace()))
}

fn by_namespace(catalog: &Catalog) -> BTreeMap<(&str, &str), &Collection> {
    let entries = catalog.collections.iter();
    entries
        .map(|entry| ((entry.database.as_str(), entry.name.as_str()), entry))
        .collect()
}

fn difference(collection: &Collection, what: String) -> Difference {
    Difference {
        namespace: collection.namespace(),
        what,
    }
}

fn compare(wanted: &Collection, present: &Collection, differences: &mut Vec<Difference>) {
    let mut differ = |what: String| differences.push(difference(wanted, what));
    if wanted.kind != present.kind {
        return differ(format!(
            "is a {:?} and should be a {:?}",
            present.kind, wanted.kind
        ));
    }
    if let Some(member) = differing_member(&wanted.options, &present.options, &[]) {
        differ(format!("option `{member}` differs"));
    }
    match (&wanted.id_index, &present.id_index) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            if let Some(member) = differing_member(a, b, &INDEX_MEMBERS_DROPPED) {
                differ(format!("member `{member}` of the `_id` index differs"));
            }
        }
        _ => differ("has an `_id` index in one of the two only".to_owned()),
    }
    let mut found: BTreeMap<&str, &RawDocumentBuf> = present
        .indexes
        .iter()
        .map(|index| (index_name(index), index))
        .collect();
    for index in &wanted.indexes {
        let name = index_name(index);
        match found.remove(name) {
            None => differ(format!("index `{name}` is missing")),
            Some(other) => {
                if let Some(member) = differing_member(index, other, &INDEX_MEMBERS_DROPPED) {
                    differ(format!("member `{member}` of index `{name}` differs"));
                }
            }
        }
    }
    for name in found.keys() {
        differ(format!("index `{name}` is there and should not be"));
    }
}

/// Returns the name of a raw index specification.
pub(crate) fn index_name(index: &RawDocument) -> &str {
    index.get_str("name").unwrap_or("")
}

/// Returns the first member that is not the same in both documents, whatever their order.
pub(crate) fn differing_member(
    a: &RawDocument,
    b: &RawDocument,
    ignored: &[&str],
) -> Option<String> {
    let (mut left, right) = (members(a), members(b));
    for (name, value) in right {
        if ignored.contains(&name) {
            continue;
        }
        match left.remove(name) {
            Some(other) if same_value(other, value) => {}
            Some(other) if name == EXPIRY && same_seconds(other, value) => {}
            _ => return Some(name.to_owned()),
        }
    }
    left.keys()
        .find(|name| !ignored.contains(name))
        .map(|name| (*name).to_owned())
}

/// Returns the members by name; one that cannot be read is left out and so found missing.
fn members(document: &RawDocument) -> BTreeMap<&str, RawBsonRef<'_>> {
    document
        .iter()
        .filter_map(Result::ok)
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

fn same_value(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => a == b,
    }
}

/// Compares times to expire as servers keep them: in whole seconds, and what is not a number (left
/// by old servers) as the longest time.
fn same_seconds(a: RawBsonRef<'_>, b: RawBsonRef<'_>) -> bool {
    let seconds = |value| {
        let number = number(value)?;
        Some(if number.is_nan() {
            f64::from(i32::MAX)
        } else {
            number.trunc() + 0.0
        })
    };
    seconds(a).is_some() && seconds(a) == seconds(b)
}

/// Returns a number's value; of the integers only those that a double can hold.
fn number(value: RawBsonRef<'_>) -> Option<f64> {
    match value {
        RawBsonRef::Int32(number) => Some(f64::from(number)),
        RawBsonRef::Int64(number) => i32::try_from(number).ok().map(f64::from),
        RawBsonRef::Double(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::CollectionKind;

    fn catalog(options: RawDocumentBuf, indexes: Vec<RawDocumentBuf>) -> Catalog {
        let collection = Collection {
            database: "d".into(),
            name: "c".into(),
            kind: CollectionKind::Collection,
            uuid: None,
            options,
            id_index: None,
            indexes,
        };
        Catalog {
            collections: vec![collection],
        }
    }

    fn words(expected: &Catalog, found: &Catalog) -> Vec<String> {
        differences(expected, found)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let empty = Catalog::default();
        let a = catalog(
            rawdoc! { "capped": true, "size": 1 },
            vec![rawdoc! { "name": "x", "v": 2 }],
        );
        let b = catalog(
            rawdoc! { "capped": true, "size": 2 },
            vec![rawdoc! { "name": "y", "v": 2 }],
        );
        assert_eq!(words(&a, &a), [""; 0]);
        assert_eq!(words(&a, &empty), ["d.c: is missing"]);
        assert_eq!(words(&empty, &a), ["d.c: is there and should not be"]);
        assert_eq!(
            words(&a, &b),
            [
                "d.c: option `size` differs",
                "d.c: index `x` is missing",
                "d.c: index `y` is there and should not be",
            ]
        );
    }

    #[test]
    fn what_servers_rewrite_is_no_difference_and_all_else_is() {
        let index = rawdoc! { "v": 2, "key": { "a": -0.1 }, "name": "x", "expireAfterSeconds": 5 };
        let rewritten = rawdoc! {
            "v": 2, "key": { "a": -0.1 }, "ns": "d.c", "expireAfterSeconds": 5_i64, "name": "x",
        };
        let other_key =
            rawdoc! { "v": 2, "key": { "a": -1 }, "name": "x", "expireAfterSeconds": 5 };
        let a = catalog(rawdoc! {}, vec![index]);
        for (seconds, is_same) in [(5.9, true), (6.0, false), (f64::NAN, false)] {
            let mut other = rawdoc! { "v": 2, "key": { "a": -0.1 }, "name": "x" };
            other.append(bson::cstr!("expireAfterSeconds"), seconds);
            let found = words(&a, &catalog(rawdoc! {}, vec![other]));
            assert_eq!(found.is_empty(), is_same, "{seconds}");
        }
        assert_eq!(words(&a, &catalog(rawdoc! {}, vec![rewritten])), [""; 0]);
        assert_eq!(
            words(&a, &catalog(rawdoc! {}, vec![other_key])),
            ["d.c: member `key` of index `x` differs"]
        );
    }

    #[test]
    fn the_first_change_between_two_listings_is_found() {
        let a = catalog(rawdoc! {}, vec![]);
        let mut b = a.clone();
        assert_eq!(first_change(&a, &b), None);
        b.collections[0].uuid = Some([1; 16]);
        assert_eq!(first_change(&a, &b).unwrap(), "d.c or d.c changed");
        assert_eq!(
            first_change(&a, &Catalog::default()).unwrap(),
            "d.c came or went"
        );
    }
}
