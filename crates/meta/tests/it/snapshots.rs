//! Snapshots: one on demand at a time, each due time once, honest endings, careful deletion.

use meta::Order;
use model::{Actor, Consistency, Error, Page, SnapshotOutcome, Status, Trigger};

use crate::world::*;

#[tokio::test]
async fn only_one_on_demand_snapshot_of_a_cluster_is_open() {
    let world = World::new().await;
    let meta = &world.meta;
    let cluster = world.attach(10).await;
    let other = world.attach(11).await;
    let ask = async |of, number| {
        let snapshot = snapshot(of, number, Trigger::OnDemand);
        let job = snapshot_job(&snapshot);
        meta.snapshot_request(&snapshot, &job, &actor()).await
    };
    ask(&cluster, 20).await.unwrap();
    assert_refused!(ask(&cluster, 21).await, Error::SnapshotInProgress(_));
    ask(&other, 22).await.unwrap();
    let lease = world.claim(at(30)).await;
    assert_refused!(ask(&cluster, 23).await, Error::SnapshotInProgress(_));
    meta.job_failed(&lease, at(31), "unreachable")
        .await
        .unwrap();
    ask(&cluster, 24).await.unwrap();
}

#[tokio::test]
async fn a_due_time_is_served_once_even_if_its_snapshot_is_deleted() {
    let world = World::new().await;
    let meta = &world.meta;
    let cluster = world.attach(10).await;
    assert_eq!(meta.latest_scheduled(cluster.id).await.unwrap(), None);
    let taken = world.take_snapshot(&cluster, 20).await;
    meta.snapshot_delete(taken.id, &actor(), at(50), "asked for")
        .await
        .unwrap();
    let latest = meta.latest_scheduled(cluster.id).await.unwrap();
    assert_eq!(latest, Some(taken.scheduled_at));
    let mut again = snapshot(&cluster, 21, Trigger::Scheduled);
    again.scheduled_at = taken.scheduled_at;
    let job = snapshot_job(&again);
    let asked = meta.snapshot_request(&again, &job, &Actor::Scheduler).await;
    assert_refused!(asked, Error::Stale);
    assert_eq!(meta.all_snapshots(cluster.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_due_time_far_ahead_of_the_clock_is_no_obstacle() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let ask = async |number, due, now| {
        let mut asked = snapshot(&cluster, number, Trigger::Scheduled);
        asked.scheduled_at = at(due);
        let mut job = snapshot_job(&asked);
        job.created_at = at(now);
        world
            .meta
            .snapshot_request(&asked, &job, &Actor::Scheduler)
            .await
    };
    let day = 24 * 3_600;
    ask(20, 900 * day, 900 * day).await.unwrap();
    // The clock was corrected, so what it had noted is not believed, once.
    ask(21, 3 * day, 3 * day).await.unwrap();
    assert_refused!(ask(22, 3 * day, 3 * day).await, Error::Stale);
    // A little ahead is believed.
    ask(23, 4 * day, 3 * day).await.unwrap();
    assert_refused!(ask(24, 3 * day + 60, 3 * day + 60).await, Error::Stale);
}

#[tokio::test]
async fn a_deleted_snapshot_leaves_a_note_until_its_manifest_is_gone() {
    let world = World::new().await;
    let meta = &world.meta;
    let cluster = world.attach(10).await;
    let first = world.take_snapshot(&cluster, 20).await;
    let second = world.take_snapshot(&cluster, 40).await;
    assert_eq!(meta.manifests_to_forget().await.unwrap(), []);
    meta.snapshot_delete(first.id, &actor(), at(60), "asked for")
        .await
        .unwrap();
    assert_eq!(meta.manifests_to_forget().await.unwrap(), [first.id]);
    meta.manifest_forgotten(first.id).await.unwrap();
    meta.cluster_delete(cluster.id, &actor(), at(70))
        .await
        .unwrap();
    assert_eq!(meta.manifests_to_forget().await.unwrap(), [second.id]);
}

#[tokio::test]
async fn a_snapshot_goes_through_its_statuses_and_keeps_its_outcome() {
    let world = World::new().await;
    let meta = &world.meta;
    let cluster = world.attach(10).await;
    let asked = world.ask_snapshot(&cluster, 20).await;
    let read = async || meta.snapshot(cluster.id, asked.id).await.unwrap().unwrap();
    assert_eq!(read().await, asked);
    assert_eq!(meta.jobs_mark_queued(at(21)).await.unwrap(), 1);
    assert_eq!(read().await.status, Status::Queued);
    assert_eq!(meta.jobs_mark_queued(at(22)).await.unwrap(), 0);
    let lease = world.claim(at(23)).await;
    let running = read().await;
    assert_eq!(running.status, Status::Running);
    assert_eq!(running.started_at, Some(at(23)));
    meta.snapshot_completed(&lease, at(24), "8.0.1", &outcome())
        .await
        .unwrap();
    let completed = read().await;
    assert_eq!(completed.status, Status::Completed);
    assert_eq!(completed.finished_at, Some(at(24)));
    assert_eq!(completed.mongodb_version, "8.0.1");
    assert_eq!(completed.outcome, Some(outcome()));
    let again = meta.job_failed(&lease, at(25), "late").await;
    assert_refused!(again, Error::Stale);
    assert_eq!(read().await, completed);
}

#[tokio::test]
async fn a_pass_over_a_standalone_server_promises_no_point_in_time() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let asked = world.ask_snapshot(&cluster, 20).await;
    let lease = world.claim(at(21)).await;
    let outcome = SnapshotOutcome {
        consistency: Consistency::None,
        ..outcome()
    };
    world
        .meta
        .snapshot_completed(&lease, at(22), "7.0.1", &outcome)
        .await
        .unwrap();
    let found = world.meta.snapshot_by_id(asked.id).await.unwrap().unwrap();
    assert_eq!(found.outcome, Some(outcome));
}

#[tokio::test]
async fn snapshots_are_listed_in_either_order() {
    let world = World::new().await;
    let meta = &world.meta;
    let cluster = world.attach(10).await;
    let mut taken = Vec::new();
    for number in 20..25 {
        taken.push(world.take_snapshot(&cluster, number).await);
    }
    let page = Page { number: 2, size: 2 };
    let listed = meta
        .snapshots(cluster.id, Order::OldestFirst, page)
        .await
        .unwrap();
    assert_eq!((&listed.items[..], listed.total), (&taken[2..4], 5));
    taken.reverse();
    let listed = meta
        .snapshots(cluster.id, Order::NewestFirst, page)
        .await
        .unwrap();
    assert_eq!((&listed.items[..], listed.total), (&taken[2..4], 5));
    let other = world.attach(11).await;
    assert_eq!(meta.snapshot(other.id, taken[0].id).await.unwrap(), None);
}

#[tokio::test]
async fn a_snapshot_that_is_in_progress_or_needed_is_not_deleted() {
    let world = World::new().await;
    let meta = &world.meta;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let asked = world.ask_snapshot(&source, 20).await;
    let delete = async || {
        meta.snapshot_delete(asked.id, &Actor::Scheduler, at(60), "beyond the kept count")
            .await
    };
    assert_refused!(delete().await, Error::SnapshotUnfinished(_));
    let lease = world.claim(at(21)).await;
    assert_refused!(delete().await, Error::SnapshotUnfinished(_));
    meta.snapshot_completed(&lease, at(22), "7.0.1", &outcome())
        .await
        .unwrap();
    let restore = world
        .ask_restore(&asked, &source, &target, 30)
        .await
        .unwrap();
    let link = download(&asked, &source, 31);
    meta.restore_request(&link, None, &actor()).await.unwrap();
    assert_refused!(delete().await, Error::SnapshotInUse(_));
    let in_use = async |now| meta.snapshots_in_use(source.id, now).await.unwrap();
    assert_eq!(in_use(at(20_000)).await, [asked.id]);

    let lease = world.claim(at(32)).await;
    meta.job_failed(&lease, at(33), "x").await.unwrap();
    assert_eq!(in_use(at(14_399)).await, [asked.id]);
    assert_eq!(in_use(at(14_400)).await, []);
    delete().await.unwrap();
    assert_refused!(delete().await, Error::Stale);
    let kept = meta.restore(source.id, restore.id).await.unwrap();
    assert_eq!(kept.unwrap().snapshot_id, asked.id);
}
