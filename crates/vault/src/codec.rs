//! How a content becomes the plain text of a frame and back: as it is, as one zstd frame, or in
//! strips, each a zstd frame of its own, where parts of a content are wanted without the rest.
//! Pure. Must never return more bytes than were allowed, nor a part that was not decompressed.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::OnceLock;

use zstd::zstd_safe::{CParameter, compress_bound, get_frame_content_size};

use crate::error::Error;

/// The content as it is.
pub(crate) const CODEC_NONE: u8 = 0;
/// One zstd frame.
const CODEC_ZSTD: u8 = 1;
/// A table of lengths, and so many zstd frames.
const CODEC_STRIPS: u8 = 2;

/// Bytes of a strip before compression.
const STRIP_BYTES: usize = 64 << 10;
/// Strips are taken where they cost at most one in so many bytes more than one frame.
const STRIPS_COST_ONE_IN: usize = 20;
/// Fewest bytes by which that is told: repetition that is further apart than a strip shows in them.
const TELLING_BYTES: usize = 4 * STRIP_BYTES;
/// Most memory for contents that a thread keeps until the next one.
const ROOM_BYTES_MAX: usize = 2 << 20;

/// What is known of a content's length before it is decompressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RawLength {
    /// It has exactly this many bytes.
    Exactly(usize),
    /// It has at most this many bytes.
    AtMost(usize),
}

impl RawLength {
    fn limit(self) -> usize {
        match self {
            RawLength::Exactly(length) | RawLength::AtMost(length) => length,
        }
    }

    fn require(self, found: usize) -> Result<(), String> {
        match self {
            RawLength::Exactly(length) if found != length => {
                Err(format!("it has {found} bytes, expected {length}"))
            }
            RawLength::AtMost(limit) if found > limit => {
                Err(format!("it has {found} bytes, expected at most {limit}"))
            }
            _ => Ok(()),
        }
    }
}

/// Compresses contents; kept between blocks because making one costs as much as compressing a small
/// block.
pub(crate) struct Compressor {
    inner: zstd::bulk::Compressor<'static>,
    scratch: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new(level: i32) -> Result<Compressor, Error> {
        let mut inner = zstd::bulk::Compressor::new(level)
            .map_err(|_| Error::invalid(format!("zstd has no compression level {level}")))?;
        inner
            .set_parameter(CParameter::ChecksumFlag(true))
            .expect("zstd writes checksums");
        Ok(Compressor {
            inner,
            scratch: Vec::new(),
        })
    }

    /// Returns the plain text of a frame: the codec, then the content, compressed where that is
    /// shorter.
    pub(crate) fn frame(&mut self, content: &[u8]) -> Vec<u8> {
        let length = self.compress(0, content);
        self.shorter(CODEC_ZSTD, length, content)
    }

    /// Does the same for a block, whose tables begin at `tables`: in strips, unless they cost much
    /// more room. `in_strips` remembers that for its collection, whose documents are alike.
    pub(crate) fn block(
        &mut self,
        content: &[u8],
        tables: usize,
        in_strips: &OnceLock<bool>,
    ) -> Vec<u8> {
        match in_strips.get() {
            Some(false) => return self.frame(content),
            None if tables >= TELLING_BYTES => {}
            Some(true) | None => return self.frame_in_strips(content, tables),
        }
        let whole = self.frame(content);
        let strips = self.frame_in_strips(content, tables);
        let are_cheap = strips.len() <= whole.len() + whole.len() / STRIPS_COST_ONE_IN;
        match in_strips.get_or_init(|| are_cheap) {
            true => strips,
            false => whole,
        }
    }

    /// Does the same with strips for what is before `tables`, and one for what is from there on. A
    /// content that would have one strip before has none.
    fn frame_in_strips(&mut self, content: &[u8], tables: usize) -> Vec<u8> {
        if tables <= STRIP_BYTES {
            return self.frame(content);
        }
        let (before, behind) = content.split_at(tables);
        let strips: Vec<&[u8]> = before.chunks(STRIP_BYTES).chain([behind]).collect();
        let mut at = 4 * (1 + strips.len());
        let mut lengths = Vec::with_capacity(at);
        lengths.extend_from_slice(&as_u32(strips.len()));
        for strip in strips {
            let length = self.compress(at, strip);
            lengths.extend_from_slice(&as_u32(length));
            at += length;
        }
        self.scratch[..lengths.len()].copy_from_slice(&lengths);
        self.shorter(CODEC_STRIPS, at, content)
    }

