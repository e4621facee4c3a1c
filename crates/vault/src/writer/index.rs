//! Writes segments: entries are spilled, sorted, into packs of their own when there are too many
//! for memory, and merged when the snapshot is committed. Must never leave a document that has an
//! identity without an entry.

use std::collections::HashSet;
use std::sync::Arc;

use super::Shared;
use super::entries::{EntryBuffer, HELD_BYTES};
use super::packer::Packer;
use crate::error::Error;
use crate::id::PackId;
use crate::keys;
use crate::live::LiveMap;
use crate::manifest::CollectionManifest;
use crate::merge::{Filter, Merge};
use crate::pack::{self, PackBuilder};
use crate::segment::{Entry, LEAF_ENTRIES, Segment, Table, fill};
use crate::task::blocking;

/// Segments of about the same size that are merged; sizes are told apart by powers of it.
const FAN_OUT: u64 = 8;

/// What a collection takes over from the base's segments.
#[derive(Default)]
pub(super) struct BaseIndex {
    /// The base's segments; `None` where they do not hold every shared document.
    pub(super) segments: Option<Vec<Segment>>,
    /// Packs of the base's blocks, where they are known.
    pub(super) packs: Option<Arc<HashSet<PackId>>>,
    /// What was live in the base, where all segments are to be written anew.
    pub(super) live: Option<Arc<LiveMap>>,
    /// Packs to which earlier attempts at the snapshot have put blocks of the collection.
    pub(super) stored_before: HashSet<PackId>,
}

impl BaseIndex {
    /// Takes over a collection's segments as they are; there are none of no collection.
    pub(super) fn new(base: Option<&CollectionManifest>) -> BaseIndex {
        let Some(base) = base else {
            return BaseIndex {
                segments: Some(Vec::new()),
                packs: Some(Arc::default()),
                ..BaseIndex::default()
            };
        };
        let mut packs = HashSet::new();
        let all_known = base.pages.iter().all(|page| match &page.packs {
            Some(of_page) => {
                packs.extend(of_page.iter().copied());
                true
            }
            None => false,
        });
        let nothing = (base.documents == 0).then(Vec::new);
        BaseIndex {
            segments: base.segments.clone().or(nothing),
            packs: all_known.then(|| Arc::new(packs)),
            live: None,
            stored_before: HashSet::new(),
        }
    }
}

impl BaseIndex {
    /// Answers whether there are segments and none is known to be damaged.
    pub(super) fn is_whole(&self, shared: &Shared) -> bool {
        self.segments.is_some() && self.packs_of_segments().all(|pack| shared.is_whole(pack))
    }

    /// Answers the same when it was looked whether the segments' packs are there: nothing reads
    /// them while a collection is scanned.
    pub(super) async fn is_present(&self, shared: &Shared) -> bool {
        let packs: HashSet<PackId> = self.packs_of_segments().collect();
        for pack in packs {
            let name = pack::object_name(pack);
            if let Err(error) = shared.repository.store.length(&name).await {
                shared.repository.note_damage(pack, &error);
            }
        }
        self.is_whole(shared)
    }

    fn packs_of_segments(&self) -> impl Iterator<Item = PackId> {
        let segments = self.segments.iter().flatten();
        let parts = segments.flat_map(|segment| &segment.parts);
        parts.map(|part| part.pack)
    }
}

/// Answers whether so many of the entries are stale that all are to be written anew.
pub(super) fn is_stale(base: &CollectionManifest) -> bool {
    let segments = base.segments.iter().flatten();
    let entries: u64 = segments.map(Segment::entries).sum();
    2 * entries > 3 * base.documents + 2 * LEAF_ENTRIES as u64
}

async fn sorted(entries: EntryBuffer) -> Result<(Table, Vec<Entry>), Error> {
    let sorted = blocking(move || entries.into_sorted()).await;
    sorted.map_err(Error::invalid)
}

impl Packer {
    /// Spills all entries where there are too many.
    pub(super) async fn limit_entries(&mut self) -> Result<(), Error> {
        if self.entries * HELD_BYTES < self.shared.options.index_bytes {
            return Ok(());
        }
        self.entries = 0;
        let pack_bytes = self.shared.options.pack_bytes as u64;
        let mut due: Vec<usize> = self.collections.keys().copied().collect();
        due.sort_unstable();
        let mut pack: Option<PackBuilder> = None;
        for index in due {
            let layout = self.collections.get_mut(&index).expect("listed above");
            let entries = std::mem::take(&mut layout.entries);
            if entries.len() == 0 {
                continue;
            }
            let (table, entries) = sorted(entries).await?;
            let table = Arc::new(table);
            let mut rest = entries.as_slice();
            let mut parts = Vec::new();
            let mut part = None;
            while !rest.is_empty() {
                let open = match &mut pack {
                    Some(open) => open,
                    None => pack.insert(self.spill_pack()?),
                };
                if let Some(full) = fill(&mut part, &table, open, &mut rest, pack_bytes) {
                    parts.push(full);
                    self.put_spill(pack.take()).await?;
                }
            }
            if let (Some(part), Some(pack)) = (part, &mut pack) {
                parts.push(part.finish(pack));
            }
            let layout = self.collections.get_mut(&index).expect("listed above");
            layout.spilled.push(Segment { parts });
        }
        self.put_spill(pack).await
    }

    fn spill_pack(&mut self) -> Result<PackBuilder, Error> {
        let id = PackId(keys::random()?);
        self.shared.pin(id);
        self.spills.push(id);
        Ok(PackBuilder::new(&self.shared.repository.sealing_root, id))
    }

