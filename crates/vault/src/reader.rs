//! Streams a collection's documents: pages in order, neighbouring blocks of a pack with one ranged
//! read, every block verified before it is yielded. What is read ahead is bounded in bytes. Must
//! never yield bytes that failed a check, nor go on after a failure.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, Stream};
use tokio::sync::oneshot;

use crate::block::{self, Block};
use crate::codec::{Parts, RawLength};
use crate::error::Error;
use crate::frame::{FrameKind, ObjectSeal};
use crate::id::PackId;
use crate::manifest::{CollectionManifest, PageReference};
use crate::pack;
use crate::page::{BlockReference, PAGE_BYTES_MAX, Page};
use crate::repository::{Held, Inner};
use crate::sidecar::{self, Sidecar};
use crate::task::{Task, blocking};

/// Most bytes of documents in what is yielded at a time, unless one run has more.
const YIELD_BYTES: usize = 1 << 20;

/// How much a reader may hold.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Bytes of documents read ahead of the consumer, at most (one block is always allowed).
    pub read_ahead_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            read_ahead_bytes: 16 << 20,
        }
    }
}

/// Streams the live documents of a collection, block by block.
pub(crate) fn blocks(
    repository: Arc<Inner>,
    collection: &CollectionManifest,
    options: ReadOptions,
) -> impl Stream<Item = Result<Block, Error>> + Send + Unpin + 'static + use<> {
    let reader = Reader {
        _held: Held::new(repository.clone(), collection.packs().collect()),
        repository,
        pages: collection.pages.clone().into(),
        chunks: VecDeque::new(),
        in_flight: VecDeque::new(),
        ready: VecDeque::new(),
        recent: Recent::default(),
        held_bytes: 0,
        read_ahead_bytes: options.read_ahead_bytes,
    };
    Box::pin(futures::stream::unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(block)) => Some((Ok(block), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

/// Reads a page, verifies it and compares its name.
pub(crate) async fn read_page(repository: &Inner, page: &PageReference) -> Result<Page, Error> {
    let range = page.offset..page.offset + u64::from(page.length);
    let sealed = repository.read_range(page.pack, range).await?;
    let seal = repository.pack_seal(page.pack);
    open_page(repository, &seal, page, sealed.into())
        .inspect_err(|error| repository.note_damage(page.pack, error))
}

/// Opens a page's frame, compares its name and its sums.
pub(crate) fn open_page(
    repository: &Inner,
    seal: &ObjectSeal,
    page: &PageReference,
    sealed: Vec<u8>,
) -> Result<Page, Error> {
    let corrupt = |reason: &str| {
        Error::corrupt(
            seal.object(),
            format!("page in frame {}: {reason}", page.ordinal),
        )
    };
    let raw_length = page.raw_length as usize;
    if raw_length > PAGE_BYTES_MAX {
        return Err(corrupt("it is too long"));
    }
    let length = RawLength::Exactly(raw_length);
    let content = seal.open(FrameKind::Page, page.ordinal, sealed, length)?;
    if repository.hash_keys.page(&content) != page.id {
        return Err(corrupt("its hash does not agree"));
    }
    let decoded = Page::decode(&content).map_err(|reason| corrupt(&reason))?;
    if (decoded.documents, decoded.bytes) != (page.documents, page.bytes) {
        return Err(corrupt("its sums are not those of the manifest"));
    }
    Ok(decoded)
}

/// Opens a block's frame and compares its name; returns its plain bytes.
pub(crate) fn open_block(
    repository: &Inner,
    seal: &ObjectSeal,
    block: &BlockReference,
    sealed: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let length = RawLength::Exactly(block.raw_length as usize);
    let plain = seal.open(FrameKind::Block, block.ordinal, sealed, length)?;
    require_name(repository, seal, block, &plain)?;
    Ok(plain)
}

/// Opens a block and copies some of its documents, so that one does not hold the memory of all.
/// Of a block in strips only those are decompressed that have a part of them; its name, which is of
/// all bytes, is compared where it is not in strips.
pub(crate) fn copy_documents(
    repository: &Inner,
    seal: &ObjectSeal,
    block: &BlockReference,
    sealed: Vec<u8>,
    ordinals: impl Iterator<Item = u32>,
) -> Result<Vec<Bytes>, Error> {
    let length = RawLength::Exactly(block.raw_length as usize);
    let corrupt = |reason: String| {
        let reason = format!("Block frame {}: {reason}", block.ordinal);
        Error::corrupt(seal.object(), reason)
    };
    let look = |parts: &mut Parts<'_>| {
        if parts.is_one() {
            require_name(repository, seal, block, parts.all().map_err(corrupt)?)?;
        }
        let length = parts.len();
        let ranges = parts.end().and_then(|end| block::parse(end, length));
        let ranges = ranges.map_err(corrupt)?;
        let copy = |ordinal: u32| {
            let range = ranges.get(ordinal as usize);
            let range = range.ok_or("a document is behind the last one")?;
            let document = parts.get(range.start as usize..range.end as usize)?;
            Ok(Bytes::copy_from_slice(document))
        };
        ordinals
            .map(copy)
            .collect::<Result<_, _>>()
            .map_err(corrupt)
    };
    seal.show(FrameKind::Block, block.ordinal, sealed, length, look)?
}

fn require_name(
    repository: &Inner,
    seal: &ObjectSeal,
    block: &BlockReference,
    plain: &[u8],
) -> Result<(), Error> {
    if repository.hash_keys.block(plain) == block.id {
        return Ok(());
    }
    let reason = format!("block in frame {}: its hash does not agree", block.ordinal);
    Err(Error::corrupt(seal.object(), reason))
}

/// Opens strips of a block's sidecar.
pub(crate) fn open_strips(
    seal: &ObjectSeal,
    block: &BlockReference,
    strips: Range<u32>,
    sealed: &[u8],
) -> Result<Sidecar, Error> {
    let of_block = block.strips();
    sidecar::open(seal, block.sidecar_ordinal, &of_block, strips, sealed)
}

/// The plain bytes of a block that is being read; all who want it share one read.
type Fetched = Shared<BoxFuture<'static, Result<Bytes, Error>>>;

/// Consecutive runs whose blocks fit in a part of the budget.
struct Chunk {
    blocks: Vec<(PackId, BlockReference)>,
    /// Index into `blocks`, first, count.
    runs: Vec<(usize, u32, u32)>,
    held_bytes: usize,
}

/// A chunk whose blocks are being read.
struct InFlight {
    chunk: Chunk,
    tasks: Vec<Task<()>>,
    fetched: Vec<Fetched>,
}

struct Reader {
    repository: Arc<Inner>,
    /// What is to be read stays, whatever is forgotten or repacked meanwhile.
    _held: Held,
    pages: VecDeque<PageReference>,
    chunks: VecDeque<Chunk>,
    in_flight: VecDeque<InFlight>,
    /// What is given back to the budget when a block is yielded.
    ready: VecDeque<(usize, Block)>,
    recent: Recent,
    held_bytes: usize,
    read_ahead_bytes: usize,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Block>, Error> {
        loop {
            self.read_ahead().await?;
            if let Some((bytes, block)) = self.ready.pop_front() {
                self.held_bytes -= bytes;
                return Ok(Some(block));
            }
            let Some(in_flight) = self.in_flight.pop_front() else {
                return Ok(None);
            };
            let bytes = in_flight.chunk.held_bytes;
            let blocks = in_flight.blocks().await?;
            self.ready
                .extend(blocks.into_iter().map(|block| (0, block)));
            if let Some(last) = self.ready.back_mut() {
                last.0 = bytes;
            }
        }
    }

    /// Starts reads until the budget is used; one is always allowed, however large its block.
    async fn read_ahead(&mut self) -> Result<(), Error> {
        while self.held_bytes < self.read_ahead_bytes {
            let Some(chunk) = self.next_chunk().await? else {
                return Ok(());
            };
            let fits = self.held_bytes + chunk.held_bytes <= self.read_ahead_bytes;
            if !fits && self.held_bytes > 0 {
                self.chunks.push_front(chunk);
                return Ok(());
            }
            self.held_bytes += chunk.held_bytes;
            let in_flight = self.start(chunk);
            self.in_flight.push_back(in_flight);
        }
        Ok(())
    }

    async fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        while self.chunks.is_empty() {
            let Some(page) = self.pages.pop_front() else {
                return Ok(None);
            };
            let page = read_page(&self.repository, &page).await?;
            // A quarter of the budget, so that fetching, opening and consuming overlap.
            self.chunks = plan(&page, self.read_ahead_bytes / 4);
        }
        Ok(self.chunks.pop_front())
    }

    /// Starts to read the blocks of a chunk that were not read just before.
    fn start(&mut self, chunk: Chunk) -> InFlight {
        let mut groups: Vec<Group> = Vec::new();
        let mut missing: Vec<&(PackId, BlockReference)> = Vec::new();
        for block in &chunk.blocks {
            if self.recent.get(block).is_none() {
                missing.push(block);
            }
        }
        missing.sort_unstable_by_key(|(pack, block)| (*pack, block.offset));
        for (pack, block) in missing {
            let (sender, receiver) = oneshot::channel();
            // A reader that is gone asks for nothing, and a task that is gone was asked first.
            let fetched = receiver.then(async |received: Result<_, _>| match received {
                Ok(result) => result,
                Err(_) => std::future::pending().await,
            });
            self.recent.add(*pack, block, fetched.boxed().shared());
            let wanted = (block.clone(), sender);
            let end = block.offset + u64::from(block.length);
            match groups.last_mut() {
                Some(group) if group.pack == *pack && group.end == block.offset => {
                    group.end = end;
                    group.wanted.push(wanted);
                }
                _ => groups.push(Group {
                    pack: *pack,
                    start: block.offset,
                    end,
                    wanted: vec![wanted],
                }),
            }
        }
        let fetched = chunk.blocks.iter().map(|block| {
            let fetched = self.recent.get(block);
            fetched.expect("what was missing was added above")
        });
        let fetched = fetched.collect();
        self.recent.shrink(self.read_ahead_bytes / 2);
        let read = |group| Task::start(read_group(self.repository.clone(), group));
        InFlight {
            tasks: groups.into_iter().map(read).collect(),
            fetched,
            chunk,
        }
    }
}

