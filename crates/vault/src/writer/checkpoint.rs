//! Says what a snapshot has stored so far, while it is being written. Must never refer to what is
//! not durable, nor take a collection for whole that was not finished.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use tokio::sync::oneshot;

use super::layout::PackedCollection;
use super::packer::{Message, Packer};
use super::shared::{Begun, Finished, SoFar, is_same};
use super::{CollectionEntry, SnapshotWriter, described, whole};
use crate::checkpoint::{self, Checkpoint, Stored};
use crate::error::Error;
use crate::id::{PackId, SnapshotId};
use crate::manifest::{ClusterTime, CollectionManifest};
use crate::repository::Held;
use crate::task::to_the_end;

/// What is known of a checkpoint before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHeader {
    /// Name that the snapshot will have.
    pub snapshot: SnapshotId,
    /// Present time, milliseconds since 1970.
    pub created_at_ms: u64,
    /// Since when everything of this attempt was read whole, milliseconds since 1970.
    pub scanned_at_ms: Option<u64>,
    /// Where following the source can go on from, for every collection that this attempt has
    /// finished: from before the first read; kept as it is.
    pub resume_point: Option<Vec<u8>>,
    /// A time of the source that nothing that was read so far is later than, where it is known.
    pub read_until: Option<ClusterTime>,
}

/// What a snapshot has stored so far, all of it durable, before an object says so.
pub struct Captured<'a> {
    writer: &'a SnapshotWriter,
    so_far: SoFar,
    packed: PackedSoFar,
}

/// Where everything came to lie so far. All of it is durable.
pub(super) struct PackedSoFar {
    finished: HashMap<usize, PackedCollection>,
    scanned: HashMap<usize, PackedCollection>,
    blocks: u64,
    stored_bytes: u64,
}

impl SnapshotWriter {
    /// Makes durable what was stored so far, and puts an object that says so in place of the one
    /// before. A later attempt at the snapshot can be written upon it: [`Repository::resume`].
    ///
    /// Begin all collections first: of what the checkpoint before says, only that is taken over
    /// which belongs to a collection that is still open. Then the older resume point stays, because
    /// it covers both. What an editor has stored counts when it is finished. An error of the object
    /// itself leaves the writer as it was.
    ///
    /// [`Repository::resume`]: crate::Repository::resume
    pub async fn checkpoint(&self, header: CheckpointHeader) -> Result<Checkpoint, Error> {
        self.capture().await?.put(header).await
    }

    /// Does the first half of it: for headers that must not be older than what they are of.
    pub async fn capture(&self) -> Result<Captured<'_>, Error> {
        let so_far = self.shared.so_far()?;
        let scanned = so_far.begun.iter().filter(|(_, begun)| begun.is_scanned);
        let (reply, packed) = oneshot::channel();
        // A packer that is gone has left the reason, which the next line finds.
        let _ = self.messages.send(Message::Checkpoint {
            finished: so_far.finished.iter().map(|of| of.index).collect(),
            scanned: scanned.map(|(index, _)| *index).collect(),
            reply,
        });
        let packed = packed.await.map_err(|_| self.shared.failure())?;
        Ok(Captured {
            writer: self,
            so_far,
            packed,
        })
    }
}

impl Captured<'_> {
    /// Puts the object, as [`SnapshotWriter::checkpoint`] does.
    pub async fn put(self, header: CheckpointHeader) -> Result<Checkpoint, Error> {
        let shared = &self.writer.shared;
        let checkpoint = assemble(header, self.so_far, self.packed, shared.before.as_ref());
        let level = shared.options.compression_level;
        let repository = shared.repository.clone();
        let held = Held::new(repository.clone(), checkpoint.packs.clone());
        to_the_end(checkpoint::put(repository, held, checkpoint, level)).await
    }
}

impl fmt::Debug for Captured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Captured")
            .field("stored_bytes", &self.packed.stored_bytes)
            .finish_non_exhaustive()
    }
}

/// Puts together what is finished, what is on its way, and what the checkpoint before had.
fn assemble(
    header: CheckpointHeader,
    so_far: SoFar,
    mut packed: PackedSoFar,
    before: Option<&Checkpoint>,
) -> Checkpoint {
    let mut checkpoint = Checkpoint {
        snapshot: header.snapshot,
        number: 0,
        created_at_ms: header.created_at_ms,
        scanned_at_ms: header.scanned_at_ms,
        collections: Vec::new(),
        partial: Vec::new(),
        packs: Vec::new(),
        stored: before.map_or_else(Stored::default, |before| before.stored),
        resume_point: header.resume_point,
        // What the one before has may be taken over.
        read_until: header
            .read_until
            .max(before.and_then(|before| before.read_until)),
    };
    checkpoint.stored.blocks += packed.blocks;
    checkpoint.stored.stored_bytes += packed.stored_bytes;
    let mut packs: BTreeSet<PackId> = BTreeSet::new();
    for Finished {
        index,
        entry,
        summary,
    } in so_far.finished
    {
        let stored = &mut checkpoint.stored;
        stored.documents += summary.documents - summary.documents_shared;
        stored.bytes += summary.bytes.saturating_sub(summary.bytes_shared);
        let layout = packed.finished.remove(&index).unwrap_or_default();
        packs.extend(&layout.packs);
        let entry = CollectionEntry {
            exact: checkpoint.resume_point.is_some(),
            ..entry
        };
        checkpoint.collections.push(whole(entry, &summary, layout));
    }
    for (index, Begun { entry, .. }) in so_far.begun {
        let new = packed.scanned.remove(&index).unwrap_or_default();
        add_open(&mut checkpoint, *entry, new, before);
    }
    let known = checkpoint.collections.iter().chain(&checkpoint.partial);
    packs.extend(known.flat_map(CollectionManifest::packs));
    checkpoint.packs = packs.into_iter().collect();
    checkpoint
}

