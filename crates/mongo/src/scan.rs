//! A collection as a stream of raw batches.
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Error;

/// Batches of one collection, in natural order.
pub type ScanStream = BoxStream<'static, Result<ScanBatch, Error>>;

/// Documents of one server reply, not copied out of it.
#[derive(Clone, Debug)]
pub struct ScanBatch {
    /// The reply; only the spans below are documents, what is between them is framing.
    pub bytes: Bytes,
    /// Where the documents are, in the order of the server.
    pub documents: Vec<DocumentSpan>,
}

/// Where one document and its `_id` are in the bytes of a [`ScanBatch`].
///
/// `start..end` is the raw BSON document. `id_start..id_end` is its whole top-level `_id` element: a type
/// byte, the four bytes `_id\0`, then the value as BSON encodes it. A document without `_id`
/// (possible in old capped collections) has `id_start == id_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentSpan {
    /// Offset of the document's first byte.
    pub start: u32,
    /// Offset after its last byte.
    pub end: u32,
    /// Offset of the type byte of `_id`.
    pub id_start: u32,
    /// Offset after the last byte of the value of `_id`.
    pub id_end: u32,
}

impl ScanBatch {
    /// Returns the raw documents.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.documents
            .iter()
            .map(|span| &self.bytes[span.start as usize..span.end as usize])
    }

    /// Returns the bytes of the document at `span`.
    pub fn document(&self, span: &DocumentSpan) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// Returns the bytes of the `_id` element of the document at `span`.
    pub fn id(&self, span: &DocumentSpan) -> &[u8] {
        &self.bytes[span.id_start as usize..span.id_end as usize]
    }
}
