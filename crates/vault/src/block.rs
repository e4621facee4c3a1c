//! Consecutive documents: the unit of storage. Pure. Documents come first and the tables last, so
//! that a document is copied once, into the buffer that is hashed and compressed.

use std::ops::Range;

use bytes::Bytes;

use crate::error::Error;
use crate::keys::{DOCUMENT_HASH_BYTES, IDENTITY_HASH_BYTES};

/// Identity hash and document hash of a document.
pub(crate) type Hashes = ([u8; IDENTITY_HASH_BYTES], [u8; DOCUMENT_HASH_BYTES]);

/// Most documents in one block, so that its sidecar stays near 2 MiB however small they are.
pub(crate) const BLOCK_DOCUMENTS_MAX: usize = 1 << 16;

/// Consecutive live documents, verified; they may come from several stored blocks.
#[derive(Clone, Debug, Default)]
pub struct Block {
    parts: Vec<Bytes>,
    /// Which part, and where in it.
    live: Vec<(u32, Range<u32>)>,
}

impl Block {
    /// Returns the live documents in order.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.live.iter().map(|(part, range)| {
            &self.parts[*part as usize][range.start as usize..range.end as usize]
        })
    }

    /// Returns the live documents in order, each sharing the block's memory.
    pub fn shared_documents(&self) -> impl ExactSizeIterator<Item = Bytes> {
        self.live.iter().map(|(part, range)| {
            self.parts[*part as usize].slice(range.start as usize..range.end as usize)
        })
    }

    /// Returns the number of live documents.
    pub fn document_count(&self) -> usize {
        self.live.len()
    }

    /// Returns the sum of the lengths of the live documents, in bytes.
    pub fn bytes_len(&self) -> usize {
        self.live.iter().map(|(_, range)| range.len()).sum()
    }

    /// Adds documents that lie at these places in the plain bytes of a stored block.
    pub(crate) fn add(&mut self, plain: &Bytes, documents: &[Range<u32>]) {
        if self
            .parts
            .last()
            .is_none_or(|last| last.as_ptr() != plain.as_ptr())
        {
            self.parts.push(plain.clone());
        }
        let part = u32::try_from(self.parts.len() - 1).expect("a block has few parts");
        self.live
            .extend(documents.iter().map(|range| (part, range.clone())));
    }
}

/// Where a document of an open block ends and its identity lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) length: u32,
    pub(crate) identity_start: u32,
    pub(crate) identity_length: u32,
}

/// A block that still takes documents.
#[derive(Debug, Default)]
pub(crate) struct OpenBlock {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Hashes of the first documents, where they are known already.
    hashes: Vec<Hashes>,
}

impl OpenBlock {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Answers whether a document of this length may be added; an empty block takes any.
    pub(crate) fn has_room(&self, length: usize, block_bytes: usize) -> bool {
        self.is_empty()
            || (self.bytes.len() + length <= block_bytes
                && self.entries.len() < BLOCK_DOCUMENTS_MAX)
    }

    /// Adds a document, whose identity lies at `identity` in it.
    pub(crate) fn push(&mut self, document: &[u8], identity: Range<u32>, block_bytes: usize) {
        self.grow(document.len(), block_bytes);
        self.bytes.extend_from_slice(document);
        self.entries.push(Entry {
            length: u32::try_from(document.len()).expect("documents are at most 16 MiB"),
            identity_start: identity.start,
            identity_length: identity.end - identity.start,
        });
    }

    /// Adds a document whose hashes are known; the block must hold no other ones.
    pub(crate) fn push_hashed(&mut self, document: &[u8], hashes: Hashes, block_bytes: usize) {
        assert_eq!(
            self.hashes.len(),
            self.entries.len(),
            "all hashes are known"
        );
        self.push(document, 0..0, block_bytes);
        self.hashes.push(hashes);
    }

    /// Returns the hashes of the documents, where they are known.
    pub(crate) fn hashes(&self) -> Option<&[Hashes]> {
        (self.hashes.len() == self.entries.len()).then_some(&self.hashes)
    }

