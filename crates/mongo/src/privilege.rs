//! What the connected user may do, and which role to grant where that is too little.
//!
//! Tried on a server with authentication: a source needs `backup` (`readAnyDatabase` works too,
//! then collections are read by name); a target needs `readWriteAnyDatabase` and
//! `dbAdminAnyDatabase`. The role `restore` is not enough: it may neither list databases, read back
//! what it wrote, list indexes, drop a database (nothing else removes `system.js`) nor update, and
//! without an update a top-level `Timestamp(0, 0)` cannot be put back as it was.
use bson::{Document, rawdoc};

use crate::Error;
use crate::server::{Server, code};

/// The role that a source's user should have.
const SOURCE_ROLE: &str = "backup";
/// The roles that a target's user should have.
const TARGET_ROLES: &str = "readWriteAnyDatabase` and `dbAdminAnyDatabase";

/// Where an action must be allowed.
#[derive(Clone, Copy)]
enum On {
    /// The deployment itself.
    Cluster,
    /// Every ordinary collection of every database.
    EveryCollection,
    /// The buckets of every time series.
    EveryBuckets,
    /// The stored functions of every database.
    EveryFunctions,
}

impl On {
    const fn words(self) -> &'static str {
        match self {
            Self::Cluster => "the deployment",
            Self::EveryCollection => "every collection of every database",
            Self::EveryBuckets => "the buckets of every time series",
            Self::EveryFunctions => "`system.js` of every database",
        }
    }

    /// Tells whether a resource of `connectionStatus` covers this.
    fn is_covered_by(self, resource: &Document) -> bool {
        let is = |name: &str, value: &str| resource.get_str(name).is_ok_and(|found| found == value);
        if resource.get_bool("anyResource").unwrap_or(false) {
            return true;
        }
        match self {
            Self::Cluster => resource.get_bool("cluster").unwrap_or(false),
            Self::EveryCollection => is("db", "") && is("collection", ""),
            Self::EveryBuckets => {
                is("system_buckets", "") && resource.get_str("db").unwrap_or("").is_empty()
            }
            Self::EveryFunctions => is("db", "") && is("collection", "system.js"),
        }
    }
}

/// What a snapshot does at its source.
const SOURCE: [(On, &[&str]); 4] = [
    (On::Cluster, &["listDatabases"]),
    (
        On::EveryCollection,
        &["find", "listCollections", "listIndexes"],
    ),
    (On::EveryBuckets, &["find"]),
    (On::EveryFunctions, &["find"]),
];

/// What a restore does at its target.
const TARGET: [(On, &[&str]); 4] = [
    (On::Cluster, &["listDatabases"]),
    (
        On::EveryCollection,
        &[
            "find",
            "listCollections",
            "listIndexes",
            "createCollection",
            "createIndex",
            "dropCollection",
            "dropDatabase",
            "collMod",
            "insert",
            "update",
            "remove",
            "bypassDocumentValidation",
            "renameCollectionSameDB",
        ],
    ),
    (
        On::EveryBuckets,
        &["find", "insert", "update", "bypassDocumentValidation"],
    ),
    (
        On::EveryFunctions,
        &["find", "createCollection", "insert", "update"],
    ),
];

/// Fails unless the user may read everything that a snapshot needs.
pub(crate) async fn require_source(server: &Server) -> Result<(), Error> {
    require(server, &SOURCE, SOURCE_ROLE).await
}

/// Fails unless the user may do everything that a restore needs.
pub(crate) async fn require_target(server: &Server) -> Result<(), Error> {
    require(server, &TARGET, TARGET_ROLES).await
}

async fn require(
    server: &Server,
    needed: &[(On, &[&str])],
    hint: &'static str,
) -> Result<(), Error> {
    let doing = || "look up the privileges of the user".to_owned();
    let command = rawdoc! { "connectionStatus": 1, "showPrivileges": true };
    let reply = server.run("admin", command, doing).await?;
    let status = reply
        .get_document("authInfo")
        .map_err(|_| Error::InvalidReply {
            doing: doing(),
            what: "no `authInfo`".to_owned(),
        })?;
    if status
        .get_array("authenticatedUsers")
        .is_ok_and(|users| users.is_empty())
    {
        return require_no_authentication(server, needed, hint).await;
    }
    let privileges: Vec<&Document> = status
        .get_array("authenticatedUserPrivileges")
        .map_or(Vec::new(), |list| {
            list.iter().filter_map(|one| one.as_document()).collect()
        });
    match missing(&privileges, needed) {
        None => Ok(()),
        Some((action, on)) => Err(Error::MissingPrivilege {
            action,
            resource: on.words().to_owned(),
            hint,
        }),
    }
}

/// Without a user, everything is allowed or nothing is: try something that is harmless.
async fn require_no_authentication(
    server: &Server,
    needed: &[(On, &[&str])],
    hint: &'static str,
) -> Result<(), Error> {
    let command = rawdoc! { "listDatabases": 1, "nameOnly": true };
    match server
        .run("admin", command, || "list the databases".to_owned())
        .await
    {
        Ok(_) => Ok(()),
        Err(Error::Command {
            code: code::UNAUTHORIZED,
            ..
        }) => {
            let (action, on) = missing(&[], needed).expect("something is always needed");
            Err(Error::MissingPrivilege {
                action,
                resource: on.words().to_owned(),
                hint,
            })
        }
        Err(error) => Err(error),
    }
}

/// Returns the actions missing on the first place where any is missing.
fn missing(privileges: &[&Document], needed: &[(On, &[&str])]) -> Option<(String, On)> {
    needed.iter().find_map(|(on, actions)| {
        let lacking: Vec<&str> = actions
            .iter()
            .copied()
            .filter(|action| !allows(privileges, *on, action))
            .collect();
        (!lacking.is_empty()).then(|| (lacking.join(", "), *on))
    })
}

fn allows(privileges: &[&Document], on: On, action: &str) -> bool {
    privileges.iter().any(|privilege| {
        let covers = privilege
            .get_document("resource")
            .is_ok_and(|resource| on.is_covered_by(resource));
        let actions = privilege.get_array("actions");
        covers && actions.is_ok_and(|list| list.iter().any(|one| one.as_str() == Some(action)))
    })
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn rights_on_one_database_do_not_count_for_all() {
        let one = doc! { "resource": { "db": "shop", "collection": "" }, "actions": ["find"] };
        let all = doc! { "resource": { "db": "", "collection": "" }, "actions": ["find"] };
        let needed: [(On, &[&str]); 1] = [(On::EveryCollection, &["find", "insert"])];
        assert_eq!(missing(&[&one], &needed).unwrap().0, "find, insert");
        assert_eq!(missing(&[&one, &all], &needed).unwrap().0, "insert");
    }

    #[test]
    fn a_right_on_any_resource_counts_everywhere() {
        let any = doc! { "resource": { "anyResource": true }, "actions": ["find"] };
        for on in [
            On::Cluster,
            On::EveryCollection,
            On::EveryBuckets,
            On::EveryFunctions,
        ] {
            assert!(missing(&[&any], &[(on, &["find"])]).is_none());
        }
    }
}
