//! Loading beside the target's data, proving it there, and then letting it take the names.
//!
//! Until everything that can be loaded beside was found equal, nothing else on the target is
//! touched, and an error drops what was loaded. The flip has no way back: it is finished, by this
//! attempt or a later one. Servers rename neither views nor time series: those follow at the flip,
//! once the store was read through for them.

use std::time::Duration;

use model::{CollectionAction, CollectionReport, RestoreReport};
use mongo::{Beginning, Move};

use super::Error;
use super::items::Item;
use super::put::Put;
use crate::worker::in_words;

/// How often a flip is tried that fails for a passing reason.
const FLIPS_MAX: u32 = 6;
/// How long to wait before the second flip; each later wait is twice as long: 31 s in all.
const FLIP_WAIT: Duration = Duration::from_secs(1);

/// How often undoing is tried that fails for a passing reason.
const UNDOS_MAX: u32 = 8;
/// How long to wait before the second time; each later wait is twice as long: 127 s in all.
const UNDO_WAIT: Duration = Duration::from_secs(1);

/// Puts the snapshot, or the part of it that was selected, in the place of what is there.
pub(super) async fn put(put: &Put<'_>) -> Result<RestoreReport, Error> {
    let target = &put.target;
    if put.items.is_part {
        put.require_room_for_a_part().await?;
    }
    let moves = match target.begin_beside().await? {
        Beginning::Flip(moves) => known(put, moves)?,
        Beginning::Load => match load(put).await {
            Ok(moves) => moves,
            Err(error) => match begun_all_the_same(put).await {
                Some(moves) => known(put, moves)?,
                None => return Err(undo(put, &error).await),
            },
        },
    };
    let mut wait = FLIP_WAIT;
    for attempt in 1.. {
        match flip(put, &moves).await {
            Ok(report) => return Ok(report),
            Err(error) if attempt < FLIPS_MAX && error.is_transient() => {
                tracing::warn!(attempt, %error, "a flip is tried again");
            }
            Err(error) => return Err(put.incomplete(&error).await),
        }
        put.still().await;
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    unreachable!("the last attempt returns")
}

/// Returns what is to take its name where the last step of the loading was done although its answer
/// was lost.
async fn begun_all_the_same(put: &Put<'_>) -> Option<Vec<Move>> {
    if !put.target.is_flipping().await.ok()? {
        return None;
    }
    match put.target.begin_beside().await.ok()? {
        Beginning::Flip(moves) => Some(moves),
        Beginning::Load => None,
    }
}

/// Fails unless an earlier attempt's journal names each collection that is to take its name: what
/// is not in it would stay what it was before, and look restored.
fn known(put: &Put<'_>, moves: Vec<Move>) -> Result<Vec<Move>, Error> {
    let movable = put
        .items
        .holding()
        .filter(|item| item.wanted.can_be_renamed());
    for item in movable {
        if !moves.iter().any(|one| one.is_of(&item.wanted)) {
            let namespace = item.wanted.namespace();
            let words = format!("the journal of an earlier attempt does not name {namespace}");
            return Err(Error::Incomplete(words));
        }
    }
    Ok(moves)
}

/// Drops what was loaded and says what that means for the target. One that does not answer is
/// asked again for some minutes: what is left would take its room, and keep snapshots off.
async fn undo(put: &Put<'_>, error: &Error) -> Error {
    let words = in_words(error);
    if !put.still().await {
        return Error::NotUndone(words);
    }
    let mut wait = UNDO_WAIT;
    for attempt in 1.. {
        match put.target.undo().await {
            Ok(true) => return Error::Untouched(words),
            Ok(false) => return Error::Incomplete(words),
            Err(error) if attempt < UNDOS_MAX && error.is_transient() => {
                tracing::warn!(attempt, %error, "undoing a restore is tried again");
            }
            Err(error) => {
                tracing::error!(%error, "what was loaded beside a target is still there");
                return Error::NotUndone(words);
            }
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    unreachable!("the last attempt returns")
}

/// Loads and proves; the last thing it does is to say so on the target.
async fn load(put: &Put<'_>) -> Result<Vec<Move>, Error> {
    let target = &put.target;
    let (movable, others): (Vec<&Item>, Vec<&Item>) = put
        .items
        .holding()
        .partition(|item| item.wanted.can_be_renamed());
    let mut staged = put.stage(&movable).await?;
    put.load_all(&staged.all).await?;
    put.read_through(&others).await?;
    put.verify_all(&staged.all).await?;
    target.barrier().await?;
    target.begin_flip(&mut staged.moves).await?;
    Ok(staged.moves)
}

/// Lets everything take its name; may be done again from any point.
async fn flip(put: &Put<'_>, moves: &[Move]) -> Result<RestoreReport, Error> {
    let target = &put.target;
    target.held().await?;
    for one in moves {
        target.flip(one).await?;
    }
    let mut rows: Vec<CollectionReport> = Vec::new();
    if !put.items.is_part {
        let dropped = target.drop_others(&put.items.catalog(), moves).await?;
        rows.extend(Put::dropped(dropped));
    }
    let (movable, others): (Vec<&Item>, Vec<&Item>) = put
        .items
        .holding()
        .partition(|item| item.wanted.can_be_renamed());
    for item in movable {
        rows.push(put.row(item, CollectionAction::Loaded));
    }
    rows.extend(put.load_at_the_flip(&others).await?);
    rows.extend(put.put_views().await?);
    target.barrier().await?;
    target.require_flipped(moves).await?;
    put.end(rows).await
}
