//! For each document of a block: identity hash, document hash, length. Pure. The next snapshot is
//! matched against sidecars alone, and fingerprints can be taken from them, so no block has to be
//! read for either.

use std::ops::Range;

use crate::fingerprint::Fingerprint;
use crate::keys::{DOCUMENT_HASH_BYTES, HashKeys, IDENTITY_HASH_BYTES};

/// Bytes of a sidecar for each document.
pub(crate) const SIDECAR_ENTRY_BYTES: usize = IDENTITY_HASH_BYTES + DOCUMENT_HASH_BYTES + 4;

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

    /// Returns the bytes to be sealed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() * SIDECAR_ENTRY_BYTES);
        self.identities
            .iter()
            .for_each(|hash| bytes.extend_from_slice(hash));
        self.documents
            .iter()
            .for_each(|hash| bytes.extend_from_slice(hash));
        self.lengths
            .iter()
            .for_each(|length| bytes.extend_from_slice(&length.to_le_bytes()));
        bytes
    }

    /// Reads the sidecar of a block with this many documents.
    pub(crate) fn decode(bytes: &[u8], documents: usize) -> Result<Sidecar, String> {
        if bytes.len() != documents * SIDECAR_ENTRY_BYTES {
            return Err(format!(
                "a sidecar of {documents} documents has {} bytes",
                bytes.len()
            ));
        }
        let (identities, rest) = bytes.split_at(documents * IDENTITY_HASH_BYTES);
        let (hashes, lengths) = rest.split_at(documents * DOCUMENT_HASH_BYTES);
        let lengths = columns::<4>(lengths).map(u32::from_le_bytes);
        Ok(Sidecar {
            identities: columns(identities).collect(),
            documents: columns(hashes).collect(),
            lengths: lengths.collect(),
        })
    }
}

fn columns<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes
        .chunks_exact(N)
        .map(|chunk| chunk.try_into().expect("chunks of the column's width"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_back() {
        let mut sidecar = Sidecar::with_capacity(2);
        sidecar.push([1; 12], [2; 16], 3);
        sidecar.push([4; 12], [5; 16], 6);
        let bytes = sidecar.encode();
        assert_eq!(bytes.len(), 2 * SIDECAR_ENTRY_BYTES);
        assert_eq!(Sidecar::decode(&bytes, 2), Ok(sidecar));
        assert!(Sidecar::decode(&bytes, 1).is_err());
    }
}
