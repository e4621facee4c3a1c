//! Measures editing alone: writes a collection of generated documents into a directory, replaces
//! some of them, spread evenly, finds them again, and prints seconds, processor seconds and bytes
//! read for each. Documents have 1 KB, of which half does not compress.
//!
//! `editing [MEGABYTES [CHANGES [FOLDER]]]`; 1,000 MB and 10,000 changes by default. A folder is
//! kept, and edited again where it has been written before.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use vault::{
    Batch, CollectionEntry, KeyEncryptionKey, Manifest, Repository, SnapshotHeader, SnapshotId,
    Source, Span, Store, WriteOptions,
};

type Failure = Box<dyn std::error::Error>;

const DOCUMENT_BYTES: usize = 1_000;
const BATCH_DOCUMENTS: u64 = 4_000;
/// Edits in a chain.
const ROUNDS: u8 = 5;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let changes: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let folder = arguments.next().map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| scratch.path().join("store"));
    let key = KeyEncryptionKey::new([7; 32]);
    let documents = megabytes * 1_000;
    let is_new = !folder.exists();
    let store = Store::local(&folder)?;
    let repository = if is_new {
        Repository::create(store, &key).await?
    } else {
        Repository::open(store, &key).await?
    };
    let first = if is_new {
        write(&repository, documents).await?
    } else {
        repository.manifest(SnapshotId([1; 12])).await?
    };
    edit(&repository, first, documents, changes).await
}

/// Writes the first snapshot.
async fn write(repository: &Repository, documents: u64) -> Result<Manifest, Failure> {
    let begun = Begun::now();
    let writer = repository.begin(WriteOptions::default());
    let mut collection = writer.collection(entry());
    for from in (0..documents).step_by(usize::try_from(BATCH_DOCUMENTS)?) {
        let ids = from..documents.min(from + BATCH_DOCUMENTS);
        collection.push(batch(ids, 0)).await?;
    }
    collection.finish().await?;
    let manifest = writer.commit(header(1)).await?;
    report("write", &begun, &manifest, 0)?;
    Ok(manifest)
}

/// Edits upon it, each time upon the edit before, and forgets what it wrote.
async fn edit(
    repository: &Repository,
    mut base: Manifest,
    documents: u64,
    changes: u64,
) -> Result<(), Failure> {
    for round in 2..2 + ROUNDS {
        let apart = usize::try_from((documents / changes).max(1))?;
        let ids = (u64::from(round)..documents).step_by(apart);
        let ids: Vec<u64> = ids.take(usize::try_from(changes)?).collect();
        let begun = Begun::now();
        let writer = repository.begin_upon(WriteOptions::default(), Some(&base));
        let mut editor = writer.edit(entry())?;
        for part in ids.chunks(1_000) {
            let identities: Vec<Bytes> = part.iter().map(|id| identity(*id)).collect();
            let found = batch(part.iter().copied(), round.into());
            editor.replace(&identities, found).await?;
        }
        let summary = editor.finish().await?;
        base = writer.commit(header(round)).await?;
        report("edit", &begun, &base, summary.bytes_read)?;

        let begun = Begun::now();
        let identities: Vec<Bytes> = ids.iter().map(|id| identity(*id)).collect();
        let found = repository.find(&base.collections[0], &identities).await?;
        assert!(found.iter().all(Option::is_some), "all were found");
        report("find", &begun, &base, 0)?;
    }
    let begun = Begun::now();
    let one = [identity(documents / 3)];
    let found = repository.find(&base.collections[0], &one).await?;
    assert!(found[0].is_some(), "one was found");
    report("one", &begun, &base, 0)?;
    for round in 2..2 + ROUNDS {
        repository.forget(SnapshotId([round; 12])).await?;
    }
    // Later than whatever was written.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    repository.sweep(Duration::ZERO, now).await?;
    Ok(())
}

/// When a step began, and what the process had used of its processors by then.
struct Begun {
    at: Instant,
    cpu_seconds: f64,
}

impl Begun {
    fn now() -> Begun {
        Begun {
            at: Instant::now(),
            cpu_seconds: cpu_seconds(),
        }
    }
}

/// Returns the processor time of the process, where the system tells it in `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name in brackets: user and system time are the 12th and 13th, in hundredths.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|text| text.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

fn report(step: &str, begun: &Begun, manifest: &Manifest, read: u64) -> std::io::Result<()> {
    let cpu_seconds = cpu_seconds() - begun.cpu_seconds;
    writeln!(
        std::io::stdout(),
        "{step:<6} {:>7.3} s  {cpu_seconds:>5.2} s of processors  {read:>11} bytes read  \
         {:>10} stored  {} packs",
        begun.at.elapsed().as_secs_f64(),
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
