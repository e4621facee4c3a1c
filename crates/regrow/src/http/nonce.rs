//! Nonces of digest authentication: made without a table, spent once per count.
//!
//! A nonce is 24 bytes: time in milliseconds (6), a counter (6), and a keyed tag over both (12).
//! So a flood of unauthenticated requests costs no memory. Only nonces with which somebody
//! authenticated are remembered, until they are too old to be accepted anyway. When there are
//! more of them than the table may hold, the older half is declared stale: a client then gets a
//! new nonce, but never does a count pass twice.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use ring::hmac;
use ring::rand::SystemRandom;
use subtle::ConstantTimeEq as _;

/// How long a nonce is accepted, in milliseconds.
pub(crate) const LIFETIME_MS: i64 = 60_000;

/// Most nonces that are remembered; 64 bytes each.
const REMEMBERED_MAX: usize = 65_536;

const NAME_BYTES: usize = 12;
const NONCE_BYTES: usize = 24;
const TIME_MASK: u64 = (1 << 48) - 1;

/// Makes, checks and spends nonces.
pub(crate) struct Nonces {
    key: hmac::Key,
    counter: AtomicU64,
    spent: Mutex<Spent>,
}

/// A nonce of ours that is not too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Valid {
    name: [u8; NAME_BYTES],
    issued_ms: u64,
}

#[derive(Default)]
struct Spent {
    counts: HashMap<[u8; NAME_BYTES], Window>,
    /// Nonces from before are refused, whatever their age.
    floor_ms: u64,
}

/// Which of the last 128 counts of a nonce have been used.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u32,
    /// Bit n says that `highest - n` was used.
    used: u128,
}

impl Nonces {
    /// Draws a key of its own: nonces from before a restart are refused as stale.
    pub(crate) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the operating system has random numbers");
        Self {
            key,
            counter: AtomicU64::new(0),
            spent: Mutex::default(),
        }
    }

    /// Makes a nonce, 32 characters of base64. No two are equal.
    pub(crate) fn issue(&self, now: Timestamp) -> String {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; NONCE_BYTES];
        nonce[..6].copy_from_slice(&(millis(now) & TIME_MASK).to_be_bytes()[2..]);
        nonce[6..NAME_BYTES].copy_from_slice(&count.to_be_bytes()[2..]);
        let tag = hmac::sign(&self.key, &nonce[..NAME_BYTES]);
        nonce[NAME_BYTES..].copy_from_slice(&tag.as_ref()[..NONCE_BYTES - NAME_BYTES]);
        STANDARD.encode(nonce)
    }

    /// Returns the nonce when it is ours and not too old.
    pub(crate) fn check(&self, text: &str, now: Timestamp) -> Option<Valid> {
        let bytes = STANDARD.decode(text).ok()?;
        let nonce: [u8; NONCE_BYTES] = bytes.try_into().ok()?;
        let (name, tag) = nonce.split_at(NAME_BYTES);
        let expected = hmac::sign(&self.key, name);
        if !bool::from(expected.as_ref()[..tag.len()].ct_eq(tag)) {
            return None;
        }
        let mut time = [0; 8];
        time[2..].copy_from_slice(&name[..6]);
        let issued_ms = u64::from_be_bytes(time);
        // A clock that was set back must not make nonces live longer.
        let age = millis(now).abs_diff(issued_ms);
        let fresh = age < LIFETIME_MS.unsigned_abs();
        fresh.then(|| Valid {
            name: name.try_into().expect("twelve bytes"),
            issued_ms,
        })
    }

    /// Spends one count of a nonce; false when it was spent before, or may have been.
    pub(crate) fn spend(&self, nonce: Valid, count: u32, now: Timestamp) -> bool {
        let mut spent = self.spent.lock().expect("no panic happens under this lock");
        if nonce.issued_ms < spent.floor_ms {
            return false;
        }
        if spent.counts.len() >= REMEMBERED_MAX && !spent.counts.contains_key(&nonce.name) {
            spent.make_room(millis(now));
            if nonce.issued_ms < spent.floor_ms {
                return false;
            }
        }
        spent.counts.entry(nonce.name).or_default().spend(count)
    }
}

