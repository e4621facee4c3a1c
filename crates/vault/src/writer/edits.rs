//! What an editor has done so far: documents taken out of the base's pages, documents added, and
//! how much of each touched block is live. Pure. Must never take a document out twice.

use std::collections::{HashMap, HashSet};

use super::pages::PageBuilder;
use super::runs::is_thin;
use crate::fingerprint::{Fingerprint, Sum};
use crate::live::Live;
use crate::locate::BlockPlace;
use crate::page::{BlockReference, Page};
use crate::segment::IdentityHash;
use crate::sidecar::Key;

/// What was taken out of one page.
#[derive(Default)]
pub(super) struct PageEdit {
    /// Index of the block in the page, and ordinal.
    removed: HashSet<(u32, u32)>,
    fingerprint: Fingerprint,
    bytes: u64,
}

/// A document that was added.
pub(super) struct Fresh {
    pub(super) sequence: u64,
    pub(super) ordinal: u32,
    pub(super) key: Key,
    /// Whether no later call has replaced it.
    pub(super) live: bool,
}

/// How much of a block is live. What was dead before is not looked up, and counts as so many
/// documents of the average length; what is taken out counts as it is.
struct Weight {
    block: BlockReference,
    documents_before: u64,
    documents_removed: u64,
    bytes_removed: u64,
}

impl Weight {
    /// Answers whether too little seems to be live.
    fn seems_thin(&self) -> bool {
        let whole = self.block.documents_bytes();
        let before = whole * self.documents_before / u64::from(self.block.documents).max(1);
        let live = before.saturating_sub(self.bytes_removed);
        self.documents_before > self.documents_removed && is_thin(&self.block, live)
    }
}

/// The edits of one collection.
#[derive(Default)]
pub(super) struct Edits {
    pages: HashMap<usize, PageEdit>,
    pub(super) fresh: Vec<Fresh>,
    by_identity: HashMap<IdentityHash, usize>,
    weights: HashMap<BlockPlace, Weight>,
    /// What was taken out over all pages.
    pub(super) removed: Fingerprint,
    pub(super) removed_bytes: u64,
}

impl Edits {
    /// Answers whether a document of the base is still there.
    pub(super) fn is_live(&self, page: usize, index: u32, document: u32) -> bool {
        let edit = self.pages.get(&page);
        edit.is_none_or(|edit| !edit.removed.contains(&(index, document)))
    }

    pub(super) fn page(&self, number: usize) -> Option<&PageEdit> {
        self.pages.get(&number)
    }

    /// Notes how many documents of a block are live before any is taken out.
    pub(super) fn weigh(&mut self, place: BlockPlace, block: &BlockReference, documents: u64) {
        self.weights.entry(place).or_insert_with(|| Weight {
            block: block.clone(),
            documents_before: documents,
            documents_removed: 0,
            bytes_removed: 0,
        });
    }

    /// Takes a document of the base out.
    pub(super) fn remove(&mut self, live: &Live, key: &Key, sum: Sum) {
        let edit = self.pages.entry(live.page).or_default();
        if !edit.removed.insert((live.index, live.document)) {
            return;
        }
        let one = Fingerprint { documents: 1, sum };
        let bytes = u64::from(key.length);
        edit.fingerprint.merge(one);
        edit.bytes += bytes;
        self.removed.merge(one);
        self.removed_bytes += bytes;
        if let Some(weight) = self.weights.get_mut(&live.block) {
            weight.documents_removed += 1;
            weight.bytes_removed += bytes;
        }
    }

    /// Adds a document.
    pub(super) fn add(&mut self, (sequence, ordinal): (u64, u32), key: Key) {
        self.by_identity.insert(key.identity, self.fresh.len());
        self.fresh.push(Fresh {
            sequence,
            ordinal,
            key,
            live: true,
        });
    }

    /// Returns the added document of an identity.
    pub(super) fn fresh_of(&mut self, identity: &IdentityHash) -> Option<&mut Fresh> {
        let at = *self.by_identity.get(identity)?;
        Some(&mut self.fresh[at]).filter(|fresh| fresh.live)
    }

    /// Returns the touched blocks of which too little seems to be live.
    pub(super) fn thin_blocks(&self) -> impl Iterator<Item = BlockPlace> {
        let weights = self.weights.iter();
        weights.filter_map(|(place, weight)| weight.seems_thin().then_some(*place))
    }

    /// Adds what is left of a page to another one.
    pub(super) fn rebuild(&self, number: usize, page: &Page, into: &mut PageBuilder) {
        let (mut bytes, mut sum) = (page.bytes, page.sum);
        let edit = self.pages.get(&number);
        let mut removed: Vec<(u32, u32)> =
            edit.map_or_else(Vec::new, |edit| edit.removed.iter().copied().collect());
        removed.sort_unstable();
        for run in &page.runs {
            let block = &page.blocks[run.block as usize];
            let pack = page.pack_of(block);
            let mut keep = |first: u32, end: u32| {
                if first < end {
                    into.run(pack, block, first, end - first);
                }
            };
            let end = run.first + run.count;
            let mut first = run.first;
            let from = removed.partition_point(|&place| place < (run.block, first));
            let to = removed.partition_point(|&place| place < (run.block, end));
            for &(_, document) in &removed[from..to] {
                keep(first, document);
                first = document + 1;
            }
            keep(first, end);
        }
        if let Some(edit) = edit {
            bytes -= edit.bytes;
            sum.subtract(edit.fingerprint.sum);
        }
        into.sums(bytes, sum);
    }
}
