//! Makes pages out of runs. Where a page ends depends on the content alone, so that pages realign
//! behind a change and an unchanged stretch has the same name again. Pure.

use std::collections::HashMap;

use crate::fingerprint::Sum;
use crate::id::{BlockId, PackId};
use crate::locate::BlockPlace;
use crate::page::{BlockReference, PAGE_BLOCKS_MAX, PAGE_BLOCKS_MIN, PAGE_RUNS_MAX, Page, Run};

/// Blocks at which a page ends that is not cut by content.
const PAGE_BLOCKS_BY_SIZE: usize = 128;

/// Where the pages of a run list end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cut {
    /// Before blocks whose names say so, so that the next scan comes to the same pages.
    #[default]
    ByContent,
    /// When they are full: many small blocks at the end of a collection stay together until they
    /// are stored as one.
    BySize,
}

/// One in so many blocks may begin a page.
const BOUNDARY_ONE_IN: u8 = 64;

/// Answers whether a page of so many blocks ends before a block of this name.
pub(super) fn ends_before(blocks: usize, next: &BlockId) -> bool {
    blocks >= PAGE_BLOCKS_MAX || (blocks >= PAGE_BLOCKS_MIN && may_begin(next))
}

fn may_begin(block: &BlockId) -> bool {
    block.0[0].is_multiple_of(BOUNDARY_ONE_IN)
}

/// A page that takes runs.
#[derive(Default)]
pub(super) struct PageBuilder {
    page: Page,
    packs: HashMap<PackId, u32>,
    blocks: HashMap<BlockPlace, u32>,
    /// The block of the last run: most runs are of the same one as the run before.
    last: Option<(BlockPlace, u32)>,
}

impl PageBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.page.runs.is_empty()
    }

    /// Answers whether the page ends before runs that begin in this block at this ordinal.
    pub(super) fn ends_before(&self, cut: Cut, block: &BlockId, first: u32, runs: usize) -> bool {
        let count = self.page.blocks.len();
        let at_block = match cut {
            Cut::ByContent => ends_before(count, block),
            Cut::BySize => count >= PAGE_BLOCKS_BY_SIZE,
        };
        (first == 0 && at_block)
            || count >= 2 * PAGE_BLOCKS_MAX
            || (!self.is_empty() && self.page.runs.len() + runs > PAGE_RUNS_MAX)
    }

    /// Adds a run; `block`'s index of its pack is set here.
    pub(super) fn run(&mut self, pack: PackId, block: &BlockReference, first: u32, count: u32) {
        let block_index = self.block(pack, block);
        let page = &mut self.page;
        page.documents += u64::from(count);
        match page.runs.last_mut() {
            Some(last) if last.block == block_index && last.first + last.count == first => {
                last.count += count;
            }
            _ => page.runs.push(Run {
                block: block_index,
                first,
                count,
            }),
        }
    }

    /// Returns the index of a block, which is added where it is new.
    fn block(&mut self, pack: PackId, block: &BlockReference) -> u32 {
        let place = (pack, block.ordinal);
        if let Some((_, known)) = self.last.filter(|(last, _)| *last == place) {
            return known;
        }
        let page = &mut self.page;
        let pack_index = *self.packs.entry(pack).or_insert_with(|| {
            page.packs.push(pack);
            index(page.packs.len() - 1)
        });
        let block_index = *self.blocks.entry(place).or_insert_with(|| {
            page.blocks.push(BlockReference {
                pack: pack_index,
                ..block.clone()
            });
            index(page.blocks.len() - 1)
        });
        self.last = Some((place, block_index));
        block_index
    }

    /// Adds what runs add up to.
    pub(super) fn sums(&mut self, bytes: u64, sum: Sum) {
        self.page.bytes += bytes;
        self.page.sum.add(sum);
    }

    /// Returns the number of its runs.
    pub(super) fn runs(&self) -> usize {
        self.page.runs.len()
    }

    /// Returns the number of its blocks.
    pub(super) fn blocks(&self) -> usize {
        self.page.blocks.len()
    }

    pub(super) fn finish(self) -> Page {
        self.page
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).expect("a page has few blocks and packs")
}
