//! Verifies packs one by one: header, trailer and footer, and where data is to be read every frame,
//! every name, and that each sidecar says of its block what the block's own bytes say.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use futures::StreamExt;

use super::{CheckOptions, Findings, describe};
use crate::block;
use crate::error::Error;
use crate::frame::{FrameKind, ObjectSeal, RawLength};
use crate::id::PackId;
use crate::keys::{DOCUMENT_HASH_BYTES, HashKeys};
use crate::pack::{self, Footer, FrameEntry, HEADER_BYTES, TRAILER_BYTES};
use crate::page::Page;
use crate::repository::Inner;
use crate::sidecar::{self, Strips};
use crate::task::blocking;

/// Packs verified at the same time; each is held in memory when its data is read.
const PACKS_AT_A_TIME: usize = 2;

/// What is wrong with one pack.
#[derive(Debug, Default)]
pub(super) struct PackProblems {
    /// Concerning all that lies in it.
    pub(super) whole: Option<String>,
    /// By ordinal.
    pub(super) frames: BTreeMap<u32, String>,
}

/// Verifies all referenced packs; returns those with problems.
pub(super) async fn check(
    repository: &Inner,
    referenced: &HashSet<PackId>,
    present: &HashMap<PackId, u64>,
    options: &CheckOptions,
    findings: &mut Findings,
) -> HashMap<PackId, PackProblems> {
    let mut referenced: Vec<PackId> = referenced.iter().copied().collect();
    referenced.sort_unstable();
    let mut checks = futures::stream::iter(referenced)
        .map(async |id| {
            (
                id,
                check_pack(repository, id, present.get(&id).copied(), options).await,
            )
        })
        .buffered(PACKS_AT_A_TIME);
    let mut bad = HashMap::new();
    while let Some((id, (problems, bytes_read))) = checks.next().await {
        findings.bytes_read += bytes_read;
        if problems.whole.is_some() || !problems.frames.is_empty() {
            bad.insert(id, problems);
        }
    }
    bad
}

async fn check_pack(
    repository: &Inner,
    id: PackId,
    length: Option<u64>,
    options: &CheckOptions,
) -> (PackProblems, u64) {
    let Some(length) = length else {
        let whole = Some("it is missing".to_owned());
        return (
            PackProblems {
                whole,
                ..PackProblems::default()
            },
            0,
        );
    };
    let result = if options.read_data {
        check_data(repository, id)
            .await
            .map(|problems| (problems, length))
    } else {
        let footer = read_footer(repository, id, length).await;
        footer.map(|(_, bytes_read)| (PackProblems::default(), bytes_read))
    };
    result.unwrap_or_else(|error| {
        let whole = Some(describe(&error).1);
        (
            PackProblems {
                whole,
                ..PackProblems::default()
            },
            0,
        )
    })
}

/// Reads and verifies all of a pack that is not frames; returns the bytes read, too.
pub(super) async fn read_footer(
    repository: &Inner,
    id: PackId,
    length: u64,
) -> Result<(Footer, u64), Error> {
    let store = &repository.store;
    let seal = repository.pack_seal(id);
    let object = seal.object();
    if length < HEADER_BYTES + TRAILER_BYTES {
        return Err(Error::corrupt(object, format!("it has {length} bytes")));
    }
    pack::parse_header(object, &store.get_range(object, 0..HEADER_BYTES).await?)?;
    let end = length - TRAILER_BYTES;
    let trailer = pack::parse_trailer(object, &store.get_range(object, end..length).await?)?;
    let start = end.checked_sub(u64::from(trailer.footer_length));
    let start =
        start.ok_or_else(|| Error::corrupt(object, "the footer is longer than the pack"))?;
    let sealed = store.get_range(object, start..end).await?;
    let bytes_read = HEADER_BYTES + TRAILER_BYTES + sealed.len() as u64;
    let footer = pack::open_footer(&seal, trailer, sealed.into(), length)?;
    Ok((footer, bytes_read))
}

/// Reads a pack whole and verifies every byte of it.
async fn check_data(repository: &Inner, id: PackId) -> Result<PackProblems, Error> {
    let seal = repository.pack_seal(id);
    let object = repository.store.get(seal.object()).await?;
    let keys = repository.hash_keys.clone();
    blocking(move || check_frames(&seal, &object, &keys)).await
}

