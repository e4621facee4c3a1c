//! What a server holds, told so that two moments can be compared: a digest of every collection's
//! documents, and the catalog. It asks the server alone and knows nothing of the product, so it
//! is an independent witness.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use bson::{Bson, Document, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongodb::{Client, Database};
use sha2::{Digest, Sha256};

/// Databases that belong to the server itself.
const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];

/// By database, then by collection, a text that differs when the collection does.
pub type PerCollection = BTreeMap<String, BTreeMap<String, String>>;

/// The documents and the catalog of a server, but for the server's own databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// A digest of the documents of each collection, from [`db_hash`].
    pub documents: PerCollection,
    /// Type, options and indexes of each collection and view, with the type of every value.
    pub catalog: PerCollection,
}

impl State {
    /// Returns a line for every collection that isn't the same in both; none when all are.
    pub fn differences(&self, other: &State) -> Vec<String> {
        let mut lines = differences("documents", &self.documents, &other.documents);
        lines.extend(differences("catalog", &self.catalog, &other.catalog));
        lines
    }

    /// Returns the number of databases and of collections and views.
    pub fn counts(&self) -> (usize, usize) {
        (
            self.catalog.len(),
            self.catalog.values().map(BTreeMap::len).sum(),
        )
    }
}

/// Reads both halves of the state of a server that nobody writes to.
pub async fn state(client: &Client) -> anyhow::Result<State> {
    let documents = db_hash(client).await.context("digest the documents")?;
    let catalog = catalog(client).await.context("read the catalog")?;
    Ok(State { documents, catalog })
}

/// Returns the digest of every collection of every user database.
///
/// It is the server's own `dbHash` where that covers the collection. What `dbHash` leaves out or
/// takes without order (capped collections, buckets of time series) gets a SHA-256 over its
/// documents: in their natural order if capped, by `_id` otherwise.
pub async fn db_hash(client: &Client) -> anyhow::Result<PerCollection> {
    let mut all = PerCollection::new();
    for name in user_databases(client).await? {
        let database = client.database(&name);
        let answer = database
            .run_command(doc! { "dbHash": 1 })
            .await
            .context("run dbHash")?;
        let hashes = answer
            .get_document("collections")
            .context("read the answer of dbHash")?;
        let mut of_database = BTreeMap::new();
        for entry in listed(&database).await? {
            let collection = entry.get_str("name")?.to_owned();
            let options = entry.get_document("options")?;
            let is_capped = options.get_bool("capped").unwrap_or(false);
            let digest = match hashes.get_str(&collection) {
                _ if has_no_documents_of_its_own(&entry) => continue,
                Ok(md5) if !is_capped => md5.to_owned(),
                _ => own_digest(&database, &collection, is_capped).await?,
            };
            of_database.insert(collection, digest);
        }
        all.insert(name, of_database);
    }
    Ok(all)
}

/// Views have none, and those of a time series are in its buckets, which are listed too.
fn has_no_documents_of_its_own(entry: &Document) -> bool {
    matches!(entry.get_str("type"), Ok("view" | "timeseries"))
}

