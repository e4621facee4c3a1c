//! When the next snapshot is due.
//!
//! Atlas takes one snapshot a day of M2 and M5 clusters and one every six hours of serverless
//! instances, always at the same offset from the cluster's creation. Regrow takes the first
//! at once instead of after the first interval: who attaches a server wants it protected.

use crate::cluster::{Family, Tier};
use crate::time::Timestamp;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// Returns the milliseconds between scheduled snapshots.
pub fn interval_ms(tier: Tier) -> i64 {
    match tier.family() {
        Family::Tenant => 24 * HOUR_MS,
        Family::Serverless => 6 * HOUR_MS,
    }
}

/// How long after a failed scheduled snapshot another is tried, instead of waiting for the
/// next interval with nothing to show for this one.
pub const RETRY_AFTER_MS: i64 = HOUR_MS;

/// Returns when the next scheduled snapshot is due.
///
/// Due times are whole intervals after `created_at`; that at `created_at` itself is taken
/// when the cluster is attached. After an outage only the latest missed one is due, not each
/// of them. `last` is when the latest scheduled snapshot was due.
pub fn next_due(
    tier: Tier,
    created_at: Timestamp,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let interval = interval_ms(tier);
    let latest_at = |time: Timestamp| {
        let since_creation = time.millis_since(created_at).max(0);
        created_at.plus_millis(since_creation - since_creation % interval)
    };
    let last = last.unwrap_or(created_at);
    // `last` lies in the future where a clock was set back.
    if last >= latest_at(now) {
        latest_at(last).plus_millis(interval)
    } else {
        latest_at(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CREATED: Timestamp = Timestamp::from_millis(1_000_000);

    fn hours(n: i64) -> Timestamp {
        CREATED.plus_millis(n * HOUR_MS)
    }

    fn check(tier: Tier, last: Option<i64>, now: i64, expected: i64) {
        assert_eq!(
            next_due(tier, CREATED, last.map(hours), hours(now)),
            hours(expected)
        );
    }

    #[test]
    fn due_times_are_whole_intervals_after_creation() {
        check(Tier::M2, Some(0), 1, 24);
        check(Tier::M5, Some(24), 25, 48);
        check(Tier::Serverless, Some(0), 1, 6);
        check(Tier::Serverless, Some(0), 6, 6);
    }

    #[test]
    fn after_an_outage_one_snapshot_is_due_and_not_each_missed_one() {
        check(Tier::Serverless, Some(0), 31, 30);
        check(Tier::Serverless, Some(30), 31, 36);
    }

    #[test]
    fn a_cluster_without_any_snapshot_waits_for_the_first_interval() {
        check(Tier::M2, None, 0, 24);
        check(Tier::M2, None, 23, 24);
        check(Tier::M2, None, 24, 24);
        check(Tier::M2, None, 49, 48);
    }

    proptest! {
        #[test]
        fn what_was_taken_is_never_due_again(now in 0i64..1_000_000, last in 0i64..1_000_000) {
            let due = next_due(Tier::Serverless, CREATED, Some(hours(last)), hours(now));
            prop_assert!(due > hours(last));
        }
    }
}
