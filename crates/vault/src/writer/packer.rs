//! Fills packs: appends sealed blocks as workers finish them, sidecars together behind them, then
//! the pages whose blocks are all placed. One pack fills while the one before is put. Must never
//! let a page refer to a frame whose place is not fixed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::Shared;
use super::checkpoint::PackedSoFar;
use super::entries::NewEntry;
use super::index::BaseIndex;
use super::layout::{Layout, PackedCollection, Placed, resolve};
use super::pages::PageBuilder;
use super::runs::RunList;
use super::work::ReadyBlock;
use crate::codec::Compressor;
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::frame::FrameKind;
use crate::id::{BlockId, PackId, PageId};
use crate::keys;
use crate::manifest::PageReference;
use crate::pack::{self, NewFrame, PackBuilder};
use crate::page::Page;
use crate::segment::IdentityHash;
use crate::sidecar::Sidecar;
use crate::task::Task;

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
    /// Documents of the base that no segment of the base names.
    Entries {
        collection: usize,
        entries: Vec<NewEntry>,
        held: OwnedSemaphorePermit,
    },
    /// A page of the base that is referred to as it is, behind those before.
    Keep {
        collection: usize,
        page: PageReference,
    },
    /// A page over blocks of the base alone, behind those before.
    Page {
        collection: usize,
        page: Page,
        held: OwnedSemaphorePermit,
    },
    /// The end of a collection that was written upon a base: what remains of its runs.
    Runs(Box<UponEnd>),
    /// What is there so far is to be made durable.
    Checkpoint {
        /// Collections of which all blocks are in; they get their last pages.
        finished: Vec<usize>,
        /// Collections of which the blocks so far are wanted.
        scanned: Vec<usize>,
        reply: oneshot::Sender<PackedSoFar>,
    },
    /// All blocks are in; the wanted collections get their last pages.
    Commit {
        wanted: HashSet<usize>,
        reply: oneshot::Sender<Packed>,
    },
}

/// What the packer is told at the end of a collection that was written upon a base.
pub(super) struct UponEnd {
    pub(super) collection: usize,
    /// Runs behind the pages that were sent before.
    pub(super) runs: RunList,
    /// The base's pages, to be referred to where the same content comes up again.
    pub(super) pages: Vec<PageReference>,
    pub(super) index: BaseIndex,
    /// What the kept pages add up to.
    pub(super) kept: Fingerprint,
    pub(super) kept_bytes: u64,
}

/// Where everything came to lie. All of it is durable.
pub(super) struct Packed {
    pub(super) collections: HashMap<usize, PackedCollection>,
    pub(super) blocks: u64,
    pub(super) stored_bytes: u64,
}

/// The task that owns the packs of one snapshot.
pub(super) struct Packer {
    pub(super) shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Message>,
    open: Option<OpenPack>,
    putting: Option<Task<Result<(), Error>>>,
    pub(super) collections: HashMap<usize, Layout>,
    /// Packs that blocks, pages and segments of this snapshot went to.
    pub(super) packs: HashSet<PackId>,
    /// Packs of spilled entries.
    pub(super) spills: Vec<PackId>,
    /// Entries in memory, over all collections.
    pub(super) entries: usize,
    /// Identity hash of documents that have no identity.
    nobody: IdentityHash,
    compressor: Option<Compressor>,
    pub(super) blocks: u64,
    pub(super) stored_bytes: u64,
}

pub(super) struct OpenPack {
    pub(super) builder: PackBuilder,
    sidecars: Vec<WaitingSidecar>,
    sidecar_bytes: u64,
}

struct WaitingSidecar {
    collection: usize,
    sequence: u64,
    block: BlockId,
    sidecar: Sidecar,
}

impl Packer {
    pub(super) fn new(shared: Arc<Shared>, inbox: mpsc::UnboundedReceiver<Message>) -> Packer {
        Packer {
            nobody: shared.repository.hash_keys.identity(b""),
            shared,
            inbox,
            open: None,
            putting: None,
            collections: HashMap::new(),
            packs: HashSet::new(),
            spills: Vec::new(),
            entries: 0,
            compressor: None,
            blocks: 0,
            stored_bytes: 0,
        }
    }

    /// Works until the commit, a failure, or the writer's end.
    pub(super) async fn run(mut self) {
        while let Some(message) = self.inbox.recv().await {
            let taken = match message {
                Message::Commit { wanted, reply } => {
                    let packed = self.commit(&wanted).await;
                    let _ = self.answer(packed, reply);
                    return;
                }
                Message::Checkpoint {
                    finished,
                    scanned,
                    reply,
                } => {
                    let packed = self.checkpoint(&finished, &scanned).await;
                    self.answer(packed, reply)
                }
                message => self.take(message).await.map_err(|error| {
                    self.shared.fail(error);
                }),
            };
            if taken.is_err() {
                return;
            }
        }
    }

