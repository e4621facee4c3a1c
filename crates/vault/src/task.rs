//! Work off the runtime's own threads. A panic there is a broken invariant and goes on in whoever
//! waits.

use std::future::Future;

use tokio::task::{JoinError, JoinHandle};

/// Runs work that keeps a processor busy.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => ended(error).await,
    }
}

/// Does work that nobody can call back once it was begun, like a put: where whoever waits is gone,
/// it goes on to its end.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => ended(error).await,
    }
}

/// Goes on with the panic of a task. A task that was cancelled belongs to a runtime that is being
/// shut down, or to a waiter that is gone, so nobody sees that this never returns.
pub(crate) async fn ended<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => std::future::pending().await,
    }
}

/// Work of its own that ends with whoever waits for it.
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    /// Begins it at once, beside whoever calls.
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
        Task(tokio::spawn(work))
    }

    /// Waits for what comes of it; nothing is lost where the waiting ends early. Not to be asked
    /// again after that.
    pub(crate) async fn join(&mut self) -> T {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => ended(error).await,
        }
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
