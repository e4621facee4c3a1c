//! What was written to each collection, within bounds of memory.
use bytes::Bytes;

use crate::{Collection, FollowWay};

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
    /// Documents with these ids (raw `_id` elements, each once) may have been written; no other was.
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
    /// A collection with its UUID was made or taken away meanwhile.
    Remade,
}

/// Which documents of which collections were written after one time and no later than another.
#[derive(Debug)]
pub struct Changes {
    way: FollowWay,
    entries_read: u64,
    bytes_read: u64,
}

impl Changes {
    /// Takes what is known of a collection out; asked again, it says the same without the ids.
    pub fn take(&mut self, _collection: &Collection) -> Change {
        unimplemented!()
    }

    /// Returns how many documents of a collection may have been written, if that is known.
    pub fn count(&self, _collection: &Collection) -> Option<u64> {
        unimplemented!()
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
