//! Restores: one per target, honest endings, and lists that stay quick and whole.

use model::{
    CollectionReport, Error, Page, RestoreId, RestoreJob, RestoreReport, Status, Timestamp,
};

use crate::world::*;

fn report() -> RestoreReport {
    RestoreReport {
        collections: vec![CollectionReport {
            namespace: "shop.orders".to_owned(),
            action: model::CollectionAction::Rewound,
            documents: 3,
            size_bytes: 1 << 33,
            changed: 1,
            verified: true,
            proof: model::Proof::History,
        }],
    }
}

#[tokio::test]
async fn of_two_concurrent_restores_onto_one_target_exactly_one_is_accepted() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let snapshot = world.take_snapshot(&source, 20).await;
    let (first, second) = tokio::join!(
        world.ask_restore(&snapshot, &source, &target, 30),
        world.ask_restore(&snapshot, &source, &target, 31),
    );
    let (accepted, refused): (Vec<_>, Vec<_>) = [first, second]
        .into_iter()
        .partition(|result| result.is_ok());
    assert_eq!(accepted.len(), 1);
    assert!(matches!(&refused[0], Err(Error::RestoreInProgress(name)) if *name == target.name));
    let listed = world.meta.restores(source.id, Page::FIRST).await.unwrap();
    assert_eq!((listed.items.len(), listed.total), (1, 1));
    world
        .ask_restore(&snapshot, &source, &source, 32)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_target_is_free_again_once_its_restore_ended() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let snapshot = world.take_snapshot(&source, 20).await;
    for (number, ends_well) in [(30, true), (31, false), (32, true)] {
        let restore = world.ask_restore(&snapshot, &source, &target, number).await;
        let id = restore.unwrap().id;
        let lease = world.claim(at(40)).await;
        let running = world.meta.restore(source.id, id).await.unwrap().unwrap();
        assert_eq!(running.status, Status::Running);
        let ended = match ends_well {
            true => {
                world
                    .meta
                    .restore_completed(&lease, at(41), &report())
                    .await
            }
            false => {
                let reason = "shop.orders differs";
                world.meta.job_failed(&lease, at(41), reason).await
            }
        };
        ended.unwrap();
        let found = world.meta.restore_by_id(id).await.unwrap().unwrap();
        assert_eq!(found.finished_at, Some(at(41)));
        assert_eq!(found.report, ends_well.then(report));
        assert_eq!(found.status == Status::Completed, ends_well);
        assert_eq!(found.failure.is_none(), ends_well);
    }
}

#[tokio::test]
async fn only_a_completed_snapshot_that_is_there_can_be_restored() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let pending = world.ask_snapshot(&source, 20).await;
    let asked = world.ask_restore(&pending, &source, &target, 30).await;
    assert_refused!(asked, Error::SnapshotIncomplete(_));
    let unknown = snapshot(&source, 99, model::Trigger::Scheduled);
    let asked = world.ask_restore(&unknown, &source, &target, 30).await;
    assert_refused!(asked, Error::SnapshotNotFound { .. });
    let foreign = world.ask_restore(&pending, &target, &source, 30).await;
    assert_refused!(foreign, Error::SnapshotNotFound { .. });
    let lease = world.claim(at(21)).await;
    world
        .meta
        .snapshot_completed(&lease, at(22), "7.0.1", &outcome())
        .await
        .unwrap();
    let gone = cluster(77);
    let asked = world.ask_restore(&pending, &source, &gone, 30).await;
    assert_refused!(asked, Error::ClusterNotFound { .. });
    assert_eq!(
        world
            .meta
            .restores(source.id, Page::FIRST)
            .await
            .unwrap()
            .total,
        0
    );
}

#[tokio::test]
async fn ten_thousand_restores_are_paged_newest_first_without_gap_or_repeat() {
    const COUNT: u32 = 10_000;
    let world = World::new().await;
    let meta = &world.meta;
    let source = world.attach(10).await;
    let other = world.attach(11).await;
    let snapshot = world.take_snapshot(&source, 20).await;
    // Written past the store: ten thousand requests would sync the disk as many times.
    let template = download(&snapshot, &source, 30);
    meta.restore_request(&template, None, &actor())
        .await
        .unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    for number in 1..COUNT {
        sqlx::query(
            "INSERT INTO restores (id, delivery, status, cluster_id, cluster_name, project_id,
                 snapshot_id, snapshot_finished_at_ms, target_cluster_id, target_name,
                 target_project_id, created_at_ms, finished_at_ms, expires_at_ms, failure)
             SELECT $1, delivery, status, cluster_id, cluster_name,
                 project_id, snapshot_id, snapshot_finished_at_ms, target_cluster_id,
                 target_name, target_project_id, created_at_ms + $2, finished_at_ms,
                 expires_at_ms, failure FROM restores WHERE id = $3",
        )
        .bind(numbered(number).to_string())
        // Three to the same millisecond: the id decides between them.
        .bind(i64::from(number / 3))
        .bind(template.id.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    sqlx::query("UPDATE clusters SET restore_count = $1 WHERE id = $2")
        .bind(i64::from(COUNT))
        .bind(source.id.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();

    let mut seen: Vec<(Timestamp, RestoreId)> = Vec::new();
    for number in 1..=21 {
        let page = Page { number, size: 500 };
        let listed = meta.restores(source.id, page).await.unwrap();
        assert_eq!(listed.total, u64::from(COUNT));
        let place = |restore: &RestoreJob| (restore.created_at, restore.id);
        seen.extend(listed.items.iter().map(place));
    }
    assert_eq!(seen.len(), COUNT as usize);
    assert!(seen.is_sorted_by(|earlier, later| earlier > later));
    assert_eq!(meta.restores(other.id, Page::FIRST).await.unwrap().total, 0);
}

fn numbered(number: u32) -> RestoreId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    RestoreId::from_bytes(bytes)
}
