//! Streams a collection's documents: pages in order, neighbouring blocks of a pack with one ranged
//! read, every block verified before it is yielded. What is read ahead is bounded in bytes. Must
//! never yield bytes that failed a check, nor go on after a failure.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use tokio::task::JoinHandle;

use crate::block::Block;
use crate::error::Error;
use crate::frame::{FrameKind, RawLength};
use crate::id::PackId;
use crate::manifest::{CollectionManifest, PageReference};
use crate::pack;
use crate::page::{BlockReference, PAGE_BYTES_MAX, Page};
use crate::repository::Inner;
use crate::task::{blocking, ended};

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
        repository,
        pages: collection.pages.clone().into(),
        groups: VecDeque::new(),
        in_flight: VecDeque::new(),
        ready: VecDeque::new(),
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
    let seal = repository.pack_seal(page.pack);
    let range = page.offset..page.offset + u64::from(page.length);
    let sealed = repository.store.get_range(seal.object(), range).await?;
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
    let content = seal.open(FrameKind::Page, page.ordinal, sealed.into(), length)?;
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
    pack: PackId,
    block: &BlockReference,
    sealed: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let seal = repository.pack_seal(pack);
    let length = RawLength::Exactly(block.raw_length as usize);
    let plain = seal.open(FrameKind::Block, block.ordinal, sealed, length)?;
    if repository.hash_keys.block(&plain) != block.id {
        let reason = format!("block in frame {}: its hash does not agree", block.ordinal);
        return Err(Error::corrupt(seal.object(), reason));
    }
    Ok(plain)
}

/// One block and which of its documents are wanted.
struct Wanted {
    block: BlockReference,
    runs: Vec<(u32, u32)>,
}

/// Blocks that one ranged read brings.
struct Group {
    pack: PackId,
    start: u64,
    end: u64,
    held_bytes: usize,
    wanted: Vec<Wanted>,
}

struct Reader {
    repository: Arc<Inner>,
    pages: VecDeque<PageReference>,
    groups: VecDeque<Group>,
    in_flight: VecDeque<(usize, Task)>,
    ready: VecDeque<(usize, Block)>,
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
            let Some((bytes, task)) = self.in_flight.pop_front() else {
                return Ok(None);
            };
            self.held_bytes -= bytes;
            for block in task.result().await? {
                self.held_bytes += block.held_bytes();
                self.ready.push_back((block.held_bytes(), block));
            }
        }
    }

    /// Starts reads until the budget is used; one is always allowed, however large its block.
    async fn read_ahead(&mut self) -> Result<(), Error> {
        while self.held_bytes < self.read_ahead_bytes {
            let Some(group) = self.next_group().await? else {
                return Ok(());
            };
            let fits = self.held_bytes + group.held_bytes <= self.read_ahead_bytes;
            if !fits && self.held_bytes > 0 {
                self.groups.push_front(group);
                return Ok(());
            }
            self.held_bytes += group.held_bytes;
            let bytes = group.held_bytes;
            let task = tokio::spawn(read_group(self.repository.clone(), group));
            self.in_flight.push_back((bytes, Task(task)));
        }
        Ok(())
    }

    async fn next_group(&mut self) -> Result<Option<Group>, Error> {
        while self.groups.is_empty() {
            let Some(page) = self.pages.pop_front() else {
                return Ok(None);
            };
            let page = read_page(&self.repository, &page).await?;
            // A quarter of the budget, so that fetching, opening and consuming overlap.
            self.groups = plan(page, self.read_ahead_bytes / 4);
        }
        Ok(self.groups.pop_front())
    }
}

/// Cuts a page's runs into groups of neighbouring blocks.
fn plan(page: Page, group_bytes: usize) -> VecDeque<Group> {
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut last = None;
    for run in &page.runs {
        match wanted.last_mut() {
            Some(previous) if last == Some(run.block) => previous.runs.push((run.first, run.count)),
            _ => wanted.push(Wanted {
                block: page.blocks[run.block as usize].clone(),
                runs: vec![(run.first, run.count)],
            }),
        }
        last = Some(run.block);
    }
    let mut groups: VecDeque<Group> = VecDeque::new();
    for wanted in wanted {
        let block = &wanted.block;
        let pack = page.pack_of(block);
        let end = block.offset + u64::from(block.length);
        let held_bytes = block.raw_length as usize;
        match groups.back_mut() {
            Some(group)
                if group.pack == pack
                    && group.end == block.offset
                    && group.held_bytes + held_bytes <= group_bytes =>
            {
                group.end = end;
                group.held_bytes += held_bytes;
                group.wanted.push(wanted);
            }
            _ => {
                let start = block.offset;
                groups.push_back(Group {
                    pack,
                    start,
                    end,
                    held_bytes,
                    wanted: vec![wanted],
                });
            }
        }
    }
    groups
}

async fn read_group(repository: Arc<Inner>, group: Group) -> Result<Vec<Block>, Error> {
    let object = pack::object_name(group.pack);
    let sealed = repository
        .store
        .get_range(&object, group.start..group.end)
        .await?;
    blocking(move || {
        let open = |wanted: &Wanted| open_wanted(&repository, &group, wanted, &sealed);
        group.wanted.iter().map(open).collect()
    })
    .await
}

fn open_wanted(
    repository: &Inner,
    group: &Group,
    wanted: &Wanted,
    sealed: &Bytes,
) -> Result<Block, Error> {
    let block = &wanted.block;
    let start = usize::try_from(block.offset - group.start).expect("a group fits in memory");
    let sealed = sealed[start..start + block.length as usize].to_vec();
    let plain = open_block(repository, group.pack, block, sealed)?;
    Block::select(plain, &wanted.runs).map_err(|reason| {
        Error::corrupt(
            pack::object_name(group.pack),
            format!("frame {}: {reason}", block.ordinal),
        )
    })
}

/// A task that ends with whoever waits for it.
struct Task(JoinHandle<Result<Vec<Block>, Error>>);

impl Task {
    async fn result(mut self) -> Result<Vec<Block>, Error> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => ended(error).await,
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
