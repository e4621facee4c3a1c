//! Writing back only what was written to the source since the snapshot.
//!
//! What changed is read from the source's own history and is an over-approximation; everything is
//! compared in the end all the same, and what is found to differ is loaded whole. Nothing is
//! deleted before the store was found to hold what takes its place.

use bytes::Bytes;
use futures::FutureExt;
use model::{CollectionAction, CollectionReport, RestoreReport};
use mongo::{Change, ChangeLimits, Collection, CollectionKind, Deployment, ResumePoint};

use super::Error;
use super::items::Item;
use super::put::Put;
use crate::pump;
use crate::worker::in_words;

/// What is remembered of what changed; more makes a collection one that is loaded whole.
const LIMITS: ChangeLimits = ChangeLimits {
    ids_per_collection: 2_000_000,
    bytes: 96 << 20,
};
/// How many ids are looked up, deleted or written at a time.
const IDS_MAX: u64 = 4_096;
/// How many bytes of documents, about, go into one look-up.
const LOOKUP_BYTES: u64 = 8 << 20;
/// How many bytes of found documents are kept between finding and writing.
const KEPT_BYTES: usize = 48 << 20;
/// How much dearer it is to put one document back than to load it among its neighbours.
const DEARER: u64 = 4;

/// What has to be done to one collection.
enum Way {
    /// Documents with these ids, perhaps none, are put back.
    Documents(Vec<Bytes>),
    /// It is loaded anew.
    Whole,
}

/// What a rewind comes to.
pub(super) struct Cost {
    /// Documents of the collections that are rewound.
    pub(super) changed: u64,
    /// Collections that are loaded whole.
    pub(super) whole: u64,
    /// Whether it is a good deal cheaper than loading everything.
    pub(super) is_small: bool,
}

/// A reason why the target cannot be rewound.
type NotPossible = String;

/// An item, and the collection of the target that is the very one the snapshot has.
type Here<'a> = (&'a Item, Option<Collection>);

/// Finds out what a rewind would have to do; changes nothing.
pub(super) async fn cost(
    put: &Put<'_>,
    deployment: &Deployment,
) -> Result<Result<Cost, NotPossible>, Error> {
    let ways = match ways(put, deployment, here(put).await?).await? {
        Ok(ways) => ways,
        Err(reason) => return Ok(Err(reason)),
    };
    let mut cost = Cost {
        changed: 0,
        whole: 0,
        is_small: false,
    };
    let mut bytes = 0;
    for (item, way) in &ways {
        let stored = put.stored(item);
        match way {
            Way::Documents(ids) => {
                let mean = stored.bytes / stored.documents.max(1);
                cost.changed += ids.len() as u64;
                bytes += ids.len() as u64 * mean * DEARER;
            }
            Way::Whole => {
                cost.whole += 1;
                bytes += stored.bytes;
            }
        }
    }
    cost.is_small = bytes <= put.totals().1 / 2;
    Ok(Ok(cost))
}

/// Looks for the snapshot's collections: same name, UUID, options and indexes.
async fn here<'a>(put: &'a Put<'_>) -> Result<Vec<Here<'a>>, Error> {
    let present = put.target.catalog().await?;
    let found = |item: &Item| {
        let wanted = &item.wanted;
        let found = present.find(&wanted.database, &wanted.name)?;
        let is_same = found.uuid.is_some() && found.uuid == wanted.uuid;
        (is_same && wanted.difference(found).is_none()).then(|| found.clone())
    };
    let items = put.items.holding();
    Ok(items.map(|item| (item, found(item))).collect())
}

async fn ways<'a>(
    put: &Put<'_>,
    deployment: &Deployment,
    here: Vec<Here<'a>>,
) -> Result<Result<Vec<(&'a Item, Way)>, NotPossible>, Error> {
    let Some(point) = put.resume_point() else {
        let reason = "the snapshot does not say from where to follow its source";
        return Ok(Err(reason.to_owned()));
    };
    let since = ResumePoint::from_bytes(point)?;
    let mut changes = match deployment.changes_until_now(&since, &LIMITS).await {
        Ok((changes, _)) => changes,
        Err(mongo::Error::HistoryLost { reason }) => {
            let reason = format!("the source's history cannot be followed: {reason}");
            return Ok(Err(reason));
        }
        Err(error) => return Err(error.into()),
    };
    let mut way = |item: &Item, found: Option<Collection>| match found {
        None => Way::Whole,
        Some(found) => match changes.take(&found) {
            Change::Unchanged => Way::Documents(Vec::new()),
            Change::Documents(ids) if can_be_rewound(put, item) => Way::Documents(ids),
            Change::Documents(_) | Change::Unknown(_) => Way::Whole,
        },
    };
    let ways = here
        .into_iter()
        .map(|(item, found)| (item, way(item, found)));
    Ok(Ok(ways.collect()))
}

/// Servers keep open buckets of time series in memory and go on writing to them: they are loaded
/// anew. Documents of a collection that the store has no index of can't be looked up.
fn can_be_rewound(put: &Put<'_>, item: &Item) -> bool {
    item.wanted.kind == CollectionKind::Collection && put.stored(item).can_be_edited()
}

