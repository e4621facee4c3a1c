//! Which documents differ between two collections, by their names alone as far as that goes: pages
//! that both refer to are not read, of the others equal stretches of runs cancel, and of the rest
//! sidecars are compared. Blocks are read for the documents of what differs, and only if asked for.
//!
//! Memory is bounded by the documents that are compared at a time ([`DiffOptions`]; more take
//! several passes over the sidecars) and by about 150 bytes for each block of pages that differ.

mod stretches;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use crate::error::Error;
use crate::fetch::{Piece, ReadCounter, fetch};
use crate::frame::ObjectSeal;
use crate::id::PackId;
use crate::manifest::CollectionManifest;
use crate::page::BlockReference;
use crate::reader::{copy_documents, open_strips};
use crate::repository::Inner;
use crate::sidecar::Key;
use stretches::{Differing, Stretches};

/// Bytes of documents in what is yielded at a time, unless one difference has more.
const STEP_BYTES_MAX: u64 = 4 << 20;
/// Differences in what is yielded at a time.
const STEP_DIFFERENCES_MAX: usize = 4_096;

/// How much a comparison may hold.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Documents of both collections that are compared at a time, at 52 bytes each.
    pub entries_max: u64,
}

impl Default for DiffOptions {
    fn default() -> DiffOptions {
        DiffOptions {
            entries_max: 1 << 20,
        }
    }
}

/// How one document differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference<T = Bytes> {
    /// Only the first collection has it.
    Removed(T),
    /// Only the second collection has it.
    Added(T),
    /// Both have one of this identity, with other bytes.
    Changed {
        /// The one of the first collection.
        before: T,
        /// The one of the second collection.
        after: T,
    },
}

/// How many documents differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DifferenceCounts {
    /// Documents that only the first collection has.
    pub removed: u64,
    /// Documents that only the second collection has.
    pub added: u64,
    /// Identities that both collections have, with other bytes.
    pub changed: u64,
}

/// Counts what differs; reads no document.
pub(crate) async fn count(
    repository: Arc<Inner>,
    first: &CollectionManifest,
    second: &CollectionManifest,
    options: &DiffOptions,
) -> Result<DifferenceCounts, Error> {
    let mut comparison = Comparison::new(repository, first, second, options);
    let mut counts = DifferenceCounts::default();
    while let Some(differences) = comparison.next_pass().await? {
        for difference in differences {
            match difference {
                Difference::Removed(_) => counts.removed += 1,
                Difference::Added(_) => counts.added += 1,
                Difference::Changed { .. } => counts.changed += 1,
            }
        }
    }
    Ok(counts)
}

/// Streams what differs, with the documents.
pub(crate) fn documents(
    repository: Arc<Inner>,
    first: &CollectionManifest,
    second: &CollectionManifest,
    options: &DiffOptions,
) -> impl Stream<Item = Result<Vec<Difference>, Error>> + Send + Unpin + 'static + use<> {
    let comparison = Comparison::new(repository, first, second, options);
    Box::pin(futures::stream::try_unfold(
        comparison,
        async |mut comparison| {
            let step = comparison.next_documents().await?;
            Ok(step.map(|step| (step, comparison)))
        },
    ))
}

/// Where a document of one of the collections lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Located {
    is_second: bool,
    /// Index into the blocks of its collection.
    block: u32,
    ordinal: u32,
    length: u32,
}

/// A document that is compared.
struct Entry {
    key: Key,
    located: Located,
}

/// A comparison on its way.
struct Comparison {
    repository: Arc<Inner>,
    manifests: Option<(CollectionManifest, CollectionManifest)>,
    differing: Arc<Differing>,
    entries_max: u64,
    pass: u64,
    passes: u64,
    steps: VecDeque<Vec<Difference<Located>>>,
}

impl Comparison {
    fn new(
        repository: Arc<Inner>,
        first: &CollectionManifest,
        second: &CollectionManifest,
        options: &DiffOptions,
    ) -> Comparison {
        let differs = first.fingerprint() != second.fingerprint();
        Comparison {
            repository,
            manifests: differs.then(|| (first.clone(), second.clone())),
            differing: Arc::default(),
            entries_max: options.entries_max.max(1),
            pass: 0,
            passes: 0,
            steps: VecDeque::new(),
        }
    }

