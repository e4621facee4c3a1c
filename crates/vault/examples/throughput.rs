//! Measures the store alone: writes a snapshot of generated documents into a directory, reads it
//! back, checks it, and prints MB/s and processor time for each. Documents have about 1 KB: words,
//! numbers and a random token; zstd level 1 shrinks them to about 0.42.
//!
//! `throughput [MEGABYTES [DIRECTORY]]`; 2,000 MB in a temporary directory by default. A store that
//! is there already is only checked.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use futures::TryStreamExt;
use vault::{
    Batch, CheckOptions, CollectionEntry, KeyEncryptionKey, Manifest, ReadOptions, Repository,
    SnapshotHeader, SnapshotId, Source, Span, Store, WriteOptions,
};

type Failure = Box<dyn std::error::Error>;

/// Bytes of one batch, like one answer of a server.
const BATCH_BYTES: usize = 1 << 20;
/// Different batches; they are pushed again and again.
const BATCHES: usize = 64;
const WORDS: &str = "amount order customer address street shipped pending invoice total currency \
    euro dollar paid returned warehouse north south east west green blue yellow large small medium \
    monday tuesday wednesday thursday friday january march may july october quantity price \
    discount voucher express standard parcel letter signature weight height length width country \
    region city";

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: usize = arguments.next().map_or(Ok(2_000), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments
        .next()
        .map_or(temporary.path().join("store"), PathBuf::from);
    let key = KeyEncryptionKey::new([7; 32]);
    if folder.exists() {
        let repository = Repository::open(Store::local(&folder)?, &key).await?;
        let meter = Meter::start();
        let report = repository.check(CheckOptions { read_data: true }).await?;
        meter.report("check", report.bytes_read)?;
        writeln!(std::io::stdout(), "sound   {}", report.problems.is_empty())?;
        return Ok(());
    }
    let batches = generate();
    let repository = Repository::create(Store::local(&folder)?, &key).await?;

    writeln!(
        std::io::stdout(),
        "documents generated, peak {} MiB",
        peak_mebibytes()
    )?;
    let meter = Meter::start();
    let writer = repository.begin(WriteOptions::default());
    let (first, second) = tokio::join!(
        write(&writer, "first", &batches, megabytes / 2),
        write(&writer, "second", &batches, megabytes / 2)
    );
    let bytes = first? + second?;
    let manifest = writer.commit(header()).await?;
    meter.report("write", bytes)?;
    let manifest = rewrite(&repository, manifest, &batches, megabytes).await?;

    let meter = Meter::start();
    for collection in &manifest.collections {
        let mut blocks = repository.blocks(collection, ReadOptions::default());
        while let Some(block) = blocks.try_next().await? {
            std::hint::black_box(block.bytes_len());
        }
    }
    meter.report("read", bytes)?;

    let meter = Meter::start();
    let report = repository.check(CheckOptions { read_data: true }).await?;
    meter.report("check", bytes)?;
    let stored = manifest.totals.stored_bytes;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "stored  {:.2} of the bytes, {} packs",
        share(stored, bytes),
        manifest.packs.len()
    )?;
    writeln!(out, "sound   {}", report.problems.is_empty())?;
    Ok(())
}

/// Writes the same documents upon the snapshot, then with one in a hundred changed.
async fn rewrite(
    repository: &Repository,
    first: Manifest,
    batches: &[Batch],
    megabytes: usize,
) -> Result<Manifest, Failure> {
    let changed: Vec<Batch> = batches.iter().map(change).collect();
    let steps = [("again", 2, batches), ("1 %", 3, changed.as_slice())];
    for (step, number, batches) in steps {
        let meter = Meter::start();
        let writer = repository.begin_upon(WriteOptions::default(), Some(&first));
        let (one, other) = tokio::join!(
            write(&writer, "first", batches, megabytes / 2),
            write(&writer, "second", batches, megabytes / 2)
        );
        let bytes = one? + other?;
        let header = SnapshotHeader {
            snapshot: SnapshotId([number; 12]),
            ..header()
        };
        let totals = writer.commit(header).await?.totals;
        meter.report(step, bytes)?;
        writeln!(
            std::io::stdout(),
            "        {:?} shared, {:?} new, {} bytes stored",
            totals.documents_shared,
            totals.documents_new,
            totals.stored_bytes
        )?;
    }
    Ok(repository.manifest(SnapshotId([3; 12])).await?)
}

