//! Verifies segments: that their frames are where the manifest says, that what stands in them is
//! sorted and sound, and that every live document which has an identity is named. Independent of
//! the writer: what is live is taken from pages, and identities from sidecars.

use std::collections::{HashMap, HashSet};

use super::describe;
use super::snapshots::SnapshotCheck;
use crate::error::Error;
use crate::fetch::ReadCounter;
use crate::frame::FrameKind;
use crate::keys::HashKeys;
use crate::live::{LiveMap, Pages};
use crate::locate::{BlockPlace, read_head, read_leaves};
use crate::manifest::{CollectionManifest, Manifest};
use crate::merge::{Filter, Merge};
use crate::pack;
use crate::segment::{Entry, IdentityHash, SegmentPart};

/// Leaves of a part read at a time.
const LEAVES_AT_A_TIME: usize = 128;

/// A set of documents with their identities and places: their number, and the sum of a hash of
/// each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    documents: u64,
    sum: u128,
}

impl Places {
    /// Adds one document.
    pub(super) fn note(
        &mut self,
        keys: &HashKeys,
        identity: &IdentityHash,
        (pack, block): BlockPlace,
        document: u32,
    ) {
        let mut bytes = [0; 36];
        bytes[..12].copy_from_slice(identity);
        bytes[12..28].copy_from_slice(&pack.0);
        bytes[28..32].copy_from_slice(&block.to_le_bytes());
        bytes[32..].copy_from_slice(&document.to_le_bytes());
        self.documents += 1;
        let hash = u128::from_le_bytes(keys.document(&bytes));
        self.sum = self.sum.wrapping_add(hash);
    }

    /// Adds another set.
    pub(super) fn add(&mut self, other: Places) {
        self.documents += other.documents;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// What was verified so far.
#[derive(Default)]
pub(super) struct SegmentsVerified {
    /// Parts, with what is wrong with each: object and reason.
    parts: HashMap<SegmentPart, Option<(String, String)>>,
    /// Collections, by a hash of their pages and segments.
    collections: HashSet<[u8; 32]>,
}

impl SnapshotCheck<'_> {
    /// Verifies a collection's segments. `live` is what its pages add up to, where all are sound.
    pub(super) async fn segments(
        &mut self,
        manifest: &Manifest,
        collection: &CollectionManifest,
        live: Option<Places>,
    ) {
        let namespace = format!("{}.{}", collection.database, collection.name);
        let mut sound = true;
        let segments = collection.segments.iter().flatten();
        for part in segments.flat_map(|segment| &segment.parts) {
            if manifest.packs.binary_search(&part.pack).is_err() {
                let reason = format!(
                    "{namespace} needs the pack {}, which is not listed",
                    part.pack
                );
                self.findings.manifest(manifest, &reason);
            }
            if !self.verified.segments.parts.contains_key(part) {
                let problem = self.part(part).await.err();
                self.verified.segments.parts.insert(part.clone(), problem);
            }
            if let Some((object, reason)) = &self.verified.segments.parts[part] {
                self.findings.add(object, reason, [manifest.snapshot]);
                sound = false;
            }
        }
        let Some(live) = live.filter(|_| sound) else {
            return;
        };
        match self.collection_problem(collection, live).await {
            Ok(Some(reason)) => {
                let reason = format!("{namespace}: {reason}");
                self.findings.manifest(manifest, &reason);
            }
            Ok(None) => {}
            Err(error) => self.findings.error(&error, [manifest.snapshot]),
        }
    }

    /// Verifies one part against the footer of its pack; where data is read, what it holds, too.
    async fn part(&mut self, part: &SegmentPart) -> Result<(), (String, String)> {
        let object = pack::object_name(part.pack);
        let frames = part.ordinal..=part.head().ordinal;
        if let Some(bad) = self.bad.get(&part.pack) {
            let reason = bad.whole.as_ref().or_else(|| {
                let mut of_part = bad.frames.range(frames.clone());
                of_part.next().map(|(_, reason)| reason)
            });
            if let Some(reason) = reason {
                return Err((object, reason.clone()));
            }
        }
        let footer = self.footer(part.pack).await;
        let footer = footer.map_err(|error| describe(&error))?;
        let mut expected = (0..part.leaves()).map(|leaf| part.leaf(leaf));
        let head = part.head();
        let listed = |frame: &crate::segment::SegmentFrame| {
            let entry = footer.frames.get(frame.ordinal as usize);
            entry.is_some_and(|entry| {
                entry.kind == FrameKind::Segment as u8
                    && (entry.offset, u64::from(entry.length)) == (frame.offset, frame.length)
            })
        };
        if part.entries == 0 || !expected.all(|frame| listed(&frame)) || !listed(&head) {
            let reason = format!("frame {} is not what a manifest says", part.ordinal);
            return Err((object, reason));
        }
        if self.options.read_data {
            let read = self.read_part(part).await;
            let problem = read.map_err(|error| describe(&error))?;
            problem.map_or(Ok(()), |reason| Err((object, reason)))
        } else {
            Ok(())
        }
    }

    /// Reads a part and returns what is wrong with it. That entries are sorted and name packs of
    /// the table is verified where they are parsed.
    async fn read_part(&mut self, part: &SegmentPart) -> Result<Option<String>, Error> {
        let counter = ReadCounter::default();
        let head = read_head(self.repository, &counter, part).await?;
        let mut range: Option<(IdentityHash, IdentityHash)> = None;
        let mut count = 0;
        let mut sorted = true;
        let mut note = |entries: &[Entry]| {
            let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
                return;
            };
            sorted &= range.is_none_or(|(_, last)| last <= first.identity);
            let begin = range.map_or(first.identity, |(begin, _)| begin);
            range = Some((begin, last.identity));
            count += entries.len();
        };
        note(&head.entries);
        let mut fenced = true;
        let table = std::sync::Arc::new(head.table.clone());
        for from in (0..part.leaves()).step_by(LEAVES_AT_A_TIME) {
            let leaves = from..part.leaves().min(from + LEAVES_AT_A_TIME);
            let read = read_leaves(self.repository, &counter, part, &table, leaves.clone());
            let entries = read.await?;
            let mut rest = entries.as_slice();
            for leaf in leaves {
                let (of_leaf, behind) = rest.split_at(part.leaf_entries(leaf).min(rest.len()));
                fenced &= of_leaf
                    .iter()
                    .all(|e| head.leaves_of(&e.identity).contains(&leaf));
                rest = behind;
            }
            note(&entries);
        }
        self.findings.bytes_read += counter.bytes();
        let whole = count == part.entries as usize && range == Some((part.first, part.last));
        let wrong = !(sorted && fenced && whole);
        Ok(wrong.then(|| format!("Segment frame {}: it is out of order", part.ordinal)))
    }

