//! Looks through all snapshots for what they need of each pack. Every page and block is counted
//! once, however many snapshots share it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;

use crate::error::Error;
use crate::fetch::ReadCounter;
use crate::id::{PackId, SnapshotId};
use crate::live::Pages;
use crate::page::{BlockReference, Page};
use crate::repository::Inner;

/// Pages that were seen, by where they lie.
type Seen = HashSet<(PackId, u32)>;

/// Returns how many bytes of each pack are needed; about 30 bytes of memory for each block.
pub(super) async fn used_bytes(
    repository: &Arc<Inner>,
    snapshots: &[(SnapshotId, u32)],
) -> Result<HashMap<PackId, u64>, Error> {
    let mut used: HashMap<PackId, u64> = HashMap::new();
    let (mut pages, mut blocks, mut parts) = (Seen::new(), Seen::new(), Seen::new());
    for &(snapshot, generation) in snapshots {
        let manifest = repository.read_manifest(snapshot, generation).await?;
        for collection in &manifest.collections {
            for segment in collection.segments.iter().flatten() {
                for part in &segment.parts {
                    if parts.insert((part.pack, part.ordinal)) {
                        let head = part.head();
                        let bytes = head.offset + head.length - part.offset;
                        *used.entry(part.pack).or_default() += bytes;
                    }
                }
            }
            let fresh: Vec<_> = (collection.pages.iter())
                .filter(|page| pages.insert((page.pack, page.ordinal)))
                .cloned()
                .collect();
            for page in &fresh {
                *used.entry(page.pack).or_default() += u64::from(page.length);
            }
            each_page(repository, fresh, |page| {
                for block in &page.blocks {
                    let pack = page.pack_of(block);
                    if blocks.insert((pack, block.ordinal)) {
                        let bytes = u64::from(block.length) + u64::from(block.sidecar_length);
                        *used.entry(pack).or_default() += bytes;
                    }
                }
            })
            .await?;
        }
    }
    Ok(used)
}

/// Returns the needed blocks of some packs, each sorted by ordinal.
pub(super) async fn live_blocks(
    repository: &Arc<Inner>,
    snapshots: &[(SnapshotId, u32)],
    packs: &[PackId],
) -> Result<HashMap<PackId, Vec<BlockReference>>, Error> {
    let packs: HashSet<PackId> = packs.iter().copied().collect();
    let mut live: HashMap<PackId, Vec<BlockReference>> = HashMap::new();
    let (mut pages, mut blocks) = (Seen::new(), Seen::new());
    for &(snapshot, generation) in snapshots {
        let manifest = repository.read_manifest(snapshot, generation).await?;
        for collection in &manifest.collections {
            let may_refer = |of_page: &Option<Vec<PackId>>| match of_page {
                Some(of_page) => of_page.iter().any(|pack| packs.contains(pack)),
                None => true,
            };
            let fresh = collection
                .pages
                .iter()
                .filter(|page| may_refer(&page.packs) && pages.insert((page.pack, page.ordinal)));
            let fresh = fresh.cloned().collect();
            each_page(repository, fresh, |page| {
                for block in &page.blocks {
                    let pack = page.pack_of(block);
                    if packs.contains(&pack) && blocks.insert((pack, block.ordinal)) {
                        live.entry(pack).or_default().push(block.clone());
                    }
                }
            })
            .await?;
        }
    }
    for blocks in live.values_mut() {
        blocks.sort_unstable_by_key(|block| block.ordinal);
    }
    Ok(live)
}

async fn each_page(
    repository: &Arc<Inner>,
    references: Vec<crate::manifest::PageReference>,
    mut look: impl FnMut(&Page),
) -> Result<(), Error> {
    let all: Vec<usize> = (0..references.len()).collect();
    let pages = Pages::new(repository.clone(), ReadCounter::default(), references);
    let mut read = pages.read(&all);
    while let Some((_, page)) = read.try_next().await? {
        look(&page);
    }
    Ok(())
}
