//! What two collections don't share, by names alone: pages, then stretches of blocks.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::error::Error;
use crate::id::{PackId, PageId};
use crate::manifest::{CollectionManifest, PageReference};
use crate::page::BlockReference;
use crate::reader::read_page;
use crate::repository::Inner;

/// Pages read at a time.
const PAGES_AT_A_TIME: usize = 4;

/// What each of two collections has alone.
#[derive(Default)]
pub(super) struct Differing {
    pub(super) first: Side,
    pub(super) second: Side,
}

/// What one collection has alone: blocks in the order of its runs.
#[derive(Default)]
pub(super) struct Side {
    pub(super) blocks: Vec<Stretches>,
}

/// A block and the documents of it that are live in one collection only.
pub(super) struct Stretches {
    pub(super) pack: PackId,
    pub(super) block: BlockReference,
    /// In ascending order, without overlap.
    pub(super) live: Vec<Range<u32>>,
}

impl Differing {
    /// Reads the pages that only one of the collections refers to.
    pub(super) async fn of(
        repository: &Arc<Inner>,
        first: &CollectionManifest,
        second: &CollectionManifest,
    ) -> Result<Differing, Error> {
        let pages = |mine: &CollectionManifest, other: &CollectionManifest| {
            without(&mine.pages, &other.pages)
        };
        let mut first_blocks = read(repository, pages(first, second)).await?;
        let mut second_blocks = read(repository, pages(second, first)).await?;
        for (place, &at) in &first_blocks.numbers {
            if let Some(&other) = second_blocks.numbers.get(place) {
                let mine = &mut first_blocks.blocks[at].live;
                let theirs = &mut second_blocks.blocks[other].live;
                (*mine, *theirs) = (subtract(mine, theirs), subtract(theirs, mine));
            }
        }
        Ok(Differing {
            first: first_blocks.side(),
            second: second_blocks.side(),
        })
    }

    /// Returns how many documents are to be compared.
    pub(super) fn documents(&self) -> u64 {
        let blocks = self.first.blocks.iter().chain(&self.second.blocks);
        let live = blocks.flat_map(|stretches| &stretches.live);
        live.map(|range| u64::from(range.end - range.start)).sum()
    }

    pub(super) fn block(&self, is_second: bool, block: u32) -> &Stretches {
        let side = if is_second { &self.second } else { &self.first };
        &side.blocks[block as usize]
    }
}

/// Returns the pages that `other` does not refer to as often.
fn without(pages: &[PageReference], other: &[PageReference]) -> Vec<PageReference> {
    let mut shared: HashMap<PageId, usize> = HashMap::new();
    for page in other {
        *shared.entry(page.id).or_default() += 1;
    }
    let is_own = |page: &&PageReference| match shared.get_mut(&page.id) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    pages.iter().filter(is_own).cloned().collect()
}

/// The blocks of some pages, each once.
#[derive(Default)]
struct Blocks {
    blocks: Vec<Stretches>,
    numbers: HashMap<(PackId, u32), usize>,
}

impl Blocks {
    fn side(self) -> Side {
        let mut blocks = self.blocks;
        blocks.retain(|stretches| !stretches.live.is_empty());
        Side { blocks }
    }
}

async fn read(repository: &Arc<Inner>, pages: Vec<PageReference>) -> Result<Blocks, Error> {
    let mut read = futures::stream::iter(pages)
        .map(|page| async move { read_page(repository, &page).await })
        .buffered(PAGES_AT_A_TIME);
    let mut all = Blocks::default();
    while let Some(page) = read.try_next().await? {
        for run in &page.runs {
            let block = &page.blocks[run.block as usize];
            let pack = page.pack_of(block);
            let number = *all.numbers.entry((pack, block.ordinal)).or_insert_with(|| {
                all.blocks.push(Stretches {
                    pack,
                    block: block.clone(),
                    live: Vec::new(),
                });
                all.blocks.len() - 1
            });
            all.blocks[number]
                .live
                .push(run.first..run.first + run.count);
        }
    }
    for stretches in &mut all.blocks {
        stretches.live.sort_unstable_by_key(|range| range.start);
    }
    Ok(all)
}

/// Returns what of `ranges` is not in `others`; both ascending and without overlap.
fn subtract(ranges: &[Range<u32>], others: &[Range<u32>]) -> Vec<Range<u32>> {
    let mut left = Vec::new();
    let mut others = others.iter().peekable();
    for range in ranges {
        let mut start = range.start;
        while let Some(other) = others.peek() {
            if other.start >= range.end {
                break;
            }
            if other.start > start {
                left.push(start..other.start);
            }
            start = start.max(other.end);
            if other.end > range.end {
                break;
            }
            others.next();
        }
        if start < range.end {
            left.push(start..range.end);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(live: &[bool]) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for (at, _) in (0u32..).zip(live).filter(|(_, live)| **live) {
            match ranges.last_mut() {
                // Neighbours are not always one run.
                Some(last) if last.end == at && at % 5 != 0 => last.end += 1,
                _ => ranges.push(at..at + 1),
            }
        }
        ranges
    }

    proptest! {
        #[test]
        fn what_is_left_is_what_only_one_side_has(
            live in proptest::collection::vec(any::<(bool, bool)>(), 0..60),
        ) {
            let (mine, theirs): (Vec<_>, Vec<_>) = live.iter().copied().unzip();
            let left = subtract(&ranges(&mine), &ranges(&theirs));
            let found: Vec<u32> = left.into_iter().flatten().collect();
            let expected = (0u32..).zip(&live).filter(|(_, (mine, theirs))| *mine && !theirs);
            prop_assert_eq!(found, expected.map(|(at, _)| at).collect::<Vec<_>>());
        }
    }
}
