//! A cluster is put back to its own snapshot by what was written since, and only where that is so.

use model::{CollectionAction, Error, Proof, RestoreJob, RestoreMode, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;
use testkit::sample::{self, SampleOptions};

use crate::world::World;

fn action(job: &RestoreJob, namespace: &str) -> Option<(CollectionAction, u64)> {
    let report = job.report.as_ref()?;
    let row = report
        .collections
        .iter()
        .find(|row| row.namespace == namespace)?;
    Some((row.action, row.changed))
}

fn proof(job: &RestoreJob, namespace: &str) -> Option<Proof> {
    let mut rows = job.report.as_ref()?.collections.iter();
    let row = rows.find(|row| row.namespace == namespace)?;
    Some(row.proof)
}

async fn assert_equal(before: &sample::State, client: &Client) -> anyhow::Result<()> {
    let differences = before.differences(&sample::state(client).await?);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_little_damage_is_rewound_without_being_asked() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let shop = client.database("shop");
    let carts = shop.collection::<Document>("carts");
    let at = mongodb::bson::DateTime::from_millis(1_000);
    let cart = |n: i32| doc! { "_id": n, "seat": n, "text": "x".repeat(300), "at": at };
    carts.insert_many((0..3_000).map(cart)).await?;
    // What was deleted since has long expired: it must be compared before it expires again.
    let indexes = [
        doc! { "key": { "seat": 1 }, "name": "seat", "unique": true },
        doc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 2_000_000_000 },
    ];
    shop.run_command(doc! { "createIndexes": "carts", "indexes": &indexes[..] })
        .await?;
    shop.run_command(doc! { "create": "log", "capped": true, "size": 100_000 })
        .await?;
    let log = shop.collection::<Document>("log");
    log.insert_many([2, 1, 3].map(|n| doc! { "_id": n }))
        .await?;
    shop.run_command(doc! { "create": "view", "viewOn": "carts", "pipeline": [] })
        .await?;
    for name in ["still", "dropped", "indexed"] {
        let collection = shop.collection::<Document>(name);
        collection
            .insert_many((0..20).map(|n| doc! { "_id": n }))
            .await?;
    }
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let before = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;

    // Two seats change places, which no order of single replacements allows.
    carts
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "seat": -1 } })
        .await?;
    carts
        .update_one(doc! { "_id": 2 }, doc! { "$set": { "seat": 1 } })
        .await?;
    carts
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "seat": 2 } })
        .await?;
    carts.delete_many(doc! { "_id": { "$gte": 2_990 } }).await?;
    carts
        .insert_one(doc! { "_id": "new", "seat": 2_995 })
        .await?;
    shop.run_command(doc! { "drop": "dropped" }).await?;
    shop.run_command(doc! { "drop": "view" }).await?;
    let index = doc! { "key": { "a": 1 }, "name": "a" };
    shop.run_command(doc! { "createIndexes": "indexed", "indexes": [index] })
        .await?;
    shop.collection::<Document>("extra")
        .insert_one(doc! { "_id": 1 })
        .await?;
    client
        .database("other")
        .collection("c")
        .insert_one(doc! { "_id": 1 })
        .await?;

    let restore = world.restore("c", snapshot.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    let chosen = restore.chosen.clone().expect("a worker decided");
    assert_eq!(chosen.mode, RestoreMode::Rewind, "{}", chosen.because);
    assert_equal(&before, &client).await?;
    let of = |name: &str| action(&restore, name);
    assert_eq!(of("shop.carts"), Some((CollectionAction::Rewound, 13)));
    assert_eq!(of("shop.still"), Some((CollectionAction::Rewound, 0)));
    for name in ["shop.carts", "shop.still"] {
        assert_eq!(proof(&restore, name), Some(Proof::History), "{name}");
    }
    assert_eq!(proof(&restore, "shop.log"), Some(Proof::ReadBack));
    assert_eq!(of("shop.indexed"), Some((CollectionAction::Loaded, 20)));
    assert_eq!(of("shop.dropped"), Some((CollectionAction::Loaded, 20)));
    assert_eq!(of("shop.log"), Some((CollectionAction::Loaded, 3)));
    for gone in ["shop.extra", "other.c"] {
        assert_eq!(of(gone), Some((CollectionAction::Dropped, 0)), "{gone}");
    }
    assert!(matches!(of("shop.view"), Some((CollectionAction::View, _))));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_rewound_exactly_when_asked() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let before = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    sample::damage(&client).await?;
    let mut request = world.request("c", snapshot.id, "c");
    request.mode = Some(RestoreMode::Rewind);
    let restore = world.restored(&request).await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_equal(&before, &client).await?;
    let orders = action(&restore, "odd.values").expect("it was compared");
    assert_eq!(orders.0, CollectionAction::Rewound);
    // In place, too, and then there is nothing left to rewind.
    sample::damage(&client).await?;
    request.mode = Some(RestoreMode::InPlace);
    let restore = world.restored(&request).await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    assert_equal(&before, &client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rewound_says_why() -> anyhow::Result<()> {
    let (source, other, alone) = tokio::try_join!(
        RealMongo::replica_set().start(),
        RealMongo::replica_set().start(),
        RealMongo::standalone().start(),
    )?;
    let world = World::started().await?;
    for (name, mongo) in [("source", &source), ("other", &other), ("alone", &alone)] {
        let client = mongo.client().await?;
        client
            .database("d")
            .collection("c")
            .insert_one(doc! { "_id": 1 })
            .await?;
        world.attach(name, &mongo.uri(), Tier::M2).await?;
    }
    let snapshot = world.snapshot("source").await?;
    let mut request = world.request("source", snapshot.id, "other");
    request.mode = Some(RestoreMode::Rewind);
    let restores = world.engine.restores();
    let refused = restores.request(&world.caller, &request).await;
    assert!(
        matches!(refused, Err(Error::ModeImpossible { .. })),
        "{refused:?}"
    );
    // Another target is loaded beside, and says so.
    let restore = world.restore("source", snapshot.id, "other").await?;
    let chosen = restore.chosen.expect("a worker decided");
    assert_eq!(chosen.mode, RestoreMode::Safe);
    assert!(
        chosen.because.contains("not the cluster"),
        "{}",
        chosen.because
    );

    let snapshot = world.snapshot("alone").await?;
    let mut request = world.request("alone", snapshot.id, "alone");
    request.mode = Some(RestoreMode::Rewind);
    let failed = world.restored(&request).await?;
    assert_eq!(failed.status, Status::Failed);
    let why = failed.failure.expect("a failed restore says why");
    assert!(why.contains("does not say from where"), "{why}");
    assert_eq!(
        world.snapshot("alone").await?.status,
        Status::Completed,
        "no mark is left"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_each_role_rewinds_and_is_told_what_that_is_proved_by() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().with_auth().start().await?;
    let client = mongo.client().await?;
    let carts = client.database("shop").collection::<Document>("carts");
    let cart = |n: i32| doc! { "_id": n, "text": "x".repeat(100) };
    carts.insert_many((0..500).map(cart)).await?;
    let world = World::started().await?;
    let before = sample::state(&client).await?;
    let target = [
        ("readWriteAnyDatabase", "admin"),
        ("dbAdminAnyDatabase", "admin"),
    ];
    let users = [
        // Nobody shows it the oplog, and what a change stream shows is not everything.
        ("plain", None, Proof::ReadBack),
        // It reads single documents by the collection's name.
        ("reader", Some(("read", "local")), Proof::History),
        ("backup", Some(("backup", "admin")), Proof::History),
    ];
    for (name, more, expected) in users {
        let roles: Vec<_> = target.into_iter().chain(more).collect();
        mongo.create_user(name, "p", &roles).await?;
        world
            .attach(name, &mongo.uri_as(name, "p"), Tier::M2)
            .await?;
        let snapshot = world.snapshot(name).await?;
        assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
        let change = doc! { "$set": { "text": name } };
        carts
            .update_many(doc! { "_id": { "$lt": 9 } }, change)
            .await?;
        carts.delete_one(doc! { "_id": 10 }).await?;
        carts.insert_one(doc! { "_id": name }).await?;
        let mut request = world.request(name, snapshot.id, name);
        request.mode = Some(RestoreMode::Rewind);
        let restore = world.restored(&request).await?;
        assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
        assert_equal(&before, &client).await?;
        assert_eq!(
            action(&restore, "shop.carts"),
            Some((CollectionAction::Rewound, 11))
        );
        assert_eq!(proof(&restore, "shop.carts"), Some(expected), "{name}");
    }
    Ok(())
}
