//! Writes pages and segments anew that refer to copied blocks or lie in given-up packs, and makes
//! the manifests that refer to them. What snapshots share is written once and shared again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::RepackOptions;
use super::copy::NewPacks;
use crate::codec::Compressor;
use crate::error::Error;
use crate::fetch::ReadCounter;
use crate::frame::FrameKind;
use crate::id::PackId;
use crate::locate::read_head;
use crate::manifest::{Manifest, PageReference};
use crate::merge::{Filter, Merge, Relocation};
use crate::pack::NewFrame;
use crate::page::{BlockReference, Page};
use crate::reader::read_page;
use crate::repository::Inner;
use crate::segment::{Segment, SegmentPart, fill};

/// What manifests are to refer to from now on.
pub(super) struct Rewrite {
    repository: Arc<Inner>,
    packs: NewPacks,
    moved_from: HashSet<PackId>,
    relocation: Arc<Relocation>,
    compressor: Compressor,
    pack_bytes: u64,
    /// Pages written anew, by where they lay.
    pages: HashMap<(PackId, u32), PageReference>,
    /// Segments looked at, by the parts they had; `None` where they stay.
    segments: HashMap<Vec<SegmentPart>, Option<Segment>>,
}

impl Rewrite {
    /// Begins when all blocks are copied.
    pub(super) fn new(
        repository: Arc<Inner>,
        packs: NewPacks,
        moved_from: HashSet<PackId>,
        options: &RepackOptions,
    ) -> Result<Rewrite, Error> {
        let moved = packs.moved.iter();
        let moved = moved.filter(|((pack, _), _)| moved_from.contains(pack));
        let blocks = moved.map(|(from, (pack, block))| (*from, (*pack, block.ordinal)));
        Ok(Rewrite {
            relocation: Arc::new(Relocation {
                blocks: blocks.collect(),
                packs: moved_from.clone(),
            }),
            compressor: Compressor::new(options.compression_level)?,
            pack_bytes: options.pack_bytes as u64,
            repository,
            packs,
            moved_from,
            pages: HashMap::new(),
            segments: HashMap::new(),
        })
    }

    /// Returns the packs that are given up.
    pub(super) fn moved_from(&self) -> &HashSet<PackId> {
        &self.moved_from
    }

    /// Writes what a manifest needs anew.
    pub(super) async fn prepare(&mut self, manifest: &Manifest) -> Result<(), Error> {
        if !self.concerns(manifest) {
            return Ok(());
        }
        for collection in &manifest.collections {
            for page in &collection.pages {
                self.page(page).await?;
            }
            for segment in collection.segments.iter().flatten() {
                if !self.segments.contains_key(&segment.parts) {
                    let anew = self.segment(segment).await?;
                    self.segments.insert(segment.parts.clone(), anew);
                }
            }
        }
        Ok(())
    }

    fn concerns(&self, manifest: &Manifest) -> bool {
        let mut packs = manifest.packs.iter();
        packs.any(|pack| self.moved_from.contains(pack))
    }

    async fn page(&mut self, reference: &PageReference) -> Result<(), Error> {
        let key = (reference.pack, reference.ordinal);
        let known = reference.packs.as_ref();
        let refers = known.is_none_or(|packs| packs.iter().any(|p| self.moved_from.contains(p)));
        let lies = self.moved_from.contains(&reference.pack);
        if self.pages.contains_key(&key) || !(refers || lies) {
            return Ok(());
        }
        let page = self.relocated(&read_page(&self.repository, reference).await?);
        let content = page.encode();
        let id = self.repository.hash_keys.page(&content);
        if id == reference.id && !lies {
            // Only its packs were not known.
            let anew = PageReference {
                packs: Some(page.packs),
                ..reference.clone()
            };
            self.pages.insert(key, anew);
            return Ok(());
        }
        let raw_length = u32::try_from(content.len()).expect("a page is far below 4 GiB");
        let (pack, location) = self.packs.append(NewFrame {
            kind: FrameKind::Page,
            plain: self.compressor.frame(&content),
            raw_length,
            documents: 0,
            id: id.0,
        })?;
        let anew = PageReference {
            id,
            pack,
            ordinal: location.ordinal,
            offset: location.offset,
            length: location.length,
            raw_length,
            documents: page.documents,
            bytes: page.bytes,
            packs: Some(page.packs),
        };
        self.pages.insert(key, anew);
        self.packs.close_if_full().await
    }

