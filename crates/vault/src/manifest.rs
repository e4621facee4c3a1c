//! What one snapshot is made of. Writing the manifest is the commit point. The store keeps options
//! and indexes as bytes it never looks into.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::envelope::{self, Form};
use crate::error::Error;
use crate::fingerprint::{Fingerprint, Sum};
use crate::frame::FrameKind;
use crate::id::{PackId, PageId, SnapshotId};
use crate::keys::SealingRoot;
use crate::segment::Segment;

/// One snapshot: where it came from, what it holds, and where that lies.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Manifest {
    /// Name of the snapshot.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// How often the manifest was rewritten; 0 as first committed.
    #[n(1)]
    pub generation: u32,
    /// When the snapshot was committed, milliseconds since 1970.
    #[n(2)]
    pub created_at_ms: u64,
    /// Where the documents came from.
    #[n(3)]
    pub source: Source,
    /// The cluster time at which every exact collection stands; `None` where no consistency is
    /// claimed.
    #[n(4)]
    pub consistency: Option<ClusterTime>,
    /// The collections, in the order in which they were begun.
    #[n(5)]
    pub collections: Vec<CollectionManifest>,
    /// Every pack the snapshot needs, sorted.
    #[n(6)]
    pub packs: Vec<PackId>,
    /// Sums over the collections.
    #[n(7)]
    pub totals: Totals,
    /// The snapshot that this one was written upon.
    #[n(8)]
    pub parent: Option<SnapshotId>,
    /// Where following the source can go on from, in the caller's own form.
    #[cbor(n(9), with = "crate::cbor::optional_bytes", has_nil)]
    pub resume_point: Option<Vec<u8>>,
}

/// Where the documents of a snapshot came from; free texts for people and for choosing a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Source {
    /// Id of the cluster in the service's own records.
    #[n(0)]
    pub cluster_id: Option<String>,
    /// Name of the cluster.
    #[n(1)]
    pub cluster_name: Option<String>,
    /// Version of the server.
    #[n(2)]
    pub server_version: Option<String>,
    /// Name of the replica set.
    #[n(3)]
    pub replica_set: Option<String>,
    /// Feature compatibility version of the server.
    #[n(4)]
    pub feature_compatibility_version: Option<String>,
}

/// A point in the logical time of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ClusterTime {
    /// Seconds since 1970.
    #[n(0)]
    pub seconds: u32,
    /// Order within the second.
    #[n(1)]
    pub increment: u32,
}

/// Sums over a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Totals {
    /// Live documents.
    #[n(0)]
    pub documents: u64,
    /// Their bytes.
    #[n(1)]
    pub bytes: u64,
    /// Blocks written for this snapshot.
    #[n(2)]
    pub blocks: u64,
    /// Bytes of the packs written for this snapshot.
    #[n(3)]
    pub stored_bytes: u64,
    /// Live documents that an earlier snapshot had stored; `None` where that was not counted.
    #[n(4)]
    pub documents_shared: Option<u64>,
    /// Live documents stored for this snapshot; `None` where that was not counted.
    #[n(5)]
    pub documents_new: Option<u64>,
    /// Bytes of the live documents that an earlier snapshot had stored; `None` where that was not
    /// counted.
    #[n(6)]
    pub bytes_shared: Option<u64>,
}

