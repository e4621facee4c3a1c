//! A deployment that a snapshot is being restored into.
use crate::{Catalog, Collection, Difference, Error, Loader, ScanStream};

/// One restore's hold of a target deployment; cloning shares it.
///
/// The order of the calls: [`begin`](Self::begin), [`wipe`](Self::wipe), per collection
/// [`create`](Self::create), [`loader`](Self::loader), [`build_indexes`](Self::build_indexes); then
/// [`barrier`](Self::barrier), [`read_back`](Self::read_back) to verify,
/// [`finish_collection`](Self::finish_collection), [`create_view`](Self::create_view),
/// [`compare_catalog`](Self::compare_catalog), and [`release`](Self::release) last.
#[derive(Clone)]
pub struct Target;

impl Target {
    /// Marks the target as unfinished and takes it over from any earlier restore.
    pub async fn begin(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Drops every user database; `admin`, `config`, `local` and the marker stay.
    pub async fn wipe(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Creates the collection or time series with its options verbatim, except that nothing
    /// expires before [`Target::finish_collection`]. Doing it twice is the same as once.
    pub async fn create(&self, _collection: &Collection) -> Result<(), Error> {
        unimplemented!()
    }

    /// Returns a writer into a created collection or time series.
    pub fn loader(&self, _collection: &Collection) -> Loader {
        unimplemented!()
    }

    /// Builds all secondary indexes but those that expire documents, in one command.
    pub async fn build_indexes(&self, _collection: &Collection) -> Result<(), Error> {
        unimplemented!()
    }

    /// Lets documents expire, after verification: builds TTL indexes, sets `expireAfterSeconds`.
    pub async fn finish_collection(&self, _collection: &Collection) -> Result<(), Error> {
        unimplemented!()
    }

    /// Creates a view with its options verbatim.
    pub async fn create_view(&self, _collection: &Collection) -> Result<(), Error> {
        unimplemented!()
    }

    /// Reads a restored collection back for verification, with read concern `majority`.
    pub fn read_back(&self, _collection: &Collection) -> ScanStream {
        unimplemented!()
    }

    /// Compares the target's catalog with `expected`; empty means equal.
    pub async fn compare_catalog(&self, _expected: &Catalog) -> Result<Vec<Difference>, Error> {
        unimplemented!()
    }

    /// Waits until everything written so far is on a majority of the members and journaled.
    pub async fn barrier(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Fails with [`Error::TargetTaken`] unless this restore still holds the target.
    pub async fn held(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Removes the marker: the target is whole. Call it last.
    pub async fn release(&self) -> Result<(), Error> {
        unimplemented!()
    }
}