    /// Answers whoever asked, who may be gone.
    fn answer<T>(&self, packed: Result<T, Error>, reply: oneshot::Sender<T>) -> Result<(), ()> {
        match packed {
            Ok(packed) => {
                drop(reply.send(packed));
                Ok(())
            }
            Err(error) => {
                // The reason first, because the reply's end is what wakes whoever asked.
                self.shared.fail(error);
                drop(reply);
                Err(())
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::Block {
                collection,
                sequence,
                in_order,
                block,
                held,
            } => {
                self.layout(collection).has_runs |= !in_order;
                self.block(collection, sequence, block).await?;
                drop(held);
                self.limit_entries().await
            }
            Message::Entries {
                collection,
                entries,
                held,
            } => {
                self.entries += entries.len();
                let layout = self.layout(collection);
                entries
                    .into_iter()
                    .for_each(|entry| layout.entries.push(entry));
                drop(held);
                self.limit_entries().await
            }
            Message::Keep { collection, page } => {
                let layout = self.layout(collection);
                layout.has_runs = true;
                layout.done.keep(page);
                Ok(())
            }
            Message::Page {
                collection,
                page,
                held,
            } => {
                self.layout(collection).has_runs = true;
                self.append_page(collection, page)?;
                drop(held);
                self.close_if_full().await
            }
            Message::Runs(end) => {
                let layout = self.layout(end.collection);
                layout.has_runs = true;
                layout.runs = end.runs;
                layout.base_pages = end.pages.into_iter().map(|page| (page.id, page)).collect();
                layout.base = end.index;
                layout.done.fingerprint.merge(end.kept);
                layout.done.bytes += end.kept_bytes;
                Ok(())
            }
            Message::Checkpoint { .. } | Message::Commit { .. } => {
                unreachable!("what is answered is taken by itself")
            }
        }
    }

    fn layout(&mut self, collection: usize) -> &mut Layout {
        self.collections.entry(collection).or_default()
    }

    async fn block(
        &mut self,
        collection: usize,
        sequence: u64,
        block: ReadyBlock,
    ) -> Result<(), Error> {
        let nobody = self.nobody;
        let open = self.open_pack()?;
        let documents = u32::try_from(block.fingerprint.documents).expect("at most 65,536");
        let location = open.builder.append(NewFrame {
            kind: FrameKind::Block,
            plain: block.frame,
            raw_length: block.raw_length,
            documents,
            id: block.id.0,
        });
        let pack = open.builder.id();
        let place = (pack, location.ordinal);
        let layout = self.layout(collection);
        let before = layout.entries.len();
        for (identity, document) in block.sidecar.identities().iter().zip(0_u32..) {
            if *identity != nobody {
                let document = u16::try_from(document).expect("at most 65,536 in a block");
                layout.entries.push((*identity, place, document));
            }
        }
        let entries = layout.entries.len() - before;
        layout.place(
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
        let open = self.open_pack()?;
        open.sidecar_bytes += block.sidecar.stored_lengths().1 as u64;
        open.sidecars.push(WaitingSidecar {
            collection,
            sequence,
            block: block.id,
            sidecar: block.sidecar,
        });
        self.blocks += 1;
        self.entries += entries;
        self.close_if_full().await
    }

    /// Closes the open pack, with the sidecars that wait and the pages that are due, where it has
    /// reached its size.
    pub(super) async fn close_if_full(&mut self) -> Result<(), Error> {
        let length = |open: &OpenPack| open.builder.length() + open.sidecar_bytes;
        let length = self.open.as_ref().map_or(0, length);
        if length < self.shared.options.pack_bytes as u64 {
            return Ok(());
        }
        self.place_sidecars();
        self.write_known_pages()?;
        self.close_pack().await
    }

    async fn commit(&mut self, wanted: &HashSet<usize>) -> Result<Packed, Error> {
        self.place_sidecars();
        self.collections.retain(|index, _| wanted.contains(index));
        let all: Vec<usize> = self.collections.keys().copied().collect();
        self.end_collections(&all).await?;
        self.close_pack().await?;
        self.wait_for_put().await?;
        self.delete_spills().await;
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

    /// Writes the last pages and the segments of collections of which all blocks are in, unless
    /// that was done before.
    pub(super) async fn end_collections(&mut self, finished: &[usize]) -> Result<(), Error> {
        self.place_sidecars();
        let is_due = |index: &&usize| {
            let layout = self.collections.get(index);
            layout.is_some_and(|layout| !layout.has_ended)
        };
        let mut due: Vec<usize> = finished.iter().filter(is_due).copied().collect();
        due.sort_unstable();
        let (with_runs, in_order) = due
            .iter()
            .partition::<Vec<usize>, _>(|index| self.collections[index].has_runs);
        for index in in_order {
            self.write_pages(index, true)?;
        }
        self.close_if_full().await?;
        self.write_runs(&with_runs).await?;
        self.write_segments(&due).await?;
        for index in due {
            let layout = self.layout(index);
            layout.has_ended = true;
            layout.base_pages = HashMap::new();
        }
        Ok(())
    }

    pub(super) fn open_pack(&mut self) -> Result<&mut OpenPack, Error> {
        if self.open.is_none() {
            let id = PackId(keys::random()?);
            self.shared.pin(id);
            self.packs.insert(id);
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
    pub(super) fn place_sidecars(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.sidecar_bytes = 0;
        for waiting in open.sidecars.drain(..) {
            let location = open.builder.append_sidecar(waiting.block, &waiting.sidecar);
            let layout = self.collections.get_mut(&waiting.collection);
            let layout = layout.expect("the block was placed before its sidecar");
            layout.block_mut(waiting.sequence).sidecar = Some(location);
        }
    }

    /// Writes the pages whose end is known.
    pub(super) fn write_known_pages(&mut self) -> Result<(), Error> {
        let in_order = self.collections.iter().filter(|(_, of)| !of.has_runs);
        let mut due: Vec<usize> = in_order.map(|(&index, _)| index).collect();
        due.sort_unstable();
        due.into_iter()
            .try_for_each(|index| self.write_pages(index, false))
    }

    /// Writes the pages of a collection that is its blocks in order; all of them at its end.
    fn write_pages(&mut self, index: usize, all: bool) -> Result<(), Error> {
        while let Some(page) = self.next_page(index, all) {
            self.append_page(index, page)?;
        }
        Ok(())
    }

    fn next_page(&mut self, index: usize, all: bool) -> Option<Page> {
        let layout = self.collections.get_mut(&index)?;
        let blocks = layout.page_length(0, all)?;
        Some(layout.take_page(blocks))
    }

    /// Writes the pages of the collections that were written upon a base; the base's own where they
    /// are the same.
    async fn write_runs(&mut self, due: &[usize]) -> Result<(), Error> {
        for &index in due {
            let layout = self.collections.get_mut(&index).expect("listed above");
            let runs = std::mem::take(&mut layout.runs);
            let placed = std::mem::take(&mut layout.blocks);
            let mut builder = PageBuilder::default();
            for stretch in &runs.stretches {
                let (_, block) = resolve(&stretch.pieces[0], &runs, &placed);
                let first = stretch.pieces[0].first;
                let pieces = stretch.pieces.len();
                if builder.ends_before(runs.cut, &block.id, first, pieces) {
                    let page = std::mem::take(&mut builder).finish();
                    self.append_page(index, page)?;
                    self.close_if_full().await?;
                }
                for piece in &stretch.pieces {
                    let (pack, block) = resolve(piece, &runs, &placed);
                    builder.run(pack, &block, piece.first, piece.count);
                }
                builder.sums(stretch.bytes, stretch.sum);
            }
            if !builder.is_empty() {
                self.append_page(index, builder.finish())?;
                self.close_if_full().await?;
            }
        }
        Ok(())
    }

    /// Adds a page to a collection: the base's own where it is the same, else at the end of the
    /// open pack, which may then be full.
    fn append_page(&mut self, index: usize, page: Page) -> Result<(), Error> {
        let content = page.encode();
        let id = self.shared.repository.hash_keys.page(&content);
        let shared = self.shared.clone();
        let layout = self.layout(index);
        layout.done.add(&page);
        let known = layout.base_pages.get(&id);
        if let Some(known) = known.filter(|known| shared.is_whole(known.pack)) {
            layout.done.pages.push(PageReference {
                packs: Some(page.packs),
                ..known.clone()
            });
            layout.done.packs.insert(known.pack);
            return Ok(());
        }
        let reference = self.write_page(&page, id, &content)?;
        let done = &mut self.layout(index).done;
        done.packs.insert(reference.pack);
        done.pages.push(reference);
        Ok(())
    }

    /// Puts a page at the end of the open pack.
    pub(super) fn write_page(
        &mut self,
        page: &Page,
        id: PageId,
        content: &[u8],
    ) -> Result<PageReference, Error> {
        let raw_length = u32::try_from(content.len()).expect("a page is far below 4 GiB");
        let plain = self.compressor()?.frame(content);
        let frame = NewFrame {
            kind: FrameKind::Page,
            plain,
            raw_length,
            documents: 0,
            id: id.0,
        };
        let open = self.open_pack()?;
        let location = open.builder.append(frame);
        Ok(PageReference {
            id,
            pack: open.builder.id(),
            ordinal: location.ordinal,
            offset: location.offset,
            length: location.length,
            raw_length,
            documents: page.documents,
            bytes: page.bytes,
            packs: Some(page.packs.clone()),
        })
    }

    fn compressor(&mut self) -> Result<&mut Compressor, Error> {
        if self.compressor.is_none() {
            self.compressor = Some(Compressor::new(self.shared.options.compression_level)?);
        }
        Ok(self.compressor.as_mut().expect("made above"))
    }

    /// Ends the open pack and starts its put, once the put before it is done.
    pub(super) async fn close_pack(&mut self) -> Result<(), Error> {
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
        self.putting = Some(Task::start(async move {
            shared.repository.store.put_new(&name, chunks).await?;
            shared.counters.stored(bytes);
            Ok(())
        }));
        Ok(())
    }

    pub(super) async fn wait_for_put(&mut self) -> Result<(), Error> {
        let Some(mut putting) = self.putting.take() else {
            return Ok(());
        };
        putting.join().await
    }
}