/// Changes one document in a hundred: its token, which no compression shrinks much.
fn change(batch: &Batch) -> Batch {
    let mut bytes = batch.bytes.to_vec();
    for span in batch.documents.iter().step_by(100) {
        let token = span.id_end as usize..span.id_end as usize + 64;
        bytes[token].reverse();
    }
    Batch {
        bytes: Bytes::from(bytes),
        documents: batch.documents.clone(),
    }
}

async fn write(
    writer: &vault::SnapshotWriter,
    name: &str,
    batches: &[Batch],
    megabytes: usize,
) -> Result<u64, vault::Error> {
    let entry = CollectionEntry {
        name: name.to_owned(),
        ..CollectionEntry::default()
    };
    let mut collection = writer.collection(entry);
    let mut bytes = 0;
    for batch in batches.iter().cycle() {
        if bytes >= megabytes * 1_000_000 {
            break;
        }
        bytes += batch.bytes.len();
        collection.push(batch.clone()).await?;
    }
    Ok(collection.finish().await?.bytes)
}

fn generate() -> Vec<Batch> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = blake3::Hasher::new().update(b"throughput").finalize_xof();
    (0..BATCHES)
        .map(|_| {
            let mut bytes = Vec::with_capacity(BATCH_BYTES);
            let mut documents = Vec::new();
            while bytes.len() + 1_200 < BATCH_BYTES {
                let start = bytes.len();
                document(&mut bytes, &words, &mut random);
                let [start, end] = [start, bytes.len()].map(|at| u32::try_from(at).unwrap_or(0));
                documents.push(Span {
                    start,
                    end,
                    id_start: start + 4,
                    id_end: start + 16,
                });
            }
            Batch {
                bytes: Bytes::from(bytes),
                documents,
            }
        })
        .collect()
}

/// Appends one document of about 1 KB: a length, 12 bytes of identity, then text.
fn document(bytes: &mut Vec<u8>, words: &[&str], random: &mut blake3::OutputReader) {
    let mut seed = [0; 160];
    random.fill(&mut seed);
    bytes.extend_from_slice(&1_000_u32.to_le_bytes());
    bytes.extend_from_slice(&seed[..12]);
    for token in &seed[12..44] {
        bytes.extend_from_slice(format!("{token:02x}").as_bytes());
    }
    for pair in seed[44..].chunks_exact(2) {
        let word = words[usize::from(pair[0]) % words.len()];
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\0\x02\x10");
        if pair[1] < 130 {
            let number = u64::from(pair[1]) * 7_919 + u64::from(pair[0]);
            bytes.extend_from_slice(&number.to_le_bytes());
        } else {
            bytes.extend_from_slice(words[usize::from(pair[1]) % words.len()].as_bytes());
        }
    }
}

fn header() -> SnapshotHeader {
    SnapshotHeader {
        snapshot: SnapshotId([1; 12]),
        created_at_ms: 0,
        source: Source::default(),
        consistency: None,
        resume_point: None,
    }
}

/// Wall and processor time of one step.
struct Meter {
    started: Instant,
    processor_ms: u64,
}

impl Meter {
    fn start() -> Meter {
        Meter {
            started: Instant::now(),
            processor_ms: processor_ms(),
        }
    }

    fn report(self, step: &str, bytes: u64) -> std::io::Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        let processor = processor_ms() - self.processor_ms;
        let megabytes = share(bytes, 1_000_000);
        let speed = megabytes / seconds;
        let cost = share(processor, 1) / megabytes;
        writeln!(
            std::io::stdout(),
            "{step:<7} {speed:>6.0} MB/s  {cost:.2} processor ms/MB  peak {} MiB",
            peak_mebibytes()
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Returns the processor time this process has used, by the kernel's ticks of 10 ms.
fn processor_ms() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum::<u64>()
        * 10
}

fn peak_mebibytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) / 1024
}
