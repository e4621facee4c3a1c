//! Reads many small pieces of packs: neighbours with one ranged read, a few reads at a time, each
//! piece opened off the runtime's threads. What is held is bounded by the size of a read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{Stream, StreamExt};

use crate::error::Error;
use crate::id::PackId;
use crate::repository::Inner;
use crate::task::blocking;

/// Bytes between two pieces that are rather read than asked for apart.
const GAP_BYTES_MAX: u64 = 16 << 10;
/// Bytes of one read, unless one piece has more.
const READ_BYTES_MAX: u64 = 2 << 20;
/// Reads at a time.
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

/// Pieces that one read brings.
struct Group<T> {
    pack: PackId,
    start: u64,
    end: u64,
    pieces: Vec<Piece<T>>,
}

/// Reads pieces and opens each; yields what came of the pieces of one read, in any order. Ends
/// with the first error for whoever stops there.
pub(crate) fn fetch<T, R, F>(
    repository: &Arc<Inner>,
    counter: &ReadCounter,
    pieces: Vec<Piece<T>>,
    open: F,
) -> impl Stream<Item = Result<Vec<R>, Error>> + Send + use<T, R, F>
where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(&Inner, Piece<T>, Vec<u8>) -> Result<R, Error> + Clone + Send + 'static,
{
    let (repository, counter) = (repository.clone(), counter.clone());
    futures::stream::iter(group(pieces))
        .map(move |group| {
            let (repository, counter, open) = (repository.clone(), counter.clone(), open.clone());
            async move {
                let range = group.start..group.end;
                let sealed = repository.read_range(group.pack, range).await?;
                counter.add(sealed.len() as u64);
                blocking(move || {
                    let opened = group.pieces.into_iter().map(|piece| {
                        let from = usize::try_from(piece.offset - group.start);
                        let from = from.expect("what was read is in memory");
                        let length = usize::try_from(piece.length).expect("so is a part of it");
                        let sealed = sealed[from..from + length].to_vec();
                        let pack = piece.pack;
                        let opened = open(&repository, piece, sealed);
                        opened.inspect_err(|error| repository.note_damage(pack, error))
                    });
                    opened.collect()
                })
                .await
            }
        })
        .buffer_unordered(READS_AT_A_TIME)
}

fn group<T>(mut pieces: Vec<Piece<T>>) -> Vec<Group<T>> {
    pieces.sort_unstable_by_key(|piece| (piece.pack, piece.offset));
    let mut groups: Vec<Group<T>> = Vec::new();
    for piece in pieces {
        let end = piece.offset.saturating_add(piece.length);
        match groups.last_mut() {
            Some(group)
                if group.pack == piece.pack
                    && piece.offset <= group.end.saturating_add(GAP_BYTES_MAX)
                    && end.saturating_sub(group.start) <= READ_BYTES_MAX =>
            {
                group.end = group.end.max(end);
                group.pieces.push(piece);
            }
            _ => groups.push(Group {
                pack: piece.pack,
                start: piece.offset,
                end,
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
    fn neighbours_are_read_together_and_what_is_far_apart_is_not() {
        let piece = |pack: u8, offset, length| Piece {
            pack: PackId([pack; 16]),
            offset,
            length,
            what: (),
        };
        let far = 200 + GAP_BYTES_MAX + 1;
        let pieces = vec![
            piece(2, 16, 10),
            piece(1, far, 1),
            piece(1, 150, 50),
            piece(1, 16, 84),
            piece(1, far + 1, READ_BYTES_MAX),
        ];
        let ranges: Vec<_> = group(pieces)
            .iter()
            .map(|group| (group.pack.0[0], group.start..group.end, group.pieces.len()))
            .collect();
        let large = far + 1..far + 1 + READ_BYTES_MAX;
        let expected = [
            (1, 16..200, 2),
            (1, far..far + 1, 1),
            (1, large, 1),
            (2, 16..26, 1),
        ];
        assert_eq!(ranges, expected);
    }
}
