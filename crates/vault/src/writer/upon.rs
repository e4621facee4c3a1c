//! Writes one collection upon what the previous snapshot holds of it: documents that are there
//! already become runs over its blocks, the others go to new blocks. A base that cannot be read
//! costs bytes, never the snapshot. Must never refer to a document that was not compared.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::base::{BaseReader, read_block};
use super::runs::{BlockNumber, RunList};
use super::window::{Key, Place, Window};
use crate::batch::Batch;
use crate::block;
use crate::error::Error;
use crate::fingerprint::{Fingerprint, Sum};
use crate::keys::HashKeys;
use crate::manifest::{CollectionManifest, PageReference};

/// Documents with their hashes: what is compared and what is added up.
pub(super) type Hashed = Vec<(Key, Sum)>;

/// A collection on its base.
pub(super) struct Upon {
    window: Window,
    base: BaseReader,
    pub(super) pages: Vec<PageReference>,
    pub(super) runs: RunList,
    pub(super) total: Fingerprint,
    pub(super) bytes: u64,
    pub(super) documents_shared: u64,
    namespace: String,
}

impl Upon {
    pub(super) fn new(shared: &Shared, collection: &CollectionManifest) -> Upon {
        let repository = &shared.repository;
        Upon {
            window: Window::new(repository.hash_keys.identity(b"")),
            base: BaseReader::new(repository.clone(), &collection.pages),
            pages: collection.pages.clone(),
            runs: RunList::default(),
            total: Fingerprint::default(),
            bytes: 0,
            documents_shared: 0,
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
        true
    }

    /// Reads the live documents of a thin block; `None` where it cannot be read, so that the runs
    /// over it stay.
    pub(super) async fn read_thin(
        &self,
        shared: &Shared,
        block: u32,
        ordinals: &[u32],
    ) -> Option<Vec<(u32, Key, Vec<u8>)>> {
        let reference = &self.runs.base_blocks[block as usize];
        let read = read_block(&shared.repository, reference).await;
        let read = read.and_then(|(plain, sidecar)| {
            let ranges = block::parse(&plain).map_err(Error::invalid)?;
            let pick = |&ordinal: &u32| {
                let range = ranges.get(ordinal as usize)?;
                let (identity, document, length) = sidecar.entry(ordinal as usize);
                let bytes = plain[range.start as usize..range.end as usize].to_vec();
                let key = Key {
                    identity,
                    document,
                    length,
                };
                (bytes.len() == length as usize).then_some((ordinal, key, bytes))
            };
            let picked: Option<Vec<_>> = ordinals.iter().map(pick).collect();
            picked.ok_or_else(|| Error::invalid("a block and its sidecar disagree"))
        });
        read.inspect_err(|error| {
            tracing::warn!(
                collection.name = self.namespace,
                error = error as &dyn std::error::Error,
                "a thin block cannot be read: it is referred to as it is"
            );
        })
        .ok()
    }

    /// Lets the runs refer to rewritten documents.
    pub(super) fn replace(&mut self, moved: &HashMap<Place, (BlockNumber, u32)>) {
        self.documents_shared -= moved.len() as u64;
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
