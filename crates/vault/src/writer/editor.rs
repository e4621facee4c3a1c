//! Writes one collection as the base's with some documents replaced. Reads segments, pages and
//! sidecars of what is replaced, and blocks only to store anew what would be thin or tiny. Must
//! never take out a document that is not proved to have a named identity.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use tokio::sync::mpsc;

use super::blocks::BlockWriter;
use super::edits::Edits;
use super::index::{BaseIndex, is_stale};
use super::packer::{Message, UponEnd};
use super::pages::{Cut, PageBuilder};
use super::runs::RunList;
use super::shared::Begun;
use super::{Collection, CollectionEntry, CollectionSummary, Shared, upon};
use crate::batch::Batch;
use crate::error::Error;
use crate::fetch::{Piece, ReadCounter, fetch};
use crate::fingerprint::{Fingerprint, Sum};
use crate::frame::ObjectSeal;
use crate::id::PackId;
use crate::live::{ByBlock, Live, LiveMap, Pages};
use crate::locate::{BlockPlace, locate};
use crate::manifest::CollectionManifest;
use crate::page::{BlockReference, PAGE_BLOCKS_MIN};
use crate::reader::open_strips;
use crate::repository::Inner;
use crate::segment::{IdentityHash, Segment};
use crate::sidecar::Key;
use crate::task::{Task, blocking};

/// Bytes of found documents that wait to be compared with the base.
const PENDING_BYTES_MAX: usize = 16 << 20;
/// Identities that wait to be looked up.
const PENDING_IDENTITIES_MAX: usize = 64 << 10;
/// Touched pages read at a time.
const PAGES_AT_A_TIME: usize = 16;
/// Runs of a page at most; a page beyond it would come near to what a reader takes.
const PAGE_RUNS_MAX: usize = 1 << 21;

/// Writes one collection as the base's with some documents replaced.
///
/// Dropped without `finish` or `discard`, it keeps the snapshot from being committed; where
/// `finish` is given up, it may have ended all the same. After an error it is of no more use:
/// discard it, and begin the collection again by a scan.
pub struct CollectionEditor {
    pub(super) shared: Arc<Shared>,
    pub(super) blocks: BlockWriter,
    entry: Option<CollectionEntry>,
    base: CollectionManifest,
    pub(super) pages: Pages,
    counter: ReadCounter,
    pending: Pending,
    pub(super) edits: Edits,
    failed: bool,
}

/// Identities to be replaced, in the order in which they were first named.
#[derive(Default)]
struct Pending {
    order: Vec<(IdentityHash, Option<Found>)>,
    places: HashMap<IdentityHash, usize>,
    bytes: usize,
}

/// A document as it is to be.
struct Found {
    document: Bytes,
    key: Key,
}

impl Pending {
    fn set(&mut self, identity: IdentityHash, found: Option<Found>) {
        let at = *self.places.entry(identity).or_insert(self.order.len());
        if at == self.order.len() {
            self.order.push((identity, found));
        } else {
            self.order[at].1 = found;
        }
    }

    fn is_full(&self) -> bool {
        self.bytes >= PENDING_BYTES_MAX || self.order.len() >= PENDING_IDENTITIES_MAX
    }
}

/// Live documents of wanted identities, with what their sidecars say of them.
type Present = HashMap<IdentityHash, Vec<(Live, Key)>>;

/// A block, or a strip of its sidecar, in which wanted documents are live.
struct Wanted {
    block: BlockReference,
    live: Vec<Live>,
}

impl Wanted {
    /// Returns the strips of the sidecar that say of the documents.
    fn strips(mut self, pack: PackId) -> Vec<Piece<Wanted>> {
        let strips = self.block.strips();
        self.live.sort_unstable_by_key(|live| live.document);
        let strip_of = |live: &Live| strips.strip_of(live.document);
        let of_strips = self
            .live
            .chunk_by(|left, right| strip_of(left) == strip_of(right));
        let pieces = of_strips.map(|live| {
            let strip = strip_of(&live[0]);
            let range = self.block.strips_range(&(strip..strip + 1));
            Piece {
                pack,
                offset: range.start,
                length: range.end - range.start,
                what: Wanted {
                    block: self.block.clone(),
                    live: live.to_vec(),
                },
            }
        });
        pieces.collect()
    }
}

