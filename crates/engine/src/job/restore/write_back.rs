//! Puts the snapshot's documents back in the place of those that were written since.
//!
//! Everything is found in the store before anything of any collection is deleted. The store is
//! read in its own order, so that no block is read twice for one collection, and what was found
//! is kept up to a limit; the rest is found once more while it is written.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use mongo::{Collection, Loader};
use vault::Fingerprint;

use super::Error;
use super::items::Item;
use super::put::Put;
use crate::pump::{self, PumpError};

/// How many ids are looked up at a time: of each the store's index holds about 200 bytes.
const IDS_MAX: usize = 100_000;
/// How many bytes of large documents, about, go into one look-up.
const LOOKUP_BYTES: u64 = 8 << 20;
/// How many bytes of found documents are kept between finding and writing.
const KEPT_BYTES: usize = 48 << 20;
/// In how many collections documents are looked for at a time: each look-up reads four blocks at
/// a time already.
const LOOKUPS_AT_A_TIME: usize = 2;
/// How many ids or documents go into one command.
const WRITES_MAX: usize = 1_000;
/// How many commands of one collection are under way at a time.
const WRITES_AT_A_TIME: usize = 2;

/// A collection to be rewound.
pub(super) struct Written<'a> {
    pub(super) item: &'a Item,
    /// The very same collection as the target has it.
    pub(super) found: Collection,
    /// The documents that may have been written since the snapshot.
    pub(super) ids: Vec<Bytes>,
}

/// A collection of which the store was found to hold what takes its place.
pub(super) struct Prepared<'a> {
    pub(super) item: &'a Item,
    pub(super) found: Collection,
    pub(super) ids: Vec<Bytes>,
    /// Of the snapshot's documents that have one of the ids.
    pub(super) expected: Fingerprint,
    /// The ids that the snapshot does not have.
    absent: Vec<Bytes>,
    /// What was found, unless it was too much to keep.
    pub(super) kept: Option<Vec<Bytes>>,
}

/// Finds everything once, before anything is deleted.
pub(super) async fn prepare<'a>(
    put: &Put<'_>,
    written: Vec<Written<'a>>,
) -> Result<Vec<Prepared<'a>>, Error> {
    let room = Mutex::new(KEPT_BYTES);
    let work = written
        .into_iter()
        .map(|one| prepare_one(put, one, &room).boxed());
    pump::side_by_side(work.collect(), LOOKUPS_AT_A_TIME).await
}

async fn prepare_one<'a>(
    put: &Put<'_>,
    one: Written<'a>,
    room: &Mutex<usize>,
) -> Result<Prepared<'a>, Error> {
    let mut kept = Some(Vec::new());
    let mut expected = put.engine.parts.repository.fingerprinter();
    let mut is_there = vec![false; one.ids.len()];
    let mut found = find(put, one.item, &one.ids);
    while let Some(some) = found.try_next().await? {
        for (position, document) in some {
            is_there[position] = true;
            expected.add(&document);
            match &mut kept {
                Some(all) if take(room, document.len()) => all.push(document),
                _ => kept = None,
            }
        }
    }
    drop(found);
    let absent = one
        .ids
        .iter()
        .zip(&is_there)
        .filter(|(_, is_there)| !**is_there);
    Ok(Prepared {
        absent: absent.map(|(id, _)| id.clone()).collect(),
        expected: expected.finish(),
        item: one.item,
        found: one.found,
        ids: one.ids,
        kept,
    })
}

/// Takes so many bytes of what may be kept in all.
fn take(room: &Mutex<usize>, bytes: usize) -> bool {
    let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
    match room.checked_sub(bytes) {
        Some(rest) => {
            *room = rest;
            true
        }
        None => false,
    }
}