/// One collection of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CollectionManifest {
    /// Name of its database.
    #[n(0)]
    pub database: String,
    /// Its name within the database.
    #[n(1)]
    pub name: String,
    /// What it is, in the source's words (`collection`, `view`, …).
    #[n(2)]
    pub kind: String,
    /// Its UUID at the source, where it has one.
    #[cbor(n(3), with = "crate::cbor::optional_array", has_nil)]
    pub uuid: Option<[u8; 16]>,
    /// Its options, verbatim as the source gave them.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub options: Vec<u8>,
    /// The definition of its identity index, verbatim.
    #[cbor(n(5), with = "crate::cbor::optional_bytes", has_nil)]
    pub id_index: Option<Vec<u8>>,
    /// The definitions of its indexes, verbatim and in the source's order.
    #[cbor(n(6), with = "crate::cbor::byte_strings")]
    pub indexes: Vec<Vec<u8>>,
    /// Whether it stands exactly at the snapshot's cluster time.
    #[n(7)]
    pub exact: bool,
    /// Live documents.
    #[n(9)]
    pub documents: u64,
    /// Their bytes.
    #[n(10)]
    pub bytes: u64,
    /// Sum of the fingerprint of its documents.
    #[n(11)]
    pub(crate) sum: Sum,
    /// Its pages, in order.
    #[n(12)]
    pub(crate) pages: Vec<PageReference>,
    /// Where each identity lies, newest first; `None` where the writer kept no such entries. Every
    /// live document that has an identity is in one of them.
    #[n(13)]
    pub(crate) segments: Option<Vec<Segment>>,
}

impl CollectionManifest {
    /// Answers whether the pages hold as many documents and bytes as the collection claims.
    pub(crate) fn adds_up(&self) -> bool {
        let documents: u64 = self.pages.iter().map(|page| page.documents).sum();
        let bytes: u64 = self.pages.iter().map(|page| page.bytes).sum();
        (documents, bytes) == (self.documents, self.bytes)
    }

    /// Answers whether its documents can be found by identity and replaced: its segments hold
    /// every document that has an identity, or there is no document.
    pub fn can_be_edited(&self) -> bool {
        self.documents == 0 || self.segments.is_some()
    }

    /// Returns the packs that it is known to need, some of them more than once: those of pages and
    /// segments, and those of blocks where the pages' references say so.
    pub(crate) fn packs(&self) -> impl Iterator<Item = PackId> {
        let of_page = |page: &'_ PageReference| page.packs.clone().unwrap_or_default();
        let pages = self.pages.iter();
        let pages = pages.flat_map(move |page| of_page(page).into_iter().chain([page.pack]));
        let segments = self.segments.iter().flatten();
        let parts = segments.flat_map(|segment| &segment.parts);
        pages.chain(parts.map(|part| part.pack))
    }

    /// Returns the fingerprint of the collection's documents.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            documents: self.documents,
            sum: self.sum,
        }
    }
}

/// Where a page lies and what it adds up to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PageReference {
    #[n(0)]
    pub(crate) id: PageId,
    #[n(1)]
    pub(crate) pack: PackId,
    #[n(2)]
    pub(crate) ordinal: u32,
    #[n(3)]
    pub(crate) offset: u64,
    #[n(4)]
    pub(crate) length: u32,
    #[n(5)]
    pub(crate) raw_length: u32,
    #[n(6)]
    pub(crate) documents: u64,
    #[n(7)]
    pub(crate) bytes: u64,
    /// The packs that its blocks lie in; `None` where the writer did not say.
    #[n(8)]
    pub(crate) packs: Option<Vec<PackId>>,
}

const FORM: Form = Form {
    magic: b"RGRWSNAP",
    kind: FrameKind::Manifest,
};

/// Returns the name of the object that holds a manifest.
pub(crate) fn object_name(snapshot: SnapshotId, generation: u32) -> String {
    format!("snapshots/{snapshot}.{generation}")
}

/// Returns the snapshot and the generation whose object has this name.
pub(crate) fn parse_object_name(name: &str) -> Option<(SnapshotId, u32)> {
    let (snapshot, generation) = name.strip_prefix("snapshots/")?.split_once('.')?;
    let parsed = (snapshot.parse().ok()?, generation.parse().ok()?);
    (object_name(parsed.0, parsed.1) == name).then_some(parsed)
}

impl Manifest {
    /// Returns the sealed object.
    pub(crate) fn seal(&self, root: &SealingRoot, level: i32) -> Result<Bytes, Error> {
        let name = object_name(self.snapshot, self.generation);
        let content = minicbor::to_vec(self).expect("a vector takes any CBOR");
        envelope::seal(root, FORM, &name, &content, level)
    }

