//! Putting back only the documents that match a query.
//!
//! Where the collection is there, they take the place of those with the same `_id` and all others
//! stay; where it is not, it is made of them, beside, and then takes its name. Everything is found
//! in the store once before the target is touched, and read back from the target in the end.

use bson::RawDocument;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::{CollectionAction, CollectionReport, Proof, RestoreReport, Selection};
use mongo::{Catalog, Collection, CollectionKind, Filter, Loader};
use vault::ReadOptions;

use super::Error;
use super::items::Item;
use super::put::Put;
use crate::pump;
use crate::worker::in_words;

/// Reads the query of a selection; says what is wrong with it.
pub(super) fn filter(selection: &Selection) -> Result<Option<Filter>, model::Error> {
    let parsed = selection.query.as_deref().map(Filter::parse_json);
    let invalid = |error| model::Error::InvalidSelection(format!("query: {error}"));
    parsed.transpose().map_err(invalid)
}

/// Fails where the documents of a collection cannot be matched, or not be put among others.
pub(super) fn check_matchable(collection: &Collection) -> Result<(), model::Error> {
    let why = match collection.kind {
        CollectionKind::View => "is a view",
        CollectionKind::Timeseries => "is a time series",
        CollectionKind::Collection if collection.is_capped() => "is capped, so order matters",
        CollectionKind::Collection
            if collection.options.get("collation").ok().flatten().is_some() =>
        {
            "compares text by a collation"
        }
        CollectionKind::Collection => return Ok(()),
    };
    Err(model::Error::InvalidSelection(format!(
        "query: `{}` {why}; hint: exclude it, or put it back whole",
        collection.namespace()
    )))
}

/// Puts what matches onto the target.
pub(super) async fn put(put: &Put<'_>, filter: &Filter) -> Result<RestoreReport, Error> {
    let target = &put.target;
    put.require_room_for_a_part().await?;
    let present = target.catalog().await?;
    for item in put.items.holding() {
        let wanted = &item.wanted;
        if let Some(found) = present.find(&wanted.database, &wanted.name) {
            check_matchable(found)?;
        }
        let mut matching = matching(put, item, filter);
        while matching.try_next().await?.is_some() {}
    }
    target.begin().await?;
    match merge(put, filter, &present).await {
        Ok(report) => Ok(report),
        Err(error) => {
            let words = in_words(&error);
            match target.give_up().await {
                Ok(()) => Err(Error::Partly(words)),
                Err(_) => Err(Error::Incomplete(words)),
            }
        }
    }
}

async fn merge(put: &Put<'_>, filter: &Filter, present: &Catalog) -> Result<RestoreReport, Error> {
    let is_there = |item: &&Item| {
        present
            .find(&item.wanted.database, &item.wanted.name)
            .is_some()
    };
    let (there, absent): (Vec<&Item>, Vec<&Item>) = put.items.holding().partition(is_there);
    let mut rows = make(put, filter, &absent).await?;
    for item in there {
        let loader = put.target.loader(&item.wanted);
        rows.push(fill(put, item, filter, &loader, true).await?);
    }
    put.target.held().await?;
    put.target.release().await?;
    rows.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    Ok(RestoreReport { collections: rows })
}

/// Makes the collections that the target does not have.
async fn make(
    put: &Put<'_>,
    filter: &Filter,
    absent: &[&Item],
) -> Result<Vec<CollectionReport>, Error> {
    let target = &put.target;
    let staged = put.stage(absent).await?;
    let mut rows = Vec::new();
    for one in &staged.all {
        let under = &one.under;
        target.create(under).await?;
        let mut row = fill(put, one.item, filter, &target.loader(under), false).await?;
        row.action = one.action;
        target.build_indexes(under).await?;
        target.finish_collection(under).await?;
        rows.push(row);
    }
    put.take_free_names(staged.moves).await?;
    Ok(rows)
}

/// Writes what matches, waits until it is durable, and reads it back.
async fn fill(
    put: &Put<'_>,
    item: &Item,
    filter: &Filter,
    loader: &Loader,
    among_others: bool,
) -> Result<CollectionReport, Error> {
    let (mut documents, mut size_bytes) = (0, 0);
    let mut found = matching(put, item, filter);
    while let Some(part) = found.try_next().await? {
        if among_others {
            loader.replace(&part).await?;
        } else {
            loader.insert(&part).await?;
        }
        documents += part.len() as u64;
        size_bytes += part
            .iter()
            .map(|document| document.len() as u64)
            .sum::<u64>();
    }
    put.target.barrier().await?;
    let mut found = matching(put, item, filter);
    while let Some(part) = found.try_next().await? {
        if !loader.holds(&part).await? {
            return Err(Error::Mismatch {
                namespace: item.wanted.namespace(),
                what: "a document that matches is not there as it should be".to_owned(),
            });
        }
    }
    put.count(documents, size_bytes);
    Ok(CollectionReport {
        namespace: item.wanted.namespace(),
        action: CollectionAction::Merged,
        documents,
        size_bytes,
        changed: documents,
        verified: true,
        proof: Proof::ReadBack,
    })
}

/// Returns the documents of the snapshot that match, some at a time: by their ids where the query
/// names them, else by reading the whole collection.
fn matching<'a>(
    put: &'a Put<'_>,
    item: &'a Item,
    filter: &'a Filter,
) -> BoxStream<'a, Result<Vec<Vec<u8>>, Error>> {
    let repository = &put.engine.parts.repository;
    let stored = put.stored(item);
    if let Some(ids) = filter.ids().filter(|_| stored.can_be_edited()) {
        let found = async move {
            let found = repository.find(stored, &ids).await?;
            chosen(item, filter, found.iter().flatten().map(AsRef::as_ref))
        };
        return futures::stream::once(found).boxed();
    }
    let options = ReadOptions {
        read_ahead_bytes: pump::READ_AHEAD_BYTES,
    };
    let blocks = repository.blocks(stored, options);
    let matches = move |block: vault::Block| chosen(item, filter, block.documents());
    blocks
        .map(move |block| block.map_err(Error::from).and_then(&matches))
        .boxed()
}

fn chosen<'a>(
    item: &Item,
    filter: &Filter,
    documents: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<Vec<u8>>, Error> {
    let mut chosen = Vec::new();
    for document in documents {
        let raw = RawDocument::from_bytes(document).map_err(|_| Error::Mismatch {
            namespace: item.wanted.namespace(),
            what: "a document is not valid BSON".to_owned(),
        })?;
        if filter.matches(raw)? {
            chosen.push(document.to_vec());
        }
    }
    Ok(chosen)
}
