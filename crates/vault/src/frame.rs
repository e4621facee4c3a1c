//! Sealing: how one piece of an object becomes ciphertext and back. Every object has a key of its
//! own and the nonce is the ordinal of the frame in it, with the number of the strip where a frame
//! is sealed in strips, so a nonce never repeats under a key. Must never return bytes that did not
//! authenticate.

use ring::aead;

use crate::codec::{Parts, RawLength, expand, show};
use crate::error::Error;

/// Bytes that sealing adds: the authentication tag.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes that a frame has beyond its content: codec and tag.
pub(crate) const FRAME_OVERHEAD_BYTES: usize = 1 + TAG_BYTES;

/// What a frame holds; part of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Block = 1,
    Sidecar = 2,
    Page = 3,
    Segment = 4,
    Footer = 5,
    Manifest = 6,
    Checkpoint = 7,
}

impl FrameKind {
    /// Returns the kind that may stand in a pack's footer under this number.
    pub(crate) fn listed(number: u8) -> Option<FrameKind> {
        match number {
            1 => Some(FrameKind::Block),
            2 => Some(FrameKind::Sidecar),
            3 => Some(FrameKind::Page),
            4 => Some(FrameKind::Segment),
            _ => None,
        }
    }
}

/// The key and the name of one object.
pub(crate) struct ObjectSeal {
    key: aead::LessSafeKey,
    object: String,
    header: Vec<u8>,
}

impl ObjectSeal {
    /// Seals under a key that was derived from random bits drawn for this object alone. `header` is
    /// what stands in clear before the frames and is to be authenticated with each.
    pub(crate) fn new(key: aead::LessSafeKey, object: String, header: Vec<u8>) -> ObjectSeal {
        ObjectSeal {
            key,
            object,
            header,
        }
    }

    /// Returns the full name of the object.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// Seals a frame's plain text in place. Each ordinal may be sealed once.
    pub(crate) fn seal(&self, kind: FrameKind, ordinal: u32, plain: Vec<u8>) -> Vec<u8> {
        self.seal_strip(kind, ordinal, 0, plain)
    }

    /// Seals a strip of a frame in place. Each strip of an ordinal may be sealed once.
    pub(crate) fn seal_strip(
        &self,
        kind: FrameKind,
        ordinal: u32,
        strip: u32,
        mut plain: Vec<u8>,
    ) -> Vec<u8> {
        plain.reserve_exact(TAG_BYTES);
        let (nonce, additional) = (nonce(ordinal, strip), self.additional(kind, ordinal));
        self.key
            .seal_in_place_append_tag(nonce, additional, &mut plain)
            .expect("a frame is within the limits of AES-GCM");
        plain
    }

    /// Opens a frame and undoes its codec. `raw_length` is the length the content must have.
    pub(crate) fn open(
        &self,
        kind: FrameKind,
        ordinal: u32,
        sealed: Vec<u8>,
        raw_length: RawLength,
    ) -> Result<Vec<u8>, Error> {
        let opened = self.open_kept(kind, ordinal, sealed, raw_length);
        opened.map(|(_, content)| content)
    }

    /// Opens a frame and shows its content, of which parts are decompressed as they are wanted.
    pub(crate) fn show<R>(
        &self,
        kind: FrameKind,
        ordinal: u32,
        sealed: Vec<u8>,
        raw_length: RawLength,
        look: impl FnOnce(&mut Parts<'_>) -> R,
    ) -> Result<R, Error> {
        let at = || format!("{kind:?} frame {ordinal}");
        let plain = self.open_plain(kind, ordinal, 0, sealed);
        let plain = plain.map_err(|reason| self.corrupt(at(), reason))?;
        let seen = show(&plain, raw_length, look);
        seen.map_err(|reason| self.corrupt(at(), &format!(": {reason}")))
    }

    /// Opens a frame; returns its plain text, to be sealed elsewhere as it is, and its content.
    pub(crate) fn open_kept(
        &self,
        kind: FrameKind,
        ordinal: u32,
        sealed: Vec<u8>,
        raw_length: RawLength,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let at = || format!("{kind:?} frame {ordinal}");
        let plain = self.open_plain(kind, ordinal, 0, sealed);
        let plain = plain.map_err(|reason| self.corrupt(at(), reason))?;
        let content = expand(&plain, raw_length);
        let content = content.map_err(|reason| self.corrupt(at(), &format!(": {reason}")))?;
        Ok((plain, content))
    }

    /// Opens a strip of a frame and undoes its codec.
    pub(crate) fn open_strip(
        &self,
        kind: FrameKind,
        ordinal: u32,
        strip: u32,
        sealed: Vec<u8>,
        raw_length: RawLength,
    ) -> Result<Vec<u8>, Error> {
        let at = || format!("{kind:?} frame {ordinal}, strip {strip}");
        let plain = self.open_plain(kind, ordinal, strip, sealed);
        let plain = plain.map_err(|reason| self.corrupt(at(), reason))?;
        let content = expand(&plain, raw_length);
        content.map_err(|reason| self.corrupt(at(), &format!(": {reason}")))
    }

    fn corrupt(&self, at: String, reason: &str) -> Error {
        Error::corrupt(&self.object, at + reason)
    }

    fn open_plain(
        &self,
        kind: FrameKind,
        ordinal: u32,
        strip: u32,
        mut sealed: Vec<u8>,
    ) -> Result<Vec<u8>, &'static str> {
        let additional = self.additional(kind, ordinal);
        let nonce = nonce(ordinal, strip);
        let opened = self.key.open_in_place(nonce, additional, &mut sealed);
        let length = opened.map(|plain| plain.len());
        let length = length.map_err(|_| " does not authenticate")?;
        sealed.truncate(length);
        Ok(sealed)
    }

    fn additional(&self, kind: FrameKind, ordinal: u32) -> aead::Aad<Vec<u8>> {
        let mut bytes = Vec::with_capacity(5 + self.object.len() + self.header.len());
        bytes.push(kind as u8);
        bytes.extend_from_slice(&ordinal.to_le_bytes());
        bytes.extend_from_slice(self.object.as_bytes());
        bytes.extend_from_slice(&self.header);
        aead::Aad::from(bytes)
    }
}

fn nonce(ordinal: u32, strip: u32) -> aead::Nonce {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&ordinal.to_le_bytes());
    bytes[4..8].copy_from_slice(&strip.to_le_bytes());
    aead::Nonce::assume_unique_for_key(bytes)
}