/// Returns the number of documents and the SHA-256 of all of them, one after the other.
async fn own_digest(
    database: &Database,
    collection: &str,
    natural: bool,
) -> anyhow::Result<String> {
    let order = if natural {
        doc! { "$natural": 1 }
    } else {
        doc! { "_id": 1 }
    };
    let documents = database.collection::<RawDocumentBuf>(collection);
    let mut cursor = documents
        .find(doc! {})
        .sort(order)
        .await
        .context("read documents")?;
    let mut hash = Sha256::new();
    let mut count = 0_u64;
    while let Some(document) = cursor.try_next().await? {
        hash.update(document.as_bytes());
        count += 1;
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(format!("{count} documents, sha256 {hex}"))
}

/// Returns type, options and indexes of every collection and view, without their UUIDs.
async fn catalog(client: &Client) -> anyhow::Result<PerCollection> {
    let mut all = PerCollection::new();
    for name in user_databases(client).await? {
        let database = client.database(&name);
        let mut of_database = BTreeMap::new();
        for mut entry in listed(&database).await? {
            let collection = entry.get_str("name")?.to_owned();
            // A restored collection is another one; all else about it is the same.
            if let Ok(info) = entry.get_document_mut("info") {
                info.remove("uuid");
            }
            let has_indexes = !matches!(entry.get_str("type"), Ok("view"));
            let indexes = if has_indexes {
                indexes(&database, &collection).await?
            } else {
                vec![]
            };
            let told = doc! { "collection": entry, "indexes": indexes };
            // This notation names the type of every value: 1 and 1.0 differ.
            of_database.insert(collection, format!("{told:?}"));
        }
        all.insert(name, of_database);
    }
    Ok(all)
}

/// Returns the entries of `listCollections`, but for what describes views: each view is an entry
/// itself, and a server that has had one keeps an empty description for ever.
async fn listed(database: &Database) -> anyhow::Result<Vec<Document>> {
    let filter = doc! { "name": { "$ne": "system.views" } };
    let cursor = database
        .run_cursor_command(doc! { "listCollections": 1, "filter": filter, "cursor": {} })
        .await;
    let entries = cursor.context("list collections")?.try_collect().await;
    entries.context("list collections")
}

/// Returns the indexes of a collection, by name.
async fn indexes(database: &Database, collection: &str) -> anyhow::Result<Vec<Document>> {
    let command = doc! { "listIndexes": collection, "cursor": {} };
    let cursor = database.run_cursor_command(command).await;
    let cursor = cursor.with_context(|| format!("list the indexes of {collection:?}"))?;
    let mut indexes: Vec<Document> = cursor.try_collect().await?;
    indexes.sort_by_key(|index| index.get_str("name").unwrap_or_default().to_owned());
    indexes.iter_mut().for_each(order_original_spec);
    Ok(indexes)
}

/// Puts the members of an `originalSpec` in order. An index of a time series' buckets keeps the
/// words that it was made with, in the order in which they came; the time series itself lists `v`
/// first whatever it was (seen on 6.0.5), so that nobody else can know.
fn order_original_spec(index: &mut Document) {
    if let Ok(spec) = index.get_document_mut("originalSpec") {
        let ordered: BTreeMap<String, Bson> = std::mem::take(spec).into_iter().collect();
        spec.extend(ordered);
    }
}

async fn user_databases(client: &Client) -> anyhow::Result<Vec<String>> {
    let names = client
        .list_database_names()
        .await
        .context("list databases")?;
    Ok(names
        .into_iter()
        .filter(|name| !SERVER_DATABASES.contains(&name.as_str()))
        .collect())
}

fn differences(of: &str, left: &PerCollection, right: &PerCollection) -> Vec<String> {
    let mut lines = Vec::new();
    let databases: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for database in databases {
        let none = BTreeMap::new();
        let (left, right) = (left.get(database), right.get(database));
        if left.is_none() || right.is_none() {
            let side = if left.is_none() { "second" } else { "first" };
            lines.push(format!(
                "{of} of {database}: only the {side} has this database"
            ));
        }
        let (left, right) = (left.unwrap_or(&none), right.unwrap_or(&none));
        let collections: BTreeSet<_> = left.keys().chain(right.keys()).collect();
        for collection in collections {
            let (left, right) = (left.get(collection), right.get(collection));
            if left != right {
                let missing = "missing".to_owned();
                let (left, right) = (left.unwrap_or(&missing), right.unwrap_or(&missing));
                lines.push(format!(
                    "{of} of {database}.{collection:?}:\n  {left}\n  {right}"
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_of_an_original_spec_is_passed_over() {
        let made = |spec: Document| {
            let mut index = doc! { "v": 2, "key": { "b": 1, "a": 1 }, "originalSpec": spec };
            order_original_spec(&mut index);
            format!("{index:?}")
        };
        let first = made(doc! { "v": 2, "key": { "b": 1, "a": 1 } });
        assert_eq!(made(doc! { "key": { "b": 1, "a": 1 }, "v": 2 }), first);
        assert_ne!(made(doc! { "key": { "a": 1, "b": 1 }, "v": 2 }), first);
        assert_ne!(made(doc! { "key": { "b": 1, "a": 1 }, "v": 1 }), first);
    }
}
