//! Columns encrypted at rest: digest HA1 and connection strings.
//!
//! AES-256-GCM with a random 96-bit nonce per value. Table, column and row id are
//! authenticated with it, so that a value moved to another row no longer opens.

/// The key that secrets are sealed under; its bytes are wiped when it is dropped.
pub struct SealKey(secrecy::SecretBox<[u8; 32]>);

impl SealKey {
    /// Takes the 32 bytes of the key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(secrecy::SecretBox::new(Box::new(bytes)))
    }
}

impl From<[u8; 32]> for SealKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }
}

pub(crate) struct Sealer;
