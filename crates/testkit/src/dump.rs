//! Loads a folder in the layout of `mongodump` into a server, as `mongorestore` does.
//!
//! It shares nothing with the product, so that an archive can be judged by somebody else where the
//! stock tool is not to be had. It must never be lenient: what it can't read is a failure.
//!
//! Facts of the layout, read in mongo-tools: `<db>/<name>.metadata.json` in canonical extended
//! JSON has `collectionName`, `type`, `options` and `indexes`; documents lie in `<name>.bson`, end
//! to end; those of a time series in `system.buckets.<name>.bson`; a view has metadata only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use bson::spec::ElementType;
use bson::{Bson, Document, Timestamp, doc};
use mongodb::{Client, Database};

use crate::raw;

/// Loads everything below a `dump` folder into a server that has none of it; returns the number
/// of collections and views.
pub async fn load(client: &Client, folder: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for database in sorted(folder)?.iter().filter(|path| path.is_dir()) {
        let name = database.file_name().and_then(|name| name.to_str());
        let name = name.context("the name of a database is not UTF-8")?;
        for file in sorted(database)? {
            let Some(stem) = file
                .to_string_lossy()
                .strip_suffix(".metadata.json")
                .map(str::to_owned)
            else {
                continue;
            };
            let loaded = load_collection(&client.database(name), &file, Path::new(&stem)).await;
            loaded.with_context(|| format!("load {}", file.display()))?;
            count += 1;
        }
    }
    Ok(count)
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Creates, fills and indexes one collection; `stem` is the path of its metadata without ending.
async fn load_collection(database: &Database, metadata: &Path, stem: &Path) -> anyhow::Result<()> {
    let text = fs::read(metadata).context("read metadata")?;
    let json: serde_json::Value = serde_json::from_slice(&text).context("parse metadata")?;
    let Bson::Document(metadata) = Bson::try_from(json).context("read extended JSON")? else {
        anyhow::bail!("the metadata is no object");
    };
    let name = metadata
        .get_str("collectionName")
        .context("read the collection's name")?;
    let kind = metadata.get_str("type").unwrap_or("collection");
    if !name.starts_with("system.") {
        let mut create = doc! { "create": name };
        create.extend(
            metadata
                .get_document("options")
                .context("read the options")?
                .clone(),
        );
        database.run_command(create).await.context("create it")?;
    }
    match kind {
        "view" => return Ok(()),
        "timeseries" => {
            let file = stem
                .file_name()
                .and_then(|file| file.to_str())
                .context("take its name")?;
            let file = stem.with_file_name(format!("system.buckets.{file}.bson"));
            insert(database, &format!("system.buckets.{name}"), &file).await?;
        }
        _ => {
            let file = PathBuf::from(format!("{}.bson", stem.display()));
            insert(database, name, &file).await?;
        }
    }
    let indexes = metadata.get_array("indexes").context("read the indexes")?;
    let has_collation = metadata
        .get_document("options")
        .is_ok_and(|o| o.contains_key("collation"));
    create_indexes(database, name, indexes, has_collation).await
}

/// Inserts the documents of a file in their order.
async fn insert(database: &Database, collection: &str, file: &Path) -> anyhow::Result<()> {
    let content = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let (mut rest, mut documents) = (content.as_slice(), Vec::new());
    let mut has_wrapped = false;
    while !rest.is_empty() {
        let size = rest
            .first_chunk::<4>()
            .map(|bytes| u32::from_le_bytes(*bytes));
        let size = size.context("read the size of a document")? as usize;
        ensure!(
            (5..=rest.len()).contains(&size),
            "a document of {size} bytes can't be"
        );
        let (document, others) = rest.split_at(size);
        rest = others;
        let is_wrapped = has_empty_timestamp(document)?;
        has_wrapped |= is_wrapped;
        documents.push(if is_wrapped {
            wrapped(document)?
        } else {
            document.to_vec()
        });
    }
    raw::insert(database, collection, documents).await?;
    if has_wrapped {
        let unwrap = vec![doc! { "$replaceRoot": { "newRoot": "$__whole" } }];
        let query = doc! { "__whole": { "$exists": true } };
        let update = doc! { "q": query, "u": unwrap, "multi": true };
        let command = doc! { "update": collection, "updates": [update] };
        database
            .run_command(command)
            .await
            .context("unwrap documents")?;
    }
    Ok(())
}

/// Tells whether an insert would change the document: the server fills in empty timestamps that
/// are at the top level (SERVER-88750).
fn has_empty_timestamp(document: &[u8]) -> anyhow::Result<bool> {
    let document = RawDocument::from_bytes(document).context("read a document")?;
    for element in document.iter_elements() {
        let element = element.context("read an element")?;
        // Other values are not read: a text need not be UTF-8.
        if element.element_type() != ElementType::Timestamp || element.key() == "_id" {
            continue;
        }
        let empty = Timestamp {
            time: 0,
            increment: 0,
        };
        if element.value()? == RawBsonRef::Timestamp(empty) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts a document one level down, where the server leaves it alone.
fn wrapped(document: &[u8]) -> anyhow::Result<Vec<u8>> {
    let parsed = RawDocument::from_bytes(document).context("read a document")?;
    for element in parsed.iter_elements() {
        let element = element.context("read an element")?;
        if element.key() == "_id" {
            let mut outer = RawDocumentBuf::new();
            outer.append(cstr!("_id"), element.value()?);
            outer.append(cstr!("__whole"), parsed);
            return Ok(outer.into_bytes());
        }
    }
    anyhow::bail!("a document has no _id")
}

/// Creates the indexes that don't come with the collection.
async fn create_indexes(
    database: &Database,
    collection: &str,
    indexes: &[Bson],
    has_collation: bool,
) -> anyhow::Result<()> {
    let mut wanted: Vec<Document> = Vec::new();
    for index in indexes {
        let mut index = index.as_document().context("read an index")?.clone();
        let comes_with_it = index.get_str("name").is_ok_and(|name| name == "_id_")
            || index.get_bool("clustered").unwrap_or(false);
        index.remove("ns");
        if has_collation && !index.contains_key("collation") {
            // An index without one is simple; created so, it would get the collection's.
            index.insert("collation", doc! { "locale": "simple" });
        }
        if !comes_with_it {
            wanted.push(index);
        }
    }
    if !wanted.is_empty() {
        let command = doc! { "createIndexes": collection, "indexes": wanted };
        database
            .run_command(command)
            .await
            .context("create its indexes")?;
    }
    Ok(())
}
