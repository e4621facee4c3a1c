//! BSON bytes written by hand: fast for much data, and able to write what typed builders refuse
//! (a name twice, text that is not UTF-8, deprecated types). Documents are checked by nobody here;
//! the server's answer is.

use anyhow::{Context, bail};
use bson::{Document, RawDocumentBuf};
use mongodb::Database;

/// Documents of one insert command stay below this many bytes together, unless one is larger.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// The server takes no more documents in one command.
const BATCH_DOCUMENTS: usize = 50_000;

/// A document that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    bytes: Vec<u8>,
}

impl Raw {
    pub(crate) fn new() -> Self {
        Self::with_capacity(64)
    }

    pub(crate) fn with_capacity(size_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(size_bytes);
        // The length; known at the end.
        bytes.extend([0; 4]);
        Self { bytes }
    }

    /// Appends an element of any BSON type, given as its type byte and encoded value.
    pub(crate) fn element(mut self, kind: u8, key: &str, value: &[u8]) -> Self {
        self.bytes.push(kind);
        self.bytes.extend(key.as_bytes());
        self.bytes.push(0);
        self.bytes.extend(value);
        self
    }

    pub(crate) fn int(self, key: &str, value: i32) -> Self {
        self.element(0x10, key, &value.to_le_bytes())
    }

    pub(crate) fn long(self, key: &str, value: i64) -> Self {
        self.element(0x12, key, &value.to_le_bytes())
    }

    pub(crate) fn double(self, key: &str, value: f64) -> Self {
        self.element(0x01, key, &value.to_le_bytes())
    }

    pub(crate) fn bool(self, key: &str, value: bool) -> Self {
        self.element(0x08, key, &[u8::from(value)])
    }

    pub(crate) fn string(self, key: &str, value: &str) -> Self {
        self.text(0x02, key, value.as_bytes())
    }

    /// Appends a string-like element, whose bytes need not be UTF-8.
    pub(crate) fn text(self, kind: u8, key: &str, value: &[u8]) -> Self {
        let mut encoded = length(value.len() + 1).to_vec();
        encoded.extend(value);
        encoded.push(0);
        self.element(kind, key, &encoded)
    }

    pub(crate) fn document(self, key: &str, value: Raw) -> Self {
        self.element(0x03, key, &value.finish())
    }

    pub(crate) fn array<'a>(
        self,
        key: &str,
        documents: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut array = Raw::new();
        for (index, document) in documents.into_iter().enumerate() {
            array = array.element(0x03, &index.to_string(), document);
        }
        self.element(0x04, key, &array.finish())
    }

    /// Returns the finished document.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        let size = length(self.bytes.len());
        self.bytes[..4].copy_from_slice(&size);
        self.bytes
    }
}

fn length(size: usize) -> [u8; 4] {
    i32::try_from(size)
        .expect("documents are at most 48 MB")
        .to_le_bytes()
}

/// Returns the bytes of a typed document.
pub(crate) fn encoded(document: &Document) -> Vec<u8> {
    let raw = RawDocumentBuf::try_from(document).expect("built in memory from valid parts");
    raw.into_bytes()
}

/// Inserts documents in batches, in their order, past any validator.
pub(crate) async fn insert(
    database: &Database,
    collection: &str,
    documents: impl IntoIterator<Item = Vec<u8>>,
) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    let mut size = 0;
    for document in documents {
        let full = size + document.len() > BATCH_BYTES || batch.len() == BATCH_DOCUMENTS;
        if full && !batch.is_empty() {
            insert_batch(database, collection, &batch).await?;
            batch.clear();
            size = 0;
        }
        size += document.len();
        batch.push(document);
    }
    if batch.is_empty() {
        Ok(())
    } else {
        insert_batch(database, collection, &batch).await
    }
}

async fn insert_batch(
    database: &Database,
    collection: &str,
    batch: &[Vec<u8>],
) -> anyhow::Result<()> {
    let size: usize = batch.iter().map(Vec::len).sum();
    let command = Raw::with_capacity(size + 16 * batch.len() + 256)
        .string("insert", collection)
        .bool("ordered", true)
        .bool("bypassDocumentValidation", true)
        .array("documents", batch.iter().map(Vec::as_slice))
        .finish();
    let command = RawDocumentBuf::from_bytes(command).context("build an insert command")?;
    let answer = database
        .run_raw_command(command)
        .await
        .with_context(|| format!("insert into {}.{collection}", database.name()))?;
    if let Ok(errors) = answer.get_array("writeErrors") {
        bail!(
            "insert into {}.{collection}: {:?}",
            database.name(),
            errors.first()
        );
    }
    Ok(())
}
