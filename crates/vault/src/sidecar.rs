//! For each document of a block: identity hash, document hash, length. Pure. The next snapshot is
//! matched against sidecars alone, and fingerprints can be taken from them, so no block has to be
//! read for either. Sealed in strips, so that little is read for one document.

use std::ops::Range;

use crate::block::BLOCK_DOCUMENTS_MAX;
use crate::codec::{CODEC_NONE, RawLength};
use crate::error::Error;
use crate::fingerprint::Fingerprint;
use crate::frame::{FRAME_OVERHEAD_BYTES, FrameKind, ObjectSeal};
use crate::keys::{DOCUMENT_HASH_BYTES, HashKeys, IDENTITY_HASH_BYTES};

/// Documents in a strip, except in the last one: about 2 KiB.
pub(crate) const STRIP_DOCUMENTS: u32 = 64;
/// Bytes of both hashes of a document.
const HASHES_BYTES: usize = IDENTITY_HASH_BYTES + DOCUMENT_HASH_BYTES;
/// Most bytes that the length of a document takes, and those it takes in a sidecar of one frame.
const LENGTH_BYTES_MAX: usize = 4;

/// What tells a document from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) identity: [u8; IDENTITY_HASH_BYTES],
    pub(crate) document: [u8; DOCUMENT_HASH_BYTES],
    pub(crate) length: u32,
}

/// The columns of one sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sidecar {
    identities: Vec<[u8; IDENTITY_HASH_BYTES]>,
    documents: Vec<[u8; DOCUMENT_HASH_BYTES]>,
    lengths: Vec<u32>,
}

impl Sidecar {
    pub(crate) fn with_capacity(documents: usize) -> Sidecar {
        Sidecar {
            identities: Vec::with_capacity(documents),
            documents: Vec::with_capacity(documents),
            lengths: Vec::with_capacity(documents),
        }
    }

    pub(crate) fn push(
        &mut self,
        identity: [u8; IDENTITY_HASH_BYTES],
        document: [u8; DOCUMENT_HASH_BYTES],
        length: u32,
    ) {
        self.identities.push(identity);
        self.documents.push(document);
        self.lengths.push(length);
    }

    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    pub(crate) fn identities(&self) -> &[[u8; IDENTITY_HASH_BYTES]] {
        &self.identities
    }

    pub(crate) fn document_hashes(&self) -> &[[u8; DOCUMENT_HASH_BYTES]] {
        &self.documents
    }

    pub(crate) fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Returns what tells one document from others.
    pub(crate) fn key(&self, ordinal: usize) -> Key {
        Key {
            identity: self.identities[ordinal],
            document: self.documents[ordinal],
            length: self.lengths[ordinal],
        }
    }

    /// Returns the fingerprint and the bytes of a range of documents.
    pub(crate) fn sum(&self, keys: &HashKeys, range: Range<usize>) -> (Fingerprint, u64) {
        let mut fingerprint = Fingerprint::default();
        for hash in &self.documents[range.clone()] {
            fingerprint.merge(Fingerprint {
                documents: 1,
                sum: keys.fingerprint(hash),
            });
        }
        (
            fingerprint,
            self.lengths[range]
                .iter()
                .map(|&length| u64::from(length))
                .sum(),
        )
    }

    /// Returns the plain texts of the frame's strips.
    pub(crate) fn strips(&self) -> impl Iterator<Item = Vec<u8>> {
        let width = self.length_bytes();
        let all: Vec<usize> = (0..self.len()).step_by(STRIP_DOCUMENTS as usize).collect();
        all.into_iter().map(move |from| {
            let range = from..self.len().min(from + STRIP_DOCUMENTS as usize);
            let bytes = range.len() * (HASHES_BYTES + width);
            let mut plain = Vec::with_capacity(bytes + FRAME_OVERHEAD_BYTES);
            plain.push(CODEC_NONE);
            plain.extend_from_slice(self.identities[range.clone()].as_flattened());
            plain.extend_from_slice(self.documents[range.clone()].as_flattened());
            let lengths = self.lengths[range].iter();
            lengths.for_each(|length| plain.extend_from_slice(&length.to_le_bytes()[..width]));
            plain
        })
    }

    /// Returns the bytes of the strips, before they are sealed and then.
    pub(crate) fn stored_lengths(&self) -> (usize, usize) {
        let raw = self.len() * (HASHES_BYTES + self.length_bytes());
        let strips = self.len().div_ceil(STRIP_DOCUMENTS as usize);
        (raw, raw + strips * FRAME_OVERHEAD_BYTES)
    }

    /// Returns how many bytes the longest document's length needs.
    fn length_bytes(&self) -> usize {
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let zeros = longest.leading_zeros() as usize / 8;
        LENGTH_BYTES_MAX - zeros.min(LENGTH_BYTES_MAX - 1)
    }

