//! Copies blocks with their sidecars into new packs: each is opened and compared with its name,
//! then sealed under the new pack's key, a block as it is and a sidecar in strips. Must never pass
//! on bytes that it did not verify.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;

use super::RepackOptions;
use crate::codec::RawLength;
use crate::error::Error;
use crate::fetch::{Piece, ReadCounter, fetch};
use crate::frame::{FrameKind, ObjectSeal};
use crate::id::PackId;
use crate::keys;
use crate::locate::BlockPlace;
use crate::pack::{self, Location, NewFrame, PackBuilder};
use crate::page::BlockReference;
use crate::reader::open_strips;
use crate::repository::{Held, Inner};
use crate::sidecar::{STRIP_DOCUMENTS, Sidecar};

/// Where blocks went: the new pack, and what a page is to say of the block.
pub(super) type Moved = HashMap<BlockPlace, (PackId, BlockReference)>;

/// Packs that are being written.
pub(super) struct NewPacks {
    repository: Arc<Inner>,
    pack_bytes: u64,
    open: Option<PackBuilder>,
    /// Blocks of the open pack whose sidecars are not in it yet, and these.
    waiting: Vec<(BlockPlace, BlockReference, Sidecar)>,
    waiting_bytes: u64,
    pub(super) moved: Moved,
    /// Keeps the new packs from the sweep.
    held: Held,
    written: u64,
}

/// What is copied, with the ordinal of the block.
enum Copied {
    /// A block as it was compressed.
    Block(u32, Vec<u8>),
    Sidecar(u32, Sidecar),
}

impl NewPacks {
    pub(super) fn new(repository: Arc<Inner>, options: &RepackOptions) -> NewPacks {
        NewPacks {
            held: Held::new(repository.clone(), Vec::new()),
            repository,
            pack_bytes: options.pack_bytes as u64,
            open: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            moved: Moved::new(),
            written: 0,
        }
    }

    /// Copies blocks of one pack. Where one cannot be read, none of them counts as copied.
    pub(super) async fn copy(
        &mut self,
        from: PackId,
        blocks: &[BlockReference],
    ) -> Result<(), Error> {
        let pieces = blocks.iter().flat_map(|block| {
            let sidecar = (block.sidecar_offset, block.sidecar_length);
            [
                (FrameKind::Block, (block.offset, block.length)),
                (FrameKind::Sidecar, sidecar),
            ]
            .map(|(kind, (offset, length))| Piece {
                pack: from,
                offset,
                length: u64::from(length),
                what: (kind, block.clone()),
            })
        });
        let pieces = pieces.collect();
        let read = fetch(&self.repository, &ReadCounter::default(), pieces, open);
        let copied: Vec<Copied> = read.try_concat().await?;
        let (mut plains, mut sidecars) = (HashMap::new(), HashMap::new());
        for copied in copied {
            match copied {
                Copied::Block(ordinal, plain) => drop(plains.insert(ordinal, plain)),
                Copied::Sidecar(ordinal, sidecar) => drop(sidecars.insert(ordinal, sidecar)),
            }
        }
        for block in blocks {
            let ordinal = block.ordinal;
            let both = plains.remove(&ordinal).zip(sidecars.remove(&ordinal));
            let (plain, sidecar) = both.expect("both were read");
            self.block((from, ordinal), block, plain, sidecar).await?;
        }
        Ok(())
    }

    async fn block(
        &mut self,
        from: BlockPlace,
        block: &BlockReference,
        plain: Vec<u8>,
        sidecar: Sidecar,
    ) -> Result<(), Error> {
        let (_, location) = self.append(NewFrame {
            kind: FrameKind::Block,
            plain,
            raw_length: block.raw_length,
            documents: block.documents,
            id: block.id.0,
        })?;
        let copy = BlockReference {
            ordinal: location.ordinal,
            offset: location.offset,
            length: location.length,
            ..block.clone()
        };
        self.waiting_bytes += sidecar.stored_lengths().1 as u64;
        self.waiting.push((from, copy, sidecar));
        self.close_if_full().await
    }

    /// Appends a frame to the open pack, which may then be full.
    pub(super) fn append(&mut self, frame: NewFrame) -> Result<(PackId, Location), Error> {
        let open = self.open_pack()?;
        Ok((open.id(), open.append(frame)))
    }

    pub(super) fn open_pack(&mut self) -> Result<&mut PackBuilder, Error> {
        if self.open.is_none() {
            let id = PackId(keys::random()?);
            self.held.add(id);
            self.open = Some(PackBuilder::new(&self.repository.sealing_root, id));
        }
        Ok(self.open.as_mut().expect("opened above"))
    }

    /// Appends the sidecars that wait.
    fn end_blocks(&mut self) {
        let Some(open) = &mut self.open else { return };
        self.waiting_bytes = 0;
        for (from, block, sidecar) in self.waiting.drain(..) {
            let location = open.append_sidecar(block.id, &sidecar);
            let block = BlockReference {
                sidecar_ordinal: location.ordinal,
                sidecar_offset: location.offset,
                sidecar_length: location.length,
                strip_documents: Some(STRIP_DOCUMENTS),
                ..block
            };
            self.moved.insert(from, (open.id(), block));
        }
    }

    /// Puts the open pack where it has reached its size.
    pub(super) async fn close_if_full(&mut self) -> Result<(), Error> {
        let length = self.open.as_ref().map_or(0, PackBuilder::length);
        if length + self.waiting_bytes < self.pack_bytes {
            return Ok(());
        }
        self.close().await
    }

    /// Puts the open pack.
    pub(super) async fn close(&mut self) -> Result<(), Error> {
        self.end_blocks();
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let name = pack::object_name(open.id());
        let chunks = open.finish();
        self.written += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        self.repository.store.put_new(&name, chunks).await
    }

    /// Returns the bytes of the packs that were put.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

fn open(
    repository: &Inner,
    seal: &ObjectSeal,
    piece: Piece<(FrameKind, BlockReference)>,
    sealed: Vec<u8>,
) -> Result<Copied, Error> {
    let (kind, block) = piece.what;
    if kind == FrameKind::Sidecar {
        let all = block.strips().all();
        let sidecar = open_strips(seal, &block, all, &sealed)?;
        return Ok(Copied::Sidecar(block.ordinal, sidecar));
    }
    let ordinal = block.ordinal;
    let length = RawLength::Exactly(block.raw_length as usize);
    let (plain, content) = seal.open_kept(kind, ordinal, sealed, length)?;
    if repository.hash_keys.block(&content) != block.id {
        let reason = format!("block in frame {ordinal}: its hash does not agree");
        return Err(Error::corrupt(seal.object(), reason));
    }
    Ok(Copied::Block(ordinal, plain))
}