/// Blocks that were asked for last: runs of a snapshot that was written upon another one go back
/// and forth between old and new blocks.
#[derive(Default)]
struct Recent {
    blocks: VecDeque<((PackId, u32), usize, Fetched)>,
}

impl Recent {
    /// Returns a block and makes it the most recent one.
    fn get(&mut self, (pack, block): &(PackId, BlockReference)) -> Option<Fetched> {
        let place = (*pack, block.ordinal);
        let at = self.blocks.iter().position(|known| known.0 == place)?;
        let known = self.blocks.remove(at)?;
        let fetched = known.2.clone();
        self.blocks.push_back(known);
        Some(fetched)
    }

    fn add(&mut self, pack: PackId, block: &BlockReference, fetched: Fetched) {
        let bytes = block.raw_length as usize;
        self.blocks
            .push_back(((pack, block.ordinal), bytes, fetched));
    }

    /// Forgets the oldest blocks until the others have at most so many bytes.
    fn shrink(&mut self, bytes_max: usize) {
        let mut bytes: usize = self.blocks.iter().map(|known| known.1).sum();
        while bytes > bytes_max {
            let oldest = self.blocks.pop_front();
            bytes -= oldest.map_or(bytes, |oldest| oldest.1);
        }
    }
}

/// Cuts a page's runs into chunks.
fn plan(page: &Page, chunk_bytes: usize) -> VecDeque<Chunk> {
    let mut chunks: VecDeque<Chunk> = VecDeque::new();
    // Index of each block in the open chunk.
    let mut places: HashMap<u32, usize> = HashMap::new();
    for run in &page.runs {
        let block = &page.blocks[run.block as usize];
        let bytes = block.raw_length as usize;
        let full = chunks
            .back()
            .is_none_or(|chunk| chunk.held_bytes + bytes > chunk_bytes);
        if full && !places.contains_key(&run.block) {
            places.clear();
            chunks.push_back(Chunk {
                blocks: Vec::new(),
                runs: Vec::new(),
                held_bytes: 0,
            });
        }
        let chunk = chunks.back_mut().expect("a chunk was begun above");
        let at = *places.entry(run.block).or_insert_with(|| {
            chunk.held_bytes += bytes;
            chunk.blocks.push((page.pack_of(block), block.clone()));
            chunk.blocks.len() - 1
        });
        chunk.runs.push((at, run.first, run.count));
    }
    chunks
}

