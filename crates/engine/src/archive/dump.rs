//! The layout of a dump: which files, under which names, with which metadata.
//!
//! Facts, read in mongo-tools (`mongodump/prepare.go`, `mongorestore/filepath.go`): file
//! names are percent-encoded; one of more than 238 bytes is cut to 208, `%24` and 27 more
//! characters, and the real name is taken from `collectionName` in the metadata; documents of
//! a time series lie in `system.buckets.<name>.bson`, its metadata under its own name; a view
//! has metadata only.

use bson::{Bson, Document, RawDocument};
use ring::digest;
use serde_json::{Value, json};
use vault::{CollectionManifest, Manifest};

const NAME_BYTES_MAX: usize = 238;
const NAME_BYTES_KEPT: usize = 208;
const NAME_DIGEST_CHARACTERS: usize = 27;

const HOW_TO: &str = include_str!("RESTORE.txt");

/// A file that is whole in memory.
pub(super) struct SmallFile {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
}

/// Returns the note on how to restore by hand, and the metadata of every collection.
pub(super) fn small_files(manifest: &Manifest) -> Result<Vec<SmallFile>, bson::error::Error> {
    let server = manifest
        .source
        .server_version
        .as_deref()
        .unwrap_or("unknown");
    let prelude = json!({
        "ServerVersion": server,
        "ToolVersion": concat!("regrow ", env!("CARGO_PKG_VERSION")),
    });
    let how_to = HOW_TO
        .replace("{server}", server)
        .replace("{time}", &time(manifest));
    let mut files = vec![
        SmallFile {
            path: "RESTORE.txt".to_owned(),
            content: how_to.into_bytes(),
        },
        SmallFile {
            path: "dump/prelude.json".to_owned(),
            content: prelude.to_string().into(),
        },
    ];
    for collection in &manifest.collections {
        let path = path(collection, &collection.name, "metadata.json");
        let content = metadata(collection)?.to_string().into_bytes();
        files.push(SmallFile { path, content });
    }
    Ok(files)
}

fn time(manifest: &Manifest) -> String {
    match manifest.consistency {
        Some(time) => format!(
            "all collections as they were at cluster time Timestamp({}, {})",
            time.seconds, time.increment
        ),
        None => "read in one pass from a standalone server; not one point in time".to_owned(),
    }
}

/// Returns where a collection's documents lie; a view has none.
pub(super) fn data_path(collection: &CollectionManifest) -> Option<String> {
    match collection.kind.as_str() {
        "view" => None,
        "timeseries" => {
            let buckets = format!("system.buckets.{}", collection.name);
            Some(path(collection, &buckets, "bson"))
        }
        _ => Some(path(collection, &collection.name, "bson")),
    }
}

fn path(collection: &CollectionManifest, name: &str, extension: &str) -> String {
    format!(
        "dump/{}/{}.{extension}",
        collection.database,
        file_name(name)
    )
}

fn file_name(name: &str) -> String {
    let escaped = escape(name);
    if escaped.len() <= NAME_BYTES_MAX {
        return escaped;
    }
    let hash = digest::digest(&digest::SHA256, name.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "{}%24{}",
        &escaped[..NAME_BYTES_KEPT],
        &hash[..NAME_DIGEST_CHARACTERS]
    )
}

fn escape(name: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes()
        .map(|byte| {
            if kept(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn metadata(collection: &CollectionManifest) -> Result<Value, bson::error::Error> {
    let indexes: Result<Vec<Value>, _> = collection.indexes.iter().map(|i| extended(i)).collect();
    let uuid = collection.uuid.unwrap_or_default();
    let uuid: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut metadata = json!({
        "indexes": indexes?,
        "collectionName": collection.name,
        "type": collection.kind,
        "options": extended(&collection.options)?,
    });
    if collection.uuid.is_some() {
        metadata["uuid"] = Value::String(uuid);
    }
    Ok(metadata)
}

/// Returns a document as canonical extended JSON.
fn extended(bytes: &[u8]) -> Result<Value, bson::error::Error> {
    let document = Document::try_from(RawDocument::from_bytes(bytes)?)?;
    Ok(Bson::Document(document).into_canonical_extjson())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_escaped_and_bounded() {
        assert_eq!(file_name("plain.name-1_2"), "plain.name-1_2");
        assert_eq!(file_name("a/b\nc$é"), "a%2Fb%0Ac%24%C3%A9");
        let long = file_name(&"é".repeat(100));
        assert_eq!(long.len(), NAME_BYTES_MAX);
        assert!(long.contains("%24"));
    }
}
