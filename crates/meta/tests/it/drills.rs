//! Drills: whom they keep waiting, what they overwrite, and how they are counted.

use model::{Cluster, Delivery, Error, JobKind, Page, RestoreJob, Snapshot};

use crate::world::*;

async fn ask(
    world: &World,
    snapshot: &Snapshot,
    of: &Cluster,
    onto: &Cluster,
    number: u8,
) -> Result<RestoreJob, Error> {
    let drill = RestoreJob {
        delivery: Delivery::Drill,
        ..restore(snapshot, of, onto, number)
    };
    let job = restore_job(&drill);
    let who = actor();
    let asked = world.meta.restore_request(&drill, Some(&job), &who);
    asked.await.map(|()| drill)
}

#[tokio::test]
async fn one_runs_at_a_time_and_leaves_its_cluster_to_others() {
    let world = World::new().await;
    let (first, second) = (world.attach(10).await, world.attach(11).await);
    let of_first = world.take_snapshot(&first, 20).await;
    let of_second = world.take_snapshot(&second, 21).await;
    let drill = ask(&world, &of_first, &first, &first, 30).await.unwrap();
    let waiting = ask(&world, &of_second, &second, &second, 31).await.unwrap();
    let snapshot = world.ask_snapshot(&first, 32).await;
    let lease = world.claim(at(50)).await;
    assert_eq!(lease.job.kind, JobKind::Restore(drill.id));
    assert_eq!(lease.delivery, Some(Delivery::Drill));
    let beside = world.claim(at(50)).await;
    assert_eq!(beside.job.kind, JobKind::Snapshot(snapshot.id));
    assert_eq!(beside.delivery, None);
    assert_eq!(world.try_claim(at(50)).await, None);
    let why = "no disk";
    world.meta.job_failed(&lease, at(60), why).await.unwrap();
    let next = world.claim(at(61)).await;
    assert_eq!(next.job.kind, JobKind::Restore(waiting.id));
}

#[tokio::test]
async fn no_two_overwrite_one_target_and_no_cluster_has_two() {
    let world = World::new().await;
    let (source, target) = (world.attach(10).await, world.attach(11).await);
    let taken = world.take_snapshot(&source, 20).await;
    let of_target = world.take_snapshot(&target, 21).await;
    let drill = ask(&world, &taken, &source, &target, 30).await.unwrap();
    let second = ask(&world, &taken, &source, &source, 31).await;
    assert_refused!(second, Error::DrillInProgress(_));
    let onto = world.ask_restore(&taken, &source, &target, 32).await;
    assert_refused!(onto, Error::DrillInProgress(_));
    // Its own drill does not touch it.
    ask(&world, &of_target, &target, &target, 33).await.unwrap();
    let lease = world.claim(at(50)).await;
    assert_eq!(lease.job.kind, JobKind::Restore(drill.id));
    let report = model::RestoreReport::default();
    world
        .meta
        .restore_completed(&lease, at(51), &report)
        .await
        .unwrap();
    world
        .ask_restore(&taken, &source, &target, 34)
        .await
        .unwrap();
    let again = ask(&world, &taken, &source, &target, 35).await;
    assert_refused!(again, Error::RestoreInProgress(_));
}

#[tokio::test]
async fn they_are_in_a_list_of_their_own_and_failures_are_counted_since_the_last_success() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let taken = world.take_snapshot(&cluster, 20).await;
    let mut ended = Vec::new();
    for (number, is_good) in [(30, false), (40, true), (50, false), (60, false)] {
        let drill = ask(&world, &taken, &cluster, &cluster, number)
            .await
            .unwrap();
        let lease = world.claim(at(i64::from(number) + 1)).await;
        let end = at(i64::from(number) + 2);
        let report = model::RestoreReport::default();
        match is_good {
            true => world.meta.restore_completed(&lease, end, &report).await,
            false => world.meta.job_failed(&lease, end, "why").await,
        }
        .unwrap();
        ended.push(drill.id);
    }
    let found = world.meta.drills_ended(cluster.id).await.unwrap();
    assert_eq!(found.last.map(|drill| drill.id), ended.last().copied());
    assert_eq!((found.last_success_at, found.failures), (Some(at(42)), 2));
    let drills = world.meta.drills(cluster.id, Page::FIRST).await.unwrap();
    assert_eq!(drills.total, 4);
    let others = world.meta.restores(cluster.id, Page::FIRST).await.unwrap();
    assert_eq!((others.total, others.items.len()), (0, 0));
}