    /// Makes room: a small collection should not pay for a whole block, a full block should not be
    /// moved again and again as it fills, nor once more for its tables.
    fn grow(&mut self, length: usize, block_bytes: usize) {
        let needed = self.bytes.len() + length;
        if needed > self.bytes.capacity() {
            let doubled = needed.max(2 * self.bytes.capacity()).max(4096);
            let whole = block_bytes + block_bytes / 16;
            let target = if doubled > block_bytes / 8 {
                whole.max(needed)
            } else {
                doubled
            };
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }

    /// Returns the length that the plain bytes will have.
    pub(crate) fn plain_length(&self) -> usize {
        self.bytes.len() + 4 * self.entries.len() + 4
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns each document with its identity.
    pub(crate) fn documents(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.entries.iter().map(move |entry| {
            let document = &self.bytes[start..start + entry.length as usize];
            start += document.len();
            let identity = entry.identity_start as usize;
            (
                document,
                &document[identity..identity + entry.identity_length as usize],
            )
        })
    }

    /// Returns the length of its documents: where the tables of its plain bytes begin.
    pub(crate) fn documents_length(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the block's plain bytes.
    pub(crate) fn into_plain(mut self) -> Vec<u8> {
        self.bytes.reserve(4 * self.entries.len() + 4);
        for entry in &self.entries {
            self.bytes.extend_from_slice(&entry.length.to_le_bytes());
        }
        let count = u32::try_from(self.entries.len()).expect("a block has at most 65,536");
        self.bytes.extend_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

/// Returns where each document of a block of so many plain bytes lies. `end` is all of them, or the
/// last ones with the tables.
pub(crate) fn parse(end: &[u8], length: usize) -> Result<Vec<Range<u32>>, String> {
    let (rest, count) = end
        .split_last_chunk::<4>()
        .ok_or("the block is too short")?;
    let count = u32::from_le_bytes(*count) as usize;
    if count > BLOCK_DOCUMENTS_MAX || rest.len() < 4 * count {
        return Err(format!("the block cannot hold {count} documents"));
    }
    let lengths = &rest[rest.len() - 4 * count..];
    let documents = length - lengths.len() - 4;
    let mut ranges = Vec::with_capacity(count);
    let mut start = 0_u32;
    for length in lengths.chunks_exact(4) {
        let length = u32::from_le_bytes(length.try_into().expect("chunks of four bytes"));
        let end = start
            .checked_add(length)
            .ok_or("the block's lengths overflow")?;
        ranges.push(start..end);
        start = end;
    }
    if start as usize != documents {
        return Err(format!(
            "lengths add up to {start}, not to {documents} bytes"
        ));
    }
    Ok(ranges)
}

/// Refuses settings that a block cannot have.
pub(crate) fn check_block_bytes(block_bytes: usize) -> Result<(), Error> {
    if block_bytes == 0 || block_bytes > crate::batch::DOCUMENT_BYTES_MAX {
        return Err(Error::invalid(format!(
            "a block cannot have {block_bytes} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(documents: &[&[u8]]) -> Vec<u8> {
        let mut open = OpenBlock::default();
        for document in documents {
            open.push(document, 0..0, 1 << 20);
        }
        let length = open.plain_length();
        let plain = open.into_plain();
        assert_eq!(plain.len(), length);
        plain
    }

    #[test]
    fn documents_are_found_again() {
        let plain = plain(&[b"one", b"", b"three"]);
        assert_eq!(parse(&plain, plain.len()), Ok(vec![0..3, 3..3, 3..8]));
        assert_eq!(parse(&plain[8..], plain.len()), Ok(vec![0..3, 3..3, 3..8]));
        assert!(parse(&plain[9..], plain.len()).is_err());
        assert!(parse(&plain[8..], plain.len() + 1).is_err());
        let (plain, other) = (Bytes::from(plain), Bytes::from_static(b"another"));
        let mut block = Block::default();
        block.add(&plain, std::slice::from_ref(&(0..3)));
        block.add(&other, std::slice::from_ref(&(2..4)));
        block.add(&plain, std::slice::from_ref(&(3..8)));
        assert_eq!(
            block.documents().collect::<Vec<_>>(),
            [b"one".as_slice(), b"ot", b"three"]
        );
        assert_eq!((block.document_count(), block.bytes_len()), (3, 10));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let good = plain(&[b"one", b"two"]);
        for end in 0..good.len() {
            assert!(parse(&good[..end], end).is_err(), "cut after {end} bytes");
        }
        assert!(parse(&[0xff; 4], 4).is_err());
        assert!(parse(&[0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0], 8).is_err());
    }

    #[test]
    fn a_block_closes_at_its_size_but_takes_one_document_of_any() {
        let mut open = OpenBlock::default();
        assert!(open.has_room(5_000, 1_000));
        open.push(&[7; 900], 0..0, 1_000);
        assert!(open.has_room(100, 1_000));
        assert!(!open.has_room(101, 1_000));
    }
}
