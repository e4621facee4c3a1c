//! Archives of data files: a server starts on what was packed, and finds what was saved.

use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use futures::TryStreamExt;
use model::{DownloadFormat, Error, RestoreJob, Snapshot, Status, Tier};
use testkit::sample::{self, SampleOptions};
use testkit::{RealMongo, wait_for};

use crate::drills::{self, left_over};
use crate::world::{LIMIT, World};

async fn ask(world: &World, snapshot: &Snapshot) -> anyhow::Result<RestoreJob> {
    let restores = world.engine.restores();
    let format = Some(DownloadFormat::DataFiles);
    let asked = restores
        .download(&world.caller, world.project, "c", None, snapshot.id, format)
        .await?;
    Ok(asked.1)
}

fn token(world: &World, job: &RestoreJob) -> Option<String> {
    let link = world.engine.downloads().link(job)?;
    let (token, _) = link.split_once('/').expect("token and file name");
    Some(token.to_owned())
}

async fn fetch(world: &World, token: &str) -> Result<Vec<u8>, Error> {
    let downloads = world.engine.downloads();
    let archive = downloads.open(token, world.caller.address).await?;
    let expected = archive.size_bytes();
    let pieces: Vec<bytes::Bytes> = archive
        .stream()
        .try_collect()
        .await
        .expect("a built archive can be read");
    let bytes = pieces.concat();
    assert_eq!(expected, Some(bytes.len() as u64));
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_on_them_and_has_what_the_source_had() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let world = World::with_scratch_servers().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    let job = ask(&world, &snapshot).await?;
    assert_eq!((job.status, token(&world, &job)), (Status::Pending, None));
    let job = world.finished_restore("c", job.id).await?;
    assert_eq!(job.status, Status::Completed, "{:?}", job.failure);
    let token = token(&world, &job).expect("a built archive has a link");
    let archive = fetch(&world, &token).await?;

    let folder = tempfile::tempdir()?;
    tar::Archive::new(MultiGzDecoder::new(&archive[..])).unpack(folder.path())?;
    let note = std::fs::read_to_string(folder.path().join("RESTORE.txt"))?;
    assert!(
        note.contains("mongod --dbpath data") && !note.contains("{time}"),
        "{note}"
    );
    let data = folder.path().join("data");
    for left_out in ["mongod.lock", "diagnostic.data", "socket"] {
        assert!(!data.join(left_out).exists(), "{left_out}");
    }
    let moved = folder.path().join("server");
    std::fs::create_dir(&moved)?;
    std::fs::rename(&data, moved.join("db"))?;
    let restored = RealMongo::standalone().folder(&moved).start().await?;
    let restored = restored.client().await?;
    let differences = sample::state(&client).await?;
    let differences = differences.differences(&sample::state(&restored).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let names = restored.list_database_names().await?;
    assert!(
        !names.iter().any(|name| name.starts_with("__")),
        "{names:?}"
    );

    // It lives as long as its link, counted from when it was there.
    assert_eq!(left_over(&world).len(), 1);
    world.clock.advance_hours(4);
    let expired = fetch(&world, &token).await;
    assert!(
        matches!(expired, Err(Error::DownloadExpired)),
        "{expired:?}"
    );
    let mut world = world.reopen().await?;
    world.start();
    let archives = world.dir.path().join("scratch/archives");
    wait_for(LIMIT, "the expired archive to go", || async {
        match std::fs::read_dir(&archives).unwrap().count() {
            0 => Ok(()),
            count => Err(format!("{count} files")),
        }
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_outgrows_the_limit_fails_and_leaves_nothing() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    sample::load(&mongo.client().await?, SampleOptions::small()).await?;
    let mut world = World::with_scratch_servers().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    // Enough to begin with, but not once another archive is there.
    world.config.scratch.limit_bytes = (360 << 20) + snapshot.outcome.as_ref().unwrap().size_bytes;
    let mut world = world.reopen().await?;
    let archives = world.dir.path().join("scratch/archives");
    let job = ask(&world, &snapshot).await?;
    std::fs::create_dir_all(&archives)?;
    std::fs::write(archives.join("big"), vec![1; 64 << 20])?;
    world.start();
    let job = world.finished_restore("c", job.id).await?;
    assert_eq!(job.status, Status::Failed);
    let why = job.failure.as_deref().unwrap_or_default();
    assert!(why.contains("scratch.limit_bytes"), "{why}");
    assert_eq!(token(&world, &job), None);
    assert_eq!(left_over(&world), std::slice::from_ref(&archives));
    let kept: Vec<PathBuf> = std::fs::read_dir(&archives)?
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(kept, [archives.join("big")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_documents_are_in_drills_and_in_archives() -> anyhow::Result<()> {
    // A source that has not got round to deleting them.
    let mongo = RealMongo::replica_set().parameter("ttlMonitorEnabled", false);
    let mongo = mongo.start().await?;
    let old = mongo.client().await?.database("d").collection("old");
    let at = bson::DateTime::from_millis(1_000_000_000_000);
    old.insert_many((0..500).map(|id| bson::doc! { "_id": id, "at": at }))
        .await?;
    let expiry = mongodb::options::IndexOptions::builder()
        .expire_after(std::time::Duration::from_secs(1))
        .build();
    let index = mongodb::IndexModel::builder()
        .keys(bson::doc! { "at": 1 })
        .options(expiry)
        .build();
    old.create_index(index).await?;
    // Were scratch servers to delete what is expired, they would do it at once.
    let world = World::started().await?;
    let (real, seen) = (
        testkit::find_mongod()?.0,
        world.dir.path().join("arguments"),
    );
    let script = format!(
        "echo \"$@\" >> '{}'\n[ \"$1\" = --version ] && exec '{}' --version\n\
         exec '{}' \"$@\" --setParameter ttlMonitorSleepSecs=1",
        seen.display(),
        real.display(),
        real.display()
    );
    let mongod = drills::program(&world, &script)?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    let world = drills::with_mongod(world, &mongod).await?;
    let drill = drills::ask(&world, &drills::of(&world, "c")).await?;
    let drill = drills::ended(&world, "c", &drill).await?;
    assert_eq!(drill.status, Status::Completed, "{:?}", drill.failure);
    let rows = drill.report.expect("it is complete").collections;
    assert_eq!((rows[0].documents, rows[0].verified), (500, true));

    let job = ask(&world, &snapshot).await?;
    let job = world.finished_restore("c", job.id).await?;
    assert_eq!(job.status, Status::Completed, "{:?}", job.failure);
    let token = token(&world, &job).expect("a built archive has a link");
    let archive = fetch(&world, &token).await?;
    let folder = tempfile::tempdir()?;
    tar::Archive::new(MultiGzDecoder::new(&archive[..])).unpack(folder.path())?;
    let moved = folder.path().join("server");
    std::fs::create_dir(&moved)?;
    std::fs::rename(folder.path().join("data"), moved.join("db"))?;
    let restored = RealMongo::standalone().folder(&moved);
    let restored = restored
        .parameter("ttlMonitorEnabled", false)
        .start()
        .await?;
    let old = restored
        .client()
        .await?
        .database("d")
        .collection::<bson::Document>("old");
    assert_eq!(old.count_documents(bson::doc! {}).await?, 500);
    // What holds however fast the work was: nobody was deleting.
    let starts = std::fs::read_to_string(&seen)?;
    let starts = starts.lines().filter(|line| line.contains("--dbpath"));
    let mut starts = starts.map(|line| line.contains("ttlMonitorEnabled=false"));
    assert!(starts.next().is_some_and(|first| first) && starts.all(|other| other));
    Ok(())
}
