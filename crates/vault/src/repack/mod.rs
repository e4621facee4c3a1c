//! Gives back the space of what is dead inside packs: what is live in packs that are mostly dead,
//! or far too small, is copied into new ones, and manifests get a new generation that refers there.
//! Must never delete a pack: the sweep does, a grace period after nothing refers to it.

mod copy;
mod rewrite;
mod survey;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::copy::NewPacks;
use self::rewrite::Rewrite;
use crate::error::Error;
use crate::id::{PackId, SnapshotId};
use crate::manifest::{self, Manifest};
use crate::pack;
use crate::repository::{Held, Inner};
use crate::task::to_the_end;

/// Packs below this part of a whole one are too small.
const SMALL_ONE_IN: u64 = 8;
/// Fewest small packs that are worth being joined.
const SMALL_PACKS_MIN: usize = 8;

/// Which packs are written anew, and how.
#[derive(Clone, Debug)]
pub struct RepackOptions {
    /// A pack stays if at least so many hundredths of its bytes are needed.
    pub live_hundredths_min: u64,
    /// Live bytes copied at most by one call, unless a single pack has more.
    pub bytes_max: u64,
    /// Sealed bytes in a new pack.
    pub pack_bytes: usize,
    /// Level of zstd for pages and manifests; blocks stay as they are.
    pub compression_level: i32,
}

impl Default for RepackOptions {
    fn default() -> RepackOptions {
        RepackOptions {
            live_hundredths_min: 50,
            bytes_max: 4 << 30,
            pack_bytes: 32 << 20,
            compression_level: 1,
        }
    }
}

/// What was written anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repacked {
    /// Packs that no snapshot needs any more; the sweep deletes them.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the packs written instead.
    pub bytes_written: u64,
    /// Manifests that got a new generation.
    pub manifests: u64,
}

/// How often a repacking is begun that finds another one at work.
const ATTEMPTS_MAX: u32 = 4;

/// Writes packs anew of which little is live.
///
/// Where a manifest is gone since it was listed, or its next generation is there (it was forgotten,
/// or replaced by a repacking that was broken off and had not ended), it begins again; what was
/// copied by then is left to the sweep.
pub(crate) async fn repack(
    repository: &Arc<Inner>,
    options: &RepackOptions,
) -> Result<Repacked, Error> {
    let mut attempt = 1;
    loop {
        match repack_once(repository, options).await {
            Err(Error::Missing { object } | Error::Exists { object })
                if attempt < ATTEMPTS_MAX && manifest::parse_object_name(&object).is_some() =>
            {
                attempt += 1;
            }
            done => return done,
        }
    }
}

async fn repack_once(repository: &Arc<Inner>, options: &RepackOptions) -> Result<Repacked, Error> {
    let snapshots = newest_generations(repository).await?;
    let used = survey::used_bytes(repository, &snapshots).await?;
    let sizes = sizes(repository).await?;
    let chosen = choose(&used, &sizes, options, |pack| {
        repository.damage.of(pack).is_none()
    });
    if chosen.is_empty() {
        return Ok(Repacked::default());
    }
    let live = survey::live_blocks(repository, &snapshots, &chosen).await?;
    let mut packs = NewPacks::new(repository.clone(), options);
    let mut moved_from = HashSet::new();
    for pack in chosen {
        let blocks = live.get(&pack).map(Vec::as_slice).unwrap_or_default();
        match packs.copy(pack, blocks).await {
            Ok(()) => drop(moved_from.insert(pack)),
            Err(error) if error.is_damage() => tracing::warn!(
                object.name = pack::object_name(pack),
                error = &error as &dyn std::error::Error,
                "a pack that cannot be read is not written anew"
            ),
            Err(error) => return Err(error),
        }
    }
    // Pages and segments go to packs of their own: rewriting them again must leave no pack of
    // blocks half dead, or repacking would never come to an end.
    packs.close().await?;
    let mut rewrite = Rewrite::new(repository.clone(), packs, moved_from, options)?;
    for &(snapshot, generation) in &snapshots {
        let manifest = repository.read_manifest(snapshot, generation).await?;
        rewrite.prepare(&manifest).await?;
    }
    let written = rewrite.close().await?;
    let mut repacked = Repacked {
        bytes_written: written,
        ..Repacked::default()
    };
    for &(snapshot, generation) in &snapshots {
        let manifest = repository.read_manifest(snapshot, generation).await?;
        let needed_before = manifest.packs.clone();
        let Some(manifest) = rewrite.apply(manifest) else {
            continue;
        };
        let needed = &manifest.packs;
        for pack in needed_before {
            if needed.binary_search(&pack).is_err() {
                repository.retired.insert(pack);
            }
        }
        let held = Held::new(repository.clone(), manifest.packs.clone());
        let replaced = replace(
            repository.clone(),
            held,
            manifest,
            options.compression_level,
        );
        if to_the_end(replaced).await? {
            repacked.manifests += 1;
        }
    }
    for pack in rewrite.moved_from() {
        repacked.packs += 1;
        repacked.bytes += sizes.get(pack).copied().unwrap_or(0);
    }
    Ok(repacked)
}

async fn newest_generations(repository: &Inner) -> Result<Vec<(SnapshotId, u32)>, Error> {
    let generations = repository.generations().await?.into_iter();
    let newest = generations.filter_map(|(id, generations)| Some((id, *generations.last()?)));
    Ok(newest.collect())
}