    /// Adds what stands in the columns of so many documents.
    pub(crate) fn extend(&mut self, bytes: &[u8], documents: usize) -> Result<(), String> {
        let width = bytes
            .len()
            .checked_div(documents)
            .and_then(|entry| entry.checked_sub(HASHES_BYTES))
            .filter(|width| (1..=LENGTH_BYTES_MAX).contains(width))
            .filter(|width| bytes.len() == documents * (HASHES_BYTES + width));
        let width = width
            .ok_or_else(|| format!("it has {} bytes for {documents} documents", bytes.len()))?;
        let (identities, rest) = bytes.split_at(documents * IDENTITY_HASH_BYTES);
        let (hashes, lengths) = rest.split_at(documents * DOCUMENT_HASH_BYTES);
        self.identities.extend(identities.as_chunks().0);
        self.documents.extend(hashes.as_chunks().0);
        self.lengths
            .extend(lengths.chunks_exact(width).map(|bytes| {
                let mut length = [0; LENGTH_BYTES_MAX];
                length[..width].copy_from_slice(bytes);
                u32::from_le_bytes(length)
            }));
        Ok(())
    }
}

/// Where the strips of a sealed sidecar lie; a sidecar of one frame is a single strip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strips {
    documents: u32,
    strip_documents: u32,
    sealed_length: u32,
    /// Bytes of a document in a strip.
    entry_bytes: usize,
}

impl Strips {
    /// Takes what a page or a footer says: documents, sealed bytes, and documents of a strip where
    /// there are strips. What does not agree is found when a strip is opened.
    pub(crate) fn new(documents: u32, sealed_length: u32, strip_documents: Option<u32>) -> Strips {
        let documents = documents.max(1);
        let Some(strip_documents) = strip_documents else {
            return Strips {
                documents,
                strip_documents: documents,
                sealed_length,
                entry_bytes: HASHES_BYTES + LENGTH_BYTES_MAX,
            };
        };
        let strip_documents = strip_documents.max(1);
        let overhead = documents.div_ceil(strip_documents) as usize * FRAME_OVERHEAD_BYTES;
        Strips {
            documents,
            strip_documents,
            sealed_length,
            entry_bytes: (sealed_length as usize).saturating_sub(overhead) / documents as usize,
        }
    }

    /// Returns all strips.
    pub(crate) fn all(&self) -> Range<u32> {
        0..self.documents.div_ceil(self.strip_documents)
    }

    /// Returns the strip that a document stands in.
    pub(crate) fn strip_of(&self, document: u32) -> u32 {
        document / self.strip_documents
    }

    /// Returns the documents of some strips.
    pub(crate) fn documents(&self, strips: &Range<u32>) -> Range<u32> {
        let first = |strip: u32| {
            let first = strip.saturating_mul(self.strip_documents);
            first.min(self.documents)
        };
        first(strips.start)..first(strips.end)
    }

    /// Returns where some strips lie, from the sidecar's first byte on.
    pub(crate) fn range(&self, strips: &Range<u32>) -> Range<u64> {
        let entries = self.strip_documents as usize * self.entry_bytes;
        let strip_bytes = (entries + FRAME_OVERHEAD_BYTES) as u64;
        let sealed_length = u64::from(self.sealed_length);
        let start = |strip: u32| {
            if strip >= self.all().end {
                sealed_length
            } else {
                sealed_length.min(u64::from(strip) * strip_bytes)
            }
        };
        start(strips.start)..start(strips.end)
    }

    /// Returns the strips in which documents of ascending ranges stand, neighbours together.
    pub(crate) fn covering(&self, documents: &[Range<u32>]) -> Vec<Range<u32>> {
        let mut covering: Vec<Range<u32>> = Vec::new();
        for range in documents.iter().filter(|range| !range.is_empty()) {
            let strips = self.strip_of(range.start)..self.strip_of(range.end - 1) + 1;
            match covering.last_mut() {
                Some(last) if strips.start <= last.end => last.end = last.end.max(strips.end),
                _ => covering.push(strips),
            }
        }
        covering
    }
}

