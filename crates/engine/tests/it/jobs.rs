//! The main job: snapshot, damage, restore, equal.

use model::{Consistency, RestoreMode, Status, Tier};
use mongodb::bson::{Document, doc};
use testkit::RealMongo;
use testkit::sample::{self, SampleOptions};

use crate::world::World;

fn assert_equal(before: &sample::State, after: &sample::State) {
    let differences = before.differences(after);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_cluster_is_exactly_as_it_was_after_a_restore() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let before = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
    let outcome = snapshot
        .outcome
        .expect("a completed snapshot has an outcome");
    assert!(matches!(outcome.consistency, Consistency::Snapshot(_)));
    sample::damage(&client).await?;
    assert!(
        !before
            .differences(&sample::state(&client).await?)
            .is_empty()
    );
    let restore = world.restore("c", snapshot.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_equal(&before, &sample::state(&client).await?);
    let report = restore.report.expect("a completed restore has a report");
    assert!(report.collections.iter().all(|row| row.verified));
    let documents: u64 = report.collections.iter().map(|row| row.documents).sum();
    assert_eq!(documents, outcome.documents);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_target_loses_what_it_had_and_keeps_its_users() -> anyhow::Result<()> {
    let (source, target) = tokio::try_join!(
        RealMongo::replica_set().start(),
        RealMongo::replica_set().start()
    )?;
    let from = source.client().await?;
    let to = target.client().await?;
    from.database("shop")
        .collection("orders")
        .insert_one(doc! { "_id": 1, "total": -0.0 })
        .await?;
    to.database("stale")
        .collection("old")
        .insert_one(doc! { "_id": 1 })
        .await?;
    to.database("admin")
        .run_command(doc! { "createUser": "kept", "pwd": "x", "roles": [] })
        .await?;
    let world = World::started().await?;
    world.attach("from", &source.uri(), Tier::M2).await?;
    world.attach("to", &target.uri(), Tier::M5).await?;
    let snapshot = world.snapshot("from").await?;
    let restore = world.restore("from", snapshot.id, "to").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_equal(&sample::state(&from).await?, &sample::state(&to).await?);
    let users = to
        .database("admin")
        .run_command(doc! { "usersInfo": 1 })
        .await?;
    let users = users.get_array("users")?;
    assert_eq!(users.len(), 1, "{users:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_server_is_saved_without_a_claim_about_time() -> anyhow::Result<()> {
    let mongo = RealMongo::standalone().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let world = World::started().await?;
    world.attach("s", &mongo.uri(), Tier::Serverless).await?;
    let before = sample::state(&client).await?;
    let snapshot = world.snapshot("s").await?;
    assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
    assert_eq!(
        snapshot.outcome.map(|outcome| outcome.consistency),
        Some(Consistency::None)
    );
    sample::damage(&client).await?;
    let restore = world.restore("s", snapshot.id, "s").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_equal(&before, &sample::state(&client).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_during_a_snapshot_are_not_in_it() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let pairs = client.database("bank").collection::<Document>("pairs");
    let left: Vec<Document> = (0..3_000).map(|n| doc! { "_id": n, "v": 0 }).collect();
    pairs.insert_many(left).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    // Each transaction raises two documents together; a torn snapshot would see one of them.
    let writer = tokio::spawn({
        let (client, pairs) = (client.clone(), pairs.clone());
        async move {
            for round in 1.. {
                let mut session = client.start_session().await?;
                session.start_transaction().await?;
                for id in [0, 2_999] {
                    let set = doc! { "$set": { "v": round } };
                    pairs
                        .update_one(doc! { "_id": id }, set)
                        .session(&mut session)
                        .await?;
                }
                session.commit_transaction().await?;
            }
            Ok::<(), mongodb::error::Error>(())
        }
    });
    let mut snapshots = Vec::new();
    for _ in 0..5 {
        snapshots.push(world.snapshot("c").await?);
    }
    writer.abort();
    let _ = writer.await;
    for snapshot in snapshots {
        let restore = world.restore("c", snapshot.id, "c").await?;
        assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
        let first = pairs
            .find_one(doc! { "_id": 0 })
            .await?
            .expect("it is there");
        let last = pairs
            .find_one(doc! { "_id": 2_999 })
            .await?
            .expect("it is there");
        assert_eq!(first.get_i32("v")?, last.get_i32("v")?);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_to_the_target_during_a_restore_fails_it_by_name() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let orders = client.database("shop").collection::<Document>("orders");
    orders
        .insert_many((0..20_000).map(|n| doc! { "_id": n, "text": "x".repeat(200) }))
        .await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?;
    let intruder = tokio::spawn(async move {
        loop {
            // Refused while the collection is being dropped; what matters is that some arrive.
            let _ = orders.insert_one(doc! { "intruder": true }).await;
        }
    });
    let mut in_place = world.request("c", snapshot.id, "c");
    in_place.mode = Some(RestoreMode::InPlace);
    let restore = world.restored(&in_place).await?;
    intruder.abort();
    assert_eq!(restore.status, Status::Failed);
    let failure = restore.failure.expect("a failed restore says why");
    assert!(failure.contains("shop.orders"), "{failure}");
    // The target says of itself that it is incomplete, and is whole after the next restore.
    let refused = world.snapshot("c").await?;
    assert_eq!(refused.status, Status::Failed);
    let why = refused.failure.expect("a failed snapshot says why");
    assert!(why.contains("unfinished restore"), "{why}");
    let again = world.restore("c", snapshot.id, "c").await?;
    assert_eq!(again.status, Status::Completed, "{:?}", again.failure);
    assert_eq!(world.snapshot("c").await?.status, Status::Completed);
    Ok(())
}
