//! Counters of committed changes, by which callers keep answers without ever serving a stale
//! one. They live in memory: a process starts with none of the answers it kept before.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the counters stood at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Raised by changes to organizations, projects, keys, roles and access lists.
    pub keys: u64,
    /// Raised by changes to clusters, snapshots and restores, their statuses included; not
    /// by lease renewals and progress.
    pub work: u64,
}

/// Which answers a change may alter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Altered {
    Keys,
    Work,
    Both,
    Neither,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    keys: AtomicU64,
    work: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Generation {
        Generation {
            keys: self.keys.load(Ordering::Acquire),
            work: self.work.load(Ordering::Acquire),
        }
    }

    pub(crate) fn raise(&self, altered: Altered) {
        if matches!(altered, Altered::Keys | Altered::Both) {
            self.keys.fetch_add(1, Ordering::AcqRel);
        }
        if matches!(altered, Altered::Work | Altered::Both) {
            self.work.fetch_add(1, Ordering::AcqRel);
        }
    }
}