    async fn put_spill(&self, pack: Option<PackBuilder>) -> Result<(), Error> {
        let Some(pack) = pack else { return Ok(()) };
        let name = pack::object_name(pack.id());
        let store = &self.shared.repository.store;
        store.put_new(&name, pack.finish()).await
    }

    /// Writes what is new in these collections' segments, and merges those that have piled up.
    pub(super) async fn write_segments(&mut self, due: &[usize]) -> Result<(), Error> {
        for &index in due {
            self.write_segments_of(index).await?;
            self.close_if_full().await?;
        }
        Ok(())
    }

    async fn write_segments_of(&mut self, index: usize) -> Result<(), Error> {
        let layout = self.collections.get_mut(&index).expect("listed above");
        let base = std::mem::take(&mut layout.base);
        let mut inputs = std::mem::take(&mut layout.spilled);
        let entries = std::mem::take(&mut layout.entries);
        self.entries = self.entries.saturating_sub(entries.len());
        if layout.done.fingerprint.documents == 0 {
            layout.done.segments = Some(Vec::new());
            return Ok(());
        }
        let Some(segments) = base.segments else {
            // Its documents are all there, but not all of them can be found.
            return Ok(());
        };
        let new = entries.len() as u64 + inputs.iter().map(Segment::entries).sum::<u64>();
        let (merged, kept) = choose(new, segments, base.live.is_some());
        let reads_base = !merged.is_empty();
        inputs.extend(merged);
        let filter = Filter {
            packs: base.packs,
            live: base.live,
            new_packs: Arc::new(&self.packs | &base.stored_before),
            moved: None,
        };
        let mut all = Vec::with_capacity(kept.len() + 1);
        if new > 0 {
            let memory = sorted(entries).await?;
            match self.write_segment(&inputs, memory, filter).await {
                Ok(segment) => all.push(segment),
                Err(error) if reads_base && error.is_damage() => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "segments of the base cannot be read: the collection gets none"
                    );
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        all.extend(kept);
        all.retain(|segment| !segment.parts.is_empty());
        let layout = self.collections.get_mut(&index).expect("listed above");
        let parts = all.iter().flat_map(|segment| &segment.parts);
        layout.done.packs.extend(parts.map(|part| part.pack));
        layout.done.segments = Some(all);
        Ok(())
    }

    /// Merges into one segment, which goes to the open pack and those behind it.
    async fn write_segment(
        &mut self,
        inputs: &[Segment],
        memory: (Table, Vec<Entry>),
        filter: Filter,
    ) -> Result<Segment, Error> {
        let pack_bytes = self.shared.options.pack_bytes as u64;
        let repository = self.shared.repository.clone();
        let mut merge = Merge::new(&repository, inputs, Some(memory), filter).await?;
        let table = merge.table().clone();
        let mut segment = Segment::default();
        let mut part = None;
        while let Some(chunk) = merge.next().await? {
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let pack = &mut self.open_pack()?.builder;
                if let Some(full) = fill(&mut part, &table, pack, &mut rest, pack_bytes) {
                    segment.parts.push(full);
                    self.close_pack().await?;
                }
            }
        }
        if let Some(part) = part {
            let pack = &mut self.open_pack()?.builder;
            segment.parts.push(part.finish(pack));
        }
        Ok(segment)
    }

    /// Deletes the packs of spilled entries; nothing has ever referred to them.
    pub(super) async fn delete_spills(&mut self) {
        for id in std::mem::take(&mut self.spills) {
            let name = pack::object_name(id);
            if let Err(error) = self.shared.repository.store.delete(&name).await {
                tracing::warn!(
                    object.name = name,
                    error = &error as &dyn std::error::Error,
                    "a pack that is not needed any more stays until the sweep"
                );
            }
        }
    }
}

/// Returns which of the base's segments are merged with the new entries, and which stay.
fn choose(new: u64, segments: Vec<Segment>, all: bool) -> (Vec<Segment>, Vec<Segment>) {
    if new == 0 {
        return (Vec::new(), segments);
    }
    if all {
        return (segments, Vec::new());
    }
    let size = |entries: u64| entries.max(1).ilog(FAN_OUT);
    let mut counts = [0_u64; 64];
    counts[size(new) as usize] += 1;
    let sizes = segments.iter().map(|segment| size(segment.entries()));
    sizes.for_each(|size| counts[size as usize] += 1);
    let Some(limit) = counts.iter().rposition(|&count| count >= FAN_OUT) else {
        return (Vec::new(), segments);
    };
    segments
        .into_iter()
        .partition(|segment| size(segment.entries()) as usize <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentPart;

    fn segment(entries: u32) -> Segment {
        let part = SegmentPart {
            pack: PackId([1; 16]),
            ordinal: 0,
            offset: 16,
            rows: 1,
            entries,
            first: [0; 12],
            last: [9; 12],
        };
        Segment { parts: vec![part] }
    }

    fn chosen(new: u64, sizes: &[u32]) -> Vec<u64> {
        let segments = sizes.iter().map(|&size| segment(size)).collect();
        let (merged, kept) = choose(new, segments, false);
        assert_eq!(merged.len() + kept.len(), sizes.len());
        merged.iter().map(Segment::entries).collect()
    }

    #[test]
    fn segments_are_merged_when_eight_are_of_a_size() {
        assert!(chosen(10, &[10; 6]).is_empty());
        assert_eq!(chosen(10, &[10; 7]), [10; 7]);
        assert!(chosen(0, &[10; 9]).is_empty());
        let mixed = [10, 100, 100, 100, 100, 100, 100, 100, 9, 900];
        assert_eq!(
            chosen(100, &mixed),
            [10, 100, 100, 100, 100, 100, 100, 100, 9]
        );
        assert!(chosen(1, &mixed).is_empty());
    }
}