impl CollectionEditor {
    pub(super) fn new(
        shared: Arc<Shared>,
        messages: mpsc::UnboundedSender<Message>,
        index: usize,
        entry: CollectionEntry,
        base: CollectionManifest,
    ) -> CollectionEditor {
        let counter = ReadCounter::default();
        let repository = shared.repository.clone();
        CollectionEditor {
            blocks: BlockWriter::new(shared.clone(), messages, index, false),
            shared,
            entry: Some(entry),
            pages: Pages::new(repository, counter.clone(), base.pages.clone()),
            counter,
            base,
            pending: Pending::default(),
            edits: Edits::default(),
            failed: false,
        }
    }

    /// Takes out every live document that has one of `identities` or an identity in `found`, then
    /// adds `found`. A found document that the base has live and equal stays where it is.
    ///
    /// Idempotent; may be called many times. Of several calls that name an identity, the last one
    /// holds. Fails with `Corrupt` or `Missing` where what the base says of these documents cannot
    /// be read, and with `Invalid` where an identity is empty: the collection can then be taken by
    /// a scan.
    pub async fn replace(&mut self, identities: &[Bytes], found: Batch) -> Result<(), Error> {
        let result = self.take(identities, found).await;
        self.failed |= result.is_err();
        result
    }

    async fn take(&mut self, identities: &[Bytes], found: Batch) -> Result<(), Error> {
        let keys = self.shared.repository.hash_keys.clone();
        let identities = identities.to_vec();
        let (found, hashed, gone) = blocking(move || {
            let gone: Vec<_> = identities.iter().map(|id| keys.identity(id)).collect();
            let hashed = upon::hash(&found, &keys);
            (found, hashed, gone)
        })
        .await;
        let hashed = hashed?;
        let nobody = self.shared.repository.hash_keys.identity(b"");
        let mut named = gone
            .iter()
            .chain(hashed.iter().map(|(key, _)| &key.identity));
        if named.any(|identity| *identity == nobody) {
            return Err(Error::invalid(
                "a document without identity cannot be replaced",
            ));
        }
        gone.into_iter().for_each(|id| self.pending.set(id, None));
        for (span, (key, _)) in found.documents.iter().zip(hashed) {
            let document = found.bytes.slice(span.start as usize..span.end as usize);
            self.pending
                .set(key.identity, Some(Found { document, key }));
        }
        self.pending.bytes += found.bytes.len();
        if self.pending.is_full() {
            self.flush().await?;
        }
        self.blocks.add_finished().await
    }

    /// Does what is pending.
    async fn flush(&mut self) -> Result<(), Error> {
        let pending = std::mem::take(&mut self.pending);
        if pending.order.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<IdentityHash> = pending.places.into_keys().collect();
        wanted.sort_unstable();
        let mut present = self.present(&wanted).await?;
        let keys = self.shared.repository.hash_keys.clone();
        for (identity, found) in pending.order {
            let mut stays = false;
            for (live, key) in present.remove(&identity).unwrap_or_default() {
                let equal = found.as_ref().is_some_and(|found| found.key == key);
                if equal && !stays {
                    stays = true;
                } else {
                    let sum = keys.fingerprint(&key.document);
                    self.edits.remove(&live, &key, sum);
                }
            }
            if let Some(fresh) = self.edits.fresh_of(&identity) {
                let equal = found.as_ref().is_some_and(|found| found.key == fresh.key);
                fresh.live = equal && !stays;
                stays |= equal;
            }
            let Some(found) = found.filter(|_| !stays) else {
                continue;
            };
            let place = self.blocks.store_hashed(&found.document, &found.key);
            self.edits.add(place.await?, found.key);
            self.shared.counters.taken(1, u64::from(found.key.length));
        }
        Ok(())
    }

    /// Returns the documents of the base that have these identities and were not taken out yet.
    async fn present(&mut self, wanted: &[IdentityHash]) -> Result<Present, Error> {
        let repository = self.shared.repository.clone();
        let segments = self.base.segments.as_deref().unwrap_or_default();
        let candidates = locate(&repository, &self.counter, segments, wanted).await?;
        let by_block = ByBlock::new(&candidates);
        let blocks = self.live_blocks(&by_block).await?;
        let pieces = blocks.into_iter();
        let pieces = pieces.flat_map(|((pack, _), wanted)| wanted.strips(pack));
        let mut keys = fetch(&repository, &self.counter, pieces.collect(), read_keys);
        let mut present = Present::new();
        while let Some(found) = keys.try_next().await? {
            for (live, key) in found.into_iter().flatten() {
                present.entry(live.identity).or_default().push((live, key));
            }
        }
        Ok(present)
    }

