//! Collects what segments will say of the documents that are being stored. Pure. Entries come in
//! the order of blocks and leave sorted by identity.

use std::collections::HashMap;

use crate::id::PackId;
use crate::locate::BlockPlace;
use crate::segment::{Entry, IdentityHash, Table};

/// Bytes of one entry in memory.
pub(super) const HELD_BYTES: usize = size_of::<Entry>();

/// An identity and where its document lies.
pub(super) type NewEntry = (IdentityHash, BlockPlace, u16);

/// Entries of one collection.
#[derive(Default)]
pub(super) struct EntryBuffer {
    rows: HashMap<PackId, u32>,
    packs: Vec<(PackId, u32)>,
    entries: Vec<Entry>,
}

impl EntryBuffer {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(&mut self, (identity, (pack, block), document): NewEntry) {
        let packs = &mut self.packs;
        let row = *self.rows.entry(pack).or_insert_with(|| {
            packs.push((pack, 0));
            u32::try_from(packs.len() - 1).expect("a collection has few packs")
        });
        let count = &mut packs[row as usize].1;
        *count = (*count).max(block + 1);
        self.entries.push(Entry {
            identity,
            row,
            block,
            document,
        });
    }

    /// Returns the entries sorted, with the table they refer to. Keeps a processor busy.
    pub(super) fn into_sorted(mut self) -> Result<(Table, Vec<Entry>), String> {
        self.entries.sort_unstable();
        Ok((Table::new(&self.packs)?, self.entries))
    }
}