async fn sizes(repository: &Inner) -> Result<HashMap<PackId, u64>, Error> {
    let listed = repository.store.list("packs").await?.into_iter();
    let sizes = listed.filter_map(|pack| Some((pack::parse_object_name(&pack.name)?, pack.bytes)));
    Ok(sizes.collect())
}

/// Returns the packs to be written anew, those of which least is live first.
fn choose(
    used: &HashMap<PackId, u64>,
    sizes: &HashMap<PackId, u64>,
    options: &RepackOptions,
    is_whole: impl Fn(PackId) -> bool,
) -> Vec<PackId> {
    let known = used.iter().filter_map(|(&pack, &live)| {
        let size = *sizes.get(&pack)?;
        is_whole(pack).then_some((pack, live, size))
    });
    let (mut due, rest): (Vec<_>, Vec<_>) =
        known.partition(|(_, live, size)| 100 * live < options.live_hundredths_min * size);
    let small_below = options.pack_bytes as u64 / SMALL_ONE_IN;
    let small = rest.into_iter().filter(|(_, _, size)| *size < small_below);
    let small: Vec<_> = small.collect();
    if small.len() >= SMALL_PACKS_MIN {
        due.extend(small);
    }
    due.sort_unstable_by_key(|&(pack, live, size)| (100 * live / size.max(1), pack));
    let mut copied = 0;
    let fits = |&(_, live, _): &(PackId, u64, u64)| {
        let first = copied == 0;
        copied += live;
        first || copied <= options.bytes_max
    };
    let due = due.into_iter().take_while(fits);
    due.map(|(pack, _, _)| pack).collect()
}

/// Puts the next generation of a manifest in place of the one before, unless the snapshot was
/// forgotten meanwhile. Whoever forgets looks again after deleting, so one of the two sees the
/// other.
///
/// `_held` is what it refers to, which stays until that is done.
async fn replace(
    repository: Arc<Inner>,
    _held: Held,
    manifest: Manifest,
    compression_level: i32,
) -> Result<bool, Error> {
    let (snapshot, generation) = (manifest.snapshot, manifest.generation);
    let object = manifest.seal(&repository.sealing_root, compression_level)?;
    let name = manifest::object_name(snapshot, generation);
    repository.store.put_new(&name, vec![object]).await?;
    let present = repository.generations().await?.remove(&snapshot);
    let older = present.unwrap_or_default();
    let older: Vec<u32> = older.into_iter().filter(|&of| of < generation).collect();
    if older.is_empty() {
        repository.store.delete(&name).await?;
        return Ok(false);
    }
    for generation in older {
        let name = manifest::object_name(snapshot, generation);
        repository.store.delete(&name).await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::keys::KeyEncryptionKey;
    use crate::manifest::Source;
    use crate::repository::Repository;
    use crate::store::Store;
    use crate::writer::{SnapshotHeader, WriteOptions};

    #[test]
    fn packs_are_chosen_by_what_is_live_in_them() {
        let id = |number: u8| PackId([number; 16]);
        let options = RepackOptions {
            pack_bytes: 1_000,
            bytes_max: 900,
            ..RepackOptions::default()
        };
        let choose_of = |packs: &[(u8, u64, u64)]| {
            let used = packs.iter().map(|&(pack, live, _)| (id(pack), live));
            let sizes = packs.iter().map(|&(pack, _, size)| (id(pack), size));
            let is_whole = |pack| pack != id(9);
            choose(&used.collect(), &sizes.collect(), &options, is_whole)
        };
        let packs = [
            (1, 400, 1_000),
            (2, 500, 1_000),
            (3, 300, 1_000),
            (9, 1, 1_000),
        ];
        assert_eq!(choose_of(&packs), [id(3), id(1)]);
        let packs = [(1, 499, 1_000), (2, 450, 1_000)];
        assert_eq!(choose_of(&packs), [id(2)], "what fits");
        let small = |count: u8| {
            (10..10 + count)
                .map(|pack| (pack, 90, 100))
                .collect::<Vec<_>>()
        };
        assert_eq!(choose_of(&small(7)), []);
        assert_eq!(choose_of(&small(8)).len(), 8);
    }

    #[tokio::test]
    async fn a_generation_that_is_there_is_never_replaced() {
        let store = Store::new(Arc::new(InMemory::new()));
        let key = KeyEncryptionKey::new([7; 32]);
        let repository = Repository::create(store, &key).await.unwrap();
        let header = SnapshotHeader {
            snapshot: SnapshotId([1; 12]),
            created_at_ms: 0,
            source: Source::default(),
            consistency: None,
            resume_point: None,
        };
        let base = repository.begin(WriteOptions::default());
        let base = base.commit(header).await.unwrap();
        let next = |generation| {
            let next = Manifest {
                generation,
                ..base.clone()
            };
            let inner = repository.inner.clone();
            let held = Held::new(inner.clone(), next.packs.clone());
            replace(inner, held, next, 1)
        };
        assert!(next(1).await.unwrap());
        // By one that had read the same manifest.
        let late = next(1).await.unwrap_err();
        assert!(matches!(late, Error::Exists { .. }), "{late}");
        let all = repository.inner.generations().await.unwrap();
        assert_eq!(all[&base.snapshot], [1]);
        repository.forget(base.snapshot).await.unwrap();
        assert!(!next(2).await.unwrap());
        assert_eq!(repository.snapshots().await.unwrap(), []);
    }
}