fn check_frames(seal: &ObjectSeal, object: &Bytes, keys: &HashKeys) -> Result<PackProblems, Error> {
    let footer = parse(seal, object)?;
    let mut problems = PackProblems::default();
    // What blocks say of themselves, for the sidecars behind them; 20 bytes a document.
    let mut blocks: HashMap<[u8; 32], BlockFacts> = HashMap::new();
    for (ordinal, entry) in (0_u32..).zip(&footer.frames) {
        let result = check_frame(seal, object, ordinal, entry, keys, &mut blocks);
        if let Err(reason) = result {
            problems.frames.insert(ordinal, reason);
        }
    }
    Ok(problems)
}

fn parse(seal: &ObjectSeal, object: &Bytes) -> Result<Footer, Error> {
    let name = seal.object();
    let length = object.len() as u64;
    let (body, trailer) = object
        .split_last_chunk::<16>()
        .ok_or_else(|| Error::corrupt(name, format!("it has {length} bytes")))?;
    pack::parse_header(name, body)?;
    let trailer = pack::parse_trailer(name, trailer)?;
    let footer = body
        .len()
        .checked_sub(trailer.footer_length as usize)
        .ok_or_else(|| Error::corrupt(name, "the footer is longer than the pack"))?;
    pack::open_footer(seal, trailer, body[footer..].to_vec(), length)
}

/// What a block's own bytes say of its documents.
struct BlockFacts {
    hashes: Vec<[u8; DOCUMENT_HASH_BYTES]>,
    lengths: Vec<u32>,
}

fn check_frame(
    seal: &ObjectSeal,
    object: &Bytes,
    ordinal: u32,
    entry: &FrameEntry,
    keys: &HashKeys,
    blocks: &mut HashMap<[u8; 32], BlockFacts>,
) -> Result<(), String> {
    let kind = FrameKind::listed(entry.kind);
    let kind =
        kind.ok_or_else(|| format!("frame {ordinal} has the unknown kind {}", entry.kind))?;
    let at = format!("{kind:?} frame {ordinal}");
    let start = usize::try_from(entry.offset).expect("the footer was compared with the length");
    let sealed = &object[start..start + entry.length as usize];
    if kind == FrameKind::Sidecar {
        return check_sidecar(seal, sealed, ordinal, entry, blocks);
    }
    let length = RawLength::Exactly(entry.raw_length as usize);
    let content = seal
        .open(kind, ordinal, sealed.to_vec(), length)
        .map_err(|error| describe(&error).1)?;
    match kind {
        FrameKind::Block => {
            if keys.block(&content).0 != entry.id {
                return Err(format!("{at}: its hash does not agree"));
            }
            let documents = block::parse(&content).map_err(|reason| format!("{at}: {reason}"))?;
            if documents.len() != entry.documents as usize {
                return Err(format!("{at}: it holds {} documents", documents.len()));
            }
            let bytes = documents
                .iter()
                .map(|d| &content[d.start as usize..d.end as usize]);
            let facts = BlockFacts {
                hashes: bytes.map(|document| keys.document(document)).collect(),
                lengths: documents
                    .iter()
                    .map(|document| document.end - document.start)
                    .collect(),
            };
            blocks.insert(entry.id, facts);
        }
        FrameKind::Page => {
            if keys.page(&content).0 != entry.id {
                return Err(format!("{at}: its hash does not agree"));
            }
            Page::decode(&content).map_err(|reason| format!("{at}: {reason}"))?;
        }
        // What it says can only be verified beside the part it belongs to.
        FrameKind::Segment => {}
        FrameKind::Sidecar | FrameKind::Footer | FrameKind::Manifest => {
            return Err(format!("{at} is out of place"));
        }
    }
    Ok(())
}

/// Verifies every strip of a sidecar, and that it says what the block's own bytes say.
fn check_sidecar(
    seal: &ObjectSeal,
    sealed: &[u8],
    ordinal: u32,
    entry: &FrameEntry,
    blocks: &HashMap<[u8; 32], BlockFacts>,
) -> Result<(), String> {
    let at = format!("Sidecar frame {ordinal}");
    let strips = Strips::new(entry.documents, entry.length, entry.strip_documents);
    let sidecar = sidecar::open(seal, ordinal, &strips, strips.all(), sealed);
    let sidecar = sidecar.map_err(|error| describe(&error).1)?;
    let facts = blocks.get(&entry.id);
    let facts = facts.ok_or_else(|| format!("{at}: its block is not here"))?;
    let agrees = sidecar.document_hashes() == facts.hashes.as_slice()
        && sidecar.lengths() == facts.lengths.as_slice();
    if agrees {
        Ok(())
    } else {
        Err(format!("{at}: it does not agree with its block"))
    }
}
