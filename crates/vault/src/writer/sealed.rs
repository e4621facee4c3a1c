//! What was written and is durable but is no snapshot: the base of the next pass.

use crate::manifest::Manifest;

/// A manifest that was not written; keeps its packs from the sweep until it is dropped.
#[derive(Debug)]
pub struct Sealed {
    manifest: Manifest,
}

impl Sealed {
    /// Returns what the snapshot would be; can be the base of a writer, and be read.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