/// Streams the snapshot's documents that have one of `ids`, with the id's position.
fn find<'a>(
    put: &'a Put<'_>,
    item: &'a Item,
    ids: &'a [Bytes],
) -> BoxStream<'a, Result<Vec<(usize, Bytes)>, Error>> {
    let at_a_time = ids_at_a_time(put, item);
    let parts = ids.chunks(at_a_time).enumerate();
    let find = move |(part, ids): (usize, &'a [Bytes])| async move {
        let repository = &put.engine.parts.repository;
        let found = repository.find_each(put.stored(item), ids).await?;
        let moved = move |some: Vec<(usize, Bytes)>| {
            let from_start = |(position, document)| (part * at_a_time + position, document);
            some.into_iter().map(from_start).collect::<Vec<_>>()
        };
        Ok::<_, Error>(found.map_ok(moved).map_err(Error::from))
    };
    stream::iter(parts).then(find).try_flatten().boxed()
}

fn ids_at_a_time(put: &Put<'_>, item: &Item) -> usize {
    let stored = put.stored(item);
    if !pump::is_large(stored.bytes, stored.documents) {
        return IDS_MAX;
    }
    let mean = stored.bytes / stored.documents;
    usize::try_from(LOOKUP_BYTES / mean)
        .unwrap_or(1)
        .clamp(1, IDS_MAX)
}

/// Returns the fingerprint of the snapshot's documents that have one of `ids`.
pub(super) async fn fingerprint(
    put: &Put<'_>,
    item: &Item,
    ids: &[Bytes],
) -> Result<Fingerprint, Error> {
    let mut all = put.engine.parts.repository.fingerprinter();
    let mut found = find(put, item, ids);
    while let Some(some) = found.try_next().await? {
        some.iter().for_each(|(_, document)| all.add(document));
    }
    Ok(all.finish())
}

/// Makes the documents with these ids what the snapshot has of them.
pub(super) async fn write_back(put: &Put<'_>, one: &Prepared<'_>) -> Result<(), Error> {
    if one.found.takes_replacements() {
        delete(put, one, &one.absent).await?;
        match write(put, one, How::Replace).await {
            Err(Error::Pump(PumpError::Mongo(error @ mongo::Error::WriteRefused { .. }))) => {
                tracing::warn!(%error, "documents are deleted and inserted instead");
            }
            written => return written,
        }
    }
    // All deletions come first: a unique index may have room for a document only once others are
    // gone.
    delete(put, one, &one.ids).await?;
    write(put, one, How::Insert).await
}

async fn delete(put: &Put<'_>, one: &Prepared<'_>, ids: &[Bytes]) -> Result<(), Error> {
    let work = ids.chunks(WRITES_MAX).map(|part| {
        let deleted = put.target.delete_ids(&one.found, part);
        deleted.boxed()
    });
    pump::side_by_side(work.collect(), WRITES_AT_A_TIME).await?;
    Ok(())
}

async fn some(loader: Loader, how: How, documents: Vec<Bytes>) -> Result<(), Error> {
    match how {
        How::Replace => loader.replace(&documents).await?,
        How::Insert => loader.insert(&documents).await?,
    }
    Ok(())
}

/// What becomes of what a collection has under the same id.
#[derive(Clone, Copy)]
enum How {
    /// It is replaced.
    Replace,
    /// It was deleted.
    Insert,
}

/// Writes what was found in the store, some at a time.
async fn write(put: &Put<'_>, one: &Prepared<'_>, how: How) -> Result<(), Error> {
    let parts: BoxStream<'_, Result<Vec<Bytes>, Error>> = match &one.kept {
        Some(kept) => stream::iter(kept.chunks(WRITES_MAX).map(|part| Ok(part.to_vec()))).boxed(),
        None => {
            let document = |(_, document)| document;
            let found = find(put, one.item, &one.ids);
            found
                .map_ok(move |some| some.into_iter().map(document).collect())
                .boxed()
        }
    };
    let loader = put.target.loader(&one.found);
    parts
        .map_ok(|part| some(loader.clone(), how, part))
        .try_buffer_unordered(WRITES_AT_A_TIME)
        .try_collect()
        .await
}
