//! Looking into snapshots. Answers are lines, each one JSON object with one member that says what
//! the line is; a whole answer ends with the line `end`, and one that failed with `error`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::error::{ApiError, Code, ErrorDocument};
use crate::id::Id;

/// The media type of an answer in lines.
pub const LINES: &str = "application/x-ndjson";

/// The body of a request to find documents in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindDocuments {
    /// Whether documents are written so that every type can be told; relaxed when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<bool>,
    /// Name of the collection in its database.
    pub collection: String,
    /// Whether documents are only counted; they are sent when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_only: Option<bool>,
    /// Name of the collection's database.
    pub database: String,
    /// A filter of MongoDB in extended JSON; everything matches when absent.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub filter: Map<String, Value>,
    /// Most documents to find; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

impl FindDocuments {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        const KNOWN: [&str; 6] = [
            "canonical",
            "collection",
            "countOnly",
            "database",
            "filter",
            "limit",
        ];
        let mut body = Body::parse(bytes, &KNOWN)?;
        let limit = body.number("limit")?.map(|limit| {
            u64::try_from(limit)
                .ok()
                .filter(|limit| *limit > 0)
                .ok_or_else(|| {
                    ApiError::new(Code::InvalidAttribute, ["limit"])
                        .with_detail("The attribute limit must be at least 1.")
                })
        });
        Ok(Self {
            canonical: body.flag("canonical")?,
            collection: required(body.text("collection")?, "collection")?,
            count_only: body.flag("countOnly")?,
            database: required(body.text("database")?, "database")?,
            filter: body.any_object("filter")?.unwrap_or_default(),
            limit: limit.transpose()?,
        })
    }
}

/// One line of the answer to a request to find documents.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FindLine {
    /// A document that matches, as extended JSON.
    #[schema(value_type = Object)]
    Document(Box<RawValue>),
    /// How far the work is; sent when nothing else was for a while.
    Progress(Matched),
    /// All was looked at; the last line.
    End(Matched),
    /// The rest could not be looked at; the last line.
    Error(ErrorDocument),
}

/// How many documents matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Matched {
    /// Documents that matched.
    pub documents: u64,
}

/// The body of a request to compare two snapshots of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompareSnapshots {
    /// Whether documents are written so that every type can be told; relaxed when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical: Option<bool>,
    /// Name of the one collection to compare, in its database; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// Name of that collection's database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// What is sent of documents that differ; they are only counted when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<DocumentDetail>,
    /// Names the snapshot to compare with.
    pub other_snapshot_id: Id,
}

/// What is sent of documents that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DocumentDetail {
    /// The `_id` of each.
    Ids,
    /// Each as it is in both snapshots.
    Whole,
}

impl CompareSnapshots {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        const KNOWN: [&str; 5] = [
            "canonical",
            "collection",
            "database",
            "documents",
            "otherSnapshotId",
        ];
        const DETAILS: [(&str, DocumentDetail); 2] = [
            ("IDS", DocumentDetail::Ids),
            ("WHOLE", DocumentDetail::Whole),
        ];
        let mut body = Body::parse(bytes, &KNOWN)?;
        let (database, collection) = (body.text("database")?, body.text("collection")?);
        // One without the other is a mistake, not a wish to compare everything.
        let (database, collection) = match (database, collection) {
            (None, None) => (None, None),
            (database, collection) => (
                Some(required(database, "database")?),
                Some(required(collection, "collection")?),
            ),
        };
        Ok(Self {
            canonical: body.flag("canonical")?,
            collection,
            database,
            documents: body.choice("documents", &DETAILS)?,
            other_snapshot_id: required(body.id("otherSnapshotId")?, "otherSnapshotId")?,
        })
    }
}

/// One line of the answer to a request to compare snapshots. The other snapshot comes first: a
/// document is added that only the snapshot of the path has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CompareLine {
    /// A document that differs; the line of its collection follows.
    Document(DocumentDifference),
    /// A collection that differs.
    Collection(CollectionDifference),
    /// Sent when nothing else was for a while.
    Progress {},
    /// All was compared; the last line.
    End(Compared),
    /// The rest could not be compared; the last line.
    Error(ErrorDocument),
}

/// How a document differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Change {
    /// Only the second snapshot has it.
    Added,
    /// Both have it, with other content.
    Changed,
    /// Only the first snapshot has it.
    Removed,
}

/// A document that differs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DocumentDifference {
    /// The document in the second snapshot, when asked for.
    #[schema(value_type = Option<Object>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Box<RawValue>>,
    /// The document in the first snapshot, when asked for.
    #[schema(value_type = Option<Object>)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<RawValue>>,
    /// How it differs.
    pub change: Change,
    /// Its `_id`.
    #[schema(value_type = Object)]
    pub id: Box<RawValue>,
    /// Database and collection.
    pub namespace: String,
}

/// Which of the snapshots has a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Presence {
    /// Both.
    Both,
    /// Only the first.
    First,
    /// Only the second.
    Second,
}

/// How a collection differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionDifference {
    /// Documents that only the second snapshot has.
    pub added: u64,
    /// Documents that both snapshots have, with other content.
    pub changed: u64,
    /// Its name in its database.
    pub collection: String,
    /// Its database.
    pub database: String,
    /// Whether its indexes differ.
    pub indexes_differ: bool,
    /// Whether its kind or its options differ.
    pub options_differ: bool,
    /// Which of the snapshots has it.
    pub presence: Presence,
    /// Whether it was dropped and made again between the snapshots.
    pub recreated: bool,
    /// Documents that only the first snapshot has.
    pub removed: u64,
}

/// How much differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// Collections that differ.
    pub collections: u64,
}

/// Appends the line of one document, which is JSON already.
pub fn write_document(json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"document\":");
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(b"}\n");
}

/// Appends a line.
pub fn write_line(line: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, line).expect("wire types have text keys and can be written");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_carried_as_it_is_written() {
        let json = r#"{"a":1,"a":{"$numberLong":"9007199254740993"},"end":{}}"#;
        let mut line = Vec::new();
        write_document(json, &mut line);
        let read: FindLine = serde_json::from_slice(&line).unwrap();
        assert!(matches!(read, FindLine::Document(document) if document.get() == json));
    }

    #[test]
    fn each_fault_of_the_body_has_its_code() {
        for (body, code) in [
            (r#"{"collection":"c"}"#, "MISSING_ATTRIBUTE"),
            (
                r#"{"database":"d","collection":"c","limit":0}"#,
                "INVALID_ATTRIBUTE",
            ),
            (
                r#"{"database":"d","collection":"c","filter":"{}"}"#,
                "INVALID_JSON_ATTRIBUTE",
            ),
            (
                r#"{"database":"d","collection":"c","sort":{}}"#,
                "INVALID_ATTRIBUTE",
            ),
        ] {
            let error = FindDocuments::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.document().error_code, code, "{body}");
        }
    }
}
