//! Columns encrypted at rest: digest HA1 and connection strings.
//!
//! AES-256-GCM with a random 96-bit nonce per value. Table, column and row id are
//! authenticated with it, so that a value moved to another row no longer opens. Stored as
//! base64 of nonce, ciphertext and tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretBox, SecretString};

/// The key that secrets are sealed under; its bytes are wiped when it is dropped.
pub struct SealKey(SecretBox<[u8; 32]>);

impl SealKey {
    /// Takes the 32 bytes of the key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }
}

impl From<[u8; 32]> for SealKey {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Where a sealed value stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) row: &'a str,
}

impl Place<'_> {
    fn authenticated(&self) -> Aad<Vec<u8>> {
        Aad::from([self.table, self.column, self.row].join("\0").into_bytes())
    }
}

/// A value that does not open: another key, another place, or damage.
#[derive(Debug, thiserror::Error)]
#[error("{table}.{column} of row {row} does not open under this key")]
pub(crate) struct Unsealable {
    table: &'static str,
    column: &'static str,
    row: String,
}

/// The system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system's random number generator failed")]
pub(crate) struct NoRandomness;

pub(crate) struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Sealer {
    pub(crate) fn new(key: &SealKey) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.0.expose_secret())
            .expect("AES-256 takes any 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            random: SystemRandom::new(),
        }
    }

    pub(crate) fn seal(&self, place: Place<'_>, value: &str) -> Result<String, NoRandomness> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| NoRandomness)?;
        // With capacity for the tag, lest growing left a copy of the plain text behind.
        let mut sealed = Vec::with_capacity(value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(value.as_bytes());
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce_used, place.authenticated(), &mut sealed)
            .expect("a value is far shorter than the cipher's limit of 64 GiB");
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    pub(crate) fn open(&self, place: Place<'_>, stored: &str) -> Result<SecretString, Unsealable> {
        let unsealable = || Unsealable {
            table: place.table,
            column: place.column,
            row: place.row.to_owned(),
        };
        let bytes = STANDARD_NO_PAD.decode(stored).map_err(|_| unsealable())?;
        let (nonce, sealed) = bytes.split_first_chunk().ok_or_else(unsealable)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut sealed = sealed.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, place.authenticated(), &mut sealed)
            .map_err(|_| unsealable())?;
        let plain = std::str::from_utf8(plain).map_err(|_| unsealable())?;
        Ok(SecretString::from(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: "clusters",
        column: "uri_sealed",
        row: "5cc9b501e5dc7c8ab1e45d65",
    };

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let sealer = Sealer::new(&SealKey::new([7; 32]));
        let stored = sealer.seal(PLACE, "mongodb://u:p@h").unwrap();
        let opened = sealer.open(PLACE, &stored).unwrap();
        assert_eq!(opened.expose_secret(), "mongodb://u:p@h");

        let elsewhere = Place {
            row: "5cc9b501e5dc7c8ab1e45d66",
            ..PLACE
        };
        assert!(sealer.open(elsewhere, &stored).is_err());
        let other_key = Sealer::new(&SealKey::new([8; 32]));
        assert!(other_key.open(PLACE, &stored).is_err());
    }

    #[test]
    fn no_damaged_value_opens() {
        let sealer = Sealer::new(&SealKey::new([7; 32]));
        let stored = sealer.seal(PLACE, "secret").unwrap();
        for position in 0..stored.len() {
            let mut damaged = stored.clone().into_bytes();
            damaged[position] = if damaged[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(sealer.open(PLACE, &damaged).is_err(), "{position}");
            assert!(sealer.open(PLACE, &stored[..position]).is_err());
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same() {
        let sealer = Sealer::new(&SealKey::new([7; 32]));
        let first = sealer.seal(PLACE, "secret").unwrap();
        assert_ne!(first, sealer.seal(PLACE, "secret").unwrap());
    }
}
