//! Consecutive documents: the unit of storage.

/// Live documents of one block, verified.
#[derive(Clone, Debug)]
pub struct Block {
    bytes: bytes::Bytes,
    live: Vec<std::ops::Range<u32>>,
}

impl Block {
    /// Returns the live documents in order.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        self.live
            .iter()
            .map(|range| &self.bytes[range.start as usize..range.end as usize])
    }

    /// Returns the number of live documents.
    pub fn document_count(&self) -> usize {
        self.live.len()
    }

    /// Returns the sum of the lengths of the live documents, in bytes.
    pub fn bytes_len(&self) -> usize {
        unimplemented!()
    }
}
