//! Databases, collections, options, indexes and UUIDs, verbatim and in a stable order.
use bson::RawDocumentBuf;

/// Every user collection of a deployment (`admin`, `config` and `local` are not among them), by
/// database and then by name, both in byte order.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The collections, views and time series.
    pub collections: Vec<Collection>,
}

/// A collection, view or time series as `listCollections` and `listIndexes` describe it.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Name of the database.
    pub database: String,
    /// Name of the collection, without the database; any characters, newlines and dots included.
    pub name: String,
    /// What it is.
    pub kind: CollectionKind,
    /// UUID of the collection that holds the documents: for a time series that of its
    /// `system.buckets` collection, for a view none.
    pub uuid: Option<[u8; 16]>,
    /// `options` of `listCollections`, verbatim.
    pub options: RawDocumentBuf,
    /// `idIndex` of `listCollections`, verbatim; none for views, time series and clustered ones.
    pub id_index: Option<RawDocumentBuf>,
    /// Documents of `listIndexes`, verbatim, the `_id` index among them; empty for views.
    pub indexes: Vec<RawDocumentBuf>,
}

/// What a catalog entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CollectionKind {
    /// Holds documents; capped and clustered collections are of this kind.
    Collection,
    /// Holds none: a pipeline over another namespace.
    View,
    /// A time series; what is read and written are the raw documents of its buckets.
    Timeseries,
}
