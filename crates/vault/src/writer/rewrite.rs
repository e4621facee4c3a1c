//! Stores anew, at the end of an edit, what would otherwise cost every later read: the live
//! documents of thin blocks, and of tiny blocks that small edits left at the end. Must never leave
//! a document out that it cannot read.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};

use super::base::{BaseBlock, read_of_block, read_sidecar};
use super::editor::CollectionEditor;
use super::runs::is_thin;
use crate::error::Error;
use crate::live::Live;
use crate::locate::BlockPlace;
use crate::page::Page;

/// Blocks of about the same size that are stored as one; sizes are told apart by powers of it.
const FAN_OUT: u64 = 8;
/// A block is tiny below this part of a whole one.
const TINY_ONE_IN: u64 = 4;
/// Bytes below which sizes are not told apart.
const SMALLEST_BYTES: u64 = 512;
/// Blocks read at a time.
const BLOCKS_AT_A_TIME: usize = 2;

impl CollectionEditor {
    /// Rewrites what is thin or tiny.
    pub(super) async fn rewrite(&mut self) -> Result<(), Error> {
        let mut tiny = Vec::new();
        if self.edits.fresh.iter().any(|fresh| fresh.live) && !self.pages.references.is_empty() {
            let last = self.pages.read_one(self.pages.references.len() - 1).await?;
            tiny = self.tiny_blocks(&last);
        }
        let tiny: HashSet<BlockPlace> = tiny.into_iter().collect();
        let due: HashSet<BlockPlace> = self.edits.thin_blocks().chain(tiny.clone()).collect();
        if due.is_empty() {
            return Ok(());
        }
        let repository = self.shared.repository.clone();
        let live = self.live_in(&due).await?;
        let reads = live.into_values().map(|(block, live)| {
            let repository = repository.clone();
            let in_any_case = tiny.contains(&(block.0, block.1.ordinal));
            async move {
                let sidecar = read_sidecar(&repository, &block).await?;
                let lengths = live
                    .iter()
                    .map(|live| sidecar.lengths()[live.document as usize]);
                let bytes: u64 = lengths.map(u64::from).sum();
                if !in_any_case && !is_thin(&block.1, bytes) {
                    // It only seemed so.
                    return Ok((live, Vec::new()));
                }
                let ordinals: Vec<u32> = live.iter().map(|live| live.document).collect();
                let documents = read_of_block(&repository, &block, sidecar, &ordinals).await?;
                Ok::<_, Error>((live, documents))
            }
        });
        let mut reads = futures::stream::iter(reads).buffered(BLOCKS_AT_A_TIME);
        while let Some((live, documents)) = reads.try_next().await? {
            for (live, (_, key, document)) in live.iter().zip(documents) {
                let place = self.blocks.store_hashed(&document, &key).await?;
                let sum = self.sum(&key);
                self.edits.remove(live, &key, sum);
                self.edits.add(place, key);
                self.shared.counters.taken(1, document.len() as u64);
            }
        }
        Ok(())
    }

    /// Returns the tiny blocks of the last page that are to be stored as one: those of a size of
    /// which there are many, and all smaller ones.
    fn tiny_blocks(&self, last: &Page) -> Vec<BlockPlace> {
        let tiny_below = self.shared.options.block_bytes as u64 / TINY_ONE_IN;
        let size = |bytes: u64| (bytes / SMALLEST_BYTES).max(1).ilog(FAN_OUT) as usize;
        let fresh = self.edits.fresh.iter().filter(|fresh| fresh.live);
        let fresh: u64 = fresh.map(|fresh| u64::from(fresh.key.length)).sum();
        let blocks = last.blocks.iter();
        let tiny = blocks.filter(|block| u64::from(block.raw_length) < tiny_below);
        let tiny = tiny.map(|block| {
            let place = (last.pack_of(block), block.ordinal);
            (size(u64::from(block.raw_length)), place)
        });
        let tiny: Vec<(usize, BlockPlace)> = tiny.collect();
        let mut counts: HashMap<usize, u64> = HashMap::new();
        if fresh < tiny_below {
            counts.insert(size(fresh), 1);
        }
        for (size, _) in &tiny {
            *counts.entry(*size).or_default() += 1;
        }
        let many = counts.into_iter().filter(|(_, count)| *count >= FAN_OUT);
        let Some(limit) = many.map(|(size, _)| size).max() else {
            return Vec::new();
        };
        let due = tiny.into_iter().filter(|(size, _)| *size <= limit);
        due.map(|(_, place)| place).collect()
    }

    /// Returns the live documents of blocks, by block, each sorted by ordinal.
    async fn live_in(
        &self,
        due: &HashSet<BlockPlace>,
    ) -> Result<BTreeMap<BlockPlace, (BaseBlock, Vec<Live>)>, Error> {
        let packs = due.iter().map(|(pack, _)| *pack).collect();
        let mut found: BTreeMap<BlockPlace, (BaseBlock, Vec<Live>)> = BTreeMap::new();
        let mut pages = self.pages.read(&self.pages.referring(&packs));
        while let Some((number, page)) = pages.try_next().await? {
            for run in &page.runs {
                let block = &page.blocks[run.block as usize];
                let place = (page.pack_of(block), block.ordinal);
                if !due.contains(&place) {
                    continue;
                }
                let documents = run.first..run.first + run.count;
                let live = documents
                    .filter(|&document| self.edits.is_live(number, run.block, document))
                    .map(|document| Live {
                        identity: Default::default(),
                        page: number,
                        index: run.block,
                        block: place,
                        document,
                    });
                let whole = || ((place.0, block.clone()), Vec::new());
                found.entry(place).or_insert_with(whole).1.extend(live);
            }
        }
        found.retain(|_, (_, live)| !live.is_empty());
        for (_, live) in found.values_mut() {
            live.sort_unstable_by_key(|live| live.document);
        }
        Ok(found)
    }
}