/// Adds a collection that is not finished: what was stored of it so far, and what the checkpoint
/// before has of it.
fn add_open(
    checkpoint: &mut Checkpoint,
    entry: CollectionEntry,
    new: PackedCollection,
    before: Option<&Checkpoint>,
) {
    let same = |known: &&CollectionManifest| is_same(known, &entry);
    if let Some(before) = before
        && let Some(known) = before.collections.iter().find(same)
    {
        if known.exact {
            // The older point covers what was read since as well.
            checkpoint.resume_point = before.resume_point.clone();
            checkpoint.scanned_at_ms = before.scanned_at_ms;
        }
        checkpoint.collections.push(known.clone());
    }
    checkpoint.stored.documents += new.fingerprint.documents;
    checkpoint.stored.bytes += new.bytes;
    let known = before.and_then(|before| before.partial.iter().find(same));
    let known = known.cloned();
    let so_far = join(known.unwrap_or_else(|| described(entry)), new);
    if !so_far.pages.is_empty() {
        checkpoint.partial.push(so_far);
    }
}

/// Adds what was stored of a collection to what an earlier attempt had stored of it.
fn join(known: CollectionManifest, new: PackedCollection) -> CollectionManifest {
    let mut joined = known;
    joined.exact = false;
    joined.documents += new.fingerprint.documents;
    joined.bytes += new.bytes;
    joined.sum.add(new.fingerprint.sum);
    joined.pages.extend(new.pages);
    joined
}

impl Packer {
    /// Makes everything durable that is there so far.
    pub(super) async fn checkpoint(
        &mut self,
        finished: &[usize],
        scanned: &[usize],
    ) -> Result<PackedSoFar, Error> {
        self.end_collections(finished).await?;
        self.write_known_pages()?;
        let mut so_far = PackedSoFar {
            finished: HashMap::new(),
            scanned: HashMap::new(),
            blocks: self.blocks,
            stored_bytes: 0,
        };
        for index in scanned {
            let packed = self.new_pages(*index)?;
            so_far.scanned.insert(*index, packed);
        }
        self.close_pack().await?;
        self.wait_for_put().await?;
        for index in finished {
            if let Some(layout) = self.collections.get(index) {
                so_far.finished.insert(*index, layout.done.clone());
            }
        }
        so_far.stored_bytes = self.stored_bytes;
        Ok(so_far)
    }

    /// Returns pages over the blocks so far that were stored for a collection. Those whose end is
    /// known stay as they are, so that the next checkpoint writes only what came since.
    fn new_pages(&mut self, index: usize) -> Result<PackedCollection, Error> {
        let Some(layout) = self.collections.get(&index) else {
            return Ok(PackedCollection::default());
        };
        if !layout.has_runs {
            let done = layout.done.clone();
            return self.paged_to_the_end(index, 0, done);
        }
        let (mut from, mut paged) = (layout.new_paged, layout.new_pages.clone());
        while let Some(count) = self.collections[&index].page_length(from, false) {
            self.page_new(index, from..from + count, &mut paged)?;
            from += count;
        }
        if let Some(layout) = self.collections.get_mut(&index) {
            layout.new_paged = from;
            layout.new_pages = paged.clone();
        }
        self.paged_to_the_end(index, from, paged)
    }

    fn paged_to_the_end(
        &mut self,
        index: usize,
        mut from: usize,
        mut paged: PackedCollection,
    ) -> Result<PackedCollection, Error> {
        while let Some(count) = self.collections[&index].page_length(from, true) {
            self.page_new(index, from..from + count, &mut paged)?;
            from += count;
        }
        Ok(paged)
    }

    fn page_new(
        &mut self,
        index: usize,
        blocks: std::ops::Range<usize>,
        paged: &mut PackedCollection,
    ) -> Result<(), Error> {
        let page = self.collections[&index].page(blocks);
        let content = page.encode();
        let id = self.shared.repository.hash_keys.page(&content);
        let reference = self.write_page(&page, id, &content)?;
        paged.push(&page, reference);
        Ok(())
    }
}
