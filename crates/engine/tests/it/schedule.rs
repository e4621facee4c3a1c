//! Schedules and retention, with the clock set by hand.

use std::time::Duration;

use model::{Status, Tier, Trigger};
use testkit::{RealMongo, wait_for};

use crate::world::{LIMIT, World, with_one_document};

async fn completed(world: &World, cluster: &str, count: usize) -> anyhow::Result<()> {
    wait_for(LIMIT, "the scheduled snapshots", || async {
        let all = world
            .snapshots(cluster)
            .await
            .map_err(|error| error.to_string())?;
        let done = all
            .iter()
            .filter(|snapshot| snapshot.status == Status::Completed)
            .count();
        let open = all.iter().any(|snapshot| !snapshot.status.is_final());
        if done == count && !open {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn serverless_instances_get_one_every_six_hours_and_keep_two() -> anyhow::Result<()> {
    let mongo = with_one_document().await?;
    let mut world = World::new().await?;
    world.attach("s", &mongo.uri(), Tier::Serverless).await?;
    let mut seen = Vec::new();
    for expected in [1, 2, 2] {
        world.clock.advance_hours(6);
        // Each start looks at the schedules at once.
        world.start();
        wait_for(LIMIT, "a newer snapshot", || async {
            let all = world
                .snapshots("s")
                .await
                .map_err(|error| error.to_string())?;
            let newest = all.last().map(|snapshot| snapshot.id);
            if newest.is_some() && newest != seen.last().copied() {
                Ok(())
            } else {
                Err("none".to_owned())
            }
        })
        .await?;
        completed(&world, "s", expected).await?;
        let all = world.snapshots("s").await?;
        assert!(
            all.iter()
                .all(|snapshot| snapshot.trigger == Trigger::Scheduled)
        );
        seen.push(all.last().expect("one was taken").id);
        world = world.reopen().await?;
    }
    let kept: Vec<_> = world
        .snapshots("s")
        .await?
        .iter()
        .map(|snapshot| snapshot.id)
        .collect();
    assert_eq!(kept, seen[1..]);
    // What was given up is gone from the store as well.
    let dir = world.dir.path().join("snapshots/snapshots");
    let manifests = || std::fs::read_dir(&dir).map(Iterator::count);
    wait_for(Duration::from_secs(20), "the manifest to go", || async {
        match manifests() {
            Ok(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn attaching_with_a_first_snapshot_takes_it_at_once() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let world = World::started().await?;
    let request = engine::AttachCluster {
        name: "c".to_owned(),
        uri: mongo.uri().into(),
        tier: Tier::M2,
        continuous_backup: false,
        termination_protection: false,
        take_snapshot: true,
    };
    world
        .engine
        .clusters()
        .attach(&world.caller, world.project, request)
        .await?;
    completed(&world, "c", 1).await?;
    let snapshot = world.snapshots("c").await?.remove(0);
    let started = snapshot.started_at.expect("it ran");
    let finished = snapshot.finished_at.expect("it ended");
    assert!(snapshot.scheduled_at <= started && started <= finished);
    assert_eq!(
        snapshot.expires_at.millis_since(snapshot.scheduled_at),
        8 * 24 * 3_600_000
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_gives_up_is_said_before_it_is_done_and_links_hold_it() -> anyhow::Result<()>
{
    let mongo = RealMongo::replica_set().start().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let (expired, linked, newest) = (
        world.snapshot("c").await?.id,
        world.snapshot("c").await?.id,
        world.snapshot("c").await?.id,
    );
    let snapshots = world.engine.snapshots();
    let (_, young) = snapshots
        .retention(&world.caller, world.project, "c")
        .await?;
    assert!(young.iter().all(|planned| planned.keep), "{young:?}");

    // On-demand snapshots are kept for eight days; a link holds for four hours.
    world.clock.advance_hours(8 * 24 + 1);
    let restores = world.engine.restores();
    restores
        .download(&world.caller, world.project, "c", None, linked, None)
        .await?;
    let (_, plan) = snapshots
        .retention(&world.caller, world.project, "c")
        .await?;
    let said = |id| {
        let planned = plan.iter().find(|planned| planned.snapshot.id == id);
        planned.map(|planned| (planned.keep, planned.reason))
    };
    assert_eq!(said(newest), Some((true, "newest completed snapshot")));
    assert_eq!(
        said(linked),
        Some((true, "a restore or a download link uses it"))
    );
    assert_eq!(said(expired), Some((false, "on-demand snapshot expired")));
    assert!(
        world.snapshots("c").await?.len() >= 3,
        "a plan does nothing"
    );

    let (_, done) = snapshots.prune(&world.caller, world.project, "c").await?;
    assert_eq!(done.iter().filter(|planned| !planned.keep).count(), 1);
    let left: Vec<_> = world
        .snapshots("c")
        .await?
        .iter()
        .map(|kept| kept.id)
        .collect();
    assert!(!left.contains(&expired) && left.contains(&linked) && left.contains(&newest));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_pruning_does_in_whatever_order_snapshots_expire() -> anyhow::Result<()>
{
    const ORDERS: [[u32; 3]; 6] = [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ];
    let mongo = RealMongo::replica_set().start().await?;
    let things = mongo.client().await?.database("d").collection("things");
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let mut number = 0;
    for days in ORDERS.into_iter().flatten() {
        number += 1;
        things.insert_one(bson::doc! { "_id": number }).await?;
        let snapshots = world.engine.snapshots();
        let (caller, project) = (&world.caller, world.project);
        let taken = snapshots.take(caller, project, "c", Some(days)).await?;
        let taken = world.finished_snapshot("c", taken.1.id).await?;
        assert_eq!(taken.status, Status::Completed, "{:?}", taken.failure);
    }
    // Nobody else decides meanwhile.
    let world = world.reopen().await?;
    let (caller, project) = (&world.caller, world.project);
    let snapshots = world.engine.snapshots();
    let mut left = ORDERS.len() * 3;
    for _ in 0..4 {
        world.clock.advance_hours(24);
        let (_, said) = snapshots.retention(caller, project, "c").await?;
        assert_eq!(
            world.snapshots("c").await?.len(),
            left,
            "a dry run does nothing"
        );
        let (_, done) = snapshots.prune(caller, project, "c").await?;
        assert_eq!(said, done);
        let mut kept: Vec<_> = said.iter().filter(|planned| planned.keep).collect();
        kept.sort_unstable_by_key(|planned| planned.snapshot.id);
        let kept: Vec<_> = kept.iter().map(|planned| planned.snapshot.id).collect();
        let listed: Vec<_> = world.snapshots("c").await?;
        let mut listed: Vec<_> = listed.iter().map(|snapshot| snapshot.id).collect();
        listed.sort_unstable();
        assert_eq!(listed, kept);
        assert!(kept.len() < left || left == 1);
        left = kept.len();
        // What is kept is there, and nothing else.
        let stored = world.store().await?.repository.snapshots().await?;
        let stored: Vec<_> = stored.iter().map(|id| id.0).collect();
        let kept: Vec<_> = kept.iter().map(|id| id.to_bytes()).collect();
        assert_eq!(stored, kept);
    }
    assert_eq!(left, 1, "the newest is never given up");
    let (_, checked) = world.checked().await?;
    assert!(checked.problems.is_empty());
    Ok(())
}
