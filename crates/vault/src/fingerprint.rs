//! An order-independent digest of a set of documents: their count and the sum of their keyed
//! 256-bit hashes modulo 2^256. Can be taken from sidecars alone, and updated by subtraction. Never
//! an exclusive or, under which a document that is there twice would vanish.

use std::fmt;
use std::str::FromStr;

use crate::id::{ParseIdError, parse_hex, to_hex};
use crate::keys::HashKeys;
use std::sync::Arc;

/// Count and sum of a set of documents; equal for equal sets in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Number of documents.
    pub documents: u64,
    /// Sum of their hashes.
    pub sum: Sum,
}

/// A number modulo 2^256, as four little-endian words.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sum([u64; 4]);

impl Sum {
    /// Adds modulo 2^256.
    pub fn add(&mut self, other: Sum) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(other.0) {
            let (partial, first) = word.overflowing_add(other);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *word = total;
            carry = first | second;
        }
    }

    /// Subtracts modulo 2^256.
    pub fn subtract(&mut self, other: Sum) {
        let mut borrow = false;
        for (word, other) in self.0.iter_mut().zip(other.0) {
            let (partial, first) = word.overflowing_sub(other);
            let (total, second) = partial.overflowing_sub(u64::from(borrow));
            *word = total;
            borrow = first | second;
        }
    }

    /// Returns the 32 bytes of the number, little-endian.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads 32 little-endian bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Sum {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes"));
        }
        Sum(words)
    }
}

impl Fingerprint {
    /// Adds the documents of another, disjoint set.
    pub fn merge(&mut self, other: Fingerprint) {
        self.documents += other.documents;
        self.sum.add(other.sum);
    }

    /// Takes away the documents of a subset.
    pub fn remove(&mut self, other: Fingerprint) {
        self.documents -= other.documents;
        self.sum.subtract(other.sum);
    }
}

/// Takes the fingerprint of documents as they come, under the keys of one repository.
#[derive(Clone)]
pub struct Fingerprinter {
    keys: Arc<HashKeys>,
    total: Fingerprint,
}

impl Fingerprinter {
    pub(crate) fn new(keys: Arc<HashKeys>) -> Fingerprinter {
        Fingerprinter {
            keys,
            total: Fingerprint::default(),
        }
    }

    /// Adds one document.
    pub fn add(&mut self, document: &[u8]) {
        let hash = self.keys.document(document);
        self.total.merge(Fingerprint {
            documents: 1,
            sum: self.keys.fingerprint(&hash),
        });
    }

    /// Adds what another fingerprinter of the same repository has taken.
    pub fn merge(&mut self, other: Fingerprinter) {
        self.total.merge(other.total);
    }

    /// Returns the fingerprint of all documents added.
    pub fn finish(self) -> Fingerprint {
        self.total
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fingerprinter")
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sum({})", to_hex(&self.to_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    /// Writes `<documents>:<64 hex digits>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.documents, to_hex(&self.sum.to_bytes()))
    }
}

impl FromStr for Fingerprint {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let wrong = ParseIdError { expected: 64 };
        let (documents, sum) = text.split_once(':').ok_or_else(|| wrong.clone())?;
        let documents = documents.parse().map_err(|_| wrong.clone())?;
        let sum = parse_hex(sum).ok_or(wrong)?;
        Ok(Fingerprint {
            documents,
            sum: Sum::from_bytes(sum),
        })
    }
}

impl<C> minicbor::Encode<C> for Sum {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.bytes(&self.to_bytes())?;
        Ok(())
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Sum {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        _context: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        let bytes = decoder.bytes()?.try_into();
        let bytes = bytes.map_err(|_| minicbor::decode::Error::message("length of a sum"))?;
        Ok(Sum::from_bytes(bytes))
    }
}
