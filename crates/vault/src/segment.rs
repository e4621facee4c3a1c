//! Sorted entries that say where the documents of each identity lie. Pure: builds and parses the
//! frames of one part of a segment. An entry may be stale, and must never be taken for more than a
//! place to look at: what is live is said by the runs of the pages.

use std::sync::Arc;

use minicbor::{Decode, Encode};

use crate::frame::{FRAME_OVERHEAD_BYTES, FrameKind};
use crate::id::PackId;
use crate::keys::IDENTITY_HASH_BYTES;
use crate::pack::{NewFrame, PackBuilder};

/// Hash of an identity.
pub(crate) type IdentityHash = [u8; IDENTITY_HASH_BYTES];

/// Bytes of one entry: identity hash, block number, ordinal of the document in the block.
pub(crate) const ENTRY_BYTES: usize = IDENTITY_HASH_BYTES + 4 + 2;
/// Entries in a leaf, except in the last one: about 8 KiB.
pub(crate) const LEAF_ENTRIES: usize = 455;
/// Bytes of a leaf's fence: the first bytes of its first identity hash.
const FENCE_BYTES: usize = 8;
/// Bytes of a row of the table: pack id, and how many block numbers it takes.
const ROW_BYTES: usize = 16 + 4;

/// Where the document of an identity lies or lay; `row` is an index into a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) identity: IdentityHash,
    pub(crate) row: u32,
    /// Ordinal of the block's frame in its pack.
    pub(crate) block: u32,
    pub(crate) document: u16,
}

/// A sorted list of entries, in parts of ascending and disjoint ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Segment {
    #[n(0)]
    pub(crate) parts: Vec<SegmentPart>,
}

impl Segment {
    /// Returns the number of entries, stale ones included.
    pub(crate) fn entries(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.entries)).sum()
    }
}

/// Where one part of a segment lies: its leaves without gaps, then its head. All lengths follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub(crate) struct SegmentPart {
    #[n(0)]
    pub(crate) pack: PackId,
    /// Ordinal of the first frame.
    #[n(1)]
    pub(crate) ordinal: u32,
    /// Offset of the first frame.
    #[n(2)]
    pub(crate) offset: u64,
    #[n(3)]
    pub(crate) rows: u32,
    #[n(4)]
    pub(crate) entries: u32,
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) first: IdentityHash,
    #[cbor(n(6), with = "minicbor::bytes")]
    pub(crate) last: IdentityHash,
}

/// Where a frame of a segment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFrame {
    pub(crate) ordinal: u32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) raw_length: usize,
}

impl SegmentPart {
    /// Returns how many leaves are frames of their own; a single one is in the head.
    pub(crate) fn leaves(&self) -> usize {
        let leaves = (self.entries as usize).div_ceil(LEAF_ENTRIES);
        if leaves == 1 { 0 } else { leaves }
    }

    /// Returns where some leaves that follow each other lie, taken together.
    pub(crate) fn leaf(&self, index: usize) -> SegmentFrame {
        let whole = (FRAME_OVERHEAD_BYTES + LEAF_ENTRIES * ENTRY_BYTES) as u64;
        let entries = self.leaf_entries(index);
        let raw_length = entries * ENTRY_BYTES;
        SegmentFrame {
            ordinal: self.ordinal.saturating_add(small(index)),
            offset: self.offset.saturating_add(index as u64 * whole),
            length: (FRAME_OVERHEAD_BYTES + raw_length) as u64,
            raw_length,
        }
    }

    /// Returns how many entries a leaf has.
    pub(crate) fn leaf_entries(&self, index: usize) -> usize {
        LEAF_ENTRIES.min((self.entries as usize).saturating_sub(index * LEAF_ENTRIES))
    }

    /// Returns where the head lies.
    pub(crate) fn head(&self) -> SegmentFrame {
        let leaves = self.leaves();
        let leaf_bytes = match leaves {
            0 => 0,
            leaves => {
                let last = self.leaf(leaves - 1);
                last.offset.saturating_sub(self.offset) + last.length
            }
        };
        let body = match leaves {
            0 => self.entries as usize * ENTRY_BYTES,
            leaves => leaves * FENCE_BYTES,
        };
        let raw_length = self.rows as usize * ROW_BYTES + body;
        SegmentFrame {
            ordinal: self.ordinal.saturating_add(small(leaves)),
            offset: self.offset.saturating_add(leaf_bytes),
            length: (FRAME_OVERHEAD_BYTES + raw_length) as u64,
            raw_length,
        }
    }
}

/// The packs that entries refer to. Each takes as many block numbers as its frames need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    packs: Vec<PackId>,
    /// First block number of each pack, and behind the last one the end.
    firsts: Vec<u32>,
}