    /// Opens the object of this name and verifies that it is the manifest it is named after.
    pub(crate) fn open(
        root: &SealingRoot,
        snapshot: SnapshotId,
        generation: u32,
        object: &[u8],
    ) -> Result<Manifest, Error> {
        let name = object_name(snapshot, generation);
        let content = envelope::open(root, FORM, &name, object)?;
        let corrupt = |reason: String| Error::corrupt(&name, reason);
        let manifest: Manifest = minicbor::decode(&content)
            .map_err(|error| corrupt(format!("it does not parse: {error}")))?;
        if (manifest.snapshot, manifest.generation) != (snapshot, generation) {
            return Err(corrupt("it is of another snapshot".to_owned()));
        }
        for collection in &manifest.collections {
            if !collection.adds_up() {
                let namespace = format!("{}.{}", collection.database, collection.name);
                return Err(corrupt(format!(
                    "{namespace} is not what its pages add up to"
                )));
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::Footer;
    use crate::page::Page;
    use crate::sidecar::Sidecar;

    fn manifest() -> Manifest {
        let page = PageReference {
            id: PageId([1; 32]),
            pack: PackId([2; 16]),
            ordinal: 3,
            offset: 400,
            length: 50,
            raw_length: 60,
            documents: 7,
            bytes: 80,
            packs: None,
        };
        let collection = CollectionManifest {
            database: "shop".to_owned(),
            name: "orders".to_owned(),
            kind: "collection".to_owned(),
            uuid: None,
            options: Vec::new(),
            id_index: None,
            indexes: vec![vec![5; 5]],
            exact: true,
            documents: 7,
            bytes: 80,
            sum: Sum::default(),
            pages: vec![page],
            segments: None,
        };
        Manifest {
            snapshot: SnapshotId([9; 12]),
            generation: 0,
            created_at_ms: 1,
            source: Source::default(),
            consistency: None,
            collections: vec![collection],
            packs: vec![PackId([2; 16])],
            totals: Totals {
                documents: 7,
                bytes: 80,
                blocks: 1,
                stored_bytes: 500,
                documents_shared: None,
                documents_new: None,
                bytes_shared: None,
            },
            parent: None,
            resume_point: None,
        }
    }

    #[test]
    fn absent_members_stay_absent_and_unknown_ones_are_passed_over() {
        let manifest = manifest();
        let bytes = minicbor::to_vec(&manifest).unwrap();
        assert_eq!(minicbor::decode::<Manifest>(&bytes).unwrap(), manifest);
        // The outermost map has 7 members (no consistency); one more is added at its end.
        assert_eq!(bytes[0], 0xa0 + 7);
        let mut later = bytes;
        later[0] += 1;
        later.extend_from_slice(&[0x18, 99, 0x82, 1, 2]);
        assert_eq!(minicbor::decode::<Manifest>(&later).unwrap(), manifest);
    }

    #[test]
    fn names_are_those_of_the_format() {
        let name = object_name(SnapshotId([0xab; 12]), 10);
        assert_eq!(name, "snapshots/abababababababababababab.10");
        assert_eq!(parse_object_name(&name), Some((SnapshotId([0xab; 12]), 10)));
        for other in [
            "snapshots/ab.0",
            "snapshots/abababababababababababab.01",
            "packs/x",
        ] {
            assert_eq!(parse_object_name(other), None, "{other}");
        }
    }

    proptest! {
        /// What is authentic was written by this program, so this is a second wall: no parser may
        /// panic or take memory for what its input only claims.
        #[test]
        fn parsers_take_any_bytes(
            mut bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                Just(minicbor::to_vec(manifest()).unwrap()),
            ],
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            drop(minicbor::decode::<Manifest>(&bytes));
            drop(minicbor::decode::<Footer>(&bytes));
            drop(Page::decode(&bytes));
            drop(crate::block::parse(&bytes, bytes.len()));
            drop(Sidecar::with_capacity(0).extend(&bytes, bytes.len() / 32));
        }
    }
}