    /// Compresses into the scratch from a place on; returns the length.
    fn compress(&mut self, at: usize, content: &[u8]) -> usize {
        let end = at + compress_bound(content.len());
        if self.scratch.len() < end {
            self.scratch.resize(end, 0);
        }
        let compressed = self
            .inner
            .compress_to_buffer(content, &mut self.scratch[at..]);
        compressed.expect("the buffer has room for the worst case")
    }

    fn shorter(&self, codec: u8, length: usize, content: &[u8]) -> Vec<u8> {
        let (codec, body) = match length < content.len() {
            true => (codec, &self.scratch[..length]),
            false => (CODEC_NONE, content),
        };
        let mut plain = Vec::with_capacity(body.len() + crate::frame::FRAME_OVERHEAD_BYTES);
        plain.push(codec);
        plain.extend_from_slice(body);
        plain
    }
}

fn as_u32(length: usize) -> [u8; 4] {
    let length = u32::try_from(length).expect("a content is far below 4 GiB");
    length.to_le_bytes()
}

/// Undoes a frame's codec.
pub(crate) fn expand(plain: &[u8], raw_length: RawLength) -> Result<Vec<u8>, String> {
    let mut parts = Parts::open(plain, raw_length, |length| vec![0; length])?;
    parts.all()?;
    Ok(parts.content.into_owned())
}

/// Shows the content of a frame in memory that the thread uses again: getting a mebibyte from the
/// system costs as much as decompressing into it.
pub(crate) fn show<R>(
    plain: &[u8],
    raw_length: RawLength,
    look: impl FnOnce(&mut Parts<'_>) -> R,
) -> Result<R, String> {
    let room = |length| {
        let mut room = ROOM.take();
        room.resize(length, 0);
        room
    };
    let mut parts = Parts::open(plain, raw_length, room)?;
    let seen = look(&mut parts);
    if let Cow::Owned(room) = parts.content
        && room.capacity() <= ROOM_BYTES_MAX
    {
        ROOM.set(room);
    }
    Ok(seen)
}

/// A content of which strips are decompressed when they are wanted.
pub(crate) struct Parts<'a> {
    /// Holds anything where strips wait.
    content: Cow<'a, [u8]>,
    /// In order; none where the content is whole from the start.
    strips: Vec<Strip<'a>>,
}

struct Strip<'a> {
    frame: &'a [u8],
    range: Range<usize>,
    waits: bool,
}

impl<'a> Parts<'a> {
    /// What is decompressed is put into a room of its length, whatever is in there.
    fn open(
        plain: &'a [u8],
        raw_length: RawLength,
        room: impl FnOnce(usize) -> Vec<u8>,
    ) -> Result<Parts<'a>, String> {
        let (&codec, body) = plain.split_first().ok_or("it is empty")?;
        let frames = match codec {
            CODEC_NONE => {
                raw_length.require(body.len())?;
                return Ok(Parts {
                    content: Cow::Borrowed(body),
                    strips: Vec::new(),
                });
            }
            CODEC_ZSTD => vec![body],
            CODEC_STRIPS => checked(frames(body)?)?,
            other => return Err(format!("codec {other} is unknown")),
        };
        let limit = raw_length.limit();
        let mut end = 0;
        let mut strips = Vec::with_capacity(frames.len());
        for frame in frames {
            let size = get_frame_content_size(frame).ok().flatten();
            let size = size.and_then(|size| usize::try_from(size).ok());
            let size = size.filter(|size| *size <= limit - end);
            let size =
                size.ok_or_else(|| format!("its compressed size is not at most {limit} bytes"))?;
            strips.push(Strip {
                frame,
                range: end..end + size,
                waits: true,
            });
            end += size;
        }
        raw_length.require(end)?;
        Ok(Parts {
            content: Cow::Owned(room(end)),
            strips,
        })
    }

    /// Returns the length of the whole content in bytes.
    pub(crate) fn len(&self) -> usize {
        self.content.len()
    }

    /// Answers whether nothing of the content can be had without all of it.
    pub(crate) fn is_one(&self) -> bool {
        self.strips.len() <= 1
    }

    /// Returns all of the content.
    pub(crate) fn all(&mut self) -> Result<&[u8], String> {
        self.get(0..self.len())
    }

    /// Returns the end of the content: its last strip, or all of it where it is one.
    pub(crate) fn end(&mut self) -> Result<&[u8], String> {
        let start = self.strips.last().map_or(0, |strip| strip.range.start);
        self.get(start..self.len())
    }

    /// Returns a part of the content.
    pub(crate) fn get(&mut self, range: Range<usize>) -> Result<&[u8], String> {
        if range.start > range.end || range.end > self.len() {
            return Err(format!("it has {} bytes, not {range:?}", self.len()));
        }
        let from = self
            .strips
            .partition_point(|strip| strip.range.end <= range.start);
        let of_range = self.strips[from..].iter_mut();
        let of_range = of_range.take_while(|strip| strip.range.start < range.end);
        for strip in of_range.filter(|strip| strip.waits) {
            let room = &mut self.content.to_mut()[strip.range.clone()];
            match decompress(strip.frame, room) {
                Ok(length) if length == strip.range.len() => strip.waits = false,
                _ => return Err("it does not decompress".to_owned()),
            }
        }
        Ok(&self.content[range])
    }
}