/// Opens some strips of the sidecar in a frame; the first of the documents returned is the first of
/// the first strip.
pub(crate) fn open(
    seal: &ObjectSeal,
    ordinal: u32,
    of: &Strips,
    strips: Range<u32>,
    sealed: &[u8],
) -> Result<Sidecar, Error> {
    let documents = of.documents(&strips);
    // What a page says is not believed with memory before anything was opened.
    let capacity = documents.len().min(BLOCK_DOCUMENTS_MAX);
    let mut sidecar = Sidecar::with_capacity(capacity);
    let start = of.range(&strips).start;
    for strip in strips {
        let corrupt = |reason: &str| {
            let reason = format!("Sidecar frame {ordinal}, strip {strip}: {reason}");
            Error::corrupt(seal.object(), reason)
        };
        let only = strip..strip + 1;
        let range = of.range(&only);
        let place = usize::try_from(range.start - start)
            .ok()
            .zip(usize::try_from(range.end - start).ok());
        let sealed = place.and_then(|(from, to)| sealed.get(from..to));
        let sealed = sealed.ok_or_else(|| corrupt("it is not whole"))?;
        let documents = of.documents(&only).len();
        let length = RawLength::Exactly(documents * of.entry_bytes);
        let kind = FrameKind::Sidecar;
        let content = seal.open_strip(kind, ordinal, strip, sealed.to_vec(), length)?;
        let extended = sidecar.extend(&content, documents);
        extended.map_err(|reason| corrupt(&reason))?;
    }
    Ok(sidecar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PackId;
    use crate::keys::RepositoryKey;
    use crate::pack;

    fn sidecar(documents: u32, longest: u32) -> Sidecar {
        let mut sidecar = Sidecar::with_capacity(documents as usize);
        for number in 0..documents {
            let byte = number.to_le_bytes()[0];
            sidecar.push([byte; 12], [!byte; 16], longest.saturating_sub(number));
        }
        sidecar
    }

    fn seal() -> ObjectSeal {
        let key = RepositoryKey::generate().unwrap();
        pack::seal(&key.sealing_root(), PackId([1; 16]))
    }

    /// Seals all strips; returns where they lie, and them.
    fn sealed(seal: &ObjectSeal, sidecar: &Sidecar) -> (Strips, Vec<u8>) {
        let strips = (0..).zip(sidecar.strips());
        let kind = FrameKind::Sidecar;
        let sealed = strips.map(|(strip, plain)| seal.seal_strip(kind, 5, strip, plain));
        let sealed = sealed.collect::<Vec<_>>().concat();
        assert_eq!(sealed.len(), sidecar.stored_lengths().1);
        let documents = u32::try_from(sidecar.len()).unwrap();
        let length = u32::try_from(sealed.len()).unwrap();
        let strips = Strips::new(documents, length, Some(STRIP_DOCUMENTS));
        (strips, sealed)
    }

    fn place(range: Range<u64>) -> Range<usize> {
        let of = |at| usize::try_from(at).unwrap();
        of(range.start)..of(range.end)
    }

    #[test]
    fn strips_are_read_back_together_and_alone() {
        let seal = seal();
        for documents in [1, 63, 64, 65, 128, 1_000, 65_536] {
            for longest in [0, 255, 256, 65_536, u32::MAX] {
                let sidecar = sidecar(documents, longest);
                let (strips, sealed) = sealed(&seal, &sidecar);
                let whole = open(&seal, 5, &strips, strips.all(), &sealed).unwrap();
                assert_eq!(whole, sidecar, "{documents} documents of up to {longest}");
                let last = documents - 1;
                let strip = strips.strip_of(last);
                let only = strip..strip + 1;
                let range = strips.range(&only);
                let of_strip = &sealed[place(range)];
                let alone = open(&seal, 5, &strips, only.clone(), of_strip).unwrap();
                let at = (last - strips.documents(&only).start) as usize;
                assert_eq!(alone.key(at), sidecar.key(last as usize));
            }
        }
    }

    #[test]
    fn a_strip_in_the_place_of_another_is_refused() {
        let seal = seal();
        let (strips, mut sealed) = sealed(&seal, &sidecar(128, 9));
        let middle = sealed.len() / 2;
        sealed.rotate_left(middle);
        let error = open(&seal, 5, &strips, strips.all(), &sealed).unwrap_err();
        assert!(error.to_string().contains("strip 0 does not authenticate"));
        sealed.rotate_left(middle);
        for (ordinal, from, to) in [(4, 0, 2), (5, 1, 1)] {
            let range = strips.range(&(from..to + 1));
            let bytes = &sealed[place(range)];
            assert!(open(&seal, ordinal, &strips, 0..to + 1, bytes).is_err());
        }
    }

    #[test]
    fn what_a_page_says_wrongly_of_strips_is_an_error() {
        let seal = seal();
        let (_, sealed) = sealed(&seal, &sidecar(130, 300));
        let length = u32::try_from(sealed.len()).unwrap();
        for (documents, length, strip) in [
            (129, length, Some(64)),
            (130, length - 1, Some(64)),
            (130, length, Some(65)),
            (130, length, Some(0)),
            (130, 0, Some(64)),
            (u32::MAX, length, Some(1)),
            (0, length, Some(64)),
            (130, length, None),
        ] {
            let strips = Strips::new(documents, length, strip);
            let few = 0..strips.all().end.min(3);
            assert!(open(&seal, 5, &strips, few, &sealed).is_err());
        }
    }

    #[test]
    fn strips_of_scattered_documents_are_taken_together_where_they_meet() {
        let strips = Strips::new(640, 640 * 29 + 170, Some(64));
        assert_eq!(strips.covering(&[]), []);
        let scattered = [0..1, 3..70, 130..131, 300..301, 639..640];
        assert_eq!(strips.covering(&scattered), [0..3, 4..5, 9..10]);
        let whole = Strips::new(640, 1, None);
        let all = whole.all();
        assert_eq!(whole.covering(&scattered), std::slice::from_ref(&all));
        assert_eq!(all, 0..1);
        assert_eq!(whole.range(&(0..1)), 0..1);
    }
}
