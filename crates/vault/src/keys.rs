//! The repository key, wrapped under the operator's key, and the keys made from it. Key bytes must
//! never be printed, logged or compared anywhere but here.

use std::fmt;

use highway::{HighwayHash, HighwayHasher, Key};
use ring::aead;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretBox};

use crate::error::Error;
use crate::fingerprint::Sum;
use crate::id::{BlockId, PageId, RepositoryId};

/// Bytes of an identity hash.
pub(crate) const IDENTITY_HASH_BYTES: usize = 12;
/// Bytes of a document hash.
pub(crate) const DOCUMENT_HASH_BYTES: usize = 16;
/// Bytes of the repository key after wrapping.
pub(crate) const WRAPPED_KEY_BYTES: usize = 32 + 16;

/// The key that opens a repository; kept by the operator, never stored beside the data.
pub struct KeyEncryptionKey(SecretBox<[u8; 32]>);

impl KeyEncryptionKey {
    /// Takes 32 bytes of key.
    pub fn new(bytes: [u8; 32]) -> KeyEncryptionKey {
        KeyEncryptionKey(SecretBox::new(Box::new(bytes)))
    }

    fn wrapping(&self, repository: RepositoryId) -> aead::LessSafeKey {
        let mut hasher = blake3::Hasher::new_derive_key("regrow vault 1 wrapping");
        hasher.update(self.0.expose_secret());
        hasher.update(&repository.0);
        aes_key(hasher.finalize().as_bytes())
    }
}

impl From<[u8; 32]> for KeyEncryptionKey {
    fn from(bytes: [u8; 32]) -> KeyEncryptionKey {
        KeyEncryptionKey::new(bytes)
    }
}

impl Clone for KeyEncryptionKey {
    fn clone(&self) -> KeyEncryptionKey {
        KeyEncryptionKey::new(*self.0.expose_secret())
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyEncryptionKey(…)")
    }
}

/// The secret that all other keys of a repository are made from.
pub(crate) struct RepositoryKey(SecretBox<[u8; 32]>);

impl RepositoryKey {
    pub(crate) fn generate() -> Result<RepositoryKey, Error> {
        Ok(RepositoryKey(SecretBox::new(Box::new(random()?))))
    }

    /// Seals the key under the operator's.
    pub(crate) fn wrap(
        &self,
        key: &KeyEncryptionKey,
        repository: RepositoryId,
        nonce: [u8; 12],
    ) -> [u8; WRAPPED_KEY_BYTES] {
        let mut wrapped = [0; WRAPPED_KEY_BYTES];
        let (body, end) = wrapped.split_at_mut(32);
        body.copy_from_slice(self.0.expose_secret());
        let tag = key
            .wrapping(repository)
            .seal_in_place_separate_tag(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(wrapping_context(repository)),
                body,
            )
            .expect("32 bytes are within the limits of AES-GCM");
        end.copy_from_slice(tag.as_ref());
        wrapped
    }

    /// Opens a wrapped key; `None` when the operator's key is not the one it was wrapped under.
    pub(crate) fn unwrap(
        mut wrapped: [u8; WRAPPED_KEY_BYTES],
        key: &KeyEncryptionKey,
        repository: RepositoryId,
        nonce: [u8; 12],
    ) -> Option<RepositoryKey> {
        let opened = key
            .wrapping(repository)
            .open_in_place(
                aead::Nonce::assume_unique_for_key(nonce),
                aead::Aad::from(wrapping_context(repository)),
                &mut wrapped,
            )
            .ok()?;
        let bytes: [u8; 32] = (&*opened).try_into().expect("the tag is taken off");
        wrapped.zeroize();
        Some(RepositoryKey(SecretBox::new(Box::new(bytes))))
    }

    fn derive(&self, context: &'static str) -> [u8; 32] {
        blake3::derive_key(context, self.0.expose_secret())
    }

    pub(crate) fn hash_keys(&self) -> HashKeys {
        HashKeys {
            block: self.derive("regrow vault 1 block id"),
            page: self.derive("regrow vault 1 page id"),
            document: words(self.derive("regrow vault 1 document hash")),
            identity: self.derive("regrow vault 1 identity hash"),
            fingerprint: self.derive("regrow vault 1 fingerprint"),
        }
    }

    pub(crate) fn sealing_root(&self) -> SealingRoot {
        SealingRoot(self.derive("regrow vault 1 sealing root"))
    }
}

