//! Writes raw documents into a collection of a target.
use crate::Error;

/// A writer into one collection; clones may be used side by side unless [`Loader::ordered`].
#[derive(Clone)]
pub struct Loader;

impl Loader {
    /// Tells whether the order of documents matters (capped collections): then use one loader and
    /// await each insert before the next.
    pub fn ordered(&self) -> bool {
        unimplemented!()
    }

    /// Stores whole raw BSON documents, any number of them, acknowledged by the primary but not yet
    /// durable (see [`crate::Target::barrier`]).
    ///
    /// Sending a document again is harmless. Every refusal is an error. Transient errors are
    /// retried a bounded number of times.
    pub async fn insert<D: AsRef<[u8]> + Sync>(&self, _documents: &[D]) -> Result<(), Error> {
        unimplemented!()
    }
}