impl Table {
    /// Makes a table of packs and how many numbers each takes.
    pub(crate) fn new(rows: &[(PackId, u32)]) -> Result<Table, String> {
        let mut firsts = Vec::with_capacity(rows.len() + 1);
        let mut next = 0_u32;
        firsts.push(next);
        for (pack, count) in rows {
            next = next
                .checked_add(*count)
                .ok_or_else(|| format!("block numbers end before those of the pack {pack}"))?;
            firsts.push(next);
        }
        let packs = rows.iter().map(|(pack, _)| *pack).collect();
        Ok(Table { packs, firsts })
    }

    /// Returns the packs with how many numbers each takes.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (PackId, u32)> {
        let counts = self.firsts.windows(2).map(|pair| pair[1] - pair[0]);
        self.packs.iter().copied().zip(counts)
    }

    pub(crate) fn pack(&self, row: u32) -> PackId {
        self.packs[row as usize]
    }

    fn number(&self, entry: &Entry) -> u32 {
        self.firsts[entry.row as usize] + entry.block
    }

    /// Returns row and block of a number.
    fn place(&self, number: u32) -> Option<(u32, u32)> {
        let after = self.firsts.partition_point(|&first| first <= number);
        let row = after.checked_sub(1).filter(|&row| row < self.packs.len())?;
        Some((small(row), number - self.firsts[row]))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.packs.len() * ROW_BYTES);
        for (pack, count) in self.rows() {
            bytes.extend_from_slice(&pack.0);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }
}

/// What stands in the head of a part.
pub(crate) struct Head {
    pub(crate) table: Table,
    /// One for each leaf that is a frame of its own.
    fences: Vec<[u8; FENCE_BYTES]>,
    /// The entries where they are in the head.
    pub(crate) entries: Vec<Entry>,
}

impl Head {
    /// Reads the content of a head.
    pub(crate) fn decode(part: &SegmentPart, bytes: &[u8]) -> Result<Head, String> {
        let (table, body) = bytes
            .split_at_checked(part.rows as usize * ROW_BYTES)
            .ok_or("a segment's table is too short")?;
        let rows: Vec<(PackId, u32)> = table.chunks_exact(ROW_BYTES).map(row).collect();
        let table = Table::new(&rows)?;
        let mut head = Head {
            table,
            fences: Vec::new(),
            entries: Vec::new(),
        };
        if part.leaves() == 0 {
            head.entries = decode_entries(&head.table, body)?;
        } else {
            let fences = body.chunks_exact(FENCE_BYTES);
            head.fences = fences.map(|f| f.try_into().expect("eight bytes")).collect();
            if !head.fences.is_sorted() {
                return Err("a segment's fences are not sorted".to_owned());
            }
        }
        Ok(head)
    }

    /// Returns the leaves that may hold an identity, as a range.
    pub(crate) fn leaves_of(&self, identity: &IdentityHash) -> std::ops::Range<usize> {
        let fence = &identity[..FENCE_BYTES];
        let below = self.fences.partition_point(|first| first[..] < *fence);
        let up_to = self.fences.partition_point(|first| first[..] <= *fence);
        below.saturating_sub(1)..up_to
    }
}

fn row(bytes: &[u8]) -> (PackId, u32) {
    let (pack, count) = bytes.split_at(16);
    let pack = PackId(pack.try_into().expect("16 bytes"));
    (pack, u32::from_le_bytes(count.try_into().expect("4 bytes")))
}

/// Reads sorted entries.
pub(crate) fn decode_entries(table: &Table, bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let chunks = sorted_chunks(bytes)?;
    chunks.iter().map(|chunk| entry(table, chunk)).collect()
}

/// Reads those of sorted entries that have one of these identities, which are sorted, too. The
/// others are not parsed: of a leaf that a lookup reads, one or two are wanted.
pub(crate) fn decode_wanted(
    table: &Table,
    bytes: &[u8],
    wanted: &[IdentityHash],
) -> Result<Vec<Entry>, String> {
    let mut rest = sorted_chunks(bytes)?;
    let mut found = Vec::new();
    let from = rest.first().map_or(0, |first| {
        wanted.partition_point(|wanted| wanted[..] < *identity(first))
    });
    for wanted in &wanted[from..] {
        rest = &rest[rest.partition_point(|chunk| *identity(chunk) < wanted[..])..];
        if rest.is_empty() {
            break;
        }
        let same = rest.iter().take_while(|chunk| identity(chunk) == wanted);
        for chunk in same {
            found.push(entry(table, chunk)?);
        }
    }
    Ok(found)
}

fn sorted_chunks(bytes: &[u8]) -> Result<&[[u8; ENTRY_BYTES]], String> {
    let (chunks, _) = bytes.as_chunks::<ENTRY_BYTES>();
    if chunks.is_sorted_by(|left, right| identity(left) <= identity(right)) {
        Ok(chunks)
    } else {
        Err("a segment's entries are not sorted".to_owned())
    }
}