    /// Returns the same page over the blocks where they lie now.
    fn relocated(&self, page: &Page) -> Page {
        let mut packs: Vec<PackId> = Vec::new();
        let mut rows: HashMap<PackId, u32> = HashMap::new();
        let place = |block: &BlockReference| {
            let pack = page.pack_of(block);
            let moved = self.moved_from.contains(&pack);
            let moved = moved.then(|| self.packs.moved.get(&(pack, block.ordinal)));
            let (pack, block) = match moved.flatten() {
                Some((pack, block)) => (*pack, block.clone()),
                None => (pack, block.clone()),
            };
            let row = *rows.entry(pack).or_insert_with(|| {
                packs.push(pack);
                u32::try_from(packs.len() - 1).expect("a page has few packs")
            });
            BlockReference { pack: row, ..block }
        };
        let blocks = page.blocks.iter().map(place).collect();
        Page {
            packs,
            blocks,
            runs: page.runs.clone(),
            ..*page
        }
    }

    /// Writes a segment anew that lies in a given-up pack or names blocks of one; `None` where
    /// neither is so.
    async fn segment(&mut self, segment: &Segment) -> Result<Option<Segment>, Error> {
        let mut concerned = false;
        for part in &segment.parts {
            concerned |= self.moved_from.contains(&part.pack);
            if !concerned {
                let head = read_head(&self.repository, &ReadCounter::default(), part).await?;
                concerned |= head
                    .table
                    .rows()
                    .any(|(pack, _)| self.moved_from.contains(&pack));
            }
        }
        if !concerned {
            return Ok(None);
        }
        let filter = Filter {
            moved: Some(self.relocation.clone()),
            ..Filter::default()
        };
        let of = std::slice::from_ref(segment);
        let mut merge = Merge::new(&self.repository, of, None, filter).await?;
        let table = merge.table().clone();
        let mut anew = Segment::default();
        let mut part = None;
        while let Some(chunk) = merge.next().await? {
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let pack = self.packs.open_pack()?;
                if let Some(full) = fill(&mut part, &table, pack, &mut rest, self.pack_bytes) {
                    anew.parts.push(full);
                    self.packs.close().await?;
                }
            }
        }
        if let Some(part) = part {
            anew.parts.push(part.finish(self.packs.open_pack()?));
        }
        self.packs.close_if_full().await?;
        Ok(Some(anew))
    }

    /// Makes everything durable; returns the bytes that were written.
    pub(super) async fn close(&mut self) -> Result<u64, Error> {
        self.packs.close().await?;
        Ok(self.packs.written())
    }

    /// Returns the next generation of a manifest; `None` where it stays as it is.
    pub(super) fn apply(&self, mut manifest: Manifest) -> Option<Manifest> {
        if !self.concerns(&manifest) {
            return None;
        }
        let mut packs: BTreeSet<PackId> = BTreeSet::new();
        for collection in &mut manifest.collections {
            for page in &mut collection.pages {
                if let Some(anew) = self.pages.get(&(page.pack, page.ordinal)) {
                    *page = anew.clone();
                }
            }
            for segment in collection.segments.iter_mut().flatten() {
                if let Some(Some(anew)) = self.segments.get(&segment.parts) {
                    *segment = anew.clone();
                }
            }
            if let Some(segments) = &mut collection.segments {
                segments.retain(|segment| !segment.parts.is_empty());
            }
            packs.extend(collection.packs());
        }
        manifest.packs = packs.into_iter().collect();
        manifest.generation += 1;
        Some(manifest)
    }
}