    /// Returns the blocks in which candidates are live, and notes how much of each is.
    async fn live_blocks(
        &mut self,
        by_block: &ByBlock,
    ) -> Result<HashMap<BlockPlace, Wanted>, Error> {
        let mut blocks: HashMap<BlockPlace, Wanted> = HashMap::new();
        let mut documents: HashMap<BlockPlace, u64> = HashMap::new();
        let mut pages = self.pages.read(&self.pages.referring(&by_block.packs()));
        while let Some((number, page)) = pages.try_next().await? {
            for live in by_block.live_on(number, &page) {
                if self.edits.is_live(number, live.index, live.document) {
                    let block = || Wanted {
                        block: page.blocks[live.index as usize].clone(),
                        live: Vec::new(),
                    };
                    let wanted = blocks.entry(live.block).or_insert_with(block);
                    wanted.live.push(live);
                }
            }
            for (block, live) in page.blocks.iter().zip(page.live_documents()) {
                let place = (page.pack_of(block), block.ordinal);
                if by_block.contains(&place) {
                    *documents.entry(place).or_default() += live;
                }
            }
        }
        for (place, wanted) in &blocks {
            self.edits.weigh(*place, &wanted.block, documents[place]);
        }
        Ok(blocks)
    }

    /// Ends the collection and returns what it adds up to. An editor that replaced nothing refers
    /// to what the base has as it is, and reads nothing.
    pub async fn finish(self) -> Result<CollectionSummary, Error> {
        // Most of the work is here, and others end beside this one: not on one thread with them.
        Task::start(self.end()).join().await
    }

    async fn end(mut self) -> Result<CollectionSummary, Error> {
        if self.failed {
            return Err(Error::invalid(
                "a collection was finished after a failed edit",
            ));
        }
        self.flush().await?;
        self.rewrite().await?;
        self.blocks.finish().await?;
        let (runs, kept, kept_bytes) = self.send_pages().await?;
        self.blocks.send(Message::Runs(Box::new(UponEnd {
            collection: self.blocks.index,
            runs,
            pages: Vec::new(),
            index: self.base_index().await,
            kept,
            kept_bytes,
        })))?;
        let summary = self.summary();
        let documents_shared = summary.documents_shared;
        let counters = &self.shared.counters;
        counters.taken(documents_shared, summary.bytes_shared);
        counters.shared(documents_shared);
        let entry = Box::new(self.entry.take().expect("a collection ends once"));
        let index = self.blocks.index;
        self.shared
            .end_collection(index, Collection::Finished { entry, summary });
        Ok(summary)
    }

    fn summary(&self) -> CollectionSummary {
        let mut fingerprint = self.base.fingerprint();
        fingerprint.remove(self.edits.removed);
        let documents_shared = fingerprint.documents;
        let bytes_shared = self.base.bytes - self.edits.removed_bytes;
        let mut bytes = bytes_shared;
        for fresh in self.edits.fresh.iter().filter(|fresh| fresh.live) {
            bytes += u64::from(fresh.key.length);
            fingerprint.merge(Fingerprint {
                documents: 1,
                sum: self.sum(&fresh.key),
            });
        }
        CollectionSummary {
            documents: fingerprint.documents,
            bytes,
            fingerprint,
            documents_shared,
            bytes_shared,
            bytes_read: self.counter.bytes(),
        }
    }

    pub(super) fn sum(&self, key: &Key) -> Sum {
        self.shared.repository.hash_keys.fingerprint(&key.document)
    }

    /// Returns what is taken over from the base's segments.
    async fn base_index(&self) -> BaseIndex {
        let mut index = BaseIndex::new(Some(&self.base));
        if self.blocks.has_stored() && is_stale(&self.base) {
            // Where that fails, stale entries stay for another time.
            index.live = LiveMap::read(&self.pages).await.ok().map(Arc::new);
        }
        index
    }

