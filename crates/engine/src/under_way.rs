//! Commands that are under way. Whoever stops waiting for one ends nothing at the server, where it
//! may make a collection again that was dropped meanwhile: so before anything is dropped that was
//! loaded, they are waited for. Ended with the job.

use std::future::{Future, poll_fn};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// The commands of one job that make collections, or write to them.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<JoinSet<()>>);

impl UnderWay {
    /// Begins one, which goes on while nobody waits for what comes of it.
    pub(crate) fn start<R: Send + 'static>(
        &self,
        command: impl Future<Output = R> + Send + 'static,
    ) -> oneshot::Receiver<R> {
        let (sender, receiver) = oneshot::channel();
        let mut all = self.all();
        while all.try_join_next().is_some() {}
        all.spawn(async move {
            // Whoever wanted to know may be gone.
            drop(sender.send(command.await));
        });
        receiver
    }

    /// Waits until none is under way.
    pub(crate) async fn ended(&self) {
        while poll_fn(|context| self.all().poll_join_next(context))
            .await
            .is_some()
        {}
    }

    fn all(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_under_way_until_it_ends() {
        let under_way = UnderWay::default();
        under_way.ended().await;
        let (open, gate) = oneshot::channel::<()>();
        drop(under_way.start(gate));
        assert_eq!(under_way.start(async { 1 }).await, Ok(1));
        tokio::task::yield_now().await;
        assert!(under_way.ended().now_or_never().is_none());
        open.send(()).expect("it waits for this");
        under_way.ended().await;
    }
}
