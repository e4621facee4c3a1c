//! Which part of a snapshot is put back, and under which names.
//!
//! Pure name arithmetic: what a snapshot holds goes in, what goes where comes out. It must never
//! let two collections end under one name, or select nothing without saying so.

use std::collections::BTreeMap;

/// Longest namespace that servers since 4.4 take, in bytes: database, dot and collection.
pub const NAMESPACE_BYTES_MAX: usize = 255;
/// Longest name of a database, in bytes (63 is the limit of every server version).
const DATABASE_BYTES_MAX: usize = 63;
/// The databases that belong to a server, not to its users.
const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];
/// What no name of a database may hold; a server on Windows refuses them, and so do drivers.
const DATABASE_FORBIDDEN: [char; 8] = ['/', '\\', '.', ' ', '"', '$', '\0', '*'];

/// What of a snapshot is put back; everything else on the target stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Selection {
    /// Namespaces that are wanted: `database.collection` or `database.*`; all where empty.
    #[serde(default)]
    pub include: Vec<String>,
    /// Namespaces that are not wanted although they are included.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Other names for what is put back.
    #[serde(default)]
    pub rename: Vec<Rename>,
    /// The database that takes everything that is not renamed; each in its own where absent.
    #[serde(default)]
    pub into: Option<String>,
    /// A filter in extended JSON that documents must match; all where absent.
    #[serde(default)]
    pub query: Option<String>,
}

/// Another name: `database.collection` for one such, or `database.*` for another `database.*`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rename {
    /// As the snapshot has it.
    pub from: String,
    /// As it is to be on the target.
    pub to: String,
}

/// A selection that cannot be followed; its text names the member and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSelection(pub String);

/// Database and collection.
pub type Name = (String, String);

impl Selection {
    /// Returns where each of a snapshot's namespaces goes, in their order; none for one that is
    /// not put back.
    pub fn targets(&self, held: &[Name]) -> Result<Vec<Option<Name>>, InvalidSelection> {
        let include = patterns("include", &self.include)?;
        let exclude = patterns("exclude", &self.exclude)?;
        let renames = self.renames()?;
        let asked = include.iter().map(|pattern| ("include", pattern));
        let asked = asked.chain(renames.iter().map(|(from, _)| ("rename", from)));
        for (member, pattern) in asked {
            if !held.iter().any(|name| pattern.matches(name)) {
                let what = format!(
                    "{member}: the snapshot has nothing named `{}`",
                    pattern.text
                );
                return Err(InvalidSelection(what));
            }
        }
        let wanted = |name: &Name| {
            (include.is_empty() || include.iter().any(|pattern| pattern.matches(name)))
                && !exclude.iter().any(|pattern| pattern.matches(name))
        };
        let mut targets = Vec::with_capacity(held.len());
        let mut taken: BTreeMap<Name, &Name> = BTreeMap::new();
        for name in held {
            if !wanted(name) {
                targets.push(None);
                continue;
            }
            let target = self.target(name, &renames);
            check_name(&target)?;
            if let Some(other) = taken.insert(target.clone(), name) {
                return Err(InvalidSelection(format!(
                    "`{}` and `{}` would both become `{}`",
                    namespace(other),
                    namespace(name),
                    namespace(&target)
                )));
            }
            targets.push(Some(target));
        }
        if taken.is_empty() {
            let what = "nothing of the snapshot is selected".to_owned();
            return Err(InvalidSelection(what));
        }
        Ok(targets)
    }

    fn renames(&self) -> Result<Vec<(Pattern<'_>, Pattern<'_>)>, InvalidSelection> {
        let mut renames = Vec::new();
        for rename in &self.rename {
            let pair = (
                Pattern::parse("rename", &rename.from)?,
                Pattern::parse("rename", &rename.to)?,
            );
            if pair.0.name.is_none() != pair.1.name.is_none() {
                return Err(InvalidSelection(format!(
                    "rename: `{}` and `{}` must both be collections or both end in `.*`",
                    rename.from, rename.to
                )));
            }
            renames.push(pair);
        }
        Ok(renames)
    }

    /// The name of one collection is more exact than that of its database, and so goes first.
    fn target(&self, name: &Name, renames: &[(Pattern<'_>, Pattern<'_>)]) -> Name {
        let fitting = |(from, _): &&(Pattern<'_>, Pattern<'_>)| from.matches(name);
        let exact = renames
            .iter()
            .filter(fitting)
            .find(|(from, _)| from.name.is_some());
        let found = exact.or_else(|| renames.iter().find(fitting));
        match (found, &self.into) {
            (Some((_, to)), _) => (
                to.database.to_owned(),
                to.name.unwrap_or(&name.1).to_owned(),
            ),
            (None, Some(database)) => (database.clone(), name.1.clone()),
            (None, None) => name.clone(),
        }
    }
}

/// `database.collection` or `database.*`.
struct Pattern<'a> {
    text: &'a str,
    database: &'a str,
    /// None means all of the database.
    name: Option<&'a str>,
}

impl<'a> Pattern<'a> {
    fn parse(member: &str, text: &'a str) -> Result<Self, InvalidSelection> {
        let parts = text.split_once('.');
        let parts = parts.filter(|(database, name)| !database.is_empty() && !name.is_empty());
        let Some((database, name)) = parts else {
            let what =
                format!("{member}: `{text}` is neither `database.collection` nor `database.*`");
            return Err(InvalidSelection(what));
        };
        let name = (name != "*").then_some(name);
        Ok(Self {
            text,
            database,
            name,
        })
    }

