//! What was written to each collection, within bounds of memory.
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::{Collection, CollectionKind, FollowWay};

/// How much of what changed is remembered by its ids.
#[derive(Clone, Copy, Debug)]
pub struct ChangeLimits {
    /// More ids than this in one collection make it [`UnknownReason::TooMany`].
    pub ids_per_collection: u64,
    /// What the ids of all collections may take in memory, in bytes; beyond it the collection that
    /// takes most becomes [`UnknownReason::TooMany`], until the rest fits.
    pub bytes: u64,
}

/// What is known of one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// No document of it was written.
    Unchanged,
    /// Documents with these ids (raw `_id` elements, each once, in byte order) may have been
    /// written; no other was.
    Documents(Vec<Bytes>),
    /// Any document may have been written: it must be scanned.
    Unknown(UnknownReason),
}

/// Why it is not known what was written to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownReason {
    /// More than [`ChangeLimits`] allow.
    TooMany,
    /// Its writes cannot be followed: capped collections; by change stream also time series and
    /// `system.js`.
    NotFollowed,
    /// A collection with its UUID was made, replaced or, during a pass, renamed meanwhile.
    Remade,
}

/// Which documents of which collections were written after one time and no later than another.
#[derive(Debug)]
pub struct Changes {
    way: FollowWay,
    ledger: Ledger,
    entries_read: u64,
    bytes_read: u64,
}

impl Changes {
    pub(super) fn new(way: FollowWay, ledger: Ledger, entries_read: u64, bytes_read: u64) -> Self {
        Self {
            way,
            ledger,
            entries_read,
            bytes_read,
        }
    }

    /// Takes out what is known of a collection of the later catalog, once for each collection:
    /// asked again, it would say that nothing was written.
    ///
    /// Whether the earlier snapshot has a collection of that UUID is for the caller to know.
    pub fn take(&mut self, collection: &Collection) -> Change {
        if let Some(reason) = self.never_followed(collection) {
            return Change::Unknown(reason);
        }
        let Some(uuid) = collection.uuid else {
            // A view, which holds no document.
            return Change::Unchanged;
        };
        match self.ledger.collections.remove(&uuid) {
            None => Change::Unchanged,
            Some(Known::Unknown(reason)) => Change::Unknown(reason),
            Some(Known::Ids { ids, .. }) => {
                let mut ids: Vec<Bytes> = ids.into_iter().map(Bytes::from).collect();
                ids.sort_unstable();
                Change::Documents(ids)
            }
        }
    }

    /// Returns how many documents of a collection may have been written, where that is known.
    pub fn count(&self, collection: &Collection) -> Option<u64> {
        if self.never_followed(collection).is_some() {
            return None;
        }
        let known = collection
            .uuid
            .and_then(|uuid| self.ledger.collections.get(&uuid));
        match known {
            None => Some(0),
            Some(Known::Unknown(_)) => None,
            Some(Known::Ids { ids, .. }) => Some(ids.len() as u64),
        }
    }

    /// Tells whether writes to a collection of this kind leave no trace.
    fn never_followed(&self, collection: &Collection) -> Option<UnknownReason> {
        let is_stored = collection.kind != CollectionKind::View;
        let has_uuid = collection.uuid.is_some();
        let has_id_index = collection.id_index.is_some() || collection.is_clustered();
        let is_hidden =
            self.way == FollowWay::ChangeStream && collection.storage_name().starts_with("system.");
        let is_never =
            is_stored && (collection.is_capped() || !has_uuid || !has_id_index || is_hidden);
        is_never.then_some(UnknownReason::NotFollowed)
    }

    /// Returns by which way it was learned.
    pub fn way(&self) -> FollowWay {
        self.way
    }

    /// Returns how many entries of the history were read.
    pub fn entries_read(&self) -> u64 {
        self.entries_read
    }

    /// Returns how many bytes the server sent for them.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }
}

/// What an id takes in memory besides its own bytes: its place in the set and the allocation.
const ID_OVERHEAD: u64 = 64;
/// A longer id could not be asked for again: a command has 16 MB.
const ID_BYTES_MAX: usize = 8 << 20;

/// Ids written, by collection, while history is read.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: ChangeLimits,
    /// Whether a rename makes a collection unknown.
    minds_renames: bool,
    collections: HashMap<[u8; 16], Known>,
    /// What the ids of all collections take.
    bytes: u64,
}

#[derive(Debug)]
enum Known {
    Ids { ids: HashSet<Box<[u8]>>, bytes: u64 },
    Unknown(UnknownReason),
}

impl Ledger {
    pub(super) fn new(limits: ChangeLimits, minds_renames: bool) -> Self {
        Self {
            limits,
            minds_renames,
            collections: HashMap::new(),
            bytes: 0,
        }
    }

    /// Remembers that the document with this `_id` element was written.
    pub(super) fn wrote(&mut self, uuid: [u8; 16], id: &[u8]) {
        let known = self.collections.entry(uuid).or_insert_with(|| Known::Ids {
            ids: HashSet::new(),
            bytes: 0,
        });
        let Known::Ids { ids, bytes } = known else {
            return;
        };
        if ids.contains(id) {
            return;
        }
        let more = id.len() as u64 + ID_OVERHEAD;
        if id.len() > ID_BYTES_MAX || ids.len() as u64 >= self.limits.ids_per_collection {
            self.unknown(uuid, UnknownReason::TooMany);
            return;
        }
        ids.insert(id.into());
        *bytes += more;
        self.bytes += more;
        while self.bytes > self.limits.bytes && self.forget_largest() {}
    }

    /// Remembers that any document of a collection may have been written.
    pub(super) fn unknown(&mut self, uuid: [u8; 16], reason: UnknownReason) {
        let before = self.collections.insert(uuid, Known::Unknown(reason));
        if let Some(Known::Ids { bytes, .. }) = before {
            self.bytes -= bytes;
        }
    }

    /// Remembers that a collection was renamed, where that matters.
    pub(super) fn renamed(&mut self, uuid: [u8; 16]) {
        if self.minds_renames {
            self.unknown(uuid, UnknownReason::Remade);
        }
    }

    fn forget_largest(&mut self) -> bool {
        let sizes = self
            .collections
            .iter()
            .filter_map(|(uuid, known)| match known {
                Known::Ids { bytes, .. } if *bytes > 0 => Some((*bytes, *uuid)),
                _ => None,
            });
        let Some((_, uuid)) = sizes.max() else {
            return false;
        };
        self.unknown(uuid, UnknownReason::TooMany);
        true
    }
}

#[cfg(test)]
impl Ledger {
    /// Returns how many ids there are of each collection, or why they are not known.
    pub(super) fn known(&self) -> Vec<([u8; 16], Result<usize, UnknownReason>)> {
        let mut known: Vec<_> = self
            .collections
            .iter()
            .map(|(uuid, known)| match known {
                Known::Ids { ids, .. } => (*uuid, Ok(ids.len())),
                Known::Unknown(reason) => (*uuid, Err(*reason)),
            })
            .collect();
        known.sort_unstable_by_key(|(uuid, _)| *uuid);
        known
    }
}
