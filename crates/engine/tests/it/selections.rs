//! A part of a snapshot is put back, under other names where wanted, and all else stays.

use model::{Error, Rename, RestoreMode, Selection, SnapshotId, Status, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;

use crate::world::World;

struct Scene {
    _mongo: RealMongo,
    client: Client,
    world: World,
    snapshot: SnapshotId,
}

/// A snapshot of two databases, and a target that has gone on since.
async fn scene() -> anyhow::Result<Scene> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    let shop = client.database("shop");
    for (database, name) in [("shop", "orders"), ("shop", "carts"), ("logs", "a")] {
        let collection = client.database(database).collection::<Document>(name);
        let old = |n: i32| doc! { "_id": n, "state": "old" };
        collection.insert_many((0..10).map(old)).await?;
    }
    let index = doc! { "key": { "state": 1 }, "name": "state" };
    shop.run_command(doc! { "createIndexes": "orders", "indexes": [index] })
        .await?;
    shop.run_command(doc! { "create": "series", "timeseries": { "timeField": "at" } })
        .await?;
    let at = mongodb::bson::DateTime::from_millis(1);
    shop.collection::<Document>("series")
        .insert_one(doc! { "at": at })
        .await?;
    shop.run_command(doc! { "create": "view", "viewOn": "orders", "pipeline": [] })
        .await?;
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("c").await?.id;
    for (database, name) in [("shop", "orders"), ("shop", "carts"), ("logs", "a")] {
        let collection = client.database(database).collection::<Document>(name);
        collection
            .update_many(doc! {}, doc! { "$set": { "state": "new" } })
            .await?;
        collection
            .insert_one(doc! { "_id": 99, "state": "new" })
            .await?;
    }
    Ok(Scene {
        _mongo: mongo,
        client,
        world,
        snapshot,
    })
}

impl Scene {
    async fn restore(&self, selection: Selection) -> anyhow::Result<model::RestoreJob> {
        let mut request = self.world.request("c", self.snapshot, "c");
        request.selection = Some(selection);
        let restore = self.world.restored(&request).await?;
        assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
        assert_eq!(restore.selection, request.selection);
        Ok(restore)
    }

    /// Returns how many documents a collection has, and how many of them are old.
    async fn counts(&self, namespace: &str) -> anyhow::Result<(u64, u64)> {
        let (database, name) = namespace.split_once('.').expect("it has a dot");
        let collection = self.client.database(database).collection::<Document>(name);
        let old = collection.count_documents(doc! { "state": "old" }).await?;
        Ok((collection.count_documents(doc! {}).await?, old))
    }