    fn matches(&self, name: &Name) -> bool {
        self.database == name.0 && self.name.is_none_or(|own| own == name.1)
    }
}

fn patterns<'a>(member: &str, texts: &'a [String]) -> Result<Vec<Pattern<'a>>, InvalidSelection> {
    texts
        .iter()
        .map(|text| Pattern::parse(member, text))
        .collect()
}

fn namespace((database, name): &Name) -> String {
    format!("{database}.{name}")
}

/// Refuses what no server would take as a user's collection.
fn check_name(name: &Name) -> Result<(), InvalidSelection> {
    let invalid = |why: &str| {
        let what = format!(
            "`{}` is not a name for a collection: {why}",
            namespace(name)
        );
        Err(InvalidSelection(what))
    };
    let (database, collection) = name;
    if database.is_empty() || database.len() > DATABASE_BYTES_MAX {
        return invalid("a database's name has 1 to 63 bytes");
    }
    if database.contains(DATABASE_FORBIDDEN) {
        return invalid("a database's name has none of / \\ . \" $ * and no space");
    }
    if SERVER_DATABASES.contains(&database.as_str()) {
        return invalid("that database belongs to the server");
    }
    if namespace(name).len() > NAMESPACE_BYTES_MAX {
        return invalid("it has more than 255 bytes");
    }
    let reserved = collection.starts_with("system.") && collection != "system.js";
    if collection.is_empty() || collection.contains('\0') || reserved {
        return invalid("it is empty or reserved");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<Name> {
        let pair = |text: &&str| {
            text.split_once('.')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        list.iter().filter_map(pair).collect()
    }

    fn selection(include: &[&str], exclude: &[&str], rename: &[(&str, &str)]) -> Selection {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let rename = rename.iter().map(|(from, to)| Rename {
            from: (*from).to_owned(),
            to: (*to).to_owned(),
        });
        Selection {
            include: texts(include),
            exclude: texts(exclude),
            rename: rename.collect(),
            ..Selection::default()
        }
    }

    fn targets(selection: &Selection, held: &[&str]) -> Result<Vec<String>, String> {
        let found = selection
            .targets(&names(held))
            .map_err(|error| error.to_string())?;
        let text = |target: Option<Name>| target.map_or("-".to_owned(), |name| namespace(&name));
        Ok(found.into_iter().map(text).collect())
    }

    const HELD: [&str; 4] = ["shop.orders", "shop.carts.old", "shop.*", "logs.a"];

    #[test]
    fn what_is_included_and_not_excluded_goes_where_it_was() {
        let all = targets(&Selection::default(), &HELD).unwrap();
        assert_eq!(all, HELD);
        let some = selection(&["shop.*"], &["shop.carts.old"], &[]);
        assert_eq!(
            targets(&some, &HELD).unwrap(),
            ["shop.orders", "-", "shop.*", "-"]
        );
        let one = selection(&["logs.a", "shop.orders"], &[], &[]);
        assert_eq!(
            targets(&one, &HELD).unwrap(),
            ["shop.orders", "-", "-", "logs.a"]
        );
    }

    #[test]
    fn the_more_exact_of_two_new_names_counts() {
        let renamed = selection(&[], &[], &[("shop.*", "copy.*"), ("shop.orders", "x.y.z")]);
        let found = targets(&renamed, &HELD).unwrap();
        assert_eq!(found, ["x.y.z", "copy.carts.old", "copy.*", "logs.a"]);
        let into = Selection {
            into: Some("all".to_owned()),
            ..renamed
        };
        assert_eq!(targets(&into, &HELD).unwrap()[3], "all.a");
    }

    #[test]
    fn a_selection_that_cannot_be_followed_is_refused_with_the_reason() {
        let long = "x".repeat(254);
        let cases = [
            (
                selection(&["shop.nothing"], &[], &[]),
                "nothing named `shop.nothing`",
            ),
            (
                selection(&[], &[], &[("no.*", "a.*")]),
                "nothing named `no.*`",
            ),
            (
                selection(&["shop"], &[], &[]),
                "neither `database.collection`",
            ),
            (
                selection(&[], &["shop."], &[]),
                "neither `database.collection`",
            ),
            (
                selection(&["logs.*"], &["logs.a"], &[]),
                "nothing of the snapshot",
            ),
            (
                selection(&[], &[], &[("logs.a", "shop.orders")]),
                "would both become",
            ),
            (selection(&[], &[], &[("logs.*", "a.b")]), "both end in"),
            (
                selection(&[], &[], &[("logs.a", "admin.a")]),
                "belongs to the server",
            ),
            (selection(&[], &[], &[("logs.a", "l gs.a")]), "no space"),
            (
                selection(&[], &[], &[("logs.a", "b.system.views")]),
                "reserved",
            ),
            (
                selection(&[], &[], &[("logs.a", &format!("b.{long}"))]),
                "255 bytes",
            ),
        ];
        for (selection, expected) in cases {
            let refused = targets(&selection, &HELD).expect_err("it is refused");
            assert!(refused.contains(expected), "{refused}");
        }
        let into = Selection {
            into: Some("a".to_owned()),
            ..Selection::default()
        };
        let refused = targets(&into, &["b.c", "d.c"]).expect_err("two of one name");
        assert_eq!(refused, "`b.c` and `d.c` would both become `a.c`");
    }
}
