//! Work off the runtime's own threads. A panic there is a broken invariant and goes on in whoever
//! waits.

use tokio::task::JoinError;

/// Runs work that keeps a processor busy.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
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
