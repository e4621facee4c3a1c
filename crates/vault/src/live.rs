//! Says which documents are live, by the runs of a collection's pages. Reads only pages that can
//! refer to the blocks in question, and keeps those it read within a limit.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::Error;
use crate::fetch::{Piece, ReadCounter, fetch};
use crate::frame::ObjectSeal;
use crate::id::PackId;
use crate::locate::{BlockPlace, Candidate};
use crate::manifest::PageReference;
use crate::page::Page;
use crate::reader::open_page;
use crate::repository::Inner;
use crate::segment::IdentityHash;

/// Bytes of pages kept, before compression.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// The pages of one collection.
pub(crate) struct Pages {
    repository: Arc<Inner>,
    counter: ReadCounter,
    pub(crate) references: Vec<PageReference>,
    kept: Arc<Mutex<Kept>>,
}

/// Pages that were read, by their number.
#[derive(Default)]
struct Kept {
    pages: HashMap<usize, Arc<Page>>,
    bytes: usize,
}

/// A live document that has a wanted identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Live {
    pub(crate) identity: IdentityHash,
    pub(crate) page: usize,
    /// Index of its block in the page.
    pub(crate) index: u32,
    pub(crate) block: BlockPlace,
    pub(crate) document: u32,
}

impl Pages {
    pub(crate) fn new(
        repository: Arc<Inner>,
        counter: ReadCounter,
        references: Vec<PageReference>,
    ) -> Pages {
        Pages {
            repository,
            counter,
            references,
            kept: Arc::default(),
        }
    }

    /// Returns the pages that may refer to a block in one of these packs.
    pub(crate) fn referring(&self, packs: &HashSet<PackId>) -> Vec<usize> {
        let refers = |reference: &PageReference| match &reference.packs {
            Some(of_page) => of_page.iter().any(|pack| packs.contains(pack)),
            None => true,
        };
        let numbered = self.references.iter().enumerate();
        numbered
            .filter_map(|(number, page)| refers(page).then_some(number))
            .collect()
    }

    /// Reads pages, in any order.
    pub(crate) fn read(
        &self,
        wanted: &[usize],
    ) -> BoxStream<'static, Result<(usize, Arc<Page>), Error>> {
        let mut present = Vec::new();
        let mut pieces = Vec::new();
        for &number in wanted {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(page) = kept.pages.get(&number) {
                present.push(Ok((number, page.clone())));
                continue;
            }
            let reference = &self.references[number];
            pieces.push(Piece {
                pack: reference.pack,
                offset: reference.offset,
                length: u64::from(reference.length),
                what: (number, reference.clone()),
            });
        }
        let kept = self.kept.clone();
        let open =
            move |repository: &Inner, seal: &ObjectSeal, piece: Piece<_>, sealed: Vec<u8>| {
                let (number, reference): (usize, PageReference) = piece.what;
                let page = Arc::new(open_page(repository, seal, &reference, sealed)?);
                let bytes = reference.raw_length as usize;
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.bytes + bytes <= KEPT_BYTES_MAX && !kept.pages.contains_key(&number) {
                    kept.bytes += bytes;
                    kept.pages.insert(number, page.clone());
                }
                Ok((number, page))
            };
        let read = fetch(&self.repository, &self.counter, pieces, open)
            .map_ok(|pages| futures::stream::iter(pages.into_iter().map(Ok)))
            .try_flatten();
        futures::stream::iter(present).chain(read).boxed()
    }

    /// Reads one page.
    pub(crate) async fn read_one(&self, number: usize) -> Result<Arc<Page>, Error> {
        let page = self.read(&[number]).try_next().await?;
        Ok(page.expect("one page was wanted").1)
    }
}

/// Candidates by the block they lie in.
#[derive(Default)]
pub(crate) struct ByBlock {
    documents: HashMap<BlockPlace, Vec<(u32, IdentityHash)>>,
}

impl ByBlock {
    /// Takes sorted candidates.
    pub(crate) fn new(candidates: &[Candidate]) -> ByBlock {
        let mut of = ByBlock::default();
        for candidate in candidates {
            let documents = of.documents.entry(candidate.block).or_default();
            documents.push((candidate.document, candidate.identity));
        }
        of
    }

    /// Returns the packs in which candidates lie.
    pub(crate) fn packs(&self) -> HashSet<PackId> {
        self.documents.keys().map(|(pack, _)| *pack).collect()
    }

    /// Answers whether there is a candidate in a block.
    pub(crate) fn contains(&self, block: &BlockPlace) -> bool {
        self.documents.contains_key(block)
    }

    /// Returns the candidates that are live on a page.
    pub(crate) fn live_on(&self, number: usize, page: &Page) -> Vec<Live> {
        let mut live = Vec::new();
        let of_block = |block: &crate::page::BlockReference| {
            let place = (page.pack_of(block), block.ordinal);
            self.documents
                .get(&place)
                .map(|documents| (place, documents))
        };
        let blocks: Vec<_> = page.blocks.iter().map(of_block).collect();
        for run in &page.runs {
            let Some((place, documents)) = blocks[run.block as usize] else {
                continue;
            };
            let from = documents.partition_point(|(document, _)| *document < run.first);
            let in_run = documents[from..].iter();
            let in_run = in_run.take_while(|(document, _)| *document < run.first + run.count);
            live.extend(in_run.map(|&(document, identity)| Live {
                identity,
                page: number,
                index: run.block,
                block: place,
                document,
            }));
        }
        live
    }
}

/// Every live document of a collection, by block; about 12 bytes a run.
#[derive(Default)]
pub(crate) struct LiveMap {
    runs: HashMap<BlockPlace, Vec<(u32, u32)>>,
}

impl LiveMap {
    /// Reads all pages.
    pub(crate) async fn read(pages: &Pages) -> Result<LiveMap, Error> {
        let mut map = LiveMap::default();
        let all: Vec<usize> = (0..pages.references.len()).collect();
        let mut read = pages.read(&all);
        while let Some((_, page)) = read.try_next().await? {
            map.add(&page);
        }
        map.runs.values_mut().for_each(|runs| runs.sort_unstable());
        Ok(map)
    }

    fn add(&mut self, page: &Page) {
        for run in &page.runs {
            let block = &page.blocks[run.block as usize];
            let place = (page.pack_of(block), block.ordinal);
            let runs = self.runs.entry(place).or_default();
            runs.push((run.first, run.count));
        }
    }

    /// Returns a block of which a document is live twice.
    pub(crate) fn twice(&self) -> Option<BlockPlace> {
        let twice = |runs: &Vec<(u32, u32)>| {
            let mut pairs = runs.windows(2);
            pairs.any(|pair| pair[0].0 + pair[0].1 > pair[1].0)
        };
        let mut runs = self.runs.iter();
        runs.find_map(|(place, runs)| twice(runs).then_some(*place))
    }

    /// Answers whether a document is live.
    pub(crate) fn contains(&self, block: BlockPlace, document: u32) -> bool {
        let Some(runs) = self.runs.get(&block) else {
            return false;
        };
        let after = runs.partition_point(|(first, _)| *first <= document);
        let run = after.checked_sub(1).map(|at| runs[at]);
        run.is_some_and(|(first, count)| document < first + count)
    }
}
