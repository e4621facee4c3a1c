//! Claims, leases and fences: one worker per job, one job per cluster, no late writer.

use std::collections::HashSet;

use model::job::ATTEMPTS_MAX;
use model::{Error, JobKind, Progress, Status};

use crate::world::*;

#[tokio::test]
async fn of_two_workers_racing_for_one_job_one_gets_it() {
    let world = World::new().await;
    for number in 10..20 {
        let cluster = world.attach(number).await;
        world.ask_snapshot(&cluster, 100 + number).await;
        let claim = |worker| world.meta.job_claim(worker, at(200), LEASE_MS);
        let (first, second) = tokio::join!(claim("worker-1"), claim("worker-2"));
        let leases: Vec<_> = [first.unwrap(), second.unwrap()]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(leases.len(), 1);
        assert_eq!(leases[0].until, at(230));
    }
}

#[tokio::test]
async fn the_oldest_job_comes_first_whatever_its_kind() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let third = world.attach(12).await;
    let taken = world.take_snapshot(&source, 20).await;
    let restore = world
        .ask_restore(&taken, &source, &target, 31)
        .await
        .unwrap();
    let later = world.ask_snapshot(&third, 40).await;
    let earlier = world.ask_snapshot(&source, 30).await;
    for expected in [
        JobKind::Snapshot(earlier.id),
        JobKind::Restore(restore.id),
        JobKind::Snapshot(later.id),
    ] {
        assert_eq!(world.claim(at(50)).await.job.kind, expected);
    }
    assert_eq!(world.try_claim(at(50)).await, None);
}

#[tokio::test]
async fn one_cluster_is_worked_on_by_one_job_at_a_time() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let taken = world.take_snapshot(&cluster, 20).await;
    world.ask_snapshot(&cluster, 30).await;
    world.ask_snapshot(&cluster, 31).await;
    world
        .ask_restore(&taken, &cluster, &cluster, 32)
        .await
        .unwrap();
    let mut subjects = HashSet::new();
    for _ in 0..3 {
        let lease = world.claim(at(50)).await;
        assert_eq!(world.try_claim(at(51)).await, None);
        subjects.insert(lease.job.kind);
        let failed = world.meta.job_failed(&lease, at(52), "x").await;
        failed.unwrap();
    }
    assert_eq!(subjects.len(), 3);
}

#[tokio::test]
async fn a_job_taken_over_is_lost_to_its_first_worker() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let asked = world.ask_snapshot(&cluster, 20).await;
    let first = world.claim(at(100)).await;
    assert_eq!(world.try_claim(at(129)).await, None);
    let second = world.claim(at(130)).await;
    assert!(second.fence > first.fence);
    assert_eq!(second.job.attempts, 2);

    let meta = &world.meta;
    let before = (meta.generation(), world.actions().await);
    let progress = Progress::default();
    assert_refused!(
        meta.job_renew(&first, at(131), LEASE_MS, &progress).await,
        Error::Stale
    );
    assert_refused!(
        meta.snapshot_completed(&first, at(131), "7.0.1", &outcome())
            .await,
        Error::Stale
    );
    assert_refused!(meta.job_failed(&first, at(131), "x").await, Error::Stale);
    assert_refused!(meta.job_release(&first, at(131)).await, Error::Stale);
    assert_eq!((meta.generation(), world.actions().await), before);

    meta.snapshot_completed(&second, at(132), "7.0.1", &outcome())
        .await
        .unwrap();
    let found = meta.snapshot_by_id(asked.id).await.unwrap().unwrap();
    assert_eq!(found.started_at, Some(at(100)));
    assert_eq!(found.status, Status::Completed);
}

#[tokio::test]
async fn a_renewed_lease_lives_on_and_its_progress_shows() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let asked = world.ask_snapshot(&cluster, 20).await;
    let kind = JobKind::Snapshot(asked.id);
    let lease = world.claim(at(100)).await;
    assert_eq!(world.meta.job_progress(kind).await.unwrap(), None);
    let before = world.meta.generation();
    let progress = Progress {
        documents: 5,
        documents_total: 10,
        size_bytes: 1 << 40,
        size_bytes_total: 1 << 41,
    };
    let renewed = world
        .meta
        .job_renew(&lease, at(120), LEASE_MS, &progress)
        .await
        .unwrap();
    assert_eq!(renewed.until, at(150));
    assert_eq!(world.meta.job_progress(kind).await.unwrap(), Some(progress));
    assert_eq!(world.meta.generation(), before);
    assert_eq!(world.try_claim(at(149)).await, None);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_renewed_only_while_its_cluster_is_free() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let first = world.ask_snapshot(&cluster, 20).await;
    let lease = world.claim(at(100)).await;
    assert_eq!(lease.job.kind, JobKind::Snapshot(first.id));
    let progress = Progress::default();
    let renew = async |seconds| {
        world
            .meta
            .job_renew(&lease, at(seconds), LEASE_MS, &progress)
            .await
    };
    renew(135).await.unwrap();

    // Another job of the cluster, older than the first, is begun once the lease ran out.
    let mut second = snapshot(&cluster, 21, model::Trigger::OnDemand);
    second.scheduled_at = at(1);
    let job = snapshot_job(&second);
    world
        .meta
        .snapshot_request(&second, &job, &actor())
        .await
        .unwrap();
    let other = world.claim(at(170)).await;
    assert_eq!(other.job.kind, JobKind::Snapshot(second.id));
    assert_refused!(renew(171).await, Error::Stale);
}

