//! The repository key, wrapped under the operator's key, and the keys made from it. Key bytes must never be
//! printed, logged or compared anywhere but here.

use std::fmt;

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
            document: self.derive("regrow vault 1 document hash"),
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
    document: [u8; 32],
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

    pub(crate) fn document(&self, document: &[u8]) -> [u8; DOCUMENT_HASH_BYTES] {
        first(&blake3::keyed_hash(&self.document, document))
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
        for key in [
            &mut self.block,
            &mut self.page,
            &mut self.document,
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

fn first<const N: usize>(hash: &blake3::Hash) -> [u8; N] {
    hash.as_bytes()[..N]
        .try_into()
        .expect("a hash is longer than its prefix")
}
