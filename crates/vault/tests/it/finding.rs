//! A document is found by its identity without reading the collection, however often that was
//! edited and wherever its packs lie by now.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::memory::InMemory;
use vault::{Manifest, RepackOptions, Repository, WriteOptions};

use crate::crash::far_future;
use crate::faulty::{Fault, Faulty};
use crate::model::*;
use crate::support::*;

/// Documents of the collection, of 500 bytes each.
const DOCUMENTS: u64 = 20_000;
/// A look-up may read one in so many bytes of what is stored.
const LITTLE_ONE_IN: u64 = 50;

fn options() -> WriteOptions {
    WriteOptions {
        block_bytes: 16 << 10,
        pack_bytes: 1 << 20,
        ..WriteOptions::default()
    }
}

/// Looks for one document and one that is not there; returns the bytes that were read.
async fn look_up(
    counting: &Faulty,
    repository: &Repository,
    manifest: &Manifest,
    state: &Model,
    id: u64,
) -> u64 {
    counting.bytes_read.store(0, Ordering::SeqCst);
    let identities = [identity(id), identity(DOCUMENTS * 2)];
    let found = repository.find(&manifest.collections[0], &identities).await;
    let found = found.unwrap();
    assert_eq!(found[0].as_deref(), state.get(&id).map(Vec::as_slice));
    assert_eq!(found[1], None);
    counting.bytes_read.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_reads_far_less_than_the_collection() {
    let counting = Faulty::new(Arc::new(InMemory::new()), Fault::Hiccup, i64::MAX);
    let repository = Repository::create(store(counting.clone()), &key()).await;
    let repository = repository.unwrap();
    let mut state = model(0..DOCUMENTS, 500);
    let mut base = scanned(&repository, 1, &state, options()).await;
    let little = base.totals.stored_bytes / LITTLE_ONE_IN;
    for number in 2..6_u8 {
        let first = u64::from(number) * 1_000;
        let changes: Changes = (first..first + 100)
            .map(|id| (id, (id % 3 > 0).then(|| doc(id, 1, 500))))
            .collect();
        let writer = repository.begin_upon(options(), Some(&base));
        edit(&writer, &changes, 50).await.unwrap();
        apply(&mut state, &changes);
        base = writer.commit(header(number)).await.unwrap();
    }
    // One of the first snapshot, one that was changed, one that was taken out.
    for id in [15_000, 4_001, 4_002] {
        let read = look_up(&counting, &repository, &base, &state, id).await;
        assert!(
            read < little,
            "{id}: {read} bytes read, {little} are little"
        );
    }

    let options = RepackOptions {
        live_hundredths_min: 101,
        ..RepackOptions::default()
    };
    assert!(repository.repack(&options).await.unwrap().packs > 0);
    let day = Duration::from_secs(86_400);
    for days in 0..2 {
        let swept = repository.sweep(day, far_future() + days * day).await;
        swept.unwrap();
    }
    let base = repository.manifest(base.snapshot).await.unwrap();
    for id in [15_000, 4_001, 4_002] {
        let read = look_up(&counting, &repository, &base, &state, id).await;
        assert!(read < little, "{id}: {read} bytes read once repacked");
    }
}
