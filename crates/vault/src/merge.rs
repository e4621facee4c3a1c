//! Merges sorted segments and entries that were just made into one sorted list, a chunk at a time.
//! Bounded: of each input a few leaves are in memory. Drops only what nothing can refer to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::error::Error;
use crate::fetch::ReadCounter;
use crate::id::PackId;
use crate::live::LiveMap;
use crate::locate::{BlockPlace, read_head, read_leaves};
use crate::repository::Inner;
use crate::segment::{Entry, IdentityHash, Segment, SegmentPart, Table};
use crate::task::blocking;

/// Leaves in memory over all inputs.
const LEAVES_MAX: usize = 1024;
/// Leaves read at a time of one input.
const LEAVES_AT_A_TIME_MAX: usize = 128;
/// Fewest leaves read at a time, however many inputs there are.
const LEAVES_AT_A_TIME_MIN: usize = 8;

/// Which entries are left out.
#[derive(Clone, Default)]
pub(crate) struct Filter {
    /// Packs that may be referred to; all where absent.
    pub(crate) packs: Option<Arc<HashSet<PackId>>>,
    /// What was live before; says nothing of packs in `new_packs`.
    pub(crate) live: Option<Arc<LiveMap>>,
    /// Packs of the snapshot that is being written.
    pub(crate) new_packs: Arc<HashSet<PackId>>,
    /// Blocks that were copied elsewhere.
    pub(crate) moved: Option<Arc<Relocation>>,
}

/// Where blocks of given-up packs went; what is not there is dead.
pub(crate) struct Relocation {
    pub(crate) blocks: HashMap<BlockPlace, BlockPlace>,
    pub(crate) packs: HashSet<PackId>,
}

impl Filter {
    fn keeps_pack(&self, pack: PackId) -> bool {
        let packs = self.packs.as_ref();
        packs.is_none_or(|packs| packs.contains(&pack)) || self.new_packs.contains(&pack)
    }

    fn keeps(&self, pack: PackId, entry: &Entry) -> bool {
        let Some(live) = &self.live else { return true };
        let document = u32::from(entry.document);
        self.new_packs.contains(&pack) || live.contains((pack, entry.block), document)
    }
}

/// Sorted lists on their way into one.
pub(crate) struct Merge {
    repository: Arc<Inner>,
    counter: ReadCounter,
    table: Arc<Table>,
    rows: HashMap<PackId, u32>,
    filter: Filter,
    inputs: Vec<Input>,
    leaves_at_a_time: usize,
}

/// One sorted list: what is in memory of it, and what is still to be read.
struct Input {
    parts: VecDeque<SegmentPart>,
    reading: Option<Reading>,
    buffer: Vec<Entry>,
    /// Entries of the buffer that were taken.
    taken: usize,
    /// Identity up to which the list was read.
    upto: IdentityHash,
}

/// A part of which some leaves were read.
struct Reading {
    part: SegmentPart,
    table: Arc<Table>,
    /// For each row of the part's table, the row of the merged one.
    rows: Vec<Option<u32>>,
    next_leaf: usize,
}

impl Merge {
    /// Begins to merge stored segments, and sorted entries with their table.
    pub(crate) async fn new(
        repository: &Arc<Inner>,
        segments: &[Segment],
        memory: Option<(Table, Vec<Entry>)>,
        filter: Filter,
    ) -> Result<Merge, Error> {
        let counter = ReadCounter::default();
        let mut counts: HashMap<PackId, u32> = HashMap::new();
        for part in segments.iter().flat_map(|segment| &segment.parts) {
            let head = read_head(repository, &counter, part).await?;
            note(&mut counts, &head.table);
        }
        if let Some((table, _)) = &memory {
            note(&mut counts, table);
        }
        counts.retain(|pack, _| filter.keeps_pack(*pack));
        if let Some(moved) = &filter.moved {
            counts.retain(|pack, _| !moved.packs.contains(pack));
            for (pack, block) in moved.blocks.values() {
                let count = counts.entry(*pack).or_default();
                *count = (*count).max(block + 1);
            }
        }
        let mut sorted: Vec<(PackId, u32)> = counts.into_iter().collect();
        sorted.sort_unstable();
        let packs = sorted.iter().map(|(pack, _)| *pack);
        let rows = packs.zip(0..).collect();
        let stored = segments.iter().map(|segment| Input {
            parts: segment.parts.clone().into(),
            reading: None,
            buffer: Vec::new(),
            taken: 0,
            upto: IdentityHash::default(),
        });
        let mut merge = Merge {
            repository: repository.clone(),
            counter,
            table: Arc::new(Table::new(&sorted).map_err(Error::invalid)?),
            rows,
            filter,
            inputs: stored.collect(),
            leaves_at_a_time: 0,
        };
        let inputs = merge.inputs.len().max(1);
        merge.leaves_at_a_time =
            (LEAVES_MAX / inputs).clamp(LEAVES_AT_A_TIME_MIN, LEAVES_AT_A_TIME_MAX);
        if let Some((table, entries)) = memory {
            let rows = merge.rows_of(&table);
            merge.inputs.push(Input {
                parts: VecDeque::new(),
                reading: None,
                buffer: merge.renumber(&table, &rows, entries),
                taken: 0,
                upto: IdentityHash::default(),
            });
        }
        Ok(merge)
    }

