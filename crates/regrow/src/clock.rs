//! The machine's clock; the one place that reads it.

use std::time::UNIX_EPOCH;

use model::{Clock, Timestamp};

/// Time as the operating system has it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that is handed to everybody else"
    )]
    fn now(&self) -> Timestamp {
        let now = std::time::SystemTime::now();
        // A clock set before 1970 reads as 1970: nothing sensible can be done with the rest.
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
