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

/// A time noted further ahead of now than this was noted by a clock that was wrong; the schedule
/// goes on as if it had not been. Waiting for it could leave a cluster unprotected for years.
pub const SET_BACK_MS: i64 = 24 * HOUR_MS;

/// Returns when the next scheduled snapshot is due.
///
/// Due times are whole intervals from `created_at`; that at `created_at` itself is taken
/// when the cluster is attached. After an outage only the latest missed one is due, not each
/// of them. `last` is when the latest scheduled snapshot was due. After a clock was set back
/// the next is due within [`SET_BACK_MS`] and an interval.
pub fn next_due(
    tier: Tier,
    created_at: Timestamp,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let interval = interval_ms(tier);
    let latest_at = |time: Timestamp| {
        let since_creation = time.millis_since(created_at);
        created_at.plus_millis(since_creation - since_creation.rem_euclid(interval))
    };
    let noted = [last, Some(created_at)].into_iter().flatten();
    let mut believed = noted.filter(|noted| noted.millis_since(now) <= SET_BACK_MS);
    match believed.next() {
        Some(noted) if noted >= latest_at(now) => latest_at(noted).plus_millis(interval),
        _ => latest_at(now),
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

    #[test]
    fn after_a_clock_was_set_back_the_schedule_goes_on() {
        let years = 10 * 365 * 24;
        check(Tier::Serverless, Some(years), 7, 6);
        check(Tier::M2, Some(years), 49, 48);
        // A little ahead is believed: it is what a small correction leaves.
        check(Tier::Serverless, Some(6), 5, 12);
        check(Tier::M2, Some(24), 23, 48);
    }

    #[test]
    fn a_cluster_that_was_attached_by_a_wrong_clock_is_protected_too() {
        let due = next_due(Tier::M2, hours(1_000), None, hours(1));
        assert!(due <= hours(1), "{due:?}");
        let next = next_due(Tier::M2, hours(1_000), Some(due), hours(1));
        assert!(next > hours(1) && next <= hours(25), "{next:?}");
    }

    proptest! {
        #[test]
        fn what_was_taken_is_never_due_again(now in 0i64..1_000_000, ahead in -1_000_000i64..=24) {
            let last = (now + ahead).max(0);
            let due = next_due(Tier::Serverless, CREATED, Some(hours(last)), hours(now));
            prop_assert!(due > hours(last));
        }
    }
}
