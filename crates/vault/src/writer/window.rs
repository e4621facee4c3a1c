//! The stretch of the previous snapshot's documents that the next ones are compared with: in stream
//! order first, by identity otherwise. Pure and bounded. Must never give out a document twice, nor
//! one whose hashes or length differ.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::keys::IDENTITY_HASH_BYTES;
use crate::sidecar::Key;

/// Documents kept, those that were passed included; about 90 bytes each with the index.
const ENTRIES_MAX: usize = 128 << 10;
/// Documents wanted ahead of the place that is compared next.
const AHEAD: u64 = 16 << 10;
/// Documents in a row that must have matched before the place is trusted.
const STREAK: u32 = 8;
/// Documents in a row whose identities are unknown, after which the window moves on: what it held
/// was deleted.
const STRANGERS_MAX: u32 = 256;
/// Places compared before the index is asked.
const GLANCE: u64 = 4;
/// Entries of equal identity that are looked at.
const CHAIN_MAX: u32 = 32;

/// A document of the base: the number of its block in the collection's table, and its ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) ordinal: u32,
}

struct Entry {
    key: Key,
    place: Place,
    used: bool,
    /// The next entry of the same identity; 0 is none, because a later one is never the first.
    next: u64,
}

/// The hashes are keyed and uniform already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Part of the base in stream order. Positions count from the first document ever added.
#[derive(Default)]
pub(super) struct Window {
    /// Identity hash of documents that have no identity.
    nobody: [u8; IDENTITY_HASH_BYTES],
    entries: VecDeque<Entry>,
    /// Position of the first entry.
    low: u64,
    /// Position compared next.
    cursor: u64,
    /// Entries before this position are in the index.
    indexed: u64,
    index: HashMap<u64, (u64, u64), BuildHasherDefault<AsIs>>,
    used: u64,
    streak: u32,
    strangers: u32,
}

impl Window {
    pub(super) fn new(nobody: [u8; IDENTITY_HASH_BYTES]) -> Window {
        Window {
            nobody,
            ..Window::default()
        }
    }

    fn high(&self) -> u64 {
        self.low + self.entries.len() as u64
    }

    /// Answers whether more of the base should be added before the next comparison.
    pub(super) fn wants_more(&self) -> bool {
        let near_end = self.high() < self.cursor + AHEAD;
        let consumed = self.used + AHEAD >= self.high();
        (near_end && (consumed || self.streak >= STREAK)) || self.strangers >= STRANGERS_MAX
    }

    /// Adds documents of the base and drops the oldest ones beyond the bound.
    pub(super) fn extend(&mut self, documents: Vec<(Key, Place)>) {
        self.strangers = 0;
        self.entries
            .extend(documents.into_iter().map(|(key, place)| Entry {
                key,
                place,
                used: false,
                next: 0,
            }));
        while self.entries.len() > ENTRIES_MAX && self.low < self.cursor {
            self.drop_oldest();
        }
        // Strangers alone move the window past its bound; then nothing of it was wanted.
        while self.entries.len() > 2 * ENTRIES_MAX {
            self.drop_oldest();
        }
        self.cursor = self.cursor.max(self.low);
    }

