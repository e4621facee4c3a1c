//! Writes one collection upon what the previous snapshot holds of it: documents that are there
//! already become runs over its blocks, the others go to new blocks. A base that cannot be read
//! costs bytes, never the snapshot. Must never refer to a document that was not compared.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::base::BaseReader;
use super::entries::NewEntry;
use super::index::BaseIndex;
use super::runs::{BlockNumber, RunList};
use super::window::{Place, Window};
use crate::batch::Batch;
use crate::error::Error;
use crate::fingerprint::{Fingerprint, Sum};
use crate::keys::HashKeys;
use crate::manifest::CollectionManifest;
use crate::segment::IdentityHash;
use crate::sidecar::Key;

/// Documents with their hashes: what is compared and what is added up.
pub(super) type Hashed = Vec<(Key, Sum)>;

/// A collection on its base.
pub(super) struct Upon {
    window: Window,
    base: BaseReader,
    pub(super) runs: RunList,
    pub(super) total: Fingerprint,
    pub(super) bytes: u64,
    pub(super) documents_shared: u64,
    pub(super) bytes_shared: u64,
    pub(super) index: BaseIndex,
    /// Shared documents that no segment of the base names; `None` where segments name all.
    unnamed: Option<Vec<NewEntry>>,
    nobody: IdentityHash,
    namespace: String,
}

impl Upon {
    pub(super) fn new(shared: &Shared, collection: &CollectionManifest) -> Upon {
        let repository = &shared.repository;
        let nobody = repository.hash_keys.identity(b"");
        let mut index = BaseIndex::new(collection);
        // Of a damaged segment nothing is taken over: all shared documents get entries again.
        let unnamed = !index.is_whole(shared);
        if unnamed {
            index.segments = Some(Vec::new());
        }
        Upon {
            window: Window::new(nobody),
            base: BaseReader::new(repository.clone(), &collection.pages),
            index,
            unnamed: unnamed.then(Vec::new),
            nobody,
            runs: RunList::default(),
            total: Fingerprint::default(),
            bytes: 0,
            documents_shared: 0,
            bytes_shared: 0,
            namespace: format!("{}.{}", collection.database, collection.name),
        }
    }

    /// Reads on in the base where the next comparison needs it.
    pub(super) async fn prepare(&mut self) {
        while self.window.wants_more() && !self.base.is_at_end() {
            match self.base.next().await {
                Ok(Some(step)) => {
                    self.runs.extend_base(step.blocks);
                    self.window.extend(step.documents);
                }
                Ok(None) => return,
                Err(error) => tracing::warn!(
                    collection.name = self.namespace,
                    error = &error as &dyn std::error::Error,
                    "the previous snapshot cannot be read on: documents are stored anew"
                ),
            }
        }
    }

    /// Adds a document to the runs if the base has it.
    pub(super) fn share(&mut self, key: &Key, sum: Sum) -> bool {
        self.total.merge(Fingerprint { documents: 1, sum });
        self.bytes += u64::from(key.length);
        let Some(place) = self.window.take(key) else {
            return false;
        };
        self.runs.add_shared(place, key.length, sum);
        self.documents_shared += 1;
        self.bytes_shared += u64::from(key.length);
        if let Some(unnamed) = &mut self.unnamed
            && key.identity != self.nobody
        {
            let (pack, block) = &self.runs.base_blocks[place.block as usize];
            let document = u16::try_from(place.ordinal).expect("a block has at most 65,536");
            unnamed.push((key.identity, (*pack, block.ordinal), document));
        }
        true
    }

    /// Takes the shared documents that no segment of the base names.
    pub(super) fn take_unnamed(&mut self) -> Vec<NewEntry> {
        self.unnamed
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Returns the blocks of which the live documents are to be stored anew: thin ones, and those
    /// in packs that are known to be damaged.
    pub(super) fn blocks_to_rewrite(&self, shared: &Shared) -> Vec<u32> {
        let mut blocks = self.runs.thin_blocks();
        let suspect = (0..).zip(&self.runs.base_blocks);
        let suspect = suspect.filter(|(_, (pack, _))| !shared.is_whole(*pack));
        blocks.extend(suspect.map(|(number, _)| number));
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }

    /// Lets the runs refer to rewritten documents, which have so many bytes.
    pub(super) fn replace(&mut self, moved: &HashMap<Place, (BlockNumber, u32)>, bytes: u64) {
        self.documents_shared -= moved.len() as u64;
        self.bytes_shared -= bytes;
        self.runs.replace(moved);
    }
}

/// Hashes a batch. Fails with `Invalid` where a span is wrong.
pub(super) fn hash(batch: &Batch, keys: &Arc<HashKeys>) -> Result<Hashed, Error> {
    let hash = |span| {
        let (document, identity) = batch.document(span)?;
        let identity = &document[identity.start as usize..identity.end as usize];
        let key = Key {
            identity: keys.identity(identity),
            document: keys.document(document),
            length: u32::try_from(document.len()).expect("documents are at most 16 MiB"),
        };
        Ok((key, keys.fingerprint(&key.document)))
    };
    batch.documents.iter().map(hash).collect()
}
