//! The layout of a pack: header, sealed frames without gaps, sealed footer that lists them,
//! trailer. Pure: builds and parses bytes, and never touches the object store.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::codec::RawLength;
use crate::error::Error;
use crate::frame::{FRAME_OVERHEAD_BYTES, FrameKind, ObjectSeal};
use crate::id::{BlockId, PackId};
use crate::keys::SealingRoot;
use crate::sidecar::{STRIP_DOCUMENTS, Sidecar};

/// Version of the format that this program writes, and the highest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: u64 = 16;
/// Bytes after the footer.
pub(crate) const TRAILER_BYTES: u64 = 16;

const HEADER_MAGIC: &[u8; 8] = b"RGRWPACK";
const TRAILER_MAGIC: &[u8; 8] = b"KCAPWRGR";
/// Most bytes a footer may claim; 64 MiB list about a million frames.
const FOOTER_BYTES_MAX: usize = 64 << 20;

/// Returns the name of the object that holds a pack.
pub(crate) fn object_name(id: PackId) -> String {
    let text = id.to_string();
    format!("packs/{}/{text}", &text[..2])
}

/// Returns the pack whose object has this name.
pub(crate) fn parse_object_name(name: &str) -> Option<PackId> {
    let (folder, id) = name.strip_prefix("packs/")?.split_once('/')?;
    if id.get(..2) != Some(folder) {
        None
    } else {
        id.parse().ok()
    }
}

/// Returns what seals and opens the frames of a pack.
pub(crate) fn seal(root: &SealingRoot, id: PackId) -> ObjectSeal {
    ObjectSeal::new(root.object_key(id.0), object_name(id), Vec::new())
}

/// One line of the footer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FrameEntry {
    #[n(0)]
    pub(crate) kind: u8,
    #[n(1)]
    pub(crate) offset: u64,
    #[n(2)]
    pub(crate) length: u32,
    #[n(3)]
    pub(crate) raw_length: u32,
    #[n(4)]
    pub(crate) documents: u32,
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) id: [u8; 32],
    /// Documents in a strip of a sidecar; absent where a frame is sealed as one.
    #[n(6)]
    pub(crate) strip_documents: Option<u32>,
}

/// What a pack holds; the place in the list is the ordinal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Footer {
    #[n(0)]
    pub(crate) frames: Vec<FrameEntry>,
}

/// Where a frame came to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) ordinal: u32,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A frame to be appended: its plain text (codec and content) and what the footer says of it.
pub(crate) struct NewFrame {
    pub(crate) kind: FrameKind,
    pub(crate) plain: Vec<u8>,
    pub(crate) raw_length: u32,
    pub(crate) documents: u32,
    pub(crate) id: [u8; 32],
}

/// A pack that is being filled.
pub(crate) struct PackBuilder {
    id: PackId,
    seal: ObjectSeal,
    chunks: Vec<Bytes>,
    length: u64,
    footer: Footer,
}

impl PackBuilder {
    /// Begins the pack of this fresh random id.
    pub(crate) fn new(root: &SealingRoot, id: PackId) -> PackBuilder {
        let header = header();
        PackBuilder {
            id,
            seal: seal(root, id),
            length: header.len() as u64,
            chunks: vec![header],
            footer: Footer { frames: Vec::new() },
        }
    }

    pub(crate) fn id(&self) -> PackId {
        self.id
    }

    /// Returns the number of frames so far.
    pub(crate) fn frames(&self) -> u32 {
        u32::try_from(self.footer.frames.len()).expect("a pack has few frames")
    }

    /// Returns the bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Seals a frame behind the others.
    pub(crate) fn append(&mut self, frame: NewFrame) -> Location {
        let sealed = self.seal.seal(frame.kind, self.frames(), frame.plain);
        let entry = FrameEntry {
            kind: frame.kind as u8,
            offset: self.length,
            length: small(sealed.len()),
            raw_length: frame.raw_length,
            documents: frame.documents,
            id: frame.id,
            strip_documents: None,
        };
        self.list(entry, sealed)
    }

    /// Seals the sidecar of a block, in strips, behind the other frames.
    pub(crate) fn append_sidecar(&mut self, block: BlockId, sidecar: &Sidecar) -> Location {
        let ordinal = self.frames();
        let (raw_length, length) = sidecar.stored_lengths();
        let mut sealed = Vec::with_capacity(length);
        for (strip, plain) in (0..).zip(sidecar.strips()) {
            let kind = FrameKind::Sidecar;
            sealed.extend(self.seal.seal_strip(kind, ordinal, strip, plain));
        }
        let entry = FrameEntry {
            kind: FrameKind::Sidecar as u8,
            offset: self.length,
            length: small(sealed.len()),
            raw_length: small(raw_length),
            documents: small(sidecar.len()),
            id: block.0,
            strip_documents: Some(STRIP_DOCUMENTS),
        };
        self.list(entry, sealed)
    }

