//! Fills packs: appends sealed blocks as workers finish them, sidecars together behind them, then
//! the pages whose blocks are all placed. One pack fills while the one before is put. Must never
//! let a page refer to a frame whose place is not fixed.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Shared;
use super::pages::{PageBuilder, ends_before};
use super::runs::{BlockOf, Piece, RunList};
use super::work::ReadyBlock;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::frame::{Compressor, FrameKind};
use crate::id::{BlockId, PackId, PageId};
use crate::keys;
use crate::manifest::PageReference;
use crate::pack::{self, Location, NewFrame, PackBuilder};
use crate::page::{BlockReference, PAGE_BLOCKS_MAX, Page};
use crate::task::ended;

/// What the packer is told.
pub(super) enum Message {
    /// A block is ready; `held` is its part of the budget.
    Block {
        collection: usize,
        sequence: u64,
        /// Whether the collection is its blocks in order; otherwise its runs follow.
        in_order: bool,
        block: ReadyBlock,
        held: OwnedSemaphorePermit,
    },
    /// The runs of a collection that was written upon a base, and the base's pages.
    Runs {
        collection: usize,
        runs: RunList,
        pages: Vec<PageReference>,
    },
    /// All blocks are in; the wanted collections get their last pages.
    Commit {
        wanted: HashSet<usize>,
        reply: oneshot::Sender<Packed>,
    },
}

/// Where everything came to lie. All of it is durable.
pub(super) struct Packed {
    pub(super) collections: HashMap<usize, PackedCollection>,
    pub(super) blocks: u64,
    pub(super) stored_bytes: u64,
}

/// Where one collection came to lie, and what its pages add up to.
#[derive(Default)]
pub(super) struct PackedCollection {
    pub(super) pages: Vec<PageReference>,
    pub(super) packs: BTreeSet<PackId>,
    pub(super) fingerprint: Fingerprint,
    pub(super) bytes: u64,
}

/// The task that owns the packs of one snapshot.
pub(super) struct Packer {
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Message>,
    open: Option<OpenPack>,
    putting: Option<Putting>,
    collections: HashMap<usize, Layout>,
    compressor: Option<Compressor>,
    blocks: u64,
    stored_bytes: u64,
}

struct OpenPack {
    builder: PackBuilder,
    sidecars: Vec<WaitingSidecar>,
    sidecar_bytes: u64,
}

struct WaitingSidecar {
    collection: usize,
    sequence: u64,
    frame: NewFrame,
}

/// The blocks of one collection that are not in a page yet, in order.
#[derive(Default)]
struct Layout {
    first_sequence: u64,
    blocks: VecDeque<Option<Placed>>,
    /// The collection's runs follow; its pages are written at the commit.
    has_runs: bool,
    runs: RunList,
    base_pages: HashMap<PageId, PageReference>,
    done: PackedCollection,
}

/// A block in a pack; its sidecar's place is fixed when the pack is closed.
struct Placed {
    pack: PackId,
    block: Location,
    sidecar: Option<Location>,
    id: BlockId,
    raw_length: u32,
    fingerprint: Fingerprint,
    bytes: u64,
}

/// A put that ends with the packer.
struct Putting(JoinHandle<Result<(), Error>>);

impl Drop for Putting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Packer {
    pub(super) fn new(shared: Arc<Shared>, inbox: mpsc::UnboundedReceiver<Message>) -> Packer {
        Packer {
            shared,
            inbox,
            open: None,
            putting: None,
            collections: HashMap::new(),
            compressor: None,
            blocks: 0,
            stored_bytes: 0,
        }
    }

