//! Looks identities up in segments: of each part the head, and only the leaves that may hold what
//! is wanted. Says where documents lie or lay; what of it is live is said by the pages.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::codec::RawLength;
use crate::error::Error;
use crate::fetch::{Piece, ReadCounter, fetch};
use crate::frame::{FrameKind, ObjectSeal};
use crate::id::PackId;
use crate::pack;
use crate::repository::Inner;
use crate::segment::{
    Entry, Head, IdentityHash, Segment, SegmentFrame, SegmentPart, Table, decode_entries,
    decode_wanted,
};
use crate::task::blocking;

/// Parts looked through at a time.
const PARTS_AT_A_TIME: usize = 4;

/// A block, by the pack it lies in and the ordinal of its frame.
pub(crate) type BlockPlace = (PackId, u32);

/// A document that has, or had, a wanted identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) block: BlockPlace,
    pub(crate) document: u32,
    pub(crate) identity: IdentityHash,
}

/// Returns every place that segments name for the wanted identities, sorted and each once.
/// `wanted` must be sorted.
pub(crate) async fn locate(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    segments: &[Segment],
    wanted: &[IdentityHash],
) -> Result<Vec<Candidate>, Error> {
    let parts = segments.iter().flat_map(|segment| &segment.parts);
    let searches: Vec<_> = parts
        .filter_map(|part| {
            let from = wanted.partition_point(|identity| *identity < part.first);
            let to = wanted.partition_point(|identity| *identity <= part.last);
            (from < to).then(|| search(repository, counter, part, &wanted[from..to]))
        })
        .collect();
    let mut found: Vec<Candidate> = futures::stream::iter(searches)
        .buffer_unordered(PARTS_AT_A_TIME)
        .try_concat()
        .await?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Looks through one part.
async fn search(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    part: &SegmentPart,
    wanted: &[IdentityHash],
) -> Result<Vec<Candidate>, Error> {
    let head = read_head(repository, counter, part).await?;
    if part.leaves() == 0 {
        let entries = head.entries.iter();
        let is_wanted = |entry: &&Entry| wanted.binary_search(&entry.identity).is_ok();
        let entries: Vec<Entry> = entries.filter(is_wanted).copied().collect();
        return Ok(candidates(&head.table, &entries));
    }
    let mut leaves: Vec<usize> = Vec::new();
    for identity in wanted {
        let last = leaves.last().map_or(0, |last| last + 1);
        let of = head.leaves_of(identity);
        leaves.extend(of.start.max(last)..of.end.min(part.leaves()));
    }
    let table = Arc::new(head.table);
    let wanted: Arc<[IdentityHash]> = wanted.into();
    let open = {
        let (part, table) = (part.clone(), table.clone());
        move |_: &Inner, seal: &ObjectSeal, piece: Piece<usize>, sealed: Vec<u8>| {
            let frame = part.leaf(piece.what);
            let content = open(seal, &frame, sealed)?;
            let entries = decode_wanted(&table, &content, &wanted);
            let entries = entries.map_err(|reason| corrupt(part.pack, frame.ordinal, &reason))?;
            Ok(candidates(&table, &entries))
        }
    };
    let pieces = leaves.into_iter().map(|leaf| {
        let frame = part.leaf(leaf);
        piece(part.pack, &frame, leaf)
    });
    let read = fetch(repository, counter, pieces.collect(), open);
    let found: Vec<Vec<Candidate>> = read.try_concat().await?;
    Ok(found.concat())
}

fn piece<T>(pack: PackId, frame: &SegmentFrame, what: T) -> Piece<T> {
    Piece {
        pack,
        offset: frame.offset,
        length: frame.length,
        what,
    }
}

fn candidates(table: &Table, entries: &[Entry]) -> Vec<Candidate> {
    let candidate = |entry: &Entry| Candidate {
        block: (table.pack(entry.row), entry.block),
        document: u32::from(entry.document),
        identity: entry.identity,
    };
    entries.iter().map(candidate).collect()
}

/// Reads the head of a part.
pub(crate) async fn read_head(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    part: &SegmentPart,
) -> Result<Head, Error> {
    let part = part.clone();
    let frame = part.head();
    let pieces = vec![piece(part.pack, &frame, ())];
    let open = move |_: &Inner, seal: &ObjectSeal, _: Piece<()>, sealed: Vec<u8>| {
        let content = open(seal, &frame, sealed)?;
        let head = Head::decode(&part, &content);
        head.map_err(|reason| corrupt(part.pack, frame.ordinal, &reason))
    };
    let heads = fetch(repository, counter, pieces, open);
    let mut heads: Vec<Head> = heads.try_concat().await?;
    Ok(heads.pop().expect("one piece was wanted"))
}

/// Reads leaves that follow each other with one read.
pub(crate) async fn read_leaves(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    part: &SegmentPart,
    table: &Arc<Table>,
    leaves: std::ops::Range<usize>,
) -> Result<Vec<Entry>, Error> {
    let (first, last) = (part.leaf(leaves.start), part.leaf(leaves.end - 1));
    let range = first.offset..last.offset + last.length;
    let sealed = repository.read_range(part.pack, range).await?;
    counter.add(sealed.len() as u64);
    let (repository, part, table) = (repository.clone(), part.clone(), table.clone());
    blocking(move || {
        let seal = repository.pack_seal(part.pack);
        let mut entries = Vec::new();
        for leaf in leaves {
            let frame = part.leaf(leaf);
            let from = usize::try_from(frame.offset - first.offset).expect("it is in memory");
            let length = usize::try_from(frame.length).expect("it is in memory");
            let sealed = sealed[from..from + length].to_vec();
            let opened = open_leaf(&seal, &part, leaf, &table, sealed);
            entries.extend(opened.inspect_err(|error| repository.note_damage(part.pack, error))?);
        }
        Ok(entries)
    })
    .await
}

fn open_leaf(
    seal: &ObjectSeal,
    part: &SegmentPart,
    leaf: usize,
    table: &Table,
    sealed: Vec<u8>,
) -> Result<Vec<Entry>, Error> {
    let frame = part.leaf(leaf);
    let content = open(seal, &frame, sealed)?;
    let entries = decode_entries(table, &content);
    entries.map_err(|reason| corrupt(part.pack, frame.ordinal, &reason))
}

fn open(seal: &ObjectSeal, frame: &SegmentFrame, sealed: Vec<u8>) -> Result<Vec<u8>, Error> {
    let length = RawLength::Exactly(frame.raw_length);
    seal.open(FrameKind::Segment, frame.ordinal, sealed, length)
}

fn corrupt(pack: PackId, ordinal: u32, reason: &str) -> Error {
    let reason = format!("Segment frame {ordinal}: {reason}");
    Error::corrupt(pack::object_name(pack), reason)
}
