//! Retention over hand-made histories.

use super::*;
use crate::cluster::{ClusterState, Tier};
use crate::id::{ClusterId, ProjectId};

const HOUR_MS: i64 = 60 * 60 * 1000;

fn cluster(tier: Tier, continuous_backup: bool) -> Cluster {
    Cluster {
        id: ClusterId::from_bytes([1; 12]),
        project_id: ProjectId::from_bytes([2; 12]),
        name: "c".to_owned(),
        tier,
        created_at: Timestamp::from_millis(0),
        hosts: vec![],
        replica_set: None,
        mongodb_version: "6.0.5".to_owned(),
        continuous_backup,
        termination_protection: false,
        drill_every_days: None,
        state: ClusterState::Idle,
    }
}

fn snapshot(n: u8, trigger: Trigger, status: Status, scheduled_hour: i64) -> Snapshot {
    let scheduled_at = Timestamp::from_millis(scheduled_hour * HOUR_MS);
    Snapshot {
        id: SnapshotId::from_bytes([n; 12]),
        cluster_id: ClusterId::from_bytes([1; 12]),
        project_id: ProjectId::from_bytes([2; 12]),
        status,
        trigger,
        scheduled_at,
        started_at: None,
        finished_at: None,
        expires_at: scheduled_at.plus_millis(8 * DAY_MS),
        mongodb_version: String::new(),
        outcome: None,
        failure: None,
    }
}

fn kept(cluster: &Cluster, snapshots: &[Snapshot], now_hour: i64) -> Vec<u8> {
    let now = Timestamp::from_millis(now_hour * HOUR_MS);
    let mut kept: Vec<u8> = decide(cluster, snapshots, now)
        .into_iter()
        .filter(|decision| decision.keep)
        .map(|decision| decision.snapshot.to_bytes()[0])
        .collect();
    kept.sort_unstable();
    kept
}

fn scheduled(count: u8, every_hours: i64) -> Vec<Snapshot> {
    (0..count)
        .map(|n| {
            snapshot(
                n,
                Trigger::Scheduled,
                Status::Completed,
                i64::from(n) * every_hours,
            )
        })
        .collect()
}

#[test]
fn tenant_clusters_keep_the_last_eight() {
    let snapshots = scheduled(10, 24);
    assert_eq!(
        kept(&cluster(Tier::M2, false), &snapshots, 240),
        [2, 3, 4, 5, 6, 7, 8, 9]
    );
}

#[test]
fn serverless_instances_keep_two_or_thirty_five_days() {
    let snapshots = scheduled(4, 6);
    assert_eq!(
        kept(&cluster(Tier::Serverless, false), &snapshots, 24),
        [2, 3]
    );
    assert_eq!(
        kept(&cluster(Tier::Serverless, true), &snapshots, 24),
        [0, 1, 2, 3]
    );
    assert_eq!(
        kept(&cluster(Tier::Serverless, true), &snapshots, 35 * 24 + 7),
        [2, 3]
    );
}

#[test]
fn failed_snapshots_do_not_push_good_ones_out() {
    let mut snapshots = scheduled(2, 6);
    snapshots.push(snapshot(7, Trigger::Scheduled, Status::Failed, 12));
    snapshots.push(snapshot(8, Trigger::Scheduled, Status::Failed, 18));
    assert_eq!(
        kept(&cluster(Tier::Serverless, false), &snapshots, 24),
        [0, 1, 7, 8]
    );
}

#[test]
fn the_newest_completed_snapshot_stays_however_old() {
    let one = [snapshot(1, Trigger::OnDemand, Status::Completed, 0)];
    assert_eq!(kept(&cluster(Tier::M2, false), &one, 24 * 365), [1]);
}

#[test]
fn on_demand_snapshots_stay_until_their_expiry_and_count_apart() {
    let mut snapshots = scheduled(3, 6);
    snapshots.push(snapshot(9, Trigger::OnDemand, Status::Completed, 1));
    assert_eq!(
        kept(&cluster(Tier::Serverless, false), &snapshots, 24),
        [1, 2, 9]
    );
    assert_eq!(
        kept(&cluster(Tier::Serverless, false), &snapshots, 24 * 9),
        [1, 2]
    );
}

#[test]
fn work_in_progress_is_never_given_up() {
    let mut snapshots = scheduled(3, 6);
    snapshots.push(snapshot(9, Trigger::Scheduled, Status::Running, 0));
    assert_eq!(
        kept(&cluster(Tier::Serverless, false), &snapshots, 24),
        [1, 2, 9]
    );
}
