//! How many collections of a job move side by side, so that memory follows the settings.
//!
//! Each takes one lane. One with large documents, of which a single batch may have 16 MB, waits
//! for all lanes and goes alone: a few such documents at a time, each in several copies on its
//! way, would fill the memory that thousands of ordinary ones share.

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// The lanes of one job.
pub(crate) struct Lanes {
    opening: Mutex<()>,
    free: Semaphore,
    count: u32,
}

/// What one collection holds of them; given back when dropped.
pub(crate) struct Lane<'a> {
    lanes: &'a Lanes,
    held: Option<SemaphorePermit<'a>>,
    wide: bool,
}

impl Lanes {
    /// Makes `count` lanes, at least one.
    pub(crate) fn new(count: usize) -> Self {
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        Self {
            opening: Mutex::default(),
            free: Semaphore::new(count as usize),
            count,
        }
    }

    /// Waits to be the one that finds out how large its documents are; ask before a lane, and
    /// give it back when a lane was widened or need not be.
    pub(crate) async fn opening(&self) -> MutexGuard<'_, ()> {
        self.opening.lock().await
    }

    /// Waits for a lane.
    pub(crate) async fn one(&self) -> Lane<'_> {
        Lane {
            lanes: self,
            held: self.take(1).await,
            wide: false,
        }
    }

    async fn take(&self, count: u32) -> Option<SemaphorePermit<'_>> {
        Some(
            self.free
                .acquire_many(count)
                .await
                .expect("the semaphore is never closed"),
        )
    }
}

impl Lane<'_> {
    /// Gives the lane back and waits for all of them.
    pub(crate) async fn widen(&mut self) {
        if self.wide {
            return;
        }
        // First back, then all: two that widen at once must not wait for each other.
        self.held = None;
        self.held = self.lanes.take(self.lanes.count).await;
        self.wide = true;
    }

    /// Returns whether nobody else moves.
    pub(crate) fn is_wide(&self) -> bool {
        self.wide
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, poll};

    use super::*;

    #[tokio::test]
    async fn a_wide_one_goes_alone_and_two_do_not_wait_for_each_other() {
        let lanes = Lanes::new(2);
        let (mut first, mut second) = (lanes.one().await, lanes.one().await);
        assert!(lanes.one().now_or_never().is_none());
        let mut widening = Box::pin(first.widen());
        assert!(poll!(&mut widening).is_pending());
        let mut other = Box::pin(second.widen());
        assert!(poll!(&mut other).is_pending());
        widening.await;
        assert!(poll!(&mut other).is_pending());
        assert!(lanes.one().now_or_never().is_none());
        drop(first);
        other.await;
        assert!(second.is_wide());
    }
}