    async fn names(&self, database: &str) -> anyhow::Result<Vec<String>> {
        let mut names = self
            .client
            .database(database)
            .list_collection_names()
            .await?;
        names.retain(|name| !name.starts_with("system."));
        names.sort_unstable();
        Ok(names)
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn rename(from: &str, to: &str) -> Rename {
    Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_no_server_takes_beside_what_is_there_touches_nothing() -> anyhow::Result<()> {
    let scene = scene().await?;
    let other = scene.client.database("Copy");
    let kept = other.collection::<Document>("kept");
    kept.insert_one(doc! { "_id": 1 }).await?;
    for mode in [RestoreMode::Safe, RestoreMode::InPlace] {
        // Views and time series are not loaded beside, so nothing else looks at their names.
        for include in ["shop.orders", "shop.series"] {
            let mut request = scene.world.request("c", scene.snapshot, "c");
            request.mode = Some(mode);
            request.selection = Some(Selection {
                include: texts(&[include, "logs.a"]),
                rename: vec![rename("shop.*", "copy.*")],
                ..Selection::default()
            });
            let restore = scene.world.restored(&request).await?;
            assert_eq!(restore.status, Status::Failed, "{mode:?} {include}");
            let failure = restore.failure.unwrap_or_default();
            assert!(failure.contains("Copy"), "{mode:?} {include}: {failure}");
            assert_eq!(scene.counts("logs.a").await?, (11, 0), "{mode:?} {include}");
        }
    }
    // And nothing keeps snapshots off.
    let after = scene.world.snapshot("c").await?;
    assert_eq!(after.status, Status::Completed, "{:?}", after.failure);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_collection_is_put_back_and_the_others_stay() -> anyhow::Result<()> {
    let scene = scene().await?;
    let only = Selection {
        include: texts(&["shop.*"]),
        exclude: texts(&["shop.carts", "shop.series", "shop.view"]),
        ..Selection::default()
    };
    let restore = scene.restore(only).await?;
    assert_eq!(restore.report.expect("it has one").collections.len(), 1);
    assert_eq!(scene.counts("shop.orders").await?, (10, 10));
    assert_eq!(scene.counts("shop.carts").await?, (11, 0));
    assert_eq!(scene.counts("logs.a").await?, (11, 0));
    assert_eq!(
        scene.names("shop").await?,
        ["carts", "orders", "series", "view"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_goes_under_other_names_beside_what_is_there() -> anyhow::Result<()> {
    let scene = scene().await?;
    let copied = Selection {
        exclude: texts(&["logs.*"]),
        rename: vec![rename("shop.orders", "archive.orders.of/yesterday")],
        into: Some("copy".to_owned()),
        ..Selection::default()
    };
    scene.restore(copied.clone()).await?;
    // Again, in place: what is there under those names is replaced.
    let mut request = scene.world.request("c", scene.snapshot, "c");
    request.selection = Some(copied);
    request.mode = Some(RestoreMode::InPlace);
    let again = scene.world.restored(&request).await?;
    assert_eq!(again.status, Status::Completed, "{:?}", again.failure);
    assert_eq!(scene.counts("archive.orders.of/yesterday").await?, (10, 10));
    assert_eq!(scene.names("copy").await?, ["carts", "series", "view"]);
    assert_eq!(scene.counts("copy.carts").await?, (10, 10));
    // The view's source was put elsewhere: the view is there and shows nothing.
    assert_eq!(scene.counts("copy.view").await?, (0, 0));
    assert_eq!(scene.counts("copy.series").await?.0, 1);
    for untouched in ["shop.orders", "shop.carts", "logs.a"] {
        assert_eq!(scene.counts(untouched).await?, (11, 0), "{untouched}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_that_cannot_be_followed_is_refused_at_the_request() -> anyhow::Result<()> {
    let scene = scene().await?;
    let nothing = Selection {
        include: texts(&["shop.nothing"]),
        ..Selection::default()
    };
    let twice = Selection {
        rename: vec![rename("shop.orders", "shop.carts")],
        ..Selection::default()
    };
    let unreadable = Selection {
        query: Some("{ a: ".to_owned()),
        ..Selection::default()
    };
    let unknown = Selection {
        query: Some(r#"{ "a": { "$nearly": 1 } }"#.to_owned()),
        ..Selection::default()
    };
    for (selection, word) in [
        (nothing, "shop.nothing"),
        (twice, "shop.carts"),
        (unreadable, "query"),
        (unknown, "$nearly"),
    ] {
        let mut request = scene.world.request("c", scene.snapshot, "c");
        request.selection = Some(selection);
        let restores = scene.world.engine.restores();
        let refused = restores.request(&scene.world.caller, &request).await;
        let refused = refused.expect_err("it is refused");
        let text = refused.to_string();
        assert!(
            matches!(refused, Error::InvalidSelection(_)) && text.contains(word),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_puts_documents_among_those_that_are_there() -> anyhow::Result<()> {
    let scene = scene().await?;
    let some = Selection {
        include: texts(&["shop.orders", "shop.carts"]),
        rename: vec![rename("shop.carts", "shop.some carts")],
        query: Some(r#"{ "_id": { "$gte": 7 } }"#.to_owned()),
        ..Selection::default()
    };
    for _ in 0..2 {
        let restore = scene.restore(some.clone()).await?;
        let report = restore.report.expect("it has one");
        assert!(
            report
                .collections
                .iter()
                .all(|row| row.documents == 3 && row.verified)
        );
    }
    assert_eq!(scene.counts("shop.orders").await?, (11, 3));
    assert_eq!(scene.counts("shop.some carts").await?, (3, 3));
    assert_eq!(scene.counts("shop.carts").await?, (11, 0));
    let none = Selection {
        include: texts(&["shop.orders"]),
        query: Some(r#"{ "_id": 1234 }"#.to_owned()),
        ..Selection::default()
    };
    scene.restore(none).await?;
    assert_eq!(scene.counts("shop.orders").await?, (11, 3));
    Ok(())
}