/// Parts a body in strips into its zstd frames.
fn frames(body: &[u8]) -> Result<Vec<&[u8]>, String> {
    let wrong = || "its strips do not fit".to_owned();
    let (count, rest) = body.split_first_chunk::<4>().ok_or_else(wrong)?;
    let count = u32::from_le_bytes(*count) as usize;
    let table = count.checked_mul(4).filter(|table| *table <= rest.len());
    let (lengths, mut rest) = rest.split_at(table.ok_or_else(wrong)?);
    let mut frames = Vec::with_capacity(count);
    for length in lengths.chunks_exact(4) {
        let length = u32::from_le_bytes(length.try_into().expect("chunks of four bytes"));
        let (frame, behind) = rest.split_at_checked(length as usize).ok_or_else(wrong)?;
        frames.push(frame);
        rest = behind;
    }
    match rest.is_empty() {
        true => Ok(frames),
        false => Err(wrong()),
    }
}

/// Refuses frames without a checksum: parts of a content are compared with nothing else. The flag
/// is a bit of the byte behind the magic number (RFC 8878, 3.1.1.1.1).
fn checked(frames: Vec<&[u8]>) -> Result<Vec<&[u8]>, String> {
    let has_checksum = |frame: &&[u8]| frame.get(4).is_some_and(|flags| flags & 4 != 0);
    match frames.iter().all(has_checksum) {
        true => Ok(frames),
        false => Err("a strip has no checksum".to_owned()),
    }
}

