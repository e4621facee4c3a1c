//! Writes one collection upon what is there of it, in the previous snapshot or from an earlier
//! attempt at this one: documents that are there already become runs over their blocks, the others
//! go to new blocks. A base that cannot be read costs bytes, never the snapshot. Must never refer
//! to a document that was not compared.

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
use crate::manifest::{CollectionManifest, PageReference};
use crate::segment::IdentityHash;
use crate::sidecar::Key;

/// Documents with their hashes: what is compared and what is added up.
pub(super) type Hashed = Vec<(Key, Sum)>;

/// A collection on what is there of it.
pub(super) struct Upon {
    strands: Vec<Strand>,
    pub(super) runs: RunList,
    pub(super) total: Fingerprint,
    pub(super) bytes: u64,
    pub(super) documents_shared: u64,
    pub(super) bytes_shared: u64,
    pub(super) index: BaseIndex,
    /// Pages that may come up again.
    pub(super) pages: Vec<PageReference>,
    /// Shared documents that no segment of the base names.
    unnamed: Vec<NewEntry>,
    nobody: IdentityHash,
    namespace: String,
}

/// Documents that are there, in the order in which they came: those of the base, or those that
/// earlier attempts at the snapshot have stored anew. No block is in two strands.
struct Strand {
    window: Window,
    base: BaseReader,
    /// For each block of the reader, its number among all blocks that are shared.
    numbers: Vec<u32>,
    /// Whether segments of the base name its documents.
    is_named: bool,
}

impl Upon {
    /// Compares with the base's collection and with what was stored of an unfinished one.
    pub(super) fn new(
        shared: &Shared,
        base: Option<&CollectionManifest>,
        partial: Option<&CollectionManifest>,
    ) -> Upon {
        let repository = &shared.repository;
        let nobody = repository.hash_keys.identity(b"");
        let mut index = BaseIndex::new(base);
        // Of a damaged segment nothing is taken over: all shared documents get entries again.
        let is_named = index.is_whole(shared);
        if !is_named {
            index.segments = Some(Vec::new());
        }
        let strand = |collection: &CollectionManifest, is_named| Strand {
            window: Window::new(nobody),
            base: BaseReader::new(repository.clone(), &collection.pages),
            numbers: Vec::new(),
            is_named,
        };
        let of_base = base.map(|base| strand(base, is_named));
        index.stored_before = partial.iter().flat_map(|partial| partial.packs()).collect();
        let of_partial = partial.map(|partial| strand(partial, false));
        let known: Vec<&CollectionManifest> = base.into_iter().chain(partial).collect();
        let pages = known.iter().flat_map(|known| &known.pages);
        let namespace = known
            .first()
            .map(|of| format!("{}.{}", of.database, of.name));
        Upon {
            pages: pages.cloned().collect(),
            strands: of_base.into_iter().chain(of_partial).collect(),
            index,
            unnamed: Vec::new(),
            nobody,
            runs: RunList::default(),
            total: Fingerprint::default(),
            bytes: 0,
            documents_shared: 0,
            bytes_shared: 0,
            namespace: namespace.unwrap_or_default(),
        }
    }

    /// Reads on in what is there where the next comparison needs it.
    pub(super) async fn prepare(&mut self) {
        for strand in &mut self.strands {
            while strand.window.wants_more() && !strand.base.is_at_end() {
                match strand.base.next().await {
                    Ok(Some(step)) => {
                        let numbers = self.runs.extend_base(step.blocks);
                        strand.numbers.extend(numbers);
                        strand.window.extend(step.documents);
                    }
                    Ok(None) => break,
                    Err(error) => tracing::warn!(
                        collection.name = self.namespace,
                        error = &error as &dyn std::error::Error,
                        "what is stored cannot be read on: documents are stored anew"
                    ),
                }
            }
        }
    }

    /// Adds a document to the runs if it is there.
    pub(super) fn share(&mut self, key: &Key, sum: Sum) -> bool {
        self.total.merge(Fingerprint { documents: 1, sum });
        self.bytes += u64::from(key.length);
        let found = self.strands.iter_mut().find_map(|strand| {
            let place = strand.window.take(key)?;
            let block = strand.numbers[place.block as usize];
            Some((Place { block, ..place }, strand.is_named))
        });
        let Some((place, is_named)) = found else {
            return false;
        };
        self.runs.add_shared(place, key.length, sum);
        self.documents_shared += 1;
        self.bytes_shared += u64::from(key.length);
        if !is_named && key.identity != self.nobody {
            let (pack, block) = &self.runs.base_blocks[place.block as usize];
            let document = u16::try_from(place.ordinal).expect("a block has at most 65,536");
            self.unnamed
                .push((key.identity, (*pack, block.ordinal), document));
        }
        true
    }

    /// Takes the shared documents that no segment of the base names.
    pub(super) fn take_unnamed(&mut self) -> Vec<NewEntry> {
        std::mem::take(&mut self.unnamed)
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
