//! The repository's header: format version, name and wrapped key, in clear. Its checksum tells a
//! damaged header from a wrong key, so that nobody is told to look for another key when the disk is
//! at fault.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::{RepositoryId, parse_hex, to_hex};
use crate::keys::{KeyEncryptionKey, RepositoryKey, random};
use crate::pack::FORMAT_VERSION;

/// Name of the object that holds the header.
pub(crate) const OBJECT: &str = "repo";

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    repository: String,
    nonce: String,
    wrapped_key: String,
    checksum: String,
}

/// Draws a repository's name and key and returns them with the header to be stored.
pub(crate) fn create(
    key: &KeyEncryptionKey,
) -> Result<(RepositoryId, RepositoryKey, Bytes), Error> {
    let id = RepositoryId(random()?);
    let nonce = random()?;
    let repository_key = RepositoryKey::generate()?;
    let mut header = Header {
        format: FORMAT_VERSION,
        repository: id.to_string(),
        nonce: to_hex(&nonce),
        wrapped_key: to_hex(&repository_key.wrap(key, id, nonce)),
        checksum: String::new(),
    };
    header.checksum = header.expected_checksum();
    Ok((id, repository_key, Bytes::from(header.render())))
}

/// Opens a header. Fails with `Denied` under a wrong key, and `Corrupt` where the header is
/// damaged.
pub(crate) fn open(
    bytes: &[u8],
    key: &KeyEncryptionKey,
) -> Result<(RepositoryId, RepositoryKey), Error> {
    let (header, id) = parse(bytes)?;
    let nonce = parse_hex(&header.nonce).ok_or_else(damaged)?;
    let wrapped = parse_hex(&header.wrapped_key).ok_or_else(damaged)?;
    let denied = || Error::Denied {
        object: OBJECT.to_owned(),
        reason: "the repository was made with another key".to_owned(),
    };
    let repository_key = RepositoryKey::unwrap(wrapped, key, id, nonce).ok_or_else(denied)?;
    Ok((id, repository_key))
}

/// Verifies, without the key, that a header is whole and of this repository.
pub(crate) fn verify(bytes: &[u8], repository: RepositoryId) -> Result<(), Error> {
    let (_, id) = parse(bytes)?;
    if id != repository {
        return Err(Error::corrupt(
            OBJECT,
            "the header is of another repository",
        ));
    }
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<(Header, RepositoryId), Error> {
    let header: Header = serde_json::from_slice(bytes)
        .map_err(|error| Error::corrupt(OBJECT, format!("the header does not parse: {error}")))?;
    if header.format > FORMAT_VERSION {
        return Err(Error::Unsupported {
            object: OBJECT.to_owned(),
            version: header.format,
            supported: FORMAT_VERSION,
        });
    }
    let whole = header.checksum == header.expected_checksum() && header.render() == bytes;
    if header.format == 0 || !whole {
        return Err(damaged());
    }
    let id = RepositoryId(parse_hex(&header.repository).ok_or_else(damaged)?);
    Ok((header, id))
}

fn damaged() -> Error {
    Error::corrupt(OBJECT, "the header's checksum does not agree")
}

impl Header {
    /// Returns the only bytes that are taken for this header, so that no change goes unseen.
    fn render(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("the header is plain JSON");
        text.push(b'\n');
        text
    }

    fn expected_checksum(&self) -> String {
        let text = [
            self.format.to_string().as_str(),
            self.repository.as_str(),
            self.nonce.as_str(),
            self.wrapped_key.as_str(),
        ]
        .join("\n");
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }
}
