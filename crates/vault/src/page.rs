//! A stretch of a collection's run list, with its own tables of packs and blocks, so that a reader
//! needs no index of the whole repository. Named by its content, so that an unchanged stretch is
//! referred to as it is.

use std::ops::Range;

use minicbor::{Decode, Encode};

use crate::fingerprint::Sum;
use crate::id::{BlockId, PackId};
use crate::sidecar::Strips;

/// Most blocks a writer puts into one page.
pub(crate) const PAGE_BLOCKS_MAX: usize = 512;
/// Fewest blocks a writer puts into a page that is not its collection's last.
pub(crate) const PAGE_BLOCKS_MIN: usize = 16;
/// Most runs a writer puts into one page.
pub(crate) const PAGE_RUNS_MAX: usize = 4096;
/// Most bytes a page may claim before compression.
pub(crate) const PAGE_BYTES_MAX: usize = 64 << 20;

/// The content of one page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Page {
    #[n(0)]
    pub(crate) packs: Vec<PackId>,
    #[n(1)]
    pub(crate) blocks: Vec<BlockReference>,
    #[n(2)]
    pub(crate) runs: Vec<Run>,
    #[n(3)]
    pub(crate) documents: u64,
    #[n(4)]
    pub(crate) bytes: u64,
    #[n(5)]
    pub(crate) sum: Sum,
}

/// Where a block and its sidecar lie.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct BlockReference {
    #[n(0)]
    pub(crate) pack: u32,
    #[n(1)]
    pub(crate) ordinal: u32,
    #[n(2)]
    pub(crate) offset: u64,
    #[n(3)]
    pub(crate) length: u32,
    #[n(4)]
    pub(crate) raw_length: u32,
    #[n(5)]
    pub(crate) documents: u32,
    #[n(6)]
    pub(crate) id: BlockId,
    #[n(7)]
    pub(crate) sidecar_ordinal: u32,
    #[n(8)]
    pub(crate) sidecar_offset: u64,
    #[n(9)]
    pub(crate) sidecar_length: u32,
    /// Documents in a strip of the sidecar; absent where it is one frame.
    #[n(10)]
    pub(crate) strip_documents: Option<u32>,
}

impl BlockReference {
    /// Returns where the strips of the sidecar lie.
    pub(crate) fn strips(&self) -> Strips {
        Strips::new(self.documents, self.sidecar_length, self.strip_documents)
    }

    /// Returns where some strips of the sidecar lie in the pack.
    pub(crate) fn strips_range(&self, strips: &Range<u32>) -> Range<u64> {
        let range = self.strips().range(strips);
        let place = |at: u64| self.sidecar_offset.saturating_add(at);
        place(range.start)..place(range.end)
    }

    /// Returns the bytes of all its documents.
    pub(crate) fn documents_bytes(&self) -> u64 {
        let tables = 4 * u64::from(self.documents) + 4;
        u64::from(self.raw_length).saturating_sub(tables)
    }
}

/// Consecutive live documents of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Run {
    #[n(0)]
    pub(crate) block: u32,
    #[n(1)]
    pub(crate) first: u32,
    #[n(2)]
    pub(crate) count: u32,
}

impl Page {
    pub(crate) fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("a vector takes any CBOR")
    }

    /// Reads a page and verifies that its tables agree with each other.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Page, String> {
        let page: Page = minicbor::decode(bytes).map_err(|error| error.to_string())?;
        for block in &page.blocks {
            if page.packs.get(block.pack as usize).is_none() {
                return Err(format!("a block lies in pack {} of none", block.pack));
            }
        }
        let mut documents = 0;
        for run in &page.runs {
            let block = page.blocks.get(run.block as usize);
            let block = block.ok_or_else(|| format!("{run:?} is of no block"))?;
            let end = run
                .first
                .checked_add(run.count)
                .filter(|&end| end <= block.documents);
            if end.is_none() || run.count == 0 {
                return Err(format!("{run:?} is outside a block of {}", block.documents));
            }
            documents += u64::from(run.count);
        }
        if documents != page.documents {
            return Err(format!(
                "runs add up to {documents}, not {}",
                page.documents
            ));
        }
        Ok(page)
    }

    /// Returns about how many bytes the page takes in memory.
    pub(crate) fn bytes_held(&self) -> usize {
        size_of_val(self.packs.as_slice())
            + size_of_val(self.blocks.as_slice())
            + size_of_val(self.runs.as_slice())
    }

    /// Returns the pack in which a block of this page lies.
    pub(crate) fn pack_of(&self, block: &BlockReference) -> PackId {
        self.packs[block.pack as usize]
    }

    /// Returns how many documents of each of its blocks are live on this page.
    pub(crate) fn live_documents(&self) -> Vec<u64> {
        let mut live = vec![0; self.blocks.len()];
        for run in &self.runs {
            live[run.block as usize] += u64::from(run.count);
        }
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(runs: Vec<Run>) -> Page {
        let block = BlockReference {
            pack: 0,
            ordinal: 0,
            offset: 16,
            length: 100,
            raw_length: 200,
            documents: 10,
            id: BlockId([7; 32]),
            sidecar_ordinal: 1,
            sidecar_offset: 116,
            sidecar_length: 340,
            strip_documents: Some(64),
        };
        let documents = runs.iter().map(|run| u64::from(run.count)).sum();
        let packs = vec![PackId([1; 16])];
        Page {
            packs,
            blocks: vec![block],
            runs,
            documents,
            bytes: 50,
            sum: Sum::default(),
        }
    }

    #[test]
    fn a_page_is_read_back() {
        let page = page(vec![
            Run {
                block: 0,
                first: 0,
                count: 4,
            },
            Run {
                block: 0,
                first: 6,
                count: 4,
            },
        ]);
        assert_eq!(Page::decode(&page.encode()), Ok(page));
    }

    #[test]
    fn runs_outside_their_block_are_refused() {
        for run in [
            Run {
                block: 1,
                first: 0,
                count: 1,
            },
            Run {
                block: 0,
                first: 10,
                count: 1,
            },
            Run {
                block: 0,
                first: 5,
                count: 6,
            },
            Run {
                block: 0,
                first: u32::MAX,
                count: 2,
            },
            Run {
                block: 0,
                first: 0,
                count: 0,
            },
        ] {
            assert!(Page::decode(&page(vec![run]).encode()).is_err(), "{run:?}");
        }
    }
}