    /// Returns what differs among the documents of the next pass.
    async fn next_pass(&mut self) -> Result<Option<Vec<Difference<Located>>>, Error> {
        if let Some((first, second)) = self.manifests.take() {
            let differing = Differing::of(&self.repository, &first, &second).await?;
            self.passes = differing.documents().div_ceil(self.entries_max);
            self.differing = Arc::new(differing);
        }
        if self.pass == self.passes {
            return Ok(None);
        }
        let (pass, passes) = (self.pass, self.passes);
        self.pass += 1;
        let nobody = self.repository.hash_keys.identity(b"");
        let belongs = move |key: &Key| place(key, &nobody) % passes == pass;
        let entries = self.entries(belongs).await?;
        let compared = crate::task::blocking(move || compare(entries, &nobody)).await;
        Ok(Some(compared))
    }

    /// Reads the sidecars of what differs and keeps the documents that belong to this pass.
    async fn entries(
        &self,
        belongs: impl Fn(&Key) -> bool + Clone + Send + 'static,
    ) -> Result<Vec<Entry>, Error> {
        let mut pieces = Vec::new();
        for (is_second, side) in [
            (false, &self.differing.first),
            (true, &self.differing.second),
        ] {
            for (stretches, block) in side.blocks.iter().zip(0u32..) {
                for strips in stretches.block.strips().covering(&stretches.live) {
                    let range = stretches.block.strips_range(&strips);
                    pieces.push(Piece {
                        pack: stretches.pack,
                        offset: range.start,
                        length: range.end - range.start,
                        what: (is_second, block, strips),
                    });
                }
            }
        }
        let differing = self.differing.clone();
        type Wanted = Piece<(bool, u32, Range<u32>)>;
        let open = move |_: &Inner, seal: &ObjectSeal, piece: Wanted, sealed: Vec<u8>| {
            let (is_second, block, strips) = piece.what;
            let stretches = differing.block(is_second, block);
            let of_strips = stretches.block.strips().documents(&strips);
            let sidecar = open_strips(seal, &stretches.block, strips, &sealed)?;
            let live = stretches.live.iter();
            let live = live.flat_map(|r| r.start.max(of_strips.start)..r.end.min(of_strips.end));
            let keys = live.map(|ordinal| {
                let key = sidecar.key((ordinal - of_strips.start) as usize);
                let located = Located {
                    is_second,
                    block,
                    ordinal,
                    length: key.length,
                };
                Entry { key, located }
            });
            Ok(keys.filter(|entry| belongs(&entry.key)).collect::<Vec<_>>())
        };
        let counter = ReadCounter::default();
        let mut read = fetch(&self.repository, &counter, pieces, open);
        let mut entries = Vec::new();
        while let Some(found) = read.try_next().await? {
            entries.extend(found.into_iter().flatten());
        }
        Ok(entries)
    }

    /// Returns the next differences with their documents.
    async fn next_documents(&mut self) -> Result<Option<Vec<Difference>>, Error> {
        while self.steps.is_empty() {
            match self.next_pass().await? {
                Some(differences) => self.steps = steps(differences),
                None => return Ok(None),
            }
        }
        let step = self.steps.pop_front().unwrap_or_default();
        let located = step.iter().flat_map(Difference::parts).copied();
        let documents = read(&self.repository, &self.differing, located).await?;
        let of = |located: Located| documents[&located].clone();
        Ok(Some(
            step.into_iter()
                .map(|difference| difference.map(of))
                .collect(),
        ))
    }
}

impl<T> Difference<T> {
    fn parts(&self) -> impl Iterator<Item = &T> {
        let (one, other) = match self {
            Difference::Removed(one) | Difference::Added(one) => (one, None),
            Difference::Changed { before, after } => (before, Some(after)),
        };
        std::iter::once(one).chain(other)
    }

    fn map<U>(self, mut of: impl FnMut(T) -> U) -> Difference<U> {
        match self {
            Difference::Removed(one) => Difference::Removed(of(one)),
            Difference::Added(one) => Difference::Added(of(one)),
            Difference::Changed { before, after } => Difference::Changed {
                before: of(before),
                after: of(after),
            },
        }
    }
}

