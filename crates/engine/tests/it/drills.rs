//! Drills: they prove what they say, fail where it isn't so, and leave nothing behind.

use std::path::{Path, PathBuf};

use engine::DrillRequest;
use model::{Error, Page, RestoreJob, Status, Tier};
use testkit::sample::{self, SampleOptions};
use testkit::{RealMongo, wait_for};

use crate::world::{LIMIT, World, if_ended, with_one_document};

/// Returns what is in the scratch directory beside its lock.
pub(crate) fn left_over(world: &World) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(world.dir.path().join("scratch"));
    let entries = entries.expect("there is a scratch directory");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.filter(|path| !path.ends_with("lock")).collect()
}

pub(crate) fn of(world: &World, cluster: &str) -> DrillRequest {
    DrillRequest {
        project: world.project,
        cluster: cluster.to_owned(),
        snapshot: None,
        target: None,
    }
}

pub(crate) async fn ask(world: &World, request: &DrillRequest) -> Result<RestoreJob, Error> {
    let drills = world.engine.drills();
    let asked = drills.request(&world.caller, request).await?;
    Ok(asked.1)
}

pub(crate) async fn ended(
    world: &World,
    cluster: &str,
    drill: &RestoreJob,
) -> anyhow::Result<RestoreJob> {
    wait_for(LIMIT, "the drill to end", || async {
        let drills = world.engine.drills();
        let found = drills.get(&world.caller, world.project, cluster, drill.id);
        if_ended(found.await, |drill| drill.status)
    })
    .await
}

