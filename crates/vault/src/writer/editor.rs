//! Replaces some documents of a collection that the base has, without reading the others.

use bytes::Bytes;

use super::CollectionSummary;
use crate::batch::Batch;
use crate::error::Error;

/// Writes one collection as the base's with some documents replaced. Dropped without `finish` or
/// `discard`, it keeps the snapshot from being committed.
#[derive(Debug)]
pub struct CollectionEditor;

#[expect(
    clippy::unused_async,
    clippy::unimplemented,
    clippy::unused_self,
    reason = "the signatures come first"
)]
impl CollectionEditor {
    /// Takes out every live document that has one of `identities` or an identity in `found`, then
    /// adds `found`. A found document that the base has live and equal stays where it is.
    ///
    /// Idempotent; may be called many times. Of several calls that name an identity, the last one
    /// holds. Fails with `Corrupt` or `Missing` where what the base says of these documents cannot
    /// be read: the snapshot can then be taken by a scan.
    pub async fn replace(&mut self, _identities: &[Bytes], _found: Batch) -> Result<(), Error> {
        unimplemented!("editing is being written")
    }

    /// Ends the collection and returns what it adds up to. An editor that replaced nothing refers
    /// to what the base has as it is, and reads nothing.
    pub async fn finish(self) -> Result<CollectionSummary, Error> {
        unimplemented!("editing is being written")
    }

    /// Leaves the collection out of the snapshot, so that it can be begun again by a scan; what was
    /// stored of it is garbage.
    pub fn discard(self) {}
}