#[tokio::test]
async fn a_released_job_waits_again_and_the_attempt_does_not_count() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let asked = world.ask_snapshot(&cluster, 20).await;
    for _ in 0..2 * ATTEMPTS_MAX {
        let lease = world.claim(at(100)).await;
        assert_eq!(lease.job.attempts, 1);
        world.meta.job_release(&lease, at(101)).await.unwrap();
        assert_refused!(world.meta.job_release(&lease, at(101)).await, Error::Stale);
        let found = world.meta.snapshot_by_id(asked.id).await.unwrap().unwrap();
        assert_eq!(found.status, Status::Queued);
        assert_eq!(found.started_at, Some(at(100)));
    }
}

#[tokio::test]
async fn a_job_whose_workers_keep_vanishing_is_failed_visibly() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let asked = world.ask_snapshot(&cluster, 20).await;
    let next = world.ask_snapshot(&cluster, 21).await;
    for attempt in 0..ATTEMPTS_MAX {
        let lease = world.claim(at(100 + 30 * i64::from(attempt))).await;
        assert_eq!(lease.job.kind, JobKind::Snapshot(asked.id));
    }
    let lease = world.claim(at(1000)).await;
    assert_eq!(lease.job.kind, JobKind::Snapshot(next.id));
    let found = world.meta.snapshot_by_id(asked.id).await.unwrap().unwrap();
    assert_eq!(found.status, Status::Failed);
    assert_eq!(found.finished_at, Some(at(1000)));
    assert!(found.failure.unwrap().contains("5 attempts"));
    assert!(world.actions().await.contains(&"snapshot.fail".to_owned()));
}

#[tokio::test]
async fn after_a_restart_the_leases_of_the_dead_are_revoked() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let taken = world.take_snapshot(&source, 20).await;
    let restore = world
        .ask_restore(&taken, &source, &target, 30)
        .await
        .unwrap();
    let asked = world.ask_snapshot(&source, 31).await;
    let dead = [world.claim(at(100)).await, world.claim(at(100)).await];

    let world = world.reopened().await;
    let meta = &world.meta;
    assert_eq!(world.try_claim(at(101)).await, None);
    assert_eq!(meta.leases_revoke_all(at(101)).await.unwrap(), 2);
    let status = meta.snapshot_by_id(asked.id).await.unwrap().unwrap().status;
    assert_eq!(status, Status::Queued);
    let status = meta
        .restore_by_id(restore.id)
        .await
        .unwrap()
        .unwrap()
        .status;
    assert_eq!(status, Status::Queued);
    let late = meta.job_failed(&dead[0], at(102), "late").await;
    assert_refused!(late, Error::Stale);
    assert_eq!(world.claim(at(102)).await.job.attempts, 2);
    assert_eq!(meta.leases_revoke_all(at(103)).await.unwrap(), 1);
    assert_eq!(meta.leases_revoke_all(at(103)).await.unwrap(), 0);
}

#[tokio::test]
async fn every_change_leaves_its_audit_row_and_every_refusal_none() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let taken = world.take_snapshot(&cluster, 20).await;
    let restore = world
        .ask_restore(&taken, &cluster, &cluster, 30)
        .await
        .unwrap();
    world
        .ask_restore(&taken, &cluster, &cluster, 31)
        .await
        .unwrap_err();
    world.meta.jobs_mark_queued(at(31)).await.unwrap();
    let lease = world.claim(at(32)).await;
    world.meta.job_release(&lease, at(33)).await.unwrap();
    let lease = world.claim(at(34)).await;
    let report = model::RestoreReport::default();
    world
        .meta
        .restore_completed(&lease, at(35), &report)
        .await
        .unwrap();
    world
        .meta
        .snapshot_delete(taken.id, &actor(), at(36), "asked for")
        .await
        .unwrap();
    world
        .meta
        .cluster_delete(cluster.id, &actor(), at(37))
        .await
        .unwrap();
    assert_eq!(restore.cluster_id, cluster.id);
    let expected = [
        "organization.insert",
        "project.insert",
        "key.insert",
        "cluster.insert",
        "snapshot.request",
        "job.claim",
        "snapshot.complete",
        "restore.request",
        "jobs.queue",
        "job.claim",
        "job.release",
        "job.claim",
        "restore.complete",
        "snapshot.delete",
        "cluster.delete",
    ];
    assert_eq!(world.actions().await, expected);
}