/// Writes a program that stands in for `mongod`.
pub(crate) fn program(world: &World, script: &str) -> std::io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = world.dir.path().join("mongod");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Opens the world again with another `mongod`, and with workers.
pub(crate) async fn with_mongod(mut world: World, mongod: &Path) -> anyhow::Result<World> {
    world.config.scratch.mongod = Some(mongod.to_owned());
    let mut world = world.reopen().await?;
    world.start();
    Ok(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_prove_the_newest_snapshots_one_after_the_other() -> anyhow::Result<()> {
    let (mongo, other) = tokio::try_join!(RealMongo::replica_set().start(), with_one_document())?;
    sample::load(&mongo.client().await?, SampleOptions::small()).await?;
    let world = World::with_scratch_servers().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let without_snapshot = ask(&world, &of(&world, "c")).await;
    assert!(
        matches!(
            without_snapshot,
            Err(Error::InvalidAttribute {
                attribute: "snapshotId",
                ..
            })
        ),
        "{without_snapshot:?}"
    );
    world.attach("o", &other.uri(), Tier::M2).await?;
    world.snapshot("o").await?;
    world.snapshot("c").await?;
    let newest = world.snapshot("c").await?;

    let first = ask(&world, &of(&world, "c")).await?;
    assert_eq!(first.snapshot_id, newest.id);
    let twice = ask(&world, &of(&world, "c")).await;
    assert!(matches!(twice, Err(Error::DrillInProgress(_))), "{twice:?}");
    let second = ask(&world, &of(&world, "o")).await?;
    // The cluster is free for others meanwhile.
    assert_eq!(world.snapshot("c").await?.status, Status::Completed);
    let (first, second) = (
        ended(&world, "c", &first).await?,
        ended(&world, "o", &second).await?,
    );
    for drill in [&first, &second] {
        assert_eq!(drill.status, Status::Completed, "{:?}", drill.failure);
    }
    let report = first
        .report
        .as_ref()
        .expect("a completed drill has a report");
    assert!(report.collections.iter().all(|row| row.verified));
    let documents: u64 = report.collections.iter().map(|row| row.documents).sum();
    assert_eq!(documents, newest.outcome.expect("it is complete").documents);
    assert_eq!(left_over(&world), Vec::<PathBuf>::new());

    // It is in a list of its own, and its result is there with the cluster.
    let drills = world.engine.drills();
    let (cluster, listed) = drills
        .list(&world.caller, world.project, "c", Page::FIRST)
        .await?;
    assert_eq!((listed.total, listed.items[0].id), (1, first.id));
    let restores = world.engine.restores();
    let by_id = restores.get(&world.caller, world.project, "c", None, first.id);
    assert!(matches!(by_id.await, Err(Error::RestoreNotFound { .. })));
    assert_eq!(drills.last(&cluster).await?, Some(first));
    let others = restores.list(&world.caller, world.project, "c", None, Page::FIRST);
    assert_eq!(others.await?.1.total, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_named_as_target_is_overwritten_and_left_empty() -> anyhow::Result<()> {
    let (mongo, target) = tokio::try_join!(with_one_document(), with_one_document())?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.attach("t", &target.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    let mut request = of(&world, "c");
    request.target = Some("c".to_owned());
    let onto_itself = ask(&world, &request).await;
    assert!(
        matches!(onto_itself, Err(Error::InvalidAttribute { .. })),
        "{onto_itself:?}"
    );
    request.target = Some("t".to_owned());
    let drill = ask(&world, &request).await?;
    let drill = ended(&world, "c", &drill).await?;
    assert_eq!(drill.status, Status::Completed, "{:?}", drill.failure);
    let left = target.client().await?.list_database_names().await?;
    assert!(!left.iter().any(|name| name == "d"), "{left:?}");
    let kept = mongo.client().await?.list_database_names().await?;
    assert!(kept.iter().any(|name| name == "d"), "{kept:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_a_damaged_snapshot_fails_and_says_why() -> anyhow::Result<()> {
    let mongo = with_one_document().await?;
    let world = World::with_scratch_servers().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    let packs = world.dir.path().join("snapshots/packs");
    std::fs::remove_dir_all(&packs)?;
    let drill = ask(&world, &of(&world, "c")).await?;
    let drill = ended(&world, "c", &drill).await?;
    assert_eq!(drill.status, Status::Failed);
    assert!(drill.failure.is_some(), "{drill:?}");
    assert_eq!(left_over(&world), Vec::<PathBuf>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_before_anything_starts() -> anyhow::Result<()> {
    let refused = |asked: Result<RestoreJob, Error>| match asked {
        Err(Error::ScratchUnavailable(why)) => why,
        other => panic!("not refused: {other:?}"),
    };
    let mongo = with_one_document().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    let why = refused(ask(&world, &of(&world, "c")).await);
    assert!(why.contains("scratch.mongod"), "{why}");
    assert!(!world.dir.path().join("scratch").exists());

    let mut world = with_mongod(world, Path::new("/nowhere/mongod")).await?;
    let why = refused(ask(&world, &of(&world, "c")).await);
    assert!(why.contains("/nowhere/mongod"), "{why}");

    let old = program(&world, "echo db version v4.4.29")?;
    world = with_mongod(world, &old).await?;
    let why = refused(ask(&world, &of(&world, "c")).await);
    assert!(why.contains("4.4.29") && why.contains("too old"), "{why}");

    world.config.scratch.limit_bytes = 1 << 20;
    world = with_mongod(world, &testkit::find_mongod()?.0).await?;
    let why = refused(ask(&world, &of(&world, "c")).await);
    assert!(why.contains("scratch.limit_bytes"), "{why}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_start_fails_the_drill_with_its_last_words() -> anyhow::Result<()> {
    let mongo = with_one_document().await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    // It knows its version, but only that.
    let broken = program(
        &world,
        r#"[ "$1" = --version ] && echo db version v99.0.0 && exit
        while [ "$1" != --logpath ]; do shift; done
        echo '{"s":"E", "msg":"no disk today"}' > "$2"; exit 14"#,
    )?;
    let world = with_mongod(world, &broken).await?;
    let drill = ask(&world, &of(&world, "c")).await?;
    let drill = ended(&world, "c", &drill).await?;
    assert_eq!(drill.status, Status::Failed);
    let why = drill.failure.expect("a failed drill says why");
    assert!(why.contains("14") && why.contains("no disk today"), "{why}");
    assert_eq!(left_over(&world), Vec::<PathBuf>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_outgrows_the_limit_while_it_runs_is_ended_and_leaves_nothing()
-> anyhow::Result<()> {
    let mongo = with_one_document().await?;
    let mut world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    // So many that loading them takes longer than it takes to see how much room there is.
    let many = mongo.client().await?.database("d").collection("many");
    let documents = (0..40_000).map(|id| bson::doc! { "_id": id, "a": id % 7, "b": [id, -id] });
    many.insert_many(documents).await?;
    for key in ["a", "b"] {
        let index = mongodb::IndexModel::builder().keys(bson::doc! { key: 1 });
        many.create_index(index.build()).await?;
    }
    let snapshot = world.snapshot("c").await?;
    let size_bytes = snapshot
        .outcome
        .as_ref()
        .map_or(0, |outcome| outcome.size_bytes);
    world.config.scratch.limit_bytes = (360 << 20) + size_bytes;
    // The real server, with more in its directory than anybody could foresee.
    let real = testkit::find_mongod()?.0;
    let script = format!(
        r#"if [ "$1" = --dbpath ]; then head -c 400000000 /dev/zero > "$2/more"; fi
        exec '{}' "$@""#,
        real.display()
    );
    let mongod = program(&world, &script)?;
    let world = with_mongod(world, &mongod).await?;
    let drill = ask(&world, &of(&world, "c")).await?;
    let drill = ended(&world, "c", &drill).await?;
    assert_eq!(drill.status, Status::Failed);
    let why = drill.failure.as_deref().unwrap_or_default();
    assert!(
        why.contains("grew to") && why.contains("scratch.limit_bytes"),
        "{why}"
    );
    assert_eq!(left_over(&world), Vec::<PathBuf>::new());
    let data = world
        .dir
        .path()
        .join("scratch")
        .to_string_lossy()
        .into_owned();
    assert!(!runs_with(&data)?, "the server runs on");
    Ok(())
}

/// Returns whether a process has this in its command line.
fn runs_with(word: &str) -> std::io::Result<bool> {
    for process in std::fs::read_dir("/proc")? {
        let line = std::fs::read(process?.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(word) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_asks_for_drills_and_shows_those_that_fail() -> anyhow::Result<()> {
    let mongo = with_one_document().await?;
    let mut world = World::with_scratch_servers().await?;
    let cluster = world.attach("c", &mongo.uri(), Tier::M2).await?;
    world.snapshot("c").await?;
    let options = engine::ChangeCluster {
        drill_every_days: Some(7),
        ..engine::ChangeCluster::default()
    };
    let clusters = world.engine.clusters();
    clusters
        .change(&world.caller, world.project, "c", options)
        .await?;
    let mut asked = Vec::new();
    for (hours, mongod, status) in [
        (0, testkit::find_mongod()?.0, Status::Completed),
        (7 * 24, PathBuf::from("/nowhere/mongod"), Status::Failed),
        (24, testkit::find_mongod()?.0, Status::Completed),
    ] {
        world.clock.advance_hours(hours);
        // Each start looks at the schedules at once.
        world = with_mongod(world, &mongod).await?;
        let newest = wait_for(LIMIT, "a scheduled drill to end", || async {
            let newest = world.engine.drills().last(&cluster).await;
            let newest = newest.map_err(|error| error.to_string())?;
            let newest = newest.filter(|drill| !asked.contains(&drill.id));
            newest.ok_or_else(|| "none yet".to_owned())
        })
        .await?;
        assert_eq!(newest.status, status, "{:?}", newest.failure);
        asked.push(newest.id);
    }
    Ok(())
}