impl InFlight {
    /// Returns the documents of the chunk, in blocks of about a megabyte.
    async fn blocks(self) -> Result<Vec<Block>, Error> {
        for mut task in self.tasks {
            task.join().await;
        }
        let mut plain = Vec::with_capacity(self.fetched.len());
        for (fetched, (pack, block)) in self.fetched.into_iter().zip(&self.chunk.blocks) {
            let bytes = fetched.await?;
            let documents =
                block::parse(&bytes, bytes.len()).map_err(|reason| corrupt(*pack, block, &reason));
            plain.push((bytes, documents?));
        }
        let mut blocks = vec![Block::default()];
        let mut bytes = 0;
        for (at, first, count) in self.chunk.runs {
            let (plain, documents) = &plain[at];
            let run = documents.get(first as usize..first as usize + count as usize);
            let run = run.ok_or_else(|| {
                let (pack, block) = &self.chunk.blocks[at];
                corrupt(*pack, block, "a run ends after the last document")
            })?;
            let run_bytes: usize = run.iter().map(ExactSizeIterator::len).sum();
            if bytes > 0 && bytes + run_bytes > YIELD_BYTES {
                blocks.push(Block::default());
                bytes = 0;
            }
            bytes += run_bytes;
            let open = blocks.last_mut().expect("there is one from the start");
            open.add(plain, run);
        }
        Ok(blocks)
    }
}

fn corrupt(pack: PackId, block: &BlockReference, reason: &str) -> Error {
    let reason = format!("frame {}: {reason}", block.ordinal);
    Error::corrupt(pack::object_name(pack), reason)
}

/// Blocks that one ranged read brings, and who waits for each.
struct Group {
    pack: PackId,
    start: u64,
    end: u64,
    wanted: Vec<(BlockReference, oneshot::Sender<Result<Bytes, Error>>)>,
}

async fn read_group(repository: Arc<Inner>, group: Group) {
    let range = group.start..group.end;
    let sealed = repository.read_range(group.pack, range).await;
    blocking(move || {
        let seal = repository.pack_seal(group.pack);
        for (block, waiting) in group.wanted {
            let opened = sealed.clone().and_then(|sealed| {
                let start = usize::try_from(block.offset - group.start).expect("it is in memory");
                let sealed = sealed[start..start + block.length as usize].to_vec();
                open_block(&repository, &seal, &block, sealed)
                    .inspect_err(|error| repository.note_damage(group.pack, error))
            });
            // Whoever wanted it may be gone.
            drop(waiting.send(opened.map(Bytes::from)));
        }
    })
    .await;
}
