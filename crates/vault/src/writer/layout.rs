//! What the packer knows of one collection: blocks whose places are being fixed, and the pages,
//! sums and entries that came of them. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;

use super::entries::EntryBuffer;
use super::index::BaseIndex;
use super::pages::{PageBuilder, ends_before};
use super::runs::{BlockOf, Piece, RunList};
use crate::fingerprint::Fingerprint;
use crate::id::{BlockId, PackId, PageId};
use crate::manifest::PageReference;
use crate::pack::Location;
use crate::page::{BlockReference, PAGE_BLOCKS_MAX, Page};
use crate::segment::Segment;
use crate::sidecar::STRIP_DOCUMENTS;

/// Where one collection came to lie, and what its pages add up to.
#[derive(Clone, Default)]
pub(super) struct PackedCollection {
    pub(super) pages: Vec<PageReference>,
    pub(super) packs: BTreeSet<PackId>,
    pub(super) fingerprint: Fingerprint,
    pub(super) bytes: u64,
    /// Where its identities lie; `None` where not all of them are known.
    pub(super) segments: Option<Vec<Segment>>,
}

/// The blocks of one collection that are not in a page yet, in order.
pub(super) struct Layout {
    pub(super) first_sequence: u64,
    pub(super) blocks: VecDeque<Option<Placed>>,
    /// The collection's runs follow; its pages are written at the commit.
    pub(super) has_runs: bool,
    pub(super) runs: RunList,
    pub(super) base_pages: HashMap<PageId, PageReference>,
    /// What is taken over from the base's segments.
    pub(super) base: BaseIndex,
    /// What segments are to say of the blocks placed so far.
    pub(super) entries: EntryBuffer,
    /// Entries that were too many for memory.
    pub(super) spilled: Vec<Segment>,
    pub(super) done: PackedCollection,
    /// Whether the last page and the segments were written.
    pub(super) has_ended: bool,
    /// Pages over the new blocks alone, for checkpoints; only where runs follow.
    pub(super) new_pages: PackedCollection,
    /// The blocks that those pages have.
    pub(super) new_paged: usize,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout {
            first_sequence: 0,
            blocks: VecDeque::new(),
            has_runs: false,
            runs: RunList::default(),
            base_pages: HashMap::new(),
            base: BaseIndex {
                segments: Some(Vec::new()),
                ..BaseIndex::default()
            },
            entries: EntryBuffer::default(),
            spilled: Vec::new(),
            done: PackedCollection::default(),
            has_ended: false,
            new_pages: PackedCollection::default(),
            new_paged: 0,
        }
    }
}

/// A block in a pack; its sidecar's place is fixed when the pack is closed.
pub(super) struct Placed {
    pub(super) pack: PackId,
    pub(super) block: Location,
    pub(super) sidecar: Option<Location>,
    pub(super) id: BlockId,
    pub(super) raw_length: u32,
    pub(super) fingerprint: Fingerprint,
    pub(super) bytes: u64,
}

impl Layout {
    /// Notes where a block came to lie; workers finish in any order.
    pub(super) fn place(&mut self, sequence: u64, placed: Placed) {
        let at = self.at(sequence);
        while self.blocks.len() <= at {
            self.blocks.push_back(None);
        }
        self.blocks[at] = Some(placed);
    }

    pub(super) fn block_mut(&mut self, sequence: u64) -> &mut Placed {
        let at = self.at(sequence);
        self.blocks[at].as_mut().expect("the block was placed")
    }

    fn at(&self, sequence: u64) -> usize {
        usize::try_from(sequence - self.first_sequence).expect("few blocks wait for a page")
    }

    /// Returns how many blocks from the first on have fixed places, sidecars included.
    fn placed(&self) -> usize {
        let fixed = |block: &&Option<Placed>| block.as_ref().is_some_and(|b| b.sidecar.is_some());
        self.blocks.iter().take_while(fixed).count()
    }

    /// Returns how many blocks the page has that begins at this one; `None` while its end is not
    /// known.
    pub(super) fn page_length(&self, from: usize, all: bool) -> Option<usize> {
        let placed = self.placed().saturating_sub(from);
        let known = self.blocks.iter().skip(from).take(placed).flatten();
        let end = known
            .enumerate()
            .find_map(|(at, block)| ends_before(at, &block.id).then_some(at));
        let rest = (all && placed > 0).then_some(placed.min(PAGE_BLOCKS_MAX));
        end.or(rest)
    }

    /// Returns the page over some blocks.
    pub(super) fn page(&self, blocks: Range<usize>) -> Page {
        let mut page = PageBuilder::default();
        for placed in self.blocks.range(blocks) {
            let placed = placed.as_ref().expect("only fixed places are on a page");
            let block = placed.reference();
            page.run(placed.pack, &block, 0, block.documents);
            page.sums(placed.bytes, placed.fingerprint.sum);
        }
        page.finish()
    }

    /// Takes the first blocks out and makes a page of them.
    pub(super) fn take_page(&mut self, blocks: usize) -> Page {
        let page = self.page(0..blocks);
        self.blocks.drain(..blocks);
        self.first_sequence += blocks as u64;
        page
    }
}

impl Placed {
    /// Returns what a page says of the block, without its pack.
    pub(super) fn reference(&self) -> BlockReference {
        let sidecar = self.sidecar.expect("sidecars are placed before pages");
        BlockReference {
            pack: 0,
            ordinal: self.block.ordinal,
            offset: self.block.offset,
            length: self.block.length,
            raw_length: self.raw_length,
            documents: u32::try_from(self.fingerprint.documents).expect("at most 65,536"),
            id: self.id,
            sidecar_ordinal: sidecar.ordinal,
            sidecar_offset: sidecar.offset,
            sidecar_length: sidecar.length,
            strip_documents: Some(STRIP_DOCUMENTS),
        }
    }
}

impl PackedCollection {
    /// Refers to a page as it is; its sums come with the others' at the end.
    pub(super) fn keep(&mut self, page: PageReference) {
        self.packs.insert(page.pack);
        self.packs.extend(page.packs.iter().flatten());
        self.pages.push(page);
    }

    /// Adds a page that was written.
    pub(super) fn push(&mut self, page: &Page, reference: PageReference) {
        self.add(page);
        self.packs.insert(reference.pack);
        self.pages.push(reference);
    }

    /// Adds what a page holds.
    pub(super) fn add(&mut self, page: &Page) {
        self.packs.extend(&page.packs);
        self.fingerprint.merge(Fingerprint {
            documents: page.documents,
            sum: page.sum,
        });
        self.bytes += page.bytes;
    }
}

/// Returns the block of a run and the pack it lies in.
pub(super) fn resolve(
    piece: &Piece,
    runs: &RunList,
    placed: &VecDeque<Option<Placed>>,
) -> (PackId, BlockReference) {
    match piece.block.block() {
        BlockOf::Base(number) => runs.base_blocks[number as usize].clone(),
        BlockOf::New(sequence) => {
            let at = usize::try_from(sequence).expect("blocks fit in memory");
            let placed = placed.get(at).and_then(Option::as_ref);
            let placed = placed.expect("all blocks are placed before the commit");
            (placed.pack, placed.reference())
        }
    }
}
