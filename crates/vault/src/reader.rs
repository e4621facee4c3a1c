//! Streams a collection's documents.

/// How much a reader may hold.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// Bytes of documents read ahead of the consumer, at most (one block is always allowed).
    pub read_ahead_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            read_ahead_bytes: 16 << 20,
        }
    }
}
