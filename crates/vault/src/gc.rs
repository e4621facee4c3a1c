//! Removes what no manifest and no checkpoint refers to: mark by these alone, tomb first, delete a
//! grace period later. Must never delete when one of them could not be read, nor a pack that a
//! writer of this process has begun.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::checkpoint;
use crate::error::Error;
use crate::id::{PackId, SnapshotId};
use crate::pack;
use crate::repository::Inner;
use crate::store::Listed;

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Packs deleted.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Unreferenced packs whose grace period is still running, or that a checkpoint which cannot be
    /// read may refer to.
    pub waiting: u64,
    /// Files of interrupted puts removed (local directories only).
    pub leftovers: u64,
}

/// Deletes what neither a manifest nor a checkpoint refers to and has been so for a grace period.
pub(crate) async fn sweep(
    repository: &Inner,
    grace: Duration,
    now: SystemTime,
) -> Result<Swept, Error> {
    let store = &repository.store;
    // The order matters. A pack that is listed here belongs either to a writer of this process that
    // is still open when pins are read, or its manifest, if it ever got one, is there when those
    // are read. The same holds of checkpoints, which go only when the manifest is there.
    let packs = store.list("packs").await?;
    let pinned = repository.pins.all();
    let unfinished = checkpoint::referenced(repository).await?;
    let (mut kept, committed) = referenced(repository).await?;
    let is_blocked = unfinished.is_none();
    kept.extend(unfinished.unwrap_or_default());
    let tombs: HashSet<String> = store
        .list("tombs")
        .await?
        .into_iter()
        .map(|listed| listed.name)
        .collect();
    let mut swept = Swept::default();
    let mut dead = HashSet::new();
    for listed in packs {
        let Some(id) = pack::parse_object_name(&listed.name) else {
            continue;
        };
        let tomb = tomb_name(id);
        let young = !is_older(listed.modified, grace, now);
        if kept.contains(&id) || pinned.contains(&id) {
            continue;
        }
        dead.insert(tomb.clone());
        // What was repacked may still be read by whoever has the older manifest.
        let keep = young || is_blocked || (grace.is_zero() && repository.retired.contains(id));
        if keep || !is_due(repository, &tomb, &tombs, grace, now).await? {
            swept.waiting += 1;
            continue;
        }
        // A writer may have begun upon a snapshot that was forgotten just before.
        if repository.pins.contains(id) {
            swept.waiting += 1;
            continue;
        }
        delete(repository, &listed, &tomb).await?;
        repository.retired.remove(id);
        swept.packs += 1;
        swept.bytes += listed.bytes;
    }
    for tomb in tombs.iter().filter(|tomb| !dead.contains(*tomb)) {
        store.delete(tomb).await?;
    }
    discard_checkpoints(repository, &committed).await?;
    swept.leftovers = store.remove_leftovers(grace, now).await?;
    Ok(swept)
}

/// Returns every pack that a manifest of any generation lists, and the snapshots.
async fn referenced(repository: &Inner) -> Result<(HashSet<PackId>, HashSet<SnapshotId>), Error> {
    let (mut kept, mut snapshots) = (HashSet::new(), HashSet::new());
    for (snapshot, generations) in repository.generations().await? {
        snapshots.insert(snapshot);
        for generation in generations {
            kept.extend(repository.read_manifest(snapshot, generation).await?.packs);
        }
    }
    Ok((kept, snapshots))
}

/// Deletes what an interrupted commit has left.
async fn discard_checkpoints(
    repository: &Inner,
    committed: &HashSet<SnapshotId>,
) -> Result<(), Error> {
    for id in checkpoint::list(repository).await?.numbers.into_keys() {
        if committed.contains(&id) {
            checkpoint::discard(repository, id).await?;
        }
    }
    Ok(())
}

/// Answers whether a pack was marked at least a grace period ago; marks it if it was not marked.
async fn is_due(
    repository: &Inner,
    tomb: &str,
    tombs: &HashSet<String>,
    grace: Duration,
    now: SystemTime,
) -> Result<bool, Error> {
    let store = &repository.store;
    if tombs.contains(tomb) {
        let text = store.get(tomb).await?;
        let marked = parse_time(&text).ok_or_else(|| Error::corrupt(tomb, "it is no time"))?;
        return Ok(is_older(marked, grace, now));
    }
    let now_ms = now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    match store
        .put_new(tomb, vec![Bytes::from(now_ms.to_string())])
        .await
    {
        // Another sweep marked it just now, so its grace period has begun too.
        Ok(()) | Err(Error::Exists { .. }) => Ok(grace.is_zero()),
        Err(error) => Err(error),
    }
}

async fn delete(repository: &Inner, listed: &Listed, tomb: &str) -> Result<(), Error> {
    repository.store.delete(&listed.name).await?;
    repository.store.delete(tomb).await
}

fn tomb_name(id: PackId) -> String {
    format!("tombs/{id}")
}

fn parse_time(text: &[u8]) -> Option<SystemTime> {
    let ms = std::str::from_utf8(text).ok()?.parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(ms))
}

fn is_older(time: SystemTime, grace: Duration, now: SystemTime) -> bool {
    // A clock behind the object store's makes nothing old, unless no age is asked for.
    grace.is_zero() || now.duration_since(time).is_ok_and(|age| age >= grace)
}
