//! Waiting for a condition, with a limit. It must never be replaced by sleeping for a while: a
//! test that sleeps is slow on a fast machine and fails on a slow one.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

/// The first pause between two looks; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(5);
/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Looks again and again until `probe` answers `Ok`, for at most `limit`.
///
/// A look answers `Err(status)` while the condition does not hold. The failure names `what` was
/// awaited and the last status seen. A look that hangs is cut off at the limit.
pub async fn wait_for<T, S, P, F>(limit: Duration, what: &str, mut probe: P) -> anyhow::Result<T>
where
    S: std::fmt::Display,
    P: FnMut() -> F,
    F: Future<Output = Result<T, S>>,
{
    let started = Instant::now();
    let mut pause = PAUSE_FIRST;
    let mut last = String::from("nothing yet");
    loop {
        let left = limit.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(status)) => last = status.to_string(),
            Err(_) => bail!("waited {limit:?} for {what}; last seen: {last} (then no answer)"),
        }
        if started.elapsed() + pause >= limit {
            bail!("waited {limit:?} for {what}; last seen: {last}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let seen = wait_for(Duration::from_secs(5), "the third look", || {
            looks += 1;
            let now = looks;
            async move {
                if now == 3 {
                    Ok(now)
                } else {
                    Err(format!("look {now}"))
                }
            }
        })
        .await
        .unwrap();
        assert_eq!(seen, 3);
    }

    #[tokio::test]
    async fn a_wait_that_fails_tells_what_was_seen_last() {
        let limit = Duration::from_millis(60);
        let failure = wait_for(limit, "godot", || async { Err::<(), _>("still away") })
            .await
            .unwrap_err()
            .to_string();
        assert!(
            failure.contains("godot") && failure.contains("still away"),
            "{failure}"
        );
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_cut_off_at_the_limit() {
        let limit = Duration::from_millis(60);
        let hung = wait_for(limit, "an answer", || {
            std::future::pending::<Result<(), String>>()
        });
        assert!(hung.await.is_err());
    }
}
