//! One sealed object with a header of its own: a manifest or a checkpoint. Packs have another form.
//! Must never give out content that was not authenticated under the object's own name and kind.

use bytes::Bytes;

use crate::codec::{Compressor, RawLength};
use crate::error::Error;
use crate::frame::{FrameKind, ObjectSeal};
use crate::keys::{self, SealingRoot};
use crate::pack::{FORMAT_VERSION, check_header};

const HEADER_BYTES: usize = 32;
/// Most bytes the content may claim before compression; options of collections are the bulk of it.
const CONTENT_BYTES_MAX: usize = 256 << 20;

/// What tells the objects of one kind from the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// First bytes of the object.
    pub(crate) magic: &'static [u8; 8],
    /// Kind of its only frame.
    pub(crate) kind: FrameKind,
}

/// Returns the sealed object, under a key drawn for it alone. Fails with `Invalid` where the
/// content is larger than any reader takes.
pub(crate) fn seal(
    root: &SealingRoot,
    form: Form,
    name: &str,
    content: &[u8],
    level: i32,
) -> Result<Bytes, Error> {
    if content.len() > CONTENT_BYTES_MAX {
        let reason = format!(
            "{name} has {} bytes, at most {CONTENT_BYTES_MAX}",
            content.len()
        );
        return Err(Error::invalid(reason));
    }
    let salt = keys::random()?;
    let mut object = Vec::with_capacity(HEADER_BYTES);
    object.extend_from_slice(form.magic);
    object.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    object.extend_from_slice(&[0; 4]);
    object.extend_from_slice(&salt);
    let plain = Compressor::new(level)?.frame(content);
    let seal = ObjectSeal::new(root.object_key(salt), name.to_owned(), object.clone());
    object.extend_from_slice(&seal.seal(form.kind, 0, plain));
    Ok(Bytes::from(object))
}

/// Opens the object of this name and returns its content. Fails with `Corrupt`, or with
/// `Unsupported` where a later version wrote it.
pub(crate) fn open(
    root: &SealingRoot,
    form: Form,
    name: &str,
    object: &[u8],
) -> Result<Vec<u8>, Error> {
    check_header(name, object, form.magic)?;
    let (header, sealed) = object
        .split_at_checked(HEADER_BYTES)
        .ok_or_else(|| Error::corrupt(name, "the header is damaged"))?;
    let salt = header[HEADER_BYTES - 16..]
        .try_into()
        .expect("the salt has 16 bytes");
    let seal = ObjectSeal::new(root.object_key(salt), name.to_owned(), header.to_vec());
    let limit = RawLength::AtMost(CONTENT_BYTES_MAX);
    seal.open(form.kind, 0, sealed.to_vec(), limit)
}