/// Returns a number by which documents are dealt to passes: versions of one document to the same.
fn place(key: &Key, nobody: &[u8]) -> u64 {
    let hash = if key.identity == nobody {
        &key.document[..8]
    } else {
        &key.identity[..8]
    };
    u64::from_le_bytes(hash.try_into().expect("it was cut to eight bytes"))
}

/// Returns what is only on one side, in the order in which it is stored.
fn compare(mut entries: Vec<Entry>, nobody: &[u8]) -> Vec<Difference<Located>> {
    entries.sort_unstable_by_key(|entry| {
        let key = &entry.key;
        (key.identity, key.document, key.length, entry.located)
    });
    let mut differences = Vec::new();
    for versions in entries.chunk_by(|left, right| left.key.identity == right.key.identity) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for equal in versions.chunk_by(|left, right| left.key == right.key) {
            // Sorted, so those of the first collection come first.
            let middle = equal.partition_point(|entry| !entry.located.is_second);
            let (first, second) = equal.split_at(middle);
            before.extend(first.iter().skip(second.len()).map(|entry| entry.located));
            after.extend(second.iter().skip(first.len()).map(|entry| entry.located));
        }
        let pairs = if versions[0].key.identity == nobody {
            0
        } else {
            before.len().min(after.len())
        };
        let changed = before.iter().zip(&after).take(pairs);
        differences.extend(changed.map(|(&before, &after)| Difference::Changed { before, after }));
        differences.extend(before[pairs..].iter().copied().map(Difference::Removed));
        differences.extend(after[pairs..].iter().copied().map(Difference::Added));
    }
    differences.sort_unstable_by_key(|difference| difference.parts().next().copied());
    differences
}

/// Cuts differences into steps that are read at a time.
fn steps(differences: Vec<Difference<Located>>) -> VecDeque<Vec<Difference<Located>>> {
    let mut steps: VecDeque<Vec<_>> = VecDeque::new();
    let mut bytes = 0;
    for difference in differences {
        let more: u64 = difference.parts().map(|part| u64::from(part.length)).sum();
        let is_full =
            |step: &Vec<_>| bytes + more > STEP_BYTES_MAX || step.len() == STEP_DIFFERENCES_MAX;
        if steps.back().is_none_or(is_full) {
            steps.push_back(Vec::new());
            bytes = 0;
        }
        bytes += more;
        steps
            .back_mut()
            .expect("one was just pushed")
            .push(difference);
    }
    steps
}

/// A block and the documents that are wanted of it.
type Wanted = (BlockReference, Vec<Located>);

/// Reads documents out of their blocks.
async fn read(
    repository: &Arc<Inner>,
    differing: &Differing,
    located: impl Iterator<Item = Located>,
) -> Result<HashMap<Located, Bytes>, Error> {
    let mut blocks: HashMap<(PackId, u32), Wanted> = HashMap::new();
    for located in located {
        let Stretches { pack, block, .. } = differing.block(located.is_second, located.block);
        let wanted = blocks.entry((*pack, block.ordinal));
        let wanted = wanted.or_insert_with(|| (block.clone(), Vec::new()));
        wanted.1.push(located);
    }
    let pieces = blocks.into_iter().map(|((pack, _), wanted)| Piece {
        pack,
        offset: wanted.0.offset,
        length: u64::from(wanted.0.length),
        what: wanted,
    });
    let open = |repository: &Inner, seal: &ObjectSeal, piece: Piece<Wanted>, sealed: Vec<u8>| {
        let (block, wanted) = piece.what;
        let ordinals = wanted.iter().map(|located| located.ordinal);
        let documents = copy_documents(repository, seal, &block, sealed, ordinals)?;
        Ok(wanted.into_iter().zip(documents).collect::<Vec<_>>())
    };
    let counter = ReadCounter::default();
    let read = fetch(repository, &counter, pieces.collect(), open);
    let documents: Vec<Vec<(Located, Bytes)>> = read.try_concat().await?;
    Ok(documents.into_iter().flatten().collect())
}
