//! Which snapshots are kept, and why.
//!
//! M2 and M5: the last 8 completed scheduled ones. Serverless: the last 2, or every one of
//! the last 35 days with continuous backup. Both are Atlas' documented figures. On-demand
//! snapshots, which Atlas does not offer for these tiers, are kept until their expiry. The
//! newest completed snapshot of a cluster is never given up.

use crate::Status;
use crate::cluster::{Cluster, Family};
use crate::id::SnapshotId;
use crate::snapshot::{Snapshot, Trigger};
use crate::time::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long a failed snapshot's record is shown.
const FAILED_SHOWN_MS: i64 = 8 * DAY_MS;

/// What is to be done with a snapshot, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Whether it stays.
    pub keep: bool,
    /// One clause for people.
    pub reason: &'static str,
}

/// Returns how many scheduled snapshots are kept; `None` where age decides.
pub fn kept_count(cluster: &Cluster) -> Option<usize> {
    match cluster.tier.family() {
        Family::Tenant => Some(8),
        Family::Serverless if cluster.continuous_backup => None,
        Family::Serverless => Some(2),
    }
}

/// Returns when a snapshot scheduled at `scheduled_at` is going to be deleted.
pub fn expiry(cluster: &Cluster, scheduled_at: Timestamp) -> Timestamp {
    let kept_ms = match kept_count(cluster) {
        Some(count) => count as i64 * crate::policy::interval_ms(cluster.tier),
        None => 35 * DAY_MS,
    };
    scheduled_at.plus_millis(kept_ms)
}

/// Decides about each of a cluster's snapshots; `snapshots` come in any order.
pub fn decide(cluster: &Cluster, snapshots: &[Snapshot], now: Timestamp) -> Vec<Decision> {
    let mut newest_first: Vec<&Snapshot> = snapshots.iter().collect();
    newest_first.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.scheduled_at, snapshot.id)));
    let mut completed_seen = 0usize;
    let mut scheduled_seen = 0usize;
    let mut decisions = Vec::with_capacity(snapshots.len());
    for snapshot in newest_first {
        let is_newest = snapshot.status == Status::Completed && completed_seen == 0;
        completed_seen += usize::from(snapshot.status == Status::Completed);
        let (keep, reason) = match (snapshot.status, snapshot.trigger) {
            (Status::Pending | Status::Queued | Status::Running, _) => (true, "in progress"),
            (Status::Failed, _) if now.millis_since(snapshot.scheduled_at) < FAILED_SHOWN_MS => {
                (true, "failed less than 8 days ago")
            }
            (Status::Failed, _) => (false, "failed more than 8 days ago"),
            (Status::Completed, _) if is_newest => {
                scheduled_seen += usize::from(snapshot.trigger == Trigger::Scheduled);
                (true, "newest completed snapshot")
            }
            (Status::Completed, Trigger::OnDemand) if now < snapshot.expires_at => {
                (true, "on-demand snapshot before its expiry")
            }
            (Status::Completed, Trigger::OnDemand) => (false, "on-demand snapshot expired"),
            (Status::Completed, Trigger::Scheduled) => {
                scheduled_seen += 1;
                match kept_count(cluster) {
                    Some(count) if scheduled_seen <= count => (true, "within the kept count"),
                    Some(_) => (false, "beyond the kept count"),
                    None if now < expiry(cluster, snapshot.scheduled_at) => {
                        (true, "within 35 days")
                    }
                    None => (false, "older than 35 days"),
                }
            }
        };
        decisions.push(Decision {
            snapshot: snapshot.id,
            keep,
            reason,
        });
    }
    decisions
}

#[cfg(test)]
mod tests;
