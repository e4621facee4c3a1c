//! Written answers, kept until anything that they could show has changed.
//!
//! Correct by construction: an answer is found only under the very generation that was read
//! before it was made. A list of restore jobs is polled many times a second and changes seldom.

use std::collections::HashMap;
use std::sync::Mutex;

use model::{KeyId, Timestamp};

use super::respond::Written;

/// Most bytes of answers that are kept.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The largest answer that is kept.
const ANSWER_BYTES_MAX: usize = KEPT_BYTES_MAX / 8;

/// Who asked, for which address with its query, and whether compressed bytes are welcome.
pub(crate) type Key = (KeyId, String, bool);

/// Counts of changes to keys and to work.
pub(crate) type Generation = (u64, u64);

/// The kept answers.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: Generation,
    bytes: usize,
    /// Each with the bytes that it counts for.
    answers: HashMap<Key, (Written, usize)>,
}

impl Answers {
    /// Returns the answer that was kept under this generation and holds at `now`.
    pub(crate) fn find(
        &self,
        key: &Key,
        generation: Generation,
        now: Timestamp,
    ) -> Option<Written> {
        let kept = self.0.lock().expect("no panic happens under this lock");
        if kept.generation != generation {
            return None;
        }
        let (written, _) = kept.answers.get(key)?;
        let holds = written.until.is_none_or(|until| now < until);
        holds.then(|| written.clone())
    }

    /// Keeps an answer; drops all others when they are of another generation or too many.
    pub(crate) fn keep(&self, key: Key, generation: Generation, written: Written) {
        let size = size(&key, &written);
        if size > ANSWER_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock().expect("no panic happens under this lock");
        if kept.generation != generation || kept.bytes + size > KEPT_BYTES_MAX {
            kept.answers.clear();
            kept.bytes = 0;
            kept.generation = generation;
        }
        kept.bytes += size;
        if let Some((_, replaced)) = kept.answers.insert(key, (written, size)) {
            kept.bytes -= replaced;
        }
    }
}

fn size(key: &Key, written: &Written) -> usize {
    key.1.len() + written.bytes.len() + size_of::<(Key, Written)>()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::{KeyId, Timestamp};

    use super::super::respond::Written;
    use super::{ANSWER_BYTES_MAX, Answers, KEPT_BYTES_MAX, Key};

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn key(name: &str) -> Key {
        (KeyId::from_bytes([1; 12]), name.to_owned(), false)
    }

    fn written(length: usize, until: Option<Timestamp>) -> Written {
        Written {
            bytes: Bytes::from(vec![b'x'; length]),
            is_gzip: false,
            until,
        }
    }

    #[test]
    fn an_answer_is_found_until_something_changes() {
        let answers = Answers::default();
        answers.keep(key("a"), (1, 1), written(3, None));
        assert_eq!(answers.find(&key("a"), (1, 1), NOW).unwrap().bytes.len(), 3);
        assert!(answers.find(&key("b"), (1, 1), NOW).is_none());
        assert!(answers.find(&key("a"), (2, 1), NOW).is_none());
        assert!(answers.find(&key("a"), (1, 2), NOW).is_none());
        let other = (KeyId::from_bytes([2; 12]), "a".to_owned(), false);
        assert!(answers.find(&other, (1, 1), NOW).is_none());
    }

    #[test]
    fn an_answer_ends_when_time_alone_would_change_it() {
        let answers = Answers::default();
        answers.keep(key("a"), (1, 1), written(3, Some(NOW)));
        assert!(
            answers
                .find(&key("a"), (1, 1), NOW.plus_millis(-1))
                .is_some()
        );
        assert!(answers.find(&key("a"), (1, 1), NOW).is_none());
    }

    #[test]
    fn memory_has_a_limit() {
        let answers = Answers::default();
        answers.keep(key("large"), (1, 1), written(ANSWER_BYTES_MAX, None));
        assert!(answers.find(&key("large"), (1, 1), NOW).is_none());
        for index in 0..100 {
            let name = index.to_string();
            answers.keep(key(&name), (1, 1), written(ANSWER_BYTES_MAX / 2, None));
            assert!(answers.find(&key(&name), (1, 1), NOW).is_some());
            assert!(answers.0.lock().unwrap().bytes <= KEPT_BYTES_MAX);
        }
    }
}