impl Spent {
    /// Forgets nonces that are too old, and the older half of the others.
    fn make_room(&mut self, now_ms: u64) {
        let mut times: Vec<u64> = self.counts.keys().map(time_of).collect();
        let (_, median, _) = times.select_nth_unstable(self.counts.len() / 2);
        let expired_ms = now_ms.saturating_sub(LIFETIME_MS.unsigned_abs());
        self.floor_ms = self.floor_ms.max(expired_ms).max(*median + 1);
        let floor_ms = self.floor_ms;
        self.counts.retain(|name, _| time_of(name) >= floor_ms);
    }
}

impl Window {
    fn spend(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            self.used = self.used.checked_shl(count - self.highest).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1_u128.checked_shl(self.highest - count).unwrap_or(0);
        if bit == 0 || self.used & bit != 0 {
            return false;
        }
        self.used |= bit;
        true
    }
}

fn time_of(name: &[u8; NAME_BYTES]) -> u64 {
    let mut time = [0; 8];
    time[2..].copy_from_slice(&name[..6]);
    u64::from_be_bytes(time)
}

fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{LIFETIME_MS, Nonces, REMEMBERED_MAX, Timestamp, Window};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn a_nonce_is_32_characters_and_never_the_same() {
        let nonces = Nonces::new();
        let (first, second) = (nonces.issue(NOW), nonces.issue(NOW));
        assert_eq!(first.len(), 32);
        assert_ne!(first, second);
        assert!(nonces.check(&first, NOW).is_some());
    }

    #[test]
    fn a_nonce_of_another_process_or_time_is_refused() {
        let nonces = Nonces::new();
        let nonce = nonces.issue(NOW);
        assert!(Nonces::new().check(&nonce, NOW).is_none());
        assert!(
            nonces
                .check(&nonce, NOW.plus_millis(LIFETIME_MS - 1))
                .is_some()
        );
        assert!(nonces.check(&nonce, NOW.plus_millis(LIFETIME_MS)).is_none());
        assert!(
            nonces
                .check(&nonce, NOW.plus_millis(-LIFETIME_MS))
                .is_none()
        );
        for bad in [
            "",
            "AAAA",
            &nonce[1..],
            &nonce.to_ascii_lowercase(),
            "not base64 at all!",
        ] {
            assert!(nonces.check(bad, NOW).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_count_passes_once_in_any_order() {
        let nonces = Nonces::new();
        let nonce = nonces.check(&nonces.issue(NOW), NOW).unwrap();
        for count in [1, 2, 5, 3, 4, 130, 6] {
            assert!(nonces.spend(nonce, count, NOW), "{count}");
        }
        for count in [1, 2, 3, 4, 5, 130, 6, 0] {
            assert!(!nonces.spend(nonce, count, NOW), "{count}");
        }
        let other = nonces.check(&nonces.issue(NOW), NOW).unwrap();
        assert!(nonces.spend(other, 1, NOW));
    }

    #[test]
    fn a_count_too_far_back_is_refused_because_it_may_have_been_used() {
        let mut window = Window::default();
        assert!(window.spend(1) && window.spend(u32::MAX));
        assert!(!window.spend(1));
        assert!(!window.spend(u32::MAX - 128));
        assert!(window.spend(u32::MAX - 127));
    }

    #[test]
    fn a_full_table_forgets_old_nonces_and_still_refuses_their_replay() {
        let nonces = Nonces::new();
        let at = |index: usize| {
            let index = i64::try_from(index).unwrap();
            NOW.plus_millis(index / 16)
        };
        let first = nonces.check(&nonces.issue(at(0)), at(0)).unwrap();
        assert!(nonces.spend(first, 1, at(0)));
        for index in 1..=REMEMBERED_MAX {
            let nonce = nonces.check(&nonces.issue(at(index)), at(index)).unwrap();
            assert!(nonces.spend(nonce, 1, at(index)), "{index}");
        }
        assert!(nonces.spent.lock().unwrap().counts.len() <= REMEMBERED_MAX / 2 + 32);
        assert!(!nonces.spend(first, 1, at(0)));
        assert!(!nonces.spend(first, 2, at(0)));
    }
}
