//! Catalog entries on their way between a server and the store.
//!
//! The store keeps options and indexes as bytes it does not understand; here they become
//! BSON again, checked, since bytes from a file are not trusted to be well formed.

use bson::{RawDocument, RawDocumentBuf};
use mongo::{Catalog, Collection, CollectionKind};
use vault::{CollectionEntry, CollectionManifest, Manifest};

/// A manifest that does not hold what this program writes.
#[derive(Debug, thiserror::Error)]
#[error("the manifest's entry for {namespace} is not valid: {what}")]
pub(crate) struct InvalidEntry {
    namespace: String,
    what: String,
}

fn kind_word(kind: CollectionKind) -> &'static str {
    match kind {
        CollectionKind::Collection => "collection",
        CollectionKind::View => "view",
        CollectionKind::Timeseries => "timeseries",
    }
}

/// Returns what the store is told of a collection before its documents.
pub(crate) fn entry(collection: &Collection, exact: bool) -> CollectionEntry {
    CollectionEntry {
        database: collection.database.clone(),
        name: collection.name.clone(),
        kind: kind_word(collection.kind).to_owned(),
        uuid: collection.uuid,
        options: collection.options.as_bytes().to_vec(),
        id_index: collection
            .id_index
            .as_ref()
            .map(|index| index.as_bytes().to_vec()),
        indexes: collection
            .indexes
            .iter()
            .map(|index| index.as_bytes().to_vec())
            .collect(),
        exact,
    }
}

/// Returns whether a stored collection is a view, which has no documents.
pub(crate) fn is_view(collection: &CollectionManifest) -> bool {
    collection.kind == kind_word(CollectionKind::View)
}

/// Returns `database.collection`.
pub(crate) fn namespace(collection: &CollectionManifest) -> String {
    format!("{}.{}", collection.database, collection.name)
}

/// Returns the catalog entry of a stored collection.
pub(crate) fn collection(stored: &CollectionManifest) -> Result<Collection, InvalidEntry> {
    let invalid = |what: String| InvalidEntry {
        namespace: namespace(stored),
        what,
    };
    let document = |bytes: &[u8]| -> Result<RawDocumentBuf, InvalidEntry> {
        let raw = RawDocument::from_bytes(bytes).map_err(|error| invalid(error.to_string()))?;
        Ok(raw.to_owned())
    };
    let kind = [
        CollectionKind::Collection,
        CollectionKind::View,
        CollectionKind::Timeseries,
    ]
    .into_iter()
    .find(|kind| kind_word(*kind) == stored.kind)
    .ok_or_else(|| invalid(format!("`{}` is no kind of collection", stored.kind)))?;
    Ok(Collection {
        database: stored.database.clone(),
        name: stored.name.clone(),
        kind,
        uuid: stored.uuid,
        options: document(&stored.options)?,
        id_index: stored.id_index.as_deref().map(document).transpose()?,
        indexes: stored
            .indexes
            .iter()
            .map(|index| document(index))
            .collect::<Result<_, _>>()?,
    })
}

/// Returns the catalog of a stored snapshot, in the manifest's order.
pub(crate) fn catalog(manifest: &Manifest) -> Result<Catalog, InvalidEntry> {
    let collections = manifest
        .collections
        .iter()
        .map(collection)
        .collect::<Result<_, _>>()?;
    Ok(Catalog { collections })
}
