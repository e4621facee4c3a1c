//! Opening, reopening, and what a file that is no store gets.

use meta::{Error, Meta, SealKey};
use model::Page;

use crate::world::*;

#[tokio::test]
async fn a_store_under_another_key_is_refused_and_unharmed() {
    let world = World::new().await;
    world.meta.close().await;
    let opened = Meta::open(&world.path(), &SealKey::new([43; 32])).await;
    assert!(matches!(opened.err(), Some(Error::WrongKey { .. })));
    let world = world.reopened().await;
    assert!(
        world
            .meta
            .key_by_public("abcdefgh")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_second_bootstrap_is_refused() {
    let world = World::new().await;
    let again = world
        .meta
        .bootstrap(&organization(), &project(), &key(), &HA1.into(), at(0))
        .await;
    assert_refused!(again, Error::AlreadyInitialised);
    assert_eq!(world.meta.organizations().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    let text = "these are the notes of someone else\n".repeat(500);
    std::fs::write(&path, &text).unwrap();
    let opened = Meta::open(&path, &seal_key()).await;
    assert!(matches!(opened.err(), Some(Error::Corrupt { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_store_is_said_to_be_damaged() {
    let world = World::new().await;
    world.meta.close().await;
    let mut bytes = std::fs::read(world.path()).unwrap();
    let from_second_page = &mut bytes[4096..];
    from_second_page.fill(0xa5);
    std::fs::write(world.path(), &bytes).unwrap();
    let opened = Meta::open(&world.path(), &seal_key()).await;
    assert!(matches!(opened.err(), Some(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused() {
    let world = World::new().await;
    world.meta.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    let opened = Meta::open(&world.path(), &seal_key()).await;
    let error = opened.err();
    assert!(
        matches!(error, Some(Error::NewerSchema { version: 9999, .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing").join("meta.db");
    let error = Meta::open(&path, &seal_key()).await.err().unwrap();
    assert!(matches!(error, Error::Unreadable { .. }));
    assert!(error.to_string().contains("meta.db"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new().await;
    let mut seen = 0;
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        seen += 1;
    }
    assert!(seen >= 2, "the file and its log");
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    let other = world.attach(11).await;
    let snapshot = world.take_snapshot(&cluster, 20).await;
    let restore = world
        .ask_restore(&snapshot, &cluster, &other, 30)
        .await
        .unwrap();
    let actions = world.actions().await;

    let world = world.reopened().await;
    let meta = &world.meta;
    assert_eq!(meta.organization(ORG).await.unwrap(), Some(organization()));
    assert_eq!(meta.key(KEY).await.unwrap(), Some(key()));
    assert_eq!(
        meta.cluster(cluster.id).await.unwrap(),
        Some(cluster.clone())
    );
    let found = meta.snapshot(cluster.id, snapshot.id).await.unwrap();
    assert_eq!(found, Some(snapshot));
    let listed = meta.restores(cluster.id, Page::FIRST).await.unwrap();
    assert_eq!((listed.items, listed.total), (vec![restore], 1));
    assert_eq!(world.actions().await, actions);
    let lease = world.claim(at(100)).await;
    assert_eq!(lease.job.cluster_id, other.id);
}

#[tokio::test]
async fn what_an_interrupted_caller_committed_is_announced() {
    let world = World::new().await;
    for number in 0u8..40 {
        let before = world.meta.generation();
        let inserting = {
            let meta = world.meta.clone();
            async move {
                let (cluster, uri) = (cluster(100 + number), uri());
                meta.cluster_insert(&cluster, &uri, None, &actor()).await
            }
        };
        let task = tokio::spawn(inserting);
        for _ in 0..number * 3 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        // A change that takes the write lock runs after whatever the abort left behind.
        world
            .meta
            .cluster_seen(cluster(1).id, "", None, at(0))
            .await
            .unwrap_err();
        let id = cluster(100 + number).id;
        let exists = world.meta.cluster(id).await.unwrap().is_some();
        let raised = world.meta.generation() != before;
        assert!(raised || !exists, "unannounced after {number} steps");
    }
}
