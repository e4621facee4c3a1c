//! Clocks that jump: schedules go on, jobs come to their end, and nothing is given up for it that
//! is needed.

use model::{Status, Tier, Trigger};
use testkit::sample::{self, SampleOptions};
use testkit::{RealMongo, wait_for};

use crate::world::{LIMIT, World};

/// Ten years.
const FAR_HOURS: i64 = 10 * 365 * 24;
/// Between scheduled snapshots of a serverless instance.
const INTERVAL_HOURS: i64 = 6;

/// Waits until a scheduled snapshot of the last interval is completed, and nothing is open.
async fn is_protected(world: &World) -> anyhow::Result<()> {
    wait_for(
        LIMIT,
        "a scheduled snapshot of the last interval",
        || async {
            let listed = world.snapshots("s").await;
            let all = listed.map_err(|error| error.to_string())?;
            let now = world.engine.now();
            let is_recent = all.iter().any(|snapshot| {
                let age_ms = now.millis_since(snapshot.scheduled_at);
                snapshot.status == Status::Completed
                    && snapshot.trigger == Trigger::Scheduled
                    && (0..INTERVAL_HOURS * 3_600_000).contains(&age_ms)
            });
            let is_idle = all.iter().all(|snapshot| snapshot.status.is_final());
            if is_recent && is_idle {
                Ok(())
            } else {
                Err(format!("{now:?}: {all:?}"))
            }
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_years_ahead_does_not_stop_the_schedule() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let state = sample::state(&client).await?;
    let mut world = World::new().await?;
    world.attach("s", &mongo.uri(), Tier::Serverless).await?;
    for hours in [
        INTERVAL_HOURS,
        FAR_HOURS,
        -FAR_HOURS,
        INTERVAL_HOURS,
        INTERVAL_HOURS,
    ] {
        world.clock.advance_hours(hours);
        // Each start looks at the schedules and at what is to be given up.
        world.start();
        is_protected(&world).await?;
        world = world.reopen().await?;
    }
    // The newest that is really so can be put back.
    let now = world.engine.now();
    let all = world.snapshots("s").await?;
    let mut real = all.iter().filter(|snapshot| snapshot.scheduled_at <= now);
    let newest = real.next_back().expect("it is protected").id;
    world.start();
    sample::damage(&client).await?;
    let restore = world.restore("s", newest, "s").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    let differences = state.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_while_jobs_run_harms_none() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let state = sample::state(&client).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let jumping = async {
        // Leases are of seconds: each jump ends or prolongs all of them.
        for hours in [1, -2, 5, -4].into_iter().cycle() {
            world.clock.advance_hours(hours);
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    let jobs = async {
        let snapshot = world.snapshot("c").await?;
        assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
        sample::damage(&client).await?;
        let restore = world.restore("c", snapshot.id, "c").await?;
        assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
        anyhow::Ok(())
    };
    tokio::select! {
        () = jumping => unreachable!("it goes on for ever"),
        done = jobs => done?,
    }
    let differences = state.differences(&sample::state(&client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}