    fn drop_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        if self.low < self.indexed {
            let name = self.name(&entry.key);
            if let Some(slot) = self.index.get_mut(&name)
                && slot.0 == self.low
            {
                if entry.next == 0 {
                    self.index.remove(&name);
                } else {
                    slot.0 = entry.next;
                }
            }
        }
        self.low += 1;
        self.indexed = self.indexed.max(self.low);
    }

    /// Finds the document in the base and takes it, or returns `None`: it is new.
    pub(super) fn take(&mut self, key: &Key) -> Option<Place> {
        let near = (self.cursor..self.cursor + GLANCE).find(|&at| {
            self.entry(at)
                .is_some_and(|entry| !entry.used && entry.key == *key)
        });
        if let Some(at) = near {
            return Some(self.use_up(at));
        }
        self.index_all();
        let (same, alike) = self.look_up(key);
        if let Some(at) = same {
            return Some(self.use_up(at));
        }
        match alike {
            // Its older version: the stream goes on behind it.
            Some(at) => {
                let _ = self.use_up(at);
            }
            None => {
                self.streak = 0;
                self.strangers += 1;
            }
        }
        None
    }

    fn entry(&self, at: u64) -> Option<&Entry> {
        let at = at.checked_sub(self.low)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn use_up(&mut self, at: u64) -> Place {
        self.streak = if at == self.cursor {
            self.streak + 1
        } else {
            0
        };
        self.strangers = 0;
        self.cursor = at + 1;
        self.used += 1;
        let at = usize::try_from(at - self.low).expect("the window fits in memory");
        self.entries[at].used = true;
        self.entries[at].place
    }

    /// Returns an unused equal document, and an unused one of the same identity.
    fn look_up(&mut self, key: &Key) -> (Option<u64>, Option<u64>) {
        let name = self.name(key);
        let Some(&(first, last)) = self.index.get(&name) else {
            return (None, None);
        };
        let mut at = self.skip_used(first);
        if at == 0 && first != 0 {
            // All were used; the last one stays as the end of its chain.
            self.index.insert(name, (last, last));
            return (None, None);
        }
        self.index.insert(name, (at, last));
        let mut alike = None;
        for _ in 0..CHAIN_MAX {
            let Some(entry) = self.entry(at) else { break };
            if !entry.used && entry.key == *key {
                return (Some(at), alike);
            }
            if !entry.used && entry.key.identity == key.identity && key.identity != self.nobody {
                alike = alike.or(Some(at));
            }
            if entry.next == 0 {
                break;
            }
            at = entry.next;
        }
        (None, alike)
    }

    /// Returns the first unused entry of a chain, or 0 at its end.
    fn skip_used(&self, mut at: u64) -> u64 {
        while let Some(entry) = self.entry(at) {
            if !entry.used {
                return at;
            }
            if entry.next == 0 {
                return 0;
            }
            at = entry.next;
        }
        0
    }

    fn index_all(&mut self) {
        for at in self.indexed..self.high() {
            let offset = usize::try_from(at - self.low).expect("the window fits in memory");
            if self.entries[offset].used {
                continue;
            }
            let name = self.name(&self.entries[offset].key);
            let slot = self.index.entry(name).or_insert((at, at));
            let last = std::mem::replace(&mut slot.1, at);
            if last != at {
                if let Some(previous) = last.checked_sub(self.low) {
                    let previous = usize::try_from(previous).expect("the window fits in memory");
                    self.entries[previous].next = at;
                } else {
                    slot.0 = at;
                }
            }
        }
        self.indexed = self.high();
    }

    /// Documents without an identity are told apart by their bytes.
    fn name(&self, key: &Key) -> u64 {
        let bytes = if key.identity == self.nobody {
            key.document.first_chunk()
        } else {
            key.identity.first_chunk()
        };
        u64::from_le_bytes(*bytes.expect("hashes have more than eight bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(identity: u8, version: u8) -> Key {
        Key {
            identity: [identity; 12],
            document: [version; 16],
            length: 7,
        }
    }

    fn window(keys: &[Key]) -> Window {
        let mut window = Window::new([0; 12]);
        let place = |ordinal| Place { block: 0, ordinal };
        window.extend(keys.iter().copied().zip((0..).map(place)).collect());
        window
    }

    fn ordinals(window: &mut Window, keys: &[Key]) -> Vec<Option<u32>> {
        let taken = keys.iter().map(|key| window.take(key));
        taken.map(|place| place.map(|at| at.ordinal)).collect()
    }

    #[test]
    fn deleted_changed_inserted_and_moved_documents_do_not_lose_the_others() {
        let base: Vec<Key> = (1..=20).map(|n| key(n, n)).collect();
        let mut window = window(&base);
        let mut next = base.clone();
        next[3] = key(4, 200);
        next.remove(10);
        next.insert(6, key(100, 100));
        let moved = next.remove(0);
        next.push(moved);
        let found = ordinals(&mut window, &next);
        let missing = found.iter().filter(|found| found.is_none()).count();
        assert_eq!(missing, 2, "{found:?}");
        assert_eq!(found.last(), Some(&Some(0)));
    }

    #[test]
    fn a_document_is_given_out_once() {
        let same = key(0, 9);
        let mut window = window(&[same; 3]);
        let found = ordinals(&mut window, &[same; 5]);
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None]);
    }

    #[test]
    fn equal_bytes_of_another_identity_or_length_are_another_document() {
        let mut window = window(&[key(1, 9)]);
        assert_eq!(window.take(&key(2, 9)), None);
        assert_eq!(
            window.take(&Key {
                length: 8,
                ..key(1, 9)
            }),
            None
        );
    }
}