    /// Returns what is wrong with a collection as a whole: documents that are live twice, or that
    /// no segment names.
    async fn collection_problem(
        &mut self,
        collection: &CollectionManifest,
        live: Places,
    ) -> Result<Option<String>, Error> {
        let parts = (&collection.pages, &collection.segments);
        let parts = minicbor::to_vec(parts).expect("a vector takes any CBOR");
        if !self
            .verified
            .segments
            .collections
            .insert(*blake3::hash(&parts).as_bytes())
        {
            return Ok(None);
        }
        let counter = ReadCounter::default();
        let pages = Pages::new(
            self.repository.clone(),
            counter.clone(),
            collection.pages.clone(),
        );
        let map = LiveMap::read(&pages).await?;
        let mut problem = map.twice().map(|(pack, block)| {
            let object = pack::object_name(pack);
            format!("documents of frame {block} of {object} are in it twice")
        });
        if let (None, true, Some(_)) = (&problem, self.options.read_data, &collection.segments) {
            let named = self.named(collection, &map).await?;
            problem = (named != live).then(|| {
                format!(
                    "its segments name {} of {} documents",
                    named.documents, live.documents
                )
            });
        }
        self.findings.bytes_read += counter.bytes();
        Ok(problem)
    }

    /// Adds up the live documents that segments name, each once.
    async fn named(&self, collection: &CollectionManifest, map: &LiveMap) -> Result<Places, Error> {
        let keys = &self.repository.hash_keys;
        let segments = collection.segments.as_deref().unwrap_or_default();
        let filter = Filter::default();
        let mut merge = Merge::new(self.repository, segments, None, filter).await?;
        let table = merge.table().clone();
        let mut named = Places::default();
        // Of the last identity, which may go on in the next chunk.
        let mut before: HashSet<(u32, u32, u16)> = HashSet::new();
        let mut last = None;
        while let Some(chunk) = merge.next().await? {
            for entry in &chunk {
                if last != Some(entry.identity) {
                    before.clear();
                    last = Some(entry.identity);
                }
                let place = (table.pack(entry.row), entry.block);
                let document = u32::from(entry.document);
                let is_new = before.insert((entry.row, entry.block, entry.document));
                if is_new && map.contains(place, document) {
                    named.note(keys, &entry.identity, place, document);
                }
            }
        }
        Ok(named)
    }
}