fn identity(chunk: &[u8; ENTRY_BYTES]) -> &[u8] {
    &chunk[..IDENTITY_HASH_BYTES]
}

fn entry(table: &Table, chunk: &[u8; ENTRY_BYTES]) -> Result<Entry, String> {
    let (identity, place) = chunk.split_at(IDENTITY_HASH_BYTES);
    let number = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
    let place_of = table.place(number);
    let (row, block) = place_of.ok_or_else(|| format!("there is no block {number}"))?;
    Ok(Entry {
        identity: identity.try_into().expect("12 bytes"),
        row,
        block,
        document: u16::from_le_bytes([place[4], place[5]]),
    })
}

/// A part of a segment that takes entries, in order. Its frames follow each other in one pack.
pub(crate) struct PartBuilder {
    table: Arc<Table>,
    start: (PackId, u32, u64),
    leaf: Vec<u8>,
    fences: Vec<u8>,
    range: Option<(IdentityHash, IdentityHash)>,
    entries: u32,
}

impl PartBuilder {
    /// Begins a part at the end of a pack.
    pub(crate) fn new(table: Arc<Table>, pack: &PackBuilder) -> PartBuilder {
        PartBuilder {
            table,
            start: (pack.id(), pack.frames(), pack.length()),
            leaf: Vec::with_capacity(LEAF_ENTRIES * ENTRY_BYTES),
            fences: Vec::new(),
            range: None,
            entries: 0,
        }
    }

    /// Returns the bytes of the pack when the part is ended.
    pub(crate) fn length(&self, pack: &PackBuilder) -> u64 {
        let head = self.leaf.len() + self.fences.len() + self.table.packs.len() * ROW_BYTES;
        pack.length() + head as u64
    }

    /// Adds an entry; true where it filled a leaf, so that the part may be ended.
    pub(crate) fn push(&mut self, pack: &mut PackBuilder, entry: &Entry) -> bool {
        if self.leaf.len() == LEAF_ENTRIES * ENTRY_BYTES {
            self.close_leaf(pack);
        }
        if self.leaf.is_empty() {
            self.fences
                .extend_from_slice(&entry.identity[..FENCE_BYTES]);
        }
        self.leaf.extend_from_slice(&entry.identity);
        let number = self.table.number(entry);
        self.leaf.extend_from_slice(&number.to_le_bytes());
        self.leaf.extend_from_slice(&entry.document.to_le_bytes());
        let first = self.range.map_or(entry.identity, |(first, _)| first);
        self.range = Some((first, entry.identity));
        self.entries += 1;
        self.leaf.len() == LEAF_ENTRIES * ENTRY_BYTES
    }

    fn close_leaf(&mut self, pack: &mut PackBuilder) {
        append(pack, &self.leaf);
        self.leaf.clear();
    }

    /// Ends the part, which has an entry.
    pub(crate) fn finish(mut self, pack: &mut PackBuilder) -> SegmentPart {
        let (first, last) = self.range.expect("a part has entries");
        let mut head = self.table.encode();
        if self.entries as usize <= LEAF_ENTRIES {
            head.extend_from_slice(&self.leaf);
        } else {
            self.close_leaf(pack);
            head.extend_from_slice(&self.fences);
        }
        append(pack, &head);
        SegmentPart {
            pack: self.start.0,
            ordinal: self.start.1,
            offset: self.start.2,
            rows: small(self.table.packs.len()),
            entries: self.entries,
            first,
            last,
        }
    }
}

/// Pushes entries into a part until the pack is full; returns the part then.
pub(crate) fn fill(
    part: &mut Option<PartBuilder>,
    table: &Arc<Table>,
    pack: &mut PackBuilder,
    entries: &mut &[Entry],
    pack_bytes: u64,
) -> Option<SegmentPart> {
    while let Some((entry, rest)) = entries.split_first() {
        let open = part.get_or_insert_with(|| PartBuilder::new(table.clone(), pack));
        *entries = rest;
        if open.push(pack, entry) && open.length(pack) >= pack_bytes {
            return part.take().map(|full| full.finish(pack));
        }
    }
    None
}

/// Seals a frame as it is: hashes do not shrink, and lengths are to follow from counts.
fn append(pack: &mut PackBuilder, content: &[u8]) {
    let mut plain = Vec::with_capacity(content.len() + FRAME_OVERHEAD_BYTES);
    plain.push(crate::codec::CODEC_NONE);
    plain.extend_from_slice(content);
    pack.append(NewFrame {
        kind: FrameKind::Segment,
        plain,
        raw_length: small(content.len()),
        documents: 0,
        id: [0; 32],
    });
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a part of a segment fits in a pack")
}