/// Rewinds the target to the snapshot.
pub(super) async fn put(put: &Put<'_>, deployment: &Deployment) -> Result<RestoreReport, Error> {
    put.target.begin().await?;
    let rewound = rewind(put, deployment).await;
    rewound.map_err(|error| Error::Incomplete(in_words(&error)))
}

async fn rewind(put: &Put<'_>, deployment: &Deployment) -> Result<RestoreReport, Error> {
    let here = here(put).await?;
    for (item, found) in &here {
        if found.is_some() && item.wanted.expires() {
            put.target.pause_expiry(&item.wanted).await?;
        }
    }
    // Only now is it known that nothing expires between looking and comparing.
    let ways = ways(put, deployment, here).await?;
    let ways = ways.map_err(super::choose::impossible)?;
    let (mut rewound, mut whole) = (Vec::new(), Vec::new());
    for (item, way) in ways {
        match way {
            Way::Documents(ids) => rewound.push((item, ids)),
            Way::Whole => whole.push(item),
        }
    }
    let prepared = prepare(put, rewound).await?;
    let work = prepared.iter().map(|one| write_back(put, one).boxed());
    pump::side_by_side(work.collect(), put.engine.parts.config.cursors).await?;
    put.target.barrier().await?;
    let work = prepared.iter().map(|one| compare(put, one).boxed());
    let compared = pump::side_by_side(work.collect(), put.engine.parts.config.cursors).await?;
    let mut rows = Vec::new();
    for outcome in compared {
        match outcome {
            Ok(row) => rows.push(row),
            Err(item) => whole.push(item),
        }
    }
    let (movable, others): (Vec<&Item>, Vec<&Item>) = whole
        .into_iter()
        .partition(|item| item.wanted.can_be_renamed());
    put.read_through(&others).await?;
    rows.extend(put.load_and_flip(&movable).await?);
    let dropped = put.target.drop_others(&put.items.catalog(), &[]).await?;
    rows.extend(Put::dropped(dropped));
    rows.extend(put.load_at_the_flip(&others).await?);
    rows.extend(put.put_views().await?);
    put.end(rows).await
}

/// A collection whose documents with these ids were found to be in the store, or not to be.
struct Prepared<'a> {
    item: &'a Item,
    ids: Vec<Bytes>,
    /// What was found, unless it was too much to keep.
    kept: Option<Vec<Vec<u8>>>,
}

/// Finds everything once, before anything is deleted.
async fn prepare<'a>(
    put: &Put<'_>,
    rewound: Vec<(&'a Item, Vec<Bytes>)>,
) -> Result<Vec<Prepared<'a>>, Error> {
    let mut room = KEPT_BYTES;
    let mut prepared = Vec::new();
    for (item, ids) in rewound {
        let mut kept = Some(Vec::new());
        for part in ids.chunks(ids_at_a_time(put, item)) {
            let found = find(put, item, part).await?;
            let bytes = found.iter().map(Vec::len).sum();
            match &mut kept {
                Some(all) if room >= bytes => {
                    room -= bytes;
                    all.extend(found);
                }
                _ => kept = None,
            }
        }
        prepared.push(Prepared { item, ids, kept });
    }
    Ok(prepared)
}

fn ids_at_a_time(put: &Put<'_>, item: &Item) -> usize {
    let stored = put.stored(item);
    let mean = (stored.bytes / stored.documents.max(1)).max(1);
    let count = (LOOKUP_BYTES / mean).clamp(1, IDS_MAX);
    usize::try_from(count).expect("it was just bounded")
}

/// Returns the snapshot's documents that have one of `ids`, copied out of their blocks.
async fn find(put: &Put<'_>, item: &Item, ids: &[Bytes]) -> Result<Vec<Vec<u8>>, Error> {
    let repository = &put.engine.parts.repository;
    let found = repository.find(put.stored(item), ids).await?;
    Ok(found.into_iter().flatten().map(Vec::from).collect())
}

/// Deletes what has these ids, all of it, and then inserts what the snapshot has: a unique index
/// may have room for a document only once all others are gone.
async fn write_back(put: &Put<'_>, one: &Prepared<'_>) -> Result<(), Error> {
    let wanted = &one.item.wanted;
    put.target.delete_ids(wanted, &one.ids).await?;
    let loader = put.target.loader(wanted);
    match &one.kept {
        Some(documents) => loader.insert(documents).await?,
        None => {
            for part in one.ids.chunks(ids_at_a_time(put, one.item)) {
                loader.insert(&find(put, one.item, part).await?).await?;
            }
        }
    }
    Ok(())
}

/// Compares; returns the item where it is not equal, so that it is loaded whole.
async fn compare<'a>(
    put: &Put<'_>,
    one: &Prepared<'a>,
) -> Result<Result<CollectionReport, &'a Item>, Error> {
    let wanted = &one.item.wanted;
    match put.require_equal(one.item, wanted).await {
        Ok(()) => {}
        Err(error @ Error::Mismatch { .. }) => {
            tracing::warn!(%error, "a rewound collection is loaded whole");
            return Ok(Err(one.item));
        }
        Err(error) => return Err(error),
    }
    if wanted.expires() {
        put.target.resume_expiry(wanted).await?;
    }
    let stored = put.stored(one.item);
    put.count(stored.documents, stored.bytes);
    let mut row = put.row(one.item, CollectionAction::Rewound);
    row.changed = one.ids.len() as u64;
    Ok(Ok(row))
}
