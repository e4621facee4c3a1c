//! Verifies packs one by one: header, trailer and footer, and where data is to be read every frame,
//! every name, and that each sidecar says of its block what the block's own bytes say.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;

use super::{CheckOptions, Findings, describe};
use crate::block;
use crate::codec::{Parts, RawLength};
use crate::error::Error;
use crate::frame::{FrameKind, ObjectSeal};
use crate::id::PackId;
use crate::keys::{DOCUMENT_HASH_BYTES, HashKeys};
use crate::pack::{self, Footer, FrameEntry, HEADER_BYTES, TRAILER_BYTES};
use crate::page::Page;
use crate::repository::Inner;
use crate::sidecar::{self, Strips};
use crate::task::blocking;

/// Packs verified at the same time.
const PACKS_AT_A_TIME: usize = 2;
/// Bytes of a pack read at a time, unless one frame has more.
const STRETCH_BYTES_MAX: u64 = 4 << 20;

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
        check_data(repository, id, length)
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

/// Reads a pack, a stretch at a time, and verifies every byte of it.
async fn check_data(repository: &Inner, id: PackId, length: u64) -> Result<PackProblems, Error> {
    let (footer, _) = read_footer(repository, id, length).await?;
    let mut check = PackCheck {
        seal: repository.pack_seal(id),
        keys: repository.hash_keys.clone(),
        blocks: HashMap::new(),
        problems: PackProblems::default(),
    };
    let mut ordinal = 0;
    let mut rest = footer.frames;
    while !rest.is_empty() {
        let behind = rest.split_off(stretch(&rest));
        let frames = std::mem::replace(&mut rest, behind);
        let start = frames[0].offset;
        let end = frames
            .last()
            .map_or(start, |last| last.offset + u64::from(last.length));
        let name = check.seal.object();
        let bytes = repository.store.get_range(name, start..end).await?;
        (check, ordinal) = blocking(move || {
            for entry in frames {
                let from = usize::try_from(entry.offset - start).expect("it is in memory");
                let sealed = &bytes[from..from + entry.length as usize];
                if let Err(reason) = check.frame(ordinal, &entry, sealed) {
                    check.problems.frames.insert(ordinal, reason);
                }
                ordinal += 1;
            }
            (check, ordinal)
        })
        .await;
    }
    Ok(check.problems)
}

/// Returns how many frames are read together.
fn stretch(frames: &[FrameEntry]) -> usize {
    let mut bytes = 0;
    let fits = frames.iter().take_while(|frame| {
        bytes += u64::from(frame.length);
        bytes <= STRETCH_BYTES_MAX
    });
    fits.count().max(1)
}

/// A pack that is being verified.
struct PackCheck {
    seal: ObjectSeal,
    keys: Arc<HashKeys>,
    /// What blocks say of themselves, for the sidecars behind them: a digest by block id.
    blocks: HashMap<[u8; 32], blake3::Hash>,
    problems: PackProblems,
}

/// Returns a digest of hashes and lengths of documents.
fn digest(hashes: &[[u8; DOCUMENT_HASH_BYTES]], lengths: &[u32]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(hashes.as_flattened());
    for length in lengths {
        hasher.update(&length.to_le_bytes());
    }
    hasher.finalize()
}

impl PackCheck {
    fn frame(&mut self, ordinal: u32, entry: &FrameEntry, sealed: &[u8]) -> Result<(), String> {
        let kind = FrameKind::listed(entry.kind);
        let kind =
            kind.ok_or_else(|| format!("frame {ordinal} has the unknown kind {}", entry.kind))?;
        let at = format!("{kind:?} frame {ordinal}");
        if kind == FrameKind::Sidecar {
            return self.sidecar(ordinal, entry, sealed);
        }
        let length = RawLength::Exactly(entry.raw_length as usize);
        let (keys, blocks) = (&self.keys, &mut self.blocks);
        let mut look = |content: &[u8]| match kind {
            FrameKind::Block => {
                if keys.block(content).0 != entry.id {
                    return Err("its hash does not agree".to_owned());
                }
                let documents = block::parse(content, content.len())?;
                if documents.len() != entry.documents as usize {
                    return Err(format!("it holds {} documents", documents.len()));
                }
                let bytes = documents
                    .iter()
                    .map(|d| &content[d.start as usize..d.end as usize]);
                let hashes: Vec<_> = bytes.map(|bytes| keys.document(bytes)).collect();
                let lengths = documents
                    .iter()
                    .map(|document| document.end - document.start);
                let lengths: Vec<u32> = lengths.collect();
                blocks.insert(entry.id, digest(&hashes, &lengths));
                Ok(())
            }
            FrameKind::Page => {
                if keys.page(content).0 != entry.id {
                    return Err("its hash does not agree".to_owned());
                }
                Page::decode(content).map(drop)
            }
            // What it says can only be verified beside the part it belongs to.
            FrameKind::Segment => Ok(()),
            FrameKind::Sidecar
            | FrameKind::Footer
            | FrameKind::Manifest
            | FrameKind::Checkpoint => Err("it is out of place".to_owned()),
        };
        let look = |parts: &mut Parts<'_>| {
            if kind == FrameKind::Block {
                // As whoever wants a few documents begins.
                let length = parts.len();
                block::parse(parts.end()?, length)?;
            }
            look(parts.all()?)
        };
        let sealed = sealed.to_vec();
        let seen = self.seal.show(kind, ordinal, sealed, length, look);
        let seen = seen.map_err(|error| describe(&error).1)?;
        seen.map_err(|reason| format!("{at}: {reason}"))
    }

    /// Verifies every strip of a sidecar, and that it says what the block's own bytes say.
    fn sidecar(&self, ordinal: u32, entry: &FrameEntry, sealed: &[u8]) -> Result<(), String> {
        let at = format!("Sidecar frame {ordinal}");
        let strips = Strips::new(entry.documents, entry.length, entry.strip_documents);
        let sidecar = sidecar::open(&self.seal, ordinal, &strips, strips.all(), sealed);
        let sidecar = sidecar.map_err(|error| describe(&error).1)?;
        let block = self.blocks.get(&entry.id);
        let block = block.ok_or_else(|| format!("{at}: its block is not here"))?;
        if *block == digest(sidecar.document_hashes(), sidecar.lengths()) {
            Ok(())
        } else {
            Err(format!("{at}: it does not agree with its block"))
        }
    }
}
