//! What one snapshot is made of. Writing the manifest is the commit point. The store keeps options and
//! indexes as bytes it never looks into.

use minicbor::{Decode, Encode};

use crate::fingerprint::{Fingerprint, Sum};
use crate::id::{PackId, PageId, SnapshotId};

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
    /// The cluster time at which every exact collection stands; `None` where no consistency is claimed.
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
    #[cbor(n(3), with = "crate::cbor::optional_array")]
    pub uuid: Option<[u8; 16]>,
    /// Its options, verbatim as the source gave them.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub options: Vec<u8>,
    /// The definition of its identity index, verbatim.
    #[cbor(n(5), with = "minicbor::bytes")]
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
}

impl CollectionManifest {
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
}
