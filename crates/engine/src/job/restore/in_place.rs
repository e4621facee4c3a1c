//! Removing what is there first: for targets without the room for both.
//!
//! What the store holds is read through before anything is removed, so that a store that was
//! harmed costs nobody their data. From then on the target is marked as incomplete.

use model::{CollectionAction, RestoreReport};

use super::Error;
use super::items::Item;
use super::put::{Loading, Put};

/// Puts the snapshot, or the part of it that was selected, in the place of what is there.
pub(super) async fn put(put: &Put<'_>) -> Result<RestoreReport, Error> {
    if put.items.is_part {
        put.require_room_for_a_part().await?;
    }
    let holding: Vec<&Item> = put.items.holding().collect();
    put.read_through(&holding).await?;
    put.target.begin().await?;
    match replace(put).await {
        Ok(report) => Ok(report),
        Err(error) => Err(put.incomplete(&error).await),
    }
}

/// The same for a target whose data nobody misses, without a look at the store first.
pub(super) async fn onto_nothing_of_value(put: &Put<'_>) -> Result<RestoreReport, Error> {
    put.target.begin().await?;
    replace(put).await
}

async fn replace(put: &Put<'_>) -> Result<RestoreReport, Error> {
    let target = &put.target;
    let holding = put.items.holding();
    if put.items.is_part {
        for item in &put.items.list {
            target.remove(&item.wanted).await?;
        }
    } else {
        target.wipe().await?;
    }
    let all: Vec<Loading<'_>> = holding
        .map(|item| Loading {
            item,
            under: item.wanted.clone(),
            action: CollectionAction::Loaded,
        })
        .collect();
    put.load_all(&all).await?;
    let mut rows = put.verify_all(&all).await?;
    rows.extend(put.put_views().await?);
    put.end(rows).await
}
