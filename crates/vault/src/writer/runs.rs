//! The run list of a collection that is written upon a base, and which of the base's blocks have
//! become thin. Pure. Runs stay in stream order whatever is done to them, and no document is
//! referred to twice.

use std::collections::HashMap;
use std::ops::Range;

use super::base::BaseBlock;
use super::pages::Cut;
use super::window::Place;
use crate::fingerprint::Sum;
use crate::page::{BlockReference, Page, Run};

/// A base block stays only if at least this many hundredths of its bytes are live.
const LIVE_HUNDREDTHS_MIN: u64 = 60;
/// Marks the numbers of blocks written for this snapshot.
const NEW: u32 = 1 << 31;
/// Runs in a stretch at most, so that pages can be cut by number of runs.
const STRETCH_RUNS_MAX: usize = 512;

/// The block of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct BlockNumber(u32);

/// What a block number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockOf {
    /// Number in the table of the base's blocks.
    Base(u32),
    /// Sequence of a block written for this snapshot.
    New(u64),
}

impl BlockNumber {
    fn base(number: u32) -> BlockNumber {
        assert!(number < NEW, "a collection has fewer than 2^31 blocks");
        BlockNumber(number)
    }

    pub(super) fn new_block(sequence: u64) -> BlockNumber {
        let number = u32::try_from(sequence).ok().filter(|&number| number < NEW);
        BlockNumber(number.expect("a collection has fewer than 2^31 blocks") | NEW)
    }

    pub(super) fn block(self) -> BlockOf {
        if self.0 & NEW == 0 {
            BlockOf::Base(self.0)
        } else {
            BlockOf::New(u64::from(self.0 & !NEW))
        }
    }
}

/// Consecutive documents of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) block: BlockNumber,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Runs that stay on one page. Their sums outlast the rewriting of thin blocks.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    pub(super) pieces: Vec<Piece>,
    pub(super) bytes: u64,
    pub(super) sum: Sum,
}

/// The runs of one collection.
#[derive(Default)]
pub(super) struct RunList {
    pub(super) cut: Cut,
    pub(super) stretches: Vec<Stretch>,
    pub(super) base_blocks: Vec<BaseBlock>,
    live_bytes: Vec<u64>,
}

impl RunList {
    pub(super) fn new(cut: Cut) -> RunList {
        RunList {
            cut,
            ..RunList::default()
        }
    }

    /// Adds blocks to the table of the base's blocks; returns their numbers.
    pub(super) fn extend_base(&mut self, blocks: Vec<BaseBlock>) -> Range<u32> {
        let length = |blocks: &Vec<BaseBlock>| u32::try_from(blocks.len());
        let first = length(&self.base_blocks).expect("a collection has fewer than 2^31 blocks");
        self.base_blocks.extend(blocks);
        self.live_bytes.resize(self.base_blocks.len(), 0);
        first..length(&self.base_blocks).expect("a collection has fewer than 2^31 blocks")
    }

    /// Adds a document of the base.
    pub(super) fn add_shared(&mut self, place: Place, length: u32, sum: Sum) {
        self.live_bytes[place.block as usize] += u64::from(length);
        self.add(BlockNumber::base(place.block), place.ordinal, length, sum);
    }

    /// Adds a document of a block written for this snapshot.
    pub(super) fn add_new(&mut self, sequence: u64, ordinal: u32, length: u32, sum: Sum) {
        self.add(BlockNumber::new_block(sequence), ordinal, length, sum);
    }

    /// Adds the runs of a page, whose blocks are not in the table yet.
    pub(super) fn add_page(&mut self, page: Page) {
        let blocks = page.blocks.iter();
        let blocks = blocks.map(|block| (page.pack_of(block), block.clone()));
        let offset = self.extend_base(blocks.collect()).start;
        let piece = |run: &Run| Piece {
            block: BlockNumber::base(offset + run.block),
            first: run.first,
            count: run.count,
        };
        if !page.runs.is_empty() {
            self.stretches.push(Stretch {
                pieces: page.runs.iter().map(piece).collect(),
                bytes: page.bytes,
                sum: page.sum,
            });
        }
    }

    fn add(&mut self, block: BlockNumber, ordinal: u32, length: u32, sum: Sum) {
        let stretch = match self.stretches.last_mut() {
            Some(stretch) if ordinal > 0 && stretch.pieces.len() < STRETCH_RUNS_MAX => stretch,
            _ => {
                self.stretches.push(Stretch::default());
                self.stretches.last_mut().expect("pushed above")
            }
        };
        stretch.bytes += u64::from(length);
        stretch.sum.add(sum);
        match stretch.pieces.last_mut() {
            Some(last) if last.block == block && last.first + last.count == ordinal => {
                last.count += 1;
            }
            _ => stretch.pieces.push(Piece {
                block,
                first: ordinal,
                count: 1,
            }),
        }
    }

    /// Returns the base's blocks of which too little is live.
    pub(super) fn thin_blocks(&self) -> Vec<u32> {
        let thin = |(number, block): (u32, &BaseBlock)| {
            let live = self.live_bytes[number as usize];
            (live > 0 && is_thin(&block.1, live)).then_some(number)
        };
        (0..).zip(&self.base_blocks).filter_map(thin).collect()
    }

    /// Returns the live ordinals of these blocks of the base, each sorted.
    pub(super) fn live_ordinals(&self, blocks: &[u32]) -> HashMap<u32, Vec<u32>> {
        let mut live: HashMap<u32, Vec<u32>> =
            blocks.iter().map(|&block| (block, Vec::new())).collect();
        for piece in self.stretches.iter().flat_map(|stretch| &stretch.pieces) {
            if let BlockOf::Base(number) = piece.block.block()
                && let Some(ordinals) = live.get_mut(&number)
            {
                ordinals.extend(piece.first..piece.first + piece.count);
            }
        }
        live.values_mut()
            .for_each(|ordinals| ordinals.sort_unstable());
        live
    }

    /// Lets the runs of rewritten blocks refer to where each document went.
    pub(super) fn replace(&mut self, moved: &HashMap<Place, (BlockNumber, u32)>) {
        if moved.is_empty() {
            return;
        }
        for stretch in &mut self.stretches {
            let mut pieces: Vec<Piece> = Vec::with_capacity(stretch.pieces.len());
            for piece in &stretch.pieces {
                replace_piece(piece, moved, &mut pieces);
            }
            stretch.pieces = pieces;
        }
    }
}

/// Answers whether too little of a block is live.
pub(super) fn is_thin(block: &BlockReference, live_bytes: u64) -> bool {
    100 * live_bytes < LIVE_HUNDREDTHS_MIN * block.documents_bytes()
}

fn replace_piece(
    piece: &Piece,
    moved: &HashMap<Place, (BlockNumber, u32)>,
    pieces: &mut Vec<Piece>,
) {
    let to = |ordinal: u32| match piece.block.block() {
        BlockOf::Base(block) => moved.get(&Place { block, ordinal }).copied(),
        BlockOf::New(_) => None,
    };
    // A block is rewritten whole or not at all.
    if to(piece.first).is_none() {
        pieces.push(*piece);
        return;
    }
    for ordinal in piece.first..piece.first + piece.count {
        let (block, first) = to(ordinal).expect("a block is rewritten whole or not at all");
        match pieces.last_mut() {
            Some(last) if last.block == block && last.first + last.count == first => {
                last.count += 1;
            }
            _ => pieces.push(Piece {
                block,
                first,
                count: 1,
            }),
        }
    }
}