/// The keys under which things are named and hashed.
pub(crate) struct HashKeys {
    block: [u8; 32],
    page: [u8; 32],
    document: [u64; 4],
    identity: [u8; 32],
    fingerprint: [u8; 32],
}

impl HashKeys {
    pub(crate) fn block(&self, plain: &[u8]) -> BlockId {
        BlockId(*blake3::keyed_hash(&self.block, plain).as_bytes())
    }

    pub(crate) fn page(&self, plain: &[u8]) -> PageId {
        PageId(*blake3::keyed_hash(&self.page, plain).as_bytes())
    }

    /// `HighwayHash`, because BLAKE3 on documents of 1 KB costs five times as much and this is on
    /// every path that reads a source: see `docs/decisions/0003-document-hash.md`.
    pub(crate) fn document(&self, document: &[u8]) -> [u8; DOCUMENT_HASH_BYTES] {
        let [low, high] = HighwayHasher::new(Key(self.document)).hash128(document);
        (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
    }

    pub(crate) fn identity(&self, identity: &[u8]) -> [u8; IDENTITY_HASH_BYTES] {
        first(&blake3::keyed_hash(&self.identity, identity))
    }

    pub(crate) fn fingerprint(&self, document_hash: &[u8; DOCUMENT_HASH_BYTES]) -> Sum {
        Sum::from_bytes(*blake3::keyed_hash(&self.fingerprint, document_hash).as_bytes())
    }
}

impl Drop for HashKeys {
    fn drop(&mut self) {
        self.document.zeroize();
        for key in [
            &mut self.block,
            &mut self.page,
            &mut self.identity,
            &mut self.fingerprint,
        ] {
            key.zeroize();
        }
    }
}

/// The secret that the sealing keys of single objects are made from.
pub(crate) struct SealingRoot([u8; 32]);

impl SealingRoot {
    /// Returns the key of the object whose random salt this is.
    pub(crate) fn object_key(&self, salt: [u8; 16]) -> aead::LessSafeKey {
        aes_key(blake3::keyed_hash(&self.0, &salt).as_bytes())
    }
}

impl Drop for SealingRoot {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Draws random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::invalid("the operating system gives no random bytes"))?;
    Ok(bytes)
}

fn aes_key(bytes: &[u8; 32]) -> aead::LessSafeKey {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, bytes).expect("the key has 32 bytes");
    aead::LessSafeKey::new(key)
}

fn wrapping_context(repository: RepositoryId) -> Vec<u8> {
    [b"regrow vault 1 repo".as_slice(), &repository.0].concat()
}

fn words(bytes: [u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes"));
    }
    words
}

fn first<const N: usize>(hash: &blake3::Hash) -> [u8; N] {
    hash.as_bytes()[..N]
        .try_into()
        .expect("a hash is longer than its prefix")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The format rests on these values; another version of a hash must not slip in unseen.
    #[test]
    fn hashes_are_those_of_the_format() {
        let keys = RepositoryKey(SecretBox::new(Box::new([5; 32]))).hash_keys();
        let hex = |bytes: &[u8]| crate::id::to_hex(bytes);
        let hashes = [
            hex(&keys.document(b"a document")),
            hex(&keys.document(&[7; 1_000])),
            hex(&keys.identity(b"an identity")),
            hex(&keys.fingerprint(&[9; 16]).to_bytes()),
            keys.block(b"a block").to_string(),
            keys.page(b"a page").to_string(),
        ];
        let expected = [
            "6b490c1ea2acc75f5261c6322e3197c7",
            "d30097433936662d8b5b78180865c182",
            "b1eb4c1a45b0639ef235f992",
            "4df4ba86f642f14df1224ae3e28b6e722e9688ea38577f02f1a05588a21f4f07",
            "5ec4e424519f3a3f00883975d82419daeb674e1bf281290d1e4d32004adffd5a",
            "5bb87b4f606b44c8cbfb47f74745ec836763a5f245b25afb42948b2fb985da59",
        ];
        assert_eq!(hashes, expected);
    }

    /// The first known answers of `HighwayHash`'s own tests: 64 bits of nothing and of one zero
    /// byte, under the key 0, 1, … 31.
    #[test]
    fn document_hashes_are_highway_hash() {
        let key: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let hash = |bytes: &[u8]| HighwayHasher::new(Key(words(key))).hash64(bytes);
        assert_eq!(hash(b""), 0x907A_56DE_22C2_6E53);
        assert_eq!(hash(b"\0"), 0x7EAB_43AA_C7CD_DD78);
    }
}
