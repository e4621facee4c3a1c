//! A source at one cluster time: which one, and the proof that the catalog belongs to it.
use crate::{Catalog, Collection, Error, ScanStream};

/// A point in a replica set's history: seconds since 1970 and a count within the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: u32,
    /// Position within the second, from 1.
    pub increment: u32,
}

/// A catalog and a time at which all of it can be read; cloning shares it.
#[derive(Clone)]
pub struct SourceSnapshot;

impl SourceSnapshot {
    /// Returns the time that everything is read at; none for a standalone server, whose
    /// collections are read one after the other without any consistency between them.
    pub fn time(&self) -> Option<ClusterTime> {
        unimplemented!()
    }

    /// Returns the catalog at that time.
    pub fn catalog(&self) -> &Catalog {
        unimplemented!()
    }

    /// Tells whether the collection is read as it was at [`SourceSnapshot::time`]. Not so for capped
    /// collections, which refuse snapshot reads (as they are when they are read, not earlier than
    /// the time), nor on standalone servers.
    pub fn exact(&self, _collection: &Collection) -> bool {
        unimplemented!()
    }

    /// Reads a collection of this catalog from beginning to end, in natural order, as raw batches of
    /// 1 to 4 MB. A view has none.
    ///
    /// The stream ends after its first error. [`Error::SnapshotLost`] means that the collection
    /// can no longer be read at this time: begin again. Dropping the stream closes the cursor.
    pub fn scan(&self, _collection: &Collection) -> ScanStream {
        unimplemented!()
    }

    /// Proves that what was read is the state at the time; call it after all scans, before the
    /// snapshot is declared complete. Fails with [`Error::CatalogChanged`] where there is no proof.
    pub async fn finish(&self) -> Result<(), Error> {
        unimplemented!()
    }
}
