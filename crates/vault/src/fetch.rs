//! Reads many small pieces of packs: many of one pack with one request, a few requests at a time,
//! each piece opened off the runtime's threads. What is held is bounded by the size of a request.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{Stream, StreamExt};

use crate::error::Error;
use crate::frame::ObjectSeal;
use crate::id::PackId;
use crate::repository::Inner;
use crate::task::blocking;

/// Bytes of pieces in one request, unless one piece has more.
const READ_BYTES_MAX: u64 = 2 << 20;
/// Bytes from the first piece of a request to the last one where the store may read all between.
const SPAN_BYTES_MAX: u64 = 8 << 20;
/// Requests at a time.
const READS_AT_A_TIME: usize = 4;

/// A part of a pack that is wanted, and what for.
pub(crate) struct Piece<T> {
    pub(crate) pack: PackId,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) what: T,
}

/// Bytes read from the object store; shared by all that read for one purpose.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadCounter(Arc<AtomicU64>);

impl ReadCounter {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Pieces that one request brings, in ascending order.
struct Group<T> {
    pack: PackId,
    bytes: u64,
    pieces: Vec<Piece<T>>,
}

impl<T> Piece<T> {
    fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.length)
    }
}

/// Reads pieces and opens each with the seal of its pack; yields what came of the pieces of one
/// read, in any order. Ends with the first error for whoever stops there.
pub(crate) fn fetch<T, R, F>(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    pieces: Vec<Piece<T>>,
    open: F,
) -> impl Stream<Item = Result<Vec<R>, Error>> + Send + use<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(&Inner, &ObjectSeal, Piece<T>, Vec<u8>) -> Result<R, Error> + Clone + Send + 'static,
{
    let (repository, counter) = (repository.clone(), counter.clone());
    let span_max = match repository.store.reads_between() {
        true => SPAN_BYTES_MAX,
        false => u64::MAX,
    };
    futures::stream::iter(group(pieces, span_max))
        .map(move |group| {
            let (repository, counter, open) = (repository.clone(), counter.clone(), open.clone());
            async move {
                let ranges: Vec<_> = group.pieces.iter().map(Piece::range).collect();
                let parts = repository.read_ranges(group.pack, &ranges).await?;
                counter.add(group.bytes);
                blocking(move || {
                    let seal = repository.pack_seal(group.pack);
                    let pieces = group.pieces.into_iter().zip(parts);
                    let opened = pieces.map(|(piece, sealed)| {
                        let opened = open(&repository, &seal, piece, sealed.into());
                        opened.inspect_err(|error| repository.note_damage(group.pack, error))
                    });
                    opened.collect()
                })
                .await
            }
        })
        .buffer_unordered(READS_AT_A_TIME)
}

/// Groups pieces into requests, of which none spans more bytes than `span_max`.
fn group<T>(mut pieces: Vec<Piece<T>>, span_max: u64) -> Vec<Group<T>> {
    pieces.sort_unstable_by_key(|piece| (piece.pack, piece.offset));
    let mut groups: Vec<Group<T>> = Vec::new();
    for piece in pieces {
        match groups.last_mut() {
            Some(group)
                if group.pack == piece.pack
                    && group.bytes + piece.length <= READ_BYTES_MAX
                    && piece.range().end - group.pieces[0].offset <= span_max =>
            {
                group.bytes += piece.length;
                group.pieces.push(piece);
            }
            _ => groups.push(Group {
                pack: piece.pack,
                bytes: piece.length,
                pieces: vec![piece],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_pack_are_asked_for_together_within_limits() {
        let piece = |pack: u8, offset, length| Piece {
            pack: PackId([pack; 16]),
            offset,
            length,
            what: (),
        };
        let pieces = vec![
            piece(2, 16, 10),
            piece(1, SPAN_BYTES_MAX, 16),
            piece(1, 15, 85),
            piece(1, 150, 50),
            piece(3, 16, READ_BYTES_MAX + 1),
            piece(3, READ_BYTES_MAX + 17, 1),
            piece(4, u64::MAX, 1),
        ];
        let ranges: Vec<_> = group(pieces, SPAN_BYTES_MAX)
            .iter()
            .map(|group| (group.pack.0[0], group.bytes, group.pieces.len()))
            .collect();
        let expected = [
            (1, 135, 2),
            (1, 16, 1),
            (2, 10, 1),
            (3, READ_BYTES_MAX + 1, 1),
            (3, 1, 1),
            (4, 1, 1),
        ];
        assert_eq!(ranges, expected);
    }
}
