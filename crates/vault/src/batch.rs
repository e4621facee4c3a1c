//! What a caller hands to the writer: bytes as they came from the source, and where the documents
//! lie in them. Nothing is copied or decoded here.

use bytes::Bytes;

use crate::error::Error;

/// Most bytes a document may have: 16 MiB, and 16 KiB for what a source may wrap around its largest
/// ones.
pub const DOCUMENT_BYTES_MAX: usize = (16 << 20) + (16 << 10);

/// Documents in the order in which they are to be kept.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The bytes the spans refer to; may hold more than documents.
    pub bytes: Bytes,
    /// Where each document lies.
    pub documents: Vec<Span>,
}

/// Where one document and its identity lie in the bytes of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte of the document.
    pub start: u32,
    /// First byte after the document.
    pub end: u32,
    /// First byte of its identity; equal to `id_end` where it has none.
    pub id_start: u32,
    /// First byte after its identity.
    pub id_end: u32,
}

impl Batch {
    /// Returns the document's bytes and the identity's position in them.
    pub(crate) fn document(&self, span: &Span) -> Result<(&[u8], std::ops::Range<u32>), Error> {
        let ordered = span.start <= span.id_start && span.id_start <= span.id_end;
        if !ordered || span.id_end > span.end {
            return Err(Error::invalid(format!("the span {span:?} is out of order")));
        }
        let document = self.bytes.get(span.start as usize..span.end as usize);
        let document = document.ok_or_else(|| {
            Error::invalid(format!(
                "the span {span:?} ends after {} bytes",
                self.bytes.len()
            ))
        })?;
        if document.len() > DOCUMENT_BYTES_MAX {
            let length = document.len();
            let reason = format!("a document has {length} bytes, at most {DOCUMENT_BYTES_MAX}");
            return Err(Error::invalid(reason));
        }
        Ok((
            document,
            span.id_start - span.start..span.id_end - span.start,
        ))
    }
}