    /// Works until the commit, a failure, or the writer's end.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.inbox.recv().await {
            match message {
                Message::Block {
                    collection,
                    sequence,
                    in_order,
                    block,
                    held,
                } => {
                    let layout = self.collections.entry(collection).or_default();
                    layout.has_runs = !in_order;
                    if let Err(error) = self.block(collection, sequence, block).await {
                        return self.shared.fail(error);
                    }
                    drop(held);
                }
                Message::Runs {
                    collection,
                    runs,
                    pages,
                } => {
                    let layout = self.collections.entry(collection).or_default();
                    layout.has_runs = true;
                    layout.runs = runs;
                    layout.base_pages = pages.into_iter().map(|page| (page.id, page)).collect();
                }
                Message::Commit { wanted, reply } => {
                    match self.commit(&wanted).await {
                        // Whoever asked may be gone; then the snapshot is given up.
                        Ok(packed) => drop(reply.send(packed)),
                        // The reason first, because the reply's end is what wakes whoever asked.
                        Err(error) => {
                            self.shared.fail(error);
                            drop(reply);
                        }
                    }
                    return;
                }
            }
        }
    }

    async fn block(
        &mut self,
        collection: usize,
        sequence: u64,
        block: ReadyBlock,
    ) -> Result<(), Error> {
        let open = self.open_pack()?;
        let documents = u32::try_from(block.fingerprint.documents).expect("at most 65,536");
        let location = open.builder.append(NewFrame {
            kind: FrameKind::Block,
            plain: block.frame,
            raw_length: block.raw_length,
            documents,
            id: block.id.0,
        });
        open.sidecar_bytes += block.sidecar.len() as u64;
        open.sidecars.push(WaitingSidecar {
            collection,
            sequence,
            frame: NewFrame {
                kind: FrameKind::Sidecar,
                plain: block.sidecar,
                raw_length: block.sidecar_raw_length,
                documents,
                id: block.id.0,
            },
        });
        let pack = open.builder.id();
        let length = open.builder.length() + open.sidecar_bytes;
        self.collections.entry(collection).or_default().place(
            sequence,
            Placed {
                pack,
                block: location,
                sidecar: None,
                id: block.id,
                raw_length: block.raw_length,
                fingerprint: block.fingerprint,
                bytes: block.bytes,
            },
        );
        self.blocks += 1;
        if length >= self.shared.options.pack_bytes as u64 {
            self.place_sidecars();
            self.write_pages(false).await?;
            self.close_pack().await?;
        }
        Ok(())
    }

    async fn commit(&mut self, wanted: &HashSet<usize>) -> Result<Packed, Error> {
        self.place_sidecars();
        self.collections.retain(|index, _| wanted.contains(index));
        self.write_pages(true).await?;
        self.write_runs().await?;
        self.close_pack().await?;
        self.wait_for_put().await?;
        let collections = std::mem::take(&mut self.collections);
        Ok(Packed {
            collections: collections
                .into_iter()
                .map(|(index, layout)| (index, layout.done))
                .collect(),
            blocks: self.blocks,
            stored_bytes: self.stored_bytes,
        })
    }

    fn open_pack(&mut self) -> Result<&mut OpenPack, Error> {
        if self.open.is_none() {
            let id = PackId(keys::random()?);
            self.shared.pin(id);
            let builder = PackBuilder::new(&self.shared.repository.sealing_root, id);
            self.open = Some(OpenPack {
                builder,
                sidecars: Vec::new(),
                sidecar_bytes: 0,
            });
        }
        Ok(self.open.as_mut().expect("a pack was opened above"))
    }

    /// Appends the sidecars of the open pack's blocks, which fixes their places.
    fn place_sidecars(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.sidecar_bytes = 0;
        for waiting in open.sidecars.drain(..) {
            let location = open.builder.append(waiting.frame);
            let layout = self.collections.get_mut(&waiting.collection);
            let layout = layout.expect("the block was placed before its sidecar");
            layout.block_mut(waiting.sequence).sidecar = Some(location);
        }
    }

    /// Writes the pages whose end is known; all of them at the commit.
    async fn write_pages(&mut self, all: bool) -> Result<(), Error> {
        let in_order = self.collections.iter().filter(|(_, of)| !of.has_runs);
        let mut due: Vec<usize> = in_order.map(|(&index, _)| index).collect();
        due.sort_unstable();
        for index in due {
            while let Some(page) = self.next_page(index, all) {
                self.append_page(index, page).await?;
            }
        }
        Ok(())
    }

    fn next_page(&mut self, index: usize, all: bool) -> Option<Page> {
        let layout = self.collections.get_mut(&index)?;
        let blocks = layout.page_length(all)?;
        Some(layout.take_page(blocks))
    }

    /// Writes the pages of the collections that were written upon a base; the base's own where they
    /// are the same.
    async fn write_runs(&mut self) -> Result<(), Error> {
        let with_runs = self.collections.iter().filter(|(_, of)| of.has_runs);
        let mut due: Vec<usize> = with_runs.map(|(&index, _)| index).collect();
        due.sort_unstable();
        for index in due {
            let layout = self.collections.get_mut(&index).expect("listed above");
            let runs = std::mem::take(&mut layout.runs);
            let placed = std::mem::take(&mut layout.blocks);
            let mut builder = PageBuilder::default();
            for stretch in &runs.stretches {
                let (_, block) = resolve(&stretch.pieces[0], &runs, &placed);
                let first = stretch.pieces[0].first;
                if builder.ends_before(&block.id, first, stretch.pieces.len()) {
                    let page = std::mem::take(&mut builder).finish();
                    self.append_page(index, page).await?;
                }
                for piece in &stretch.pieces {
                    let (pack, block) = resolve(piece, &runs, &placed);
                    builder.run(pack, &block, piece.first, piece.count);
                }
                builder.sums(stretch.bytes, stretch.sum);
            }
            if !builder.is_empty() {
                self.append_page(index, builder.finish()).await?;
            }
        }
        Ok(())
    }

    async fn append_page(&mut self, index: usize, page: Page) -> Result<(), Error> {
        let content = page.encode();
        let id = self.shared.repository.hash_keys.page(&content);
        let layout = self.collections.get_mut(&index).expect("the page is of it");
        layout.done.add(&page);
        if let Some(known) = layout.base_pages.get(&id) {
            layout.done.packs.insert(known.pack);
            layout.done.pages.push(known.clone());
            return Ok(());
        }
        let raw_length = u32::try_from(content.len()).expect("a page is far below 4 GiB");
        let plain = self.compressor()?.frame(&content);
        let frame = NewFrame {
            kind: FrameKind::Page,
            plain,
            raw_length,
            documents: 0,
            id: id.0,
        };
        let open = self.open_pack()?;
        let location = open.builder.append(frame);
        let pack = open.builder.id();
        let full = open.builder.length() >= self.shared.options.pack_bytes as u64;
        let done = &mut self
            .collections
            .get_mut(&index)
            .expect("the page is of it")
            .done;
        done.packs.insert(pack);
        done.pages.push(PageReference {
            id,
            pack,
            ordinal: location.ordinal,
            offset: location.offset,
            length: location.length,
            raw_length,
            documents: page.documents,
            bytes: page.bytes,
        });
        // Pages are written when no sidecar waits, so the pack may be closed between two of them.
        if full {
            self.close_pack().await
        } else {
            Ok(())
        }
    }

    fn compressor(&mut self) -> Result<&mut Compressor, Error> {
        if self.compressor.is_none() {
            self.compressor = Some(Compressor::new(self.shared.options.compression_level)?);
        }
        Ok(self.compressor.as_mut().expect("made above"))
    }

    /// Ends the open pack and starts its put, once the put before it is done.
    async fn close_pack(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        assert!(
            open.sidecars.is_empty(),
            "every block of a pack has its sidecar in it"
        );
        self.wait_for_put().await?;
        let name = pack::object_name(open.builder.id());
        let chunks = open.builder.finish();
        let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.stored_bytes += bytes;
        let shared = self.shared.clone();
        self.putting = Some(Putting(tokio::spawn(async move {
            shared.repository.store.put_new(&name, chunks).await?;
            shared.counters.stored(bytes);
            Ok(())
        })));
        Ok(())
    }

    async fn wait_for_put(&mut self) -> Result<(), Error> {
        let Some(mut putting) = self.putting.take() else {
            return Ok(());
        };
        match (&mut putting.0).await {
            Ok(result) => result,
            Err(error) => ended(error).await,
        }
    }
}

