//! Reads what the previous snapshot holds of a collection: pages, and of their blocks the sidecars
//! alone, in the order of runs. Bounded in documents, one step ahead. Must never hand out a
//! document whose sidecar was not authenticated.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::window::Place;
use crate::error::Error;
use crate::id::PackId;
use crate::manifest::PageReference;
use crate::page::{BlockReference, Run};
use crate::reader::{copy_documents, open_strips, read_page};
use crate::repository::Inner;
use crate::sidecar::{Key, Sidecar};
use crate::task::{Task, blocking};

/// Documents whose sidecars are read at a time, unless a few blocks have more.
const STEP_DOCUMENTS: u64 = 64 << 10;
/// Blocks read at a time at least, because the runs of a few blocks may alternate.
const STEP_BLOCKS_MIN: usize = 4;

/// A block of the base and the pack it lies in.
pub(super) type BaseBlock = (PackId, BlockReference);

/// A step of the base: its documents in stream order.
pub(super) struct Step {
    pub(super) documents: Vec<(Key, Place)>,
    /// Blocks new to the collection's table, in the order of their numbers.
    pub(super) blocks: Vec<BaseBlock>,
}

/// The rest of a collection's base.
pub(super) struct BaseReader {
    reading: Option<Reading>,
}

/// A step that is being read, and what is left behind it.
type Reading = Task<(Rest, Result<Option<Step>, Error>)>;

impl BaseReader {
    /// Starts to read the first step.
    pub(super) fn new(repository: Arc<Inner>, pages: &[PageReference]) -> BaseReader {
        let rest = Rest {
            repository,
            pages: pages.to_vec().into(),
            runs: VecDeque::new(),
            numbers: HashMap::new(),
        };
        BaseReader {
            reading: Some(rest.start()),
        }
    }

    /// Returns the next step, or `None` behind the last. Ends after an error.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, Error> {
        let Some(reading) = &mut self.reading else {
            return Ok(None);
        };
        let (rest, result) = reading.join().await;
        self.reading = match &result {
            Ok(Some(_)) => Some(rest.start()),
            _ => None,
        };
        result
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.reading.is_none()
    }
}

struct Rest {
    repository: Arc<Inner>,
    pages: VecDeque<PageReference>,
    /// Runs of the page that is being read, with what they refer to.
    runs: VecDeque<(Run, PackId, BlockReference)>,
    /// Numbers of the blocks seen, by pack and ordinal.
    numbers: HashMap<(PackId, u32), u32>,
}

impl Rest {
    fn start(self) -> Reading {
        Task::start(async move {
            let mut rest = self;
            let step = rest.step().await;
            (rest, step)
        })
    }

    async fn step(&mut self) -> Result<Option<Step>, Error> {
        while self.runs.is_empty() {
            let Some(reference) = self.pages.pop_front() else {
                return Ok(None);
            };
            let page = read_page(&self.repository, &reference).await?;
            let with_block = |run: &Run| {
                let block = page.blocks[run.block as usize].clone();
                (*run, page.pack_of(&block), block)
            };
            // What lies in a damaged pack is not offered, so it is stored anew.
            let is_whole = |pack: PackId| self.repository.damage.of(pack).is_none();
            let runs = page.runs.iter().map(with_block);
            self.runs = runs.filter(|(_, pack, _)| is_whole(*pack)).collect();
        }
        let mut wanted: HashMap<(PackId, u32), BlockReference> = HashMap::new();
        let mut runs = Vec::new();
        let mut documents = 0;
        while let Some((run, pack, block)) = self.runs.front() {
            let place = (*pack, block.ordinal);
            if !wanted.contains_key(&place) {
                documents += u64::from(block.documents);
                if wanted.len() >= STEP_BLOCKS_MIN && documents > STEP_DOCUMENTS {
                    break;
                }
                wanted.insert(place, block.clone());
            }
            runs.push((*run, place));
            self.runs.pop_front();
        }
        let sidecars = read_sidecars(&self.repository, &wanted).await?;
        self.documents(&runs, &sidecars, &wanted).map(Some)
    }

    fn documents(
        &mut self,
        runs: &[(Run, (PackId, u32))],
        sidecars: &HashMap<(PackId, u32), Sidecar>,
        wanted: &HashMap<(PackId, u32), BlockReference>,
    ) -> Result<Step, Error> {
        let mut step = Step {
            documents: Vec::new(),
            blocks: Vec::new(),
        };
        for (run, place) in runs {
            let count = self.numbers.len();
            let count = u32::try_from(count).map_err(|_| Error::invalid("too many blocks"))?;
            let number = *self.numbers.entry(*place).or_insert_with(|| {
                step.blocks.push((place.0, wanted[place].clone()));
                count
            });
            let sidecar = &sidecars[place];
            step.documents
                .extend((run.first..run.first + run.count).map(|ordinal| {
                    let key = sidecar.key(ordinal as usize);
                    let block = number;
                    (key, Place { block, ordinal })
                }));
        }
        Ok(step)
    }
}

