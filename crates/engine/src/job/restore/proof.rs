//! Proves that a rewound collection is what the snapshot holds, without reading all of it.
//!
//! An unbroken history says which documents were written since the snapshot, up to a time after
//! the last write of ours. Those are read again as they were at that time: where their fingerprint
//! is that of the snapshot's documents with the same ids, so is that of the whole collection, as
//! all others are those that the snapshot was taken of. What this does not show, and when
//! everything is read instead, is in decision 0011.

use std::collections::HashSet;

use bytes::Bytes;
use futures::{FutureExt, TryStreamExt};
use model::{CollectionAction, CollectionReport, Proof};
use mongo::{Change, ClusterTime};
use vault::Fingerprint;

use super::history::History;
use super::items::Item;
use super::put::{self, Put};
use super::write_back::{self, Prepared};
use super::{Error, rewind};
use crate::pump::{self, PumpError};

/// How a collection is proved.
enum Way {
    /// What was written is read again; these ids were written since the last look, perhaps beside
    /// those that were put back.
    History(Vec<Bytes>),
    /// Everything is read.
    ReadBack,
}

/// Compares what was rewound with the snapshot; returns rows, and the items that are not equal.
///
/// `written_at` is a time not before the last write of ours.
pub(super) async fn all<'a>(
    put: &Put<'_>,
    mut history: History,
    written_at: Option<ClusterTime>,
    prepared: &[Prepared<'a>],
) -> Result<(Vec<CollectionReport>, Vec<&'a Item>), Error> {
    let ways = ways(put, &mut history, written_at, prepared).await?;
    let work = prepared.iter().zip(ways);
    let work = work.map(|(one, way)| prove(put, &history, one, way).boxed());
    let proved = pump::side_by_side(work.collect(), put.engine.parts.config.cursors).await?;
    let (mut rows, mut different) = (Vec::new(), Vec::new());
    for outcome in proved {
        match outcome {
            Ok(row) => rows.push(row),
            Err(item) => different.push(item),
        }
    }
    Ok((rows, different))
}

async fn ways(
    put: &Put<'_>,
    history: &mut History,
    written_at: Option<ClusterTime>,
    prepared: &[Prepared<'_>],
) -> Result<Vec<Way>, Error> {
    let read_all = || prepared.iter().map(|_| Way::ReadBack).collect();
    if put.reads_whole || written_at.is_none() || !history.shows_everything() {
        return Ok(read_all());
    }
    match history.go_on(written_at).await {
        Ok(()) => {}
        Err(mongo::Error::HistoryLost { reason }) => {
            tracing::warn!(%reason, "what was rewound is read whole: history ends");
            return Ok(read_all());
        }
        Err(error) => return Err(error.into()),
    }
    if !history.shows_everything() {
        return Ok(read_all());
    }
    let mut way = |one: &Prepared<'_>| match history.take(&one.found) {
        Change::Unchanged => Way::History(Vec::new()),
        Change::Documents(ids) if rewind::can_be_rewound(put, one.item) => Way::History(ids),
        Change::Documents(_) | Change::Unknown(_) => Way::ReadBack,
    };
    Ok(prepared.iter().map(&mut way).collect())
}

/// Compares one collection; returns its item where it is not equal.
async fn prove<'a>(
    put: &Put<'_>,
    history: &History,
    one: &Prepared<'a>,
    way: Way,
) -> Result<Result<CollectionReport, &'a Item>, Error> {
    let (proved, proof) = match way {
        Way::ReadBack => (
            put.require_equal(one.item, &one.found).await,
            Proof::ReadBack,
        ),
        Way::History(more) => (by_history(put, history, one, more).await, Proof::History),
    };
    match proved {
        Ok(()) => {}
        Err(error) if is_of_this_collection(&error) => {
            tracing::warn!(%error, "a rewound collection is loaded whole");
            return Ok(Err(one.item));
        }
        Err(error) => return Err(error),
    }
    if one.item.wanted.expires() {
        put.target.resume_expiry(&one.item.wanted).await?;
    }
    let stored = put.stored(one.item);
    put.count(stored.documents, stored.bytes);
    let mut row = put.row(one.item, CollectionAction::Rewound);
    row.changed = one.ids.len() as u64;
    row.proof = proof;
    Ok(Ok(row))
}

/// Tells whether loading the collection anew answers the error.
fn is_of_this_collection(error: &Error) -> bool {
    let is_lost =
        |error: &PumpError| matches!(error, PumpError::Mongo(mongo::Error::SnapshotLost { .. }));
    match error {
        Error::Mismatch { .. } => true,
        Error::Pump(error) => is_lost(error),
        _ => false,
    }
}

/// Fails unless what was written is what the snapshot holds.
async fn by_history(
    put: &Put<'_>,
    history: &History,
    one: &Prepared<'_>,
    more: Vec<Bytes>,
) -> Result<(), Error> {
    let known: HashSet<&Bytes> = one.ids.iter().collect();
    let new: Vec<Bytes> = more.into_iter().filter(|id| !known.contains(id)).collect();
    let mut expected = one.expected;
    expected.merge(write_back::fingerprint(put, one.item, &new).await?);
    let all: HashSet<&[u8]> = one.ids.iter().chain(&new).map(AsRef::as_ref).collect();
    let ids = one.ids.iter().chain(&new).cloned().collect();
    let found = written(put, history, one, ids, all).await?;
    if found == expected {
        return Ok(());
    }
    Err(put::mismatch(one.item, found, expected))
}

/// Reads what has these ids, each document once. A server also returns a document whose id only
/// equals one of them: where its own is not among them, it was not written.
async fn written(
    put: &Put<'_>,
    history: &History,
    one: &Prepared<'_>,
    ids: Vec<Bytes>,
    mut unseen: HashSet<&[u8]>,
) -> Result<Fingerprint, Error> {
    let mut found = put.engine.parts.repository.fingerprinter();
    if ids.is_empty() {
        return Ok(found.finish());
    }
    let mut read = history.reread(&one.found, ids);
    while let Some((_, batch)) = read.try_next().await? {
        for span in &batch.documents {
            if unseen.remove(batch.id(span)) {
                found.add(batch.document(span));
            }
        }
    }
    Ok(found.finish())
}
