//! Finds documents by identity: segments say where each may lie, pages which of these places is
//! live, and only the blocks of those are read. Must never return a document that is not live.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};

use crate::error::Error;
use crate::fetch::{Piece, ReadCounter, fetch};
use crate::frame::ObjectSeal;
use crate::live::{ByBlock, Live, Pages};
use crate::locate::{BlockPlace, Candidate, locate};
use crate::manifest::CollectionManifest;
use crate::page::BlockReference;
use crate::reader::copy_documents;
use crate::repository::Inner;
use crate::segment::IdentityHash;

/// Packs that at most one in so many pages refer to are looked at first: those of a change that
/// was spread over the collection are on nearly every page.
const LOCAL_PAGES_ONE_IN: usize = 8;
/// Pages that count as few in any case.
const LOCAL_PAGES: usize = 4;

/// Documents of one read of the store, each with the position of its identity among those asked
/// for.
pub type FoundStream = BoxStream<'static, Result<Vec<(usize, Bytes)>, Error>>;

/// Returns the live document of each identity.
pub(crate) async fn find(
    repository: &Arc<Inner>,
    collection: &CollectionManifest,
    identities: &[Bytes],
) -> Result<Vec<Option<Bytes>>, Error> {
    let mut documents = vec![None; identities.len()];
    let mut found = find_each(repository, collection, identities).await?;
    while let Some(some) = found.try_next().await? {
        for (position, document) in some {
            documents[position] = Some(document);
        }
    }
    Ok(documents)
}

/// Streams the live documents of identities in about the order of the store.
pub(crate) async fn find_each(
    repository: &Arc<Inner>,
    collection: &CollectionManifest,
    identities: &[Bytes],
) -> Result<FoundStream, Error> {
    if !collection.can_be_edited() {
        return Err(cannot(collection));
    }
    if identities.iter().any(Bytes::is_empty) {
        return Err(Error::invalid("an identity is empty"));
    }
    let keys = &repository.hash_keys;
    let mut positions: HashMap<IdentityHash, Vec<usize>> = HashMap::new();
    for (position, identity) in identities.iter().enumerate() {
        positions
            .entry(keys.identity(identity))
            .or_default()
            .push(position);
    }
    let mut wanted: Vec<IdentityHash> = positions.keys().copied().collect();
    wanted.sort_unstable();
    let counter = ReadCounter::default();
    let segments = collection.segments.as_deref().unwrap_or_default();
    let candidates = locate(repository, &counter, segments, &wanted).await?;
    let pages = Pages::new(
        repository.clone(),
        counter.clone(),
        collection.pages.clone(),
    );
    let found = live(&pages, &candidates).await?;
    let read = read(repository, &counter, found);
    let placed = move |documents: Vec<Vec<(IdentityHash, Bytes)>>| {
        let each = documents
            .into_iter()
            .flatten()
            .flat_map(|(identity, document)| {
                let positions = positions[&identity].iter();
                positions.map(move |position| (*position, document.clone()))
            });
        each.collect()
    };
    Ok(read.map_ok(placed).boxed())
}

/// Says that a collection has no entries for its documents.
pub(crate) fn cannot(collection: &CollectionManifest) -> Error {
    Error::invalid(format!(
        "documents of {}.{} cannot be found by identity: it has no segments",
        collection.database, collection.name
    ))
}

/// A live document and the block it lies in.
type Found = HashMap<IdentityHash, (Live, BlockReference)>;

/// Returns a live place of each identity that has one.
async fn live(pages: &Pages, candidates: &[Candidate]) -> Result<Found, Error> {
    let few = LOCAL_PAGES.max(pages.references.len() / LOCAL_PAGES_ONE_IN);
    let packs: HashSet<_> = candidates
        .iter()
        .map(|candidate| candidate.block.0)
        .collect();
    let is_local = |pack| pages.referring(&HashSet::from([pack])).len() <= few;
    let local: HashSet<_> = packs.into_iter().filter(|pack| is_local(*pack)).collect();
    let mut found = Found::new();
    for first in [true, false] {
        let now = candidates.iter().filter(|candidate| {
            local.contains(&candidate.block.0) == first && !found.contains_key(&candidate.identity)
        });
        let now = ByBlock::new(&now.copied().collect::<Vec<_>>());
        let mut read = pages.read(&pages.referring(&now.packs()));
        while let Some((number, page)) = read.try_next().await? {
            for live in now.live_on(number, &page) {
                let block = page.blocks[live.index as usize].clone();
                found.insert(live.identity, (live, block));
            }
        }
    }
    Ok(found)
}

/// Reads the documents out of their blocks.
fn read(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    found: Found,
) -> impl Stream<Item = Result<Vec<Vec<(IdentityHash, Bytes)>>, Error>> + Send + use<> {
    let mut blocks: HashMap<BlockPlace, (BlockReference, Vec<Live>)> = HashMap::new();
    for (live, block) in found.into_values() {
        let wanted = blocks.entry(live.block);
        wanted.or_insert_with(|| (block, Vec::new())).1.push(live);
    }
    let pieces = blocks.into_iter().map(|(place, (block, mut wanted))| {
        wanted.sort_unstable_by_key(|live| live.document);
        Piece {
            pack: place.0,
            offset: block.offset,
            length: u64::from(block.length),
            what: (block, wanted),
        }
    });
    type Wanted = Piece<(BlockReference, Vec<Live>)>;
    let open = |repository: &Inner, seal: &ObjectSeal, piece: Wanted, sealed: Vec<u8>| {
        let (block, wanted) = piece.what;
        let ordinals = wanted.iter().map(|live| live.document);
        let documents = copy_documents(repository, seal, &block, sealed, ordinals)?;
        let identities = wanted.iter().map(|live| live.identity);
        Ok(identities.zip(documents).collect::<Vec<_>>())
    };
    fetch(repository, counter, pieces.collect(), open)
}