thread_local! {
    /// Kept, because making one costs as much as decompressing a page.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        const { RefCell::new(None) };
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn decompress(frame: &[u8], room: &mut [u8]) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(frame, room)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text and a few random bytes, which zstd shrinks to a third or so.
    fn content(length: usize) -> Vec<u8> {
        let words = (0_u32..).flat_map(|n| {
            let hash = blake3::hash(&n.to_le_bytes());
            let word = format!("word {} of many ", hash.as_bytes()[0]);
            word.into_bytes().into_iter().chain(*hash.as_bytes())
        });
        words.take(length).collect()
    }

    /// Looks at a content in a room that has something else in it.
    fn look<R>(plain: &[u8], raw_length: RawLength, look: impl FnOnce(&mut Parts<'_>) -> R) -> R {
        ROOM.set(vec![0xaa; 10 * STRIP_BYTES]);
        show(plain, raw_length, look).unwrap()
    }

    fn whole(plain: &[u8], length: usize) -> Result<Vec<u8>, String> {
        expand(plain, RawLength::Exactly(length))
    }

    #[test]
    fn what_is_compressed_comes_back_whole_and_in_parts() {
        let mut compressor = Compressor::new(1).unwrap();
        for length in [
            1,
            4,
            1_000,
            STRIP_BYTES,
            STRIP_BYTES + 1,
            5 * STRIP_BYTES + 77,
        ] {
            let content = content(length);
            for tables in [0, length / 2, length - 1, length] {
                let plain = compressor.frame_in_strips(&content, tables);
                assert_eq!(
                    whole(&plain, length),
                    Ok(content.clone()),
                    "{length} {tables}"
                );
                look(&plain, RawLength::AtMost(length), |parts| {
                    assert_eq!(parts.len(), length);
                    assert_eq!(parts.is_one(), tables <= STRIP_BYTES);
                    assert!(content.ends_with(parts.end().unwrap()));
                    assert!(parts.get(0..length + 1).is_err());
                });
                for start in (0..length).step_by(1 + length / 5) {
                    let range = start..length.min(start + length / 3);
                    look(&plain, RawLength::Exactly(length), |parts| {
                        assert_eq!(parts.get(range.clone()), Ok(&content[range]));
                    });
                }
            }
        }
    }

    #[test]
    fn only_wanted_strips_are_decompressed() {
        let content = content(4 * STRIP_BYTES);
        let tables = content.len() - 100;
        let mut plain = Compressor::new(1)
            .unwrap()
            .frame_in_strips(&content, tables);
        assert_eq!(plain[0], CODEC_STRIPS);
        // The second strip is harmed: zstd's own checksum tells.
        let count = u32::from_le_bytes(plain[1..5].try_into().unwrap()) as usize;
        assert_eq!(count, 5);
        let first = u32::from_le_bytes(plain[5..9].try_into().unwrap()) as usize;
        let second = 1 + 4 * (1 + count) + first;
        plain[second + 1_000] ^= 1;
        look(&plain, RawLength::Exactly(content.len()), |parts| {
            assert_eq!(parts.end(), Ok(&content[tables..]));
            assert_eq!(parts.get(0..STRIP_BYTES), Ok(&content[..STRIP_BYTES]));
            let third = 2 * STRIP_BYTES..3 * STRIP_BYTES;
            assert_eq!(parts.get(third.clone()), Ok(&content[third]));
            assert!(parts.get(STRIP_BYTES - 1..STRIP_BYTES + 1).is_err());
            assert!(parts.all().is_err(), "not even when asked again");
        });
        assert!(whole(&plain, content.len()).is_err());
    }

    #[test]
    fn strips_without_checksum_are_refused() {
        let content = content(100);
        let mut plain = vec![CODEC_STRIPS];
        let frame = zstd::bulk::compress(&content, 1).unwrap();
        plain.extend_from_slice(&as_u32(1));
        plain.extend_from_slice(&as_u32(frame.len()));
        plain.extend_from_slice(&frame);
        let refused = whole(&plain, content.len());
        assert_eq!(refused, Err("a strip has no checksum".to_owned()));
    }

    #[test]
    fn blocks_are_in_strips_where_that_costs_little() {
        let mut compressor = Compressor::new(1).unwrap();
        let near = content(TELLING_BYTES + 4);
        // What repeats is further apart than a strip.
        let far = content(TELLING_BYTES / 2 + 2).repeat(2);
        let tables = TELLING_BYTES;
        for (first, then, codec) in [(&near, &far, CODEC_STRIPS), (&far, &near, CODEC_ZSTD)] {
            let in_strips = OnceLock::new();
            // Too short to tell.
            let short =
                compressor.block(&first[..2 * STRIP_BYTES], 2 * STRIP_BYTES - 4, &in_strips);
            assert_eq!((short[0], in_strips.get()), (CODEC_STRIPS, None));
            for content in [first, then] {
                let plain = compressor.block(content, tables, &in_strips);
                assert_eq!(plain[0], codec, "what was found for the first block holds");
                assert_eq!(whole(&plain, content.len()).as_ref(), Ok(content));
            }
        }
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        let mut compressor = Compressor::new(1).unwrap();
        let mut random = blake3::Hasher::new().finalize_xof();
        let mut content = vec![0; 3 * STRIP_BYTES];
        random.fill(&mut content);
        let plain = compressor.frame_in_strips(&content, content.len() - 4);
        assert_eq!((plain[0], plain.len()), (CODEC_NONE, content.len() + 1));
        assert_eq!(whole(&plain, content.len()), Ok(content.clone()));
        assert!(whole(&plain, content.len() - 1).is_err());
        assert!(expand(&plain, RawLength::AtMost(content.len() - 1)).is_err());
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let content = content(3 * STRIP_BYTES);
        let plain = Compressor::new(1)
            .unwrap()
            .frame_in_strips(&content, content.len() - 4);
        for end in [0, 1, 4, 5, 8, 20, 21, 30, plain.len() - 1] {
            assert!(
                whole(&plain[..end], content.len()).is_err(),
                "cut after {end} bytes"
            );
        }
        let mut longer = plain.clone();
        longer.push(0);
        assert!(whole(&longer, content.len()).is_err());
        for wrong in [content.len() - 1, content.len() + 1] {
            assert!(whole(&plain, wrong).is_err());
        }
        for count in [0_u32, 1, u32::MAX] {
            let mut plain = plain.clone();
            plain[1..5].copy_from_slice(&count.to_le_bytes());
            assert!(whole(&plain, content.len()).is_err(), "{count} strips");
        }
        assert!(whole(&[9, 9], 1).is_err());
    }
}