    /// Sends the pages before the added documents; returns the runs behind them, and what the pages
    /// that are referred to as they are add up to.
    async fn send_pages(&self) -> Result<(RunList, Fingerprint, u64), Error> {
        let (mut kept, mut kept_bytes) = (self.base.fingerprint(), self.base.bytes);
        let last = self.pages.references.len().checked_sub(1);
        let tail = last.filter(|_| self.edits.fresh.iter().any(|fresh| fresh.live));
        let is_touched = |number: usize| {
            let known = self.pages.references[number].packs.is_some();
            self.edits.page(number).is_some() || tail == Some(number) || !known
        };
        let touched: Vec<usize> = (0..self.pages.references.len())
            .filter(|number| is_touched(*number))
            .collect();
        let mut open = PageBuilder::default();
        let mut next = 0;
        for numbers in touched.chunks(PAGES_AT_A_TIME) {
            let read: HashMap<usize, _> = self.pages.read(numbers).try_collect().await?;
            for &number in numbers {
                if next < number {
                    self.end_page(&mut open).await?;
                }
                self.keep(next..number)?;
                next = number + 1;
                let page = &read[&number];
                kept.remove(Fingerprint {
                    documents: page.documents,
                    sum: page.sum,
                });
                kept_bytes -= page.bytes;
                self.edits.rebuild(number, page, &mut open);
                if open.runs() > PAGE_RUNS_MAX {
                    return Err(Error::invalid("too much of a page was replaced one by one"));
                }
                // What little is left of a page is joined with the next one.
                if tail != Some(number) && open.blocks() >= PAGE_BLOCKS_MIN {
                    self.end_page(&mut open).await?;
                }
            }
        }
        let rest = next..self.pages.references.len();
        if !rest.is_empty() {
            self.end_page(&mut open).await?;
        }
        self.keep(rest)?;
        let mut runs = RunList::new(Cut::BySize);
        runs.add_page(open.finish());
        for fresh in self.edits.fresh.iter().filter(|fresh| fresh.live) {
            let sum = self.sum(&fresh.key);
            runs.add_new(fresh.sequence, fresh.ordinal, fresh.key.length, sum);
        }
        Ok((runs, kept, kept_bytes))
    }

    fn keep(&self, numbers: std::ops::Range<usize>) -> Result<(), Error> {
        for page in &self.pages.references[numbers] {
            self.blocks.send(Message::Keep {
                collection: self.blocks.index,
                page: page.clone(),
            })?;
        }
        Ok(())
    }

    async fn end_page(&self, open: &mut PageBuilder) -> Result<(), Error> {
        if open.is_empty() {
            return Ok(());
        }
        let page = std::mem::take(open).finish();
        let held = self.blocks.hold(page.bytes_held()).await?;
        self.blocks.send(Message::Page {
            collection: self.blocks.index,
            page,
            held,
        })
    }

    /// Leaves the collection out of the snapshot, so that it can be begun again by a scan; what was
    /// stored of it is garbage.
    pub fn discard(mut self) {
        self.entry = None;
        self.shared
            .end_collection(self.blocks.index, Collection::Discarded);
    }
}

/// Opens a strip of a sidecar and reads what it says of the wanted documents.
fn read_keys(
    _: &Inner,
    seal: &ObjectSeal,
    piece: Piece<Wanted>,
    sealed: Vec<u8>,
) -> Result<Vec<(Live, Key)>, Error> {
    let Wanted { block, live } = piece.what;
    let strips = block.strips();
    let strip = strips.strip_of(live[0].document);
    let strip = strip..strip + 1;
    let first = strips.documents(&strip).start;
    let sidecar = open_strips(seal, &block, strip, &sealed)?;
    let key = |live: Live| {
        let key = sidecar.key((live.document - first) as usize);
        if key.identity == live.identity {
            return Ok((live, key));
        }
        let reason = format!("frame {}: an entry names another document", block.ordinal);
        Err(Error::corrupt(seal.object(), reason))
    };
    live.into_iter().map(key).collect()
}

impl Drop for CollectionEditor {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let begun = Begun {
                entry: Box::new(entry),
                is_scanned: false,
            };
            self.shared
                .end_collection(self.blocks.index, Collection::Abandoned(begun));
        }
    }
}

impl fmt::Debug for CollectionEditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.base.segments.iter().flatten();
        f.debug_struct("CollectionEditor")
            .field("index", &self.blocks.index)
            .field("entries", &segments.map(Segment::entries).sum::<u64>())
            .finish_non_exhaustive()
    }
}
