//! What was written and is durable but is no snapshot: the base of the next pass. Must keep what it
//! refers to from the sweep for as long as it lives.

use std::fmt;
use std::sync::Arc;

use crate::manifest::Manifest;
use crate::repository::{Held, Inner};

/// A manifest that was not written; keeps its packs from the sweep of this process until it is
/// dropped. Holds no more memory than the manifest.
pub struct Sealed {
    manifest: Manifest,
    _held: Held,
}

impl Sealed {
    /// Takes over packs that the writer still pins.
    pub(super) fn new(repository: Arc<Inner>, manifest: Manifest) -> Sealed {
        Sealed {
            _held: Held::new(repository, manifest.packs.clone()),
            manifest,
        }
    }

    /// Returns what the snapshot would be; can be the base of a writer, and be read.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("snapshot", &self.manifest.snapshot)
            .finish_non_exhaustive()
    }
}