    fn list(&mut self, entry: FrameEntry, sealed: Vec<u8>) -> Location {
        let location = Location {
            ordinal: self.frames(),
            offset: entry.offset,
            length: entry.length,
        };
        self.footer.frames.push(entry);
        self.push(sealed);
        location
    }

    /// Ends the pack and returns its bytes in pieces.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        let count = self.frames();
        let content = minicbor::to_vec(&self.footer).expect("a vector takes any CBOR");
        let mut plain = Vec::with_capacity(content.len() + FRAME_OVERHEAD_BYTES);
        plain.push(0);
        plain.extend_from_slice(&content);
        let sealed = self.seal.seal(FrameKind::Footer, count, plain);
        let length = u32::try_from(sealed.len()).expect("a footer is below 4 GiB");
        self.push(sealed);
        let mut trailer = Vec::with_capacity(16);
        trailer.extend_from_slice(&length.to_le_bytes());
        trailer.extend_from_slice(&count.to_le_bytes());
        trailer.extend_from_slice(TRAILER_MAGIC);
        self.push(trailer);
        self.chunks
    }

    fn push(&mut self, bytes: Vec<u8>) {
        self.length += bytes.len() as u64;
        self.chunks.push(Bytes::from(bytes));
    }
}

/// Where the footer of a pack lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) footer_length: u32,
    pub(crate) frames: u32,
}

/// Reads the last 16 bytes of a pack.
pub(crate) fn parse_trailer(object: &str, bytes: &[u8]) -> Result<Trailer, Error> {
    let corrupt = || Error::corrupt(object, "the trailer is damaged");
    let bytes: &[u8; 16] = bytes.try_into().map_err(|_| corrupt())?;
    let (numbers, magic) = bytes.split_at(8);
    if magic != TRAILER_MAGIC {
        return Err(corrupt());
    }
    let number = |at: usize| {
        u32::from_le_bytes([
            numbers[at],
            numbers[at + 1],
            numbers[at + 2],
            numbers[at + 3],
        ])
    };
    Ok(Trailer {
        footer_length: number(0),
        frames: number(4),
    })
}

/// Verifies the first 16 bytes of a pack.
pub(crate) fn parse_header(object: &str, bytes: &[u8]) -> Result<(), Error> {
    check_header(object, bytes, HEADER_MAGIC)
}

/// Verifies magic, version and the zero bytes behind it.
pub(crate) fn check_header(object: &str, bytes: &[u8], magic: &[u8; 8]) -> Result<(), Error> {
    let damaged = || Error::corrupt(object, "the header is damaged");
    let (found, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if found != magic || rest.get(..4) != Some(&[0; 4]) {
        return Err(damaged());
    }
    match u32::from_le_bytes(*version) {
        1..=FORMAT_VERSION => Ok(()),
        version if version > FORMAT_VERSION => Err(Error::Unsupported {
            object: object.to_owned(),
            version,
            supported: FORMAT_VERSION,
        }),
        _ => Err(damaged()),
    }
}

/// Opens a footer and verifies that its frames fill the pack without gaps.
pub(crate) fn open_footer(
    seal: &ObjectSeal,
    trailer: Trailer,
    sealed: Vec<u8>,
    pack_length: u64,
) -> Result<Footer, Error> {
    let limit = RawLength::AtMost(FOOTER_BYTES_MAX);
    let content = seal.open(FrameKind::Footer, trailer.frames, sealed, limit)?;
    let corrupt = |reason: String| Error::corrupt(seal.object(), reason);
    let footer: Footer = minicbor::decode(&content)
        .map_err(|error| corrupt(format!("the footer does not parse: {error}")))?;
    if footer.frames.len() != trailer.frames as usize {
        return Err(corrupt(format!(
            "the footer lists {} frames",
            footer.frames.len()
        )));
    }
    let mut offset = HEADER_BYTES;
    for (ordinal, frame) in footer.frames.iter().enumerate() {
        if frame.offset != offset || (frame.length as usize) < FRAME_OVERHEAD_BYTES {
            return Err(corrupt(format!(
                "frame {ordinal} is not where the footer says"
            )));
        }
        offset += u64::from(frame.length);
    }
    if offset + u64::from(trailer.footer_length) + TRAILER_BYTES != pack_length {
        return Err(corrupt(format!(
            "the frames do not fill {pack_length} bytes"
        )));
    }
    Ok(footer)
}

fn small(length: usize) -> u32 {
    u32::try_from(length).expect("a frame is below 4 GiB")
}

fn header() -> Bytes {
    let mut bytes = Vec::with_capacity(16);
    bytes.extend_from_slice(HEADER_MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    Bytes::from(bytes)
}