/// Reads sidecars, neighbours with one ranged read.
async fn read_sidecars(
    repository: &Arc<Inner>,
    wanted: &HashMap<(PackId, u32), BlockReference>,
) -> Result<HashMap<(PackId, u32), Sidecar>, Error> {
    let mut sorted: Vec<(PackId, BlockReference)> = wanted
        .iter()
        .map(|(place, block)| (place.0, block.clone()))
        .collect();
    sorted.sort_unstable_by_key(|(pack, block)| (*pack, block.sidecar_offset));
    let mut groups: Vec<(PackId, u64, Vec<BlockReference>)> = Vec::new();
    for (pack, block) in sorted {
        let end = block.sidecar_offset + u64::from(block.sidecar_length);
        match groups.last_mut() {
            Some(group) if group.0 == pack && group.1 == block.sidecar_offset => {
                group.1 = end;
                group.2.push(block);
            }
            _ => groups.push((pack, end, vec![block])),
        }
    }
    let mut sidecars = HashMap::with_capacity(wanted.len());
    for (pack, end, blocks) in groups {
        let start = blocks[0].sidecar_offset;
        let sealed = repository.read_range(pack, start..end).await?;
        let repository = repository.clone();
        let opened = blocking(move || {
            let seal = repository.pack_seal(pack);
            let open = |block: &BlockReference| {
                let from = usize::try_from(block.sidecar_offset - start).expect("read as one");
                let sealed = &sealed[from..from + block.sidecar_length as usize];
                let all = block.strips().all();
                let sidecar = open_strips(&seal, block, all, sealed)
                    .inspect_err(|error| repository.note_damage(pack, error))?;
                Ok(((pack, block.ordinal), sidecar))
            };
            blocks.iter().map(open).collect::<Result<Vec<_>, Error>>()
        });
        sidecars.extend(opened.await?);
    }
    Ok(sidecars)
}

/// Reads the sidecar of one block of the base.
pub(super) async fn read_sidecar(
    repository: &Arc<Inner>,
    (pack, block): &BaseBlock,
) -> Result<Sidecar, Error> {
    let wanted = HashMap::from([((*pack, block.ordinal), block.clone())]);
    let sidecars = read_sidecars(repository, &wanted).await?;
    Ok(sidecars.into_values().next().expect("one was wanted"))
}

/// A document of the base, with its ordinal in the block and its hashes.
type Read = (u32, Key, Bytes);

/// Reads some documents of a block of the base, each with its ordinal and its hashes.
pub(super) async fn read_documents(
    repository: &Arc<Inner>,
    of: &BaseBlock,
    ordinals: &[u32],
) -> Result<Vec<Read>, Error> {
    let sidecar = read_sidecar(repository, of).await?;
    read_of_block(repository, of, sidecar, ordinals).await
}

/// Does the same where the block's sidecar was read.
pub(super) async fn read_of_block(
    repository: &Arc<Inner>,
    (pack, block): &BaseBlock,
    sidecar: Sidecar,
    ordinals: &[u32],
) -> Result<Vec<Read>, Error> {
    let range = block.offset..block.offset + u64::from(block.length);
    let sealed = repository.read_range(*pack, range).await?;
    let (repository, pack, block) = (repository.clone(), *pack, block.clone());
    let (ordinals, noted) = (ordinals.to_vec(), repository.clone());
    let open = move || {
        let seal = repository.pack_seal(pack);
        let wanted = ordinals.iter().copied();
        let documents = copy_documents(&repository, &seal, &block, sealed.into(), wanted)?;
        let agreeing = agreeing(&repository, &ordinals, &sidecar, documents);
        agreeing.ok_or_else(|| {
            let reason = format!("frame {}: it disagrees with its sidecar", block.ordinal);
            Error::corrupt(seal.object(), reason)
        })
    };
    let opened = blocking(open).await;
    opened.inspect_err(|error| noted.note_damage(pack, error))
}

/// Returns documents with what their sidecar says of them, unless they are not what it says.
fn agreeing(
    repository: &Inner,
    ordinals: &[u32],
    sidecar: &Sidecar,
    documents: Vec<Bytes>,
) -> Option<Vec<Read>> {
    let with_key = |(&ordinal, document): (&u32, Bytes)| {
        let key = sidecar.key(ordinal as usize);
        let hash = repository.hash_keys.document(&document);
        let agrees = document.len() == key.length as usize && hash == key.document;
        agrees.then_some((ordinal, key, document))
    };
    ordinals.iter().zip(documents).map(with_key).collect()
}