    /// Returns the table that the merged entries refer to.
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Returns the next entries, at least one, sorted behind those before; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Entry>>, Error> {
        loop {
            for at in 0..self.inputs.len() {
                self.refill(at).await?;
            }
            self.inputs.retain(|input| !input.is_at_end());
            if self.inputs.is_empty() {
                return Ok(None);
            }
            let unread = self.inputs.iter().filter(|input| input.has_more());
            let bound = unread.map(|input| input.upto).min();
            let mut chunk = Vec::new();
            for input in &mut self.inputs {
                input.take_upto(bound.as_ref(), &mut chunk);
            }
            if chunk.is_empty() {
                continue;
            }
            return Ok(Some(
                blocking(move || {
                    // Made of sorted stretches, which this sort takes as they are.
                    chunk.sort();
                    chunk.dedup();
                    chunk
                })
                .await,
            ));
        }
    }

    /// Reads on in an input of which nothing is left in memory.
    async fn refill(&mut self, at: usize) -> Result<(), Error> {
        while self.inputs[at].buffer.is_empty() && self.inputs[at].has_more() {
            if self.inputs[at].reading.is_none() {
                let part = self.inputs[at].parts.pop_front();
                let part = part.expect("an input that has more has a part");
                self.begin(at, part).await?;
                continue;
            }
            let reading = self.inputs[at].reading.as_mut();
            let reading = reading.expect("looked at above");
            let from = reading.next_leaf;
            let to = reading.part.leaves().min(from + self.leaves_at_a_time);
            reading.next_leaf = to;
            let (part, table) = (reading.part.clone(), reading.table.clone());
            let rows = reading.rows.clone();
            if to == part.leaves() {
                self.inputs[at].reading = None;
            }
            let read = read_leaves(&self.repository, &self.counter, &part, &table, from..to);
            let entries = read.await?;
            self.fill(at, &table, &rows, entries);
        }
        Ok(())
    }

    async fn begin(&mut self, at: usize, part: SegmentPart) -> Result<(), Error> {
        let head = read_head(&self.repository, &self.counter, &part).await?;
        let rows = self.rows_of(&head.table);
        if part.leaves() == 0 {
            self.fill(at, &head.table, &rows, head.entries);
            return Ok(());
        }
        self.inputs[at].reading = Some(Reading {
            part,
            table: Arc::new(head.table),
            rows,
            next_leaf: 0,
        });
        Ok(())
    }

    fn fill(&mut self, at: usize, table: &Table, rows: &[Option<u32>], entries: Vec<Entry>) {
        let last = entries.last().map(|last| last.identity);
        let buffer = self.renumber(table, rows, entries);
        let input = &mut self.inputs[at];
        input.upto = last.unwrap_or(input.upto);
        input.buffer = buffer;
    }

    /// Lets entries refer to the merged table; leaves out those that are filtered.
    fn renumber(&self, table: &Table, rows: &[Option<u32>], mut entries: Vec<Entry>) -> Vec<Entry> {
        let moved = self.filter.moved.as_deref();
        entries.retain_mut(|entry| {
            let pack = table.pack(entry.row);
            if let Some(moved) = moved.filter(|moved| moved.packs.contains(&pack)) {
                let to = moved.blocks.get(&(pack, entry.block));
                return to.is_some_and(|(pack, block)| {
                    entry.row = self.rows[pack];
                    entry.block = *block;
                    true
                });
            }
            let Some(row) = rows[entry.row as usize] else {
                return false;
            };
            let keeps = self.filter.keeps(pack, entry);
            entry.row = row;
            keeps
        });
        entries
    }

    fn rows_of(&self, table: &Table) -> Vec<Option<u32>> {
        table
            .rows()
            .map(|(pack, _)| self.rows.get(&pack).copied())
            .collect()
    }
}

impl Input {
    fn has_more(&self) -> bool {
        self.reading.is_some() || !self.parts.is_empty()
    }

    fn is_at_end(&self) -> bool {
        self.buffer.is_empty() && !self.has_more()
    }

    /// Moves what is not behind the bound.
    fn take_upto(&mut self, bound: Option<&IdentityHash>, chunk: &mut Vec<Entry>) {
        let rest = &self.buffer[self.taken..];
        let count = match bound {
            Some(bound) => rest.partition_point(|entry| entry.identity <= *bound),
            None => rest.len(),
        };
        chunk.extend_from_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.buffer.len() {
            self.buffer = Vec::new();
            self.taken = 0;
        }
    }
}

/// Takes note of the packs of a table and how many numbers each needs.
fn note(counts: &mut HashMap<PackId, u32>, table: &Table) {
    for (pack, count) in table.rows() {
        let known = counts.entry(pack).or_default();
        *known = count.max(*known);
    }
}
