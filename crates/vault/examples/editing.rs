//! Measures editing alone: writes a collection of generated documents into a directory, replaces
//! some of them, spread evenly, finds them again, and prints seconds and bytes read for each.
//! Documents have 1 KB, of which half does not compress.
//!
//! `editing [MEGABYTES [CHANGES]]`; 1,000 MB and 10,000 changes by default.

use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use vault::{
    Batch, CollectionEntry, KeyEncryptionKey, Manifest, Repository, SnapshotHeader, SnapshotId,
    Source, Span, Store, WriteOptions,
};

type Failure = Box<dyn std::error::Error>;

const DOCUMENT_BYTES: usize = 1_000;
const BATCH_DOCUMENTS: u64 = 4_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let changes: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let store = Store::local(&folder.path().join("store"))?;
    let repository = Repository::create(store, &KeyEncryptionKey::new([7; 32])).await?;
    let documents = megabytes * 1_000;

    let begun = Instant::now();
    let writer = repository.begin(WriteOptions::default());
    let mut collection = writer.collection(entry());
    for from in (0..documents).step_by(usize::try_from(BATCH_DOCUMENTS)?) {
        let ids = from..documents.min(from + BATCH_DOCUMENTS);
        collection.push(batch(ids, 0)).await?;
    }
    collection.finish().await?;
    let mut base = writer.commit(header(1)).await?;
    report("write", begun, &base, 0)?;

    for round in 2..5_u8 {
        let apart = usize::try_from((documents / changes).max(1))?;
        let ids = (u64::from(round)..documents).step_by(apart);
        let ids: Vec<u64> = ids.take(usize::try_from(changes)?).collect();
        let begun = Instant::now();
        let writer = repository.begin_upon(WriteOptions::default(), Some(&base));
        let mut editor = writer.edit(entry())?;
        for part in ids.chunks(1_000) {
            let identities: Vec<Bytes> = part.iter().map(|id| identity(*id)).collect();
            let found = batch(part.iter().copied(), round.into());
            editor.replace(&identities, found).await?;
        }
        let summary = editor.finish().await?;
        base = writer.commit(header(round)).await?;
        report("edit", begun, &base, summary.bytes_read)?;

        let begun = Instant::now();
        let identities: Vec<Bytes> = ids.iter().map(|id| identity(*id)).collect();
        let found = repository.find(&base.collections[0], &identities).await?;
        assert!(found.iter().all(Option::is_some), "all were found");
        report("find", begun, &base, 0)?;
    }
    let begun = Instant::now();
    let one = [identity(documents / 3)];
    let found = repository.find(&base.collections[0], &one).await?;
    assert!(found[0].is_some(), "one was found");
    report("one", begun, &base, 0)?;
    Ok(())
}

fn report(step: &str, begun: Instant, manifest: &Manifest, read: u64) -> std::io::Result<()> {
    writeln!(
        std::io::stdout(),
        "{step:<6} {:>8.3} s  {:>12} bytes read  {:>12} stored  {} packs",
        begun.elapsed().as_secs_f64(),
        read,
        manifest.totals.stored_bytes,
        manifest.packs.len()
    )
}

fn identity(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn batch(ids: impl Iterator<Item = u64>, version: u64) -> Batch {
    let mut bytes = Vec::new();
    let mut documents = Vec::new();
    for id in ids {
        let start = bytes.len();
        bytes.extend_from_slice(&id.to_be_bytes());
        let mut body = [0; DOCUMENT_BYTES - 8];
        let seed = [id.to_le_bytes(), version.to_le_bytes()].concat();
        let half = &mut body[..DOCUMENT_BYTES / 2];
        blake3::Hasher::new()
            .update(&seed)
            .finalize_xof()
            .fill(half);
        bytes.extend_from_slice(&body);
        let [start, end] = [start, bytes.len()].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        documents.push(Span {
            start,
            end,
            id_start: start,
            id_end: start + 8,
        });
    }
    Batch {
        bytes: Bytes::from(bytes),
        documents,
    }
}

fn entry() -> CollectionEntry {
    CollectionEntry {
        name: "edited".to_owned(),
        ..CollectionEntry::default()
    }
}

fn header(number: u8) -> SnapshotHeader {
    SnapshotHeader {
        snapshot: SnapshotId([number; 12]),
        created_at_ms: 0,
        source: Source::default(),
        consistency: None,
        resume_point: None,
    }
}