impl Layout {
    /// Notes where a block came to lie; workers finish in any order.
    fn place(&mut self, sequence: u64, placed: Placed) {
        let at = self.at(sequence);
        while self.blocks.len() <= at {
            self.blocks.push_back(None);
        }
        self.blocks[at] = Some(placed);
    }

    fn block_mut(&mut self, sequence: u64) -> &mut Placed {
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

    /// Returns how many blocks the next page has; `None` while its end is not known.
    fn page_length(&self, all: bool) -> Option<usize> {
        let placed = self.placed();
        let known = self.blocks.iter().take(placed).flatten();
        let end = known
            .enumerate()
            .find_map(|(at, block)| ends_before(at, &block.id).then_some(at));
        let rest = (all && placed > 0).then_some(placed.min(PAGE_BLOCKS_MAX));
        end.or(rest)
    }

    /// Takes the first blocks out and makes a page of them.
    fn take_page(&mut self, blocks: usize) -> Page {
        let mut page = PageBuilder::default();
        for placed in self.blocks.drain(..blocks) {
            let placed = placed.expect("only blocks with fixed places are taken");
            let block = placed.reference();
            page.run(placed.pack, &block, 0, block.documents);
            page.sums(placed.bytes, placed.fingerprint.sum);
        }
        self.first_sequence += blocks as u64;
        page.finish()
    }
}

impl Placed {
    /// Returns what a page says of the block, without its pack.
    fn reference(&self) -> BlockReference {
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
        }
    }
}

impl PackedCollection {
    fn add(&mut self, page: &Page) {
        self.packs.extend(&page.packs);
        self.fingerprint.merge(Fingerprint {
            documents: page.documents,
            sum: page.sum,
        });
        self.bytes += page.bytes;
    }
}

/// Returns the block of a run and the pack it lies in.
fn resolve(
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
