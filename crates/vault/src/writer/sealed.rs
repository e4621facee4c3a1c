//! What was written and is durable but is no snapshot: the base of the next pass. Must keep what it
//! refers to from the sweep for as long as it lives.

use std::fmt;
use std::sync::Arc;

use crate::manifest::Manifest;
use crate::repository::Inner;

/// A manifest that was not written; keeps its packs from the sweep of this process until it is
/// dropped. Holds no more memory than the manifest.
pub struct Sealed {
    repository: Arc<Inner>,
    manifest: Manifest,
}

impl Sealed {
    /// Takes over packs that the writer still pins.
    pub(super) fn new(repository: Arc<Inner>, manifest: Manifest) -> Sealed {
        manifest
            .packs
            .iter()
            .for_each(|&pack| repository.pins.pin(pack));
        Sealed {
            repository,
            manifest,
        }
    }

    /// Returns what the snapshot would be; can be the base of a writer, and be read.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        let pins = &self.repository.pins;
        self.manifest
            .packs
            .iter()
            .for_each(|&pack| pins.unpin(pack));
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("snapshot", &self.manifest.snapshot)
            .finish_non_exhaustive()
    }
}
