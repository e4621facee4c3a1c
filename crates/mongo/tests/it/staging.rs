//! Loading beside leaves the target as it was until the flip, and the flip can always be finished.
use anyhow::Context;
use bson::{Document, RawDocumentBuf, doc, rawdoc};
use mongo::{Beginning, Catalog, Collection, Deployment, Error, MARKER_DATABASE, Move, Target};
use mongodb::Client;
use testkit::RealMongo;
use testkit::sample::{State, state};

use crate::support::{connect, create, documents, entry, insert, numbered};

struct World {
    _server: RealMongo,
    client: Client,
    deployment: Deployment,
}

async fn world() -> anyhow::Result<World> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let deployment = connect(&server).await?;
    Ok(World {
        _server: server,
        client,
        deployment,
    })
}

/// A collection that the "snapshot" has: one document and one index.
fn wanted(name: &str) -> Collection {
    Collection {
        database: "shop".to_owned(),
        name: name.to_owned(),
        kind: mongo::CollectionKind::Collection,
        uuid: None,
        options: rawdoc! {},
        id_index: None,
        indexes: vec![
            rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
            rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a" },
        ],
    }
}

impl World {
    async fn target(&self, job: &str) -> anyhow::Result<Target> {
        Ok(self.deployment.target(job).await?)
    }

    /// Loads a document into each of `wanted` beside the target.
    async fn loaded(&self, target: &Target, wanted: &[Collection]) -> anyhow::Result<Vec<Move>> {
        assert_eq!(target.begin_beside().await?, Beginning::Load);
        let moves = target
            .stage(wanted, &self.deployment.catalog().await?)
            .await?;
        for (one, collection) in moves.iter().zip(wanted) {
            assert!(one.is_of(collection));
            let beside = collection.renamed(&one.beside);
            target.create(&beside).await?;
            let new = rawdoc! { "_id": 1, "new": true }.into_bytes();
            target.loader(&beside).insert(&[new]).await?;
            target.build_indexes(&beside).await?;
        }
        target.barrier().await?;
        Ok(moves)
    }

    async fn flipped(&self, target: &Target, moves: &[Move]) -> anyhow::Result<()> {
        for one in moves {
            target.flip(one).await?;
        }
        Ok(target.require_flipped(moves).await?)
    }

    async fn old_data(&self) -> anyhow::Result<State> {
        for name in ["orders", "carts", "system.js"] {
            insert(&self.client, "shop", name, numbered(0..3)).await?;
        }
        let series = doc! { "timeseries": { "timeField": "at" } };
        create(&self.client, "shop", "series", series).await?;
        let view = doc! { "viewOn": "orders", "pipeline": [] };
        create(&self.client, "shop", "view", view).await?;
        insert(&self.client, "other", "c", numbered(0..3)).await?;
        state(&self.client).await
    }

    async fn has_marker(&self) -> anyhow::Result<bool> {
        let names = self.client.list_database_names().await?;
        Ok(names.iter().any(|name| name == MARKER_DATABASE))
    }

    async fn names(&self, database: &str) -> anyhow::Result<Vec<String>> {
        let mut names = self
            .client
            .database(database)
            .list_collection_names()
            .await?;
        names.retain(|name| name != "system.views");
        names.sort_unstable();
        Ok(names)
    }
}

fn assert_same(before: &State, after: &State) {
    let mut differences = before.differences(after);
    differences.retain(|line| !line.contains(MARKER_DATABASE));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

const NAMES: [&str; 5] = ["orders", "series", "view", "system.js", "fresh"];

#[tokio::test]
async fn what_was_loaded_beside_takes_any_name_and_twice_is_once() -> anyhow::Result<()> {
    let world = world().await?;
    world.old_data().await?;
    let target = world.target("job-0123456789ab").await?;
    let wanted: Vec<Collection> = NAMES.into_iter().map(wanted).collect();
    let mut moves = world.loaded(&target, &wanted).await?;
    target.begin_flip(&mut moves).await?;
    target.flip(&moves[0]).await?;
    // A crash: another process finds the journal and goes on.
    let again = world.target("job-0123456789ab").await?;
    assert_eq!(again.begin_beside().await?, Beginning::Flip(moves.clone()));
    world.flipped(&again, &moves).await?;
    world.flipped(&again, &moves).await.context("twice")?;
    for collection in &wanted {
        let held = documents(again.read_back(collection)).await?;
        assert_eq!(held, [rawdoc! { "_id": 1, "new": true }.into_bytes()]);
    }
    let mut catalog = Catalog::default();
    catalog.collections.extend(wanted);
    catalog.collections.sort_by(|a, b| a.name.cmp(&b.name));
    let dropped = again.drop_others(&catalog, &moves).await?;
    assert_eq!(dropped, ["other.c", "shop.carts"]);
    assert_eq!(again.drop_others(&catalog, &moves).await?, [""; 0]);
    again.release().await?;
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(world.names("shop").await?, names);
    assert!(!world.has_marker().await?);
    Ok(())
}

#[tokio::test]
async fn undoing_leaves_the_target_as_it_was() -> anyhow::Result<()> {
    let world = world().await?;
    let before = world.old_data().await?;
    let wanted: Vec<Collection> = NAMES.into_iter().map(wanted).collect();
    let target = world.target("first").await?;
    world.loaded(&target, &wanted).await?;
    let refused = world.deployment.begin_snapshot().await;
    assert!(
        matches!(refused, Err(Error::UnfinishedRestore { .. })),
        "what is loaded beside must not get into a snapshot"
    );
    assert!(target.undo().await?, "the target is whole");
    assert_same(&before, &state(&world.client).await?);
    assert!(!world.has_marker().await?);
    // What an attempt left is dropped by the next one, of the same job or another.
    world.loaded(&target, &wanted).await?;
    world.loaded(&target, &wanted[..1]).await?;
    let other = world.target("second").await?;
    other.require_whole().await?;
    assert_eq!(other.begin_beside().await?, Beginning::Load);
    assert!(other.undo().await?);
    assert_same(&before, &state(&world.client).await?);
    assert!(matches!(
        target.undo().await,
        Err(Error::TargetTaken { .. })
    ));
    Ok(())
}

#[tokio::test]
async fn a_target_in_parts_is_never_taken_for_a_whole_one() -> anyhow::Result<()> {
    let world = world().await?;
    world.old_data().await?;
    let first = world.target("first").await?;
    let mut moves = world
        .loaded(&first, &[wanted("orders"), wanted("carts")])
        .await?;
    first.begin_flip(&mut moves).await?;
    first.flip(&moves[0]).await?;
    assert!(!first.undo().await?, "there is no way back");
    let second = world.target("second").await?;
    let refused = second.require_whole().await;
    assert!(
        matches!(&refused, Err(Error::UnfinishedRestore { job }) if job == "first"),
        "{refused:?}"
    );
    // One that replaces everything may come, but to end it early does not make the target whole.
    assert_eq!(second.begin_beside().await?, Beginning::Load);
    assert!(!world.names("shop").await?.contains(&moves[1].beside));
    assert!(!second.undo().await?);
    assert!(world.has_marker().await?);
    let third = world.target("third").await?;
    assert!(third.require_whole().await.is_err());
    third.begin().await?;
    assert!(!third.undo().await?);
    assert!(world.target("fourth").await?.require_whole().await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_flip_that_somebody_disturbed_is_found() -> anyhow::Result<()> {
    let world = world().await?;
    let target = world.target("job").await?;
    let mut moves = world.loaded(&target, &[wanted("a"), wanted("b")]).await?;
    let shop = world.client.database("shop");
    let beside = shop.collection::<Document>(&moves[1].beside);
    beside.drop().await?;
    let refused = target.begin_flip(&mut moves).await;
    assert!(
        matches!(refused, Err(Error::Displaced { .. })),
        "{refused:?}"
    );
    target.undo().await?;
    let mut moves = world.loaded(&target, &[wanted("a"), wanted("b")]).await?;
    target.begin_flip(&mut moves).await?;
    shop.collection::<Document>(&moves[0].beside).drop().await?;
    insert(&world.client, "shop", "a", numbered(0..1)).await?;
    let refused = world.flipped(&target, &moves).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("shop.a")));
    Ok(())
}

#[tokio::test]
async fn a_database_that_differs_by_case_only_is_refused() -> anyhow::Result<()> {
    let world = world().await?;
    insert(&world.client, "SHOP", "c", numbered(0..1)).await?;
    let target = world.target("job").await?;
    target.begin_beside().await?;
    let present = world.deployment.catalog().await?;
    let refused = target.stage(&[wanted("a")], &present).await;
    assert!(
        matches!(refused, Err(Error::NameClash { .. })),
        "{refused:?}"
    );
    assert!(target.undo().await?);
    Ok(())
}

#[tokio::test]
async fn a_free_name_is_taken_but_not_from_what_has_it_meanwhile() -> anyhow::Result<()> {
    let world = world().await?;
    let target = world.target("job").await?;
    let all = [wanted("a"), wanted("b")];
    let moves = world.loaded(&target, &all).await?;
    insert(&world.client, "shop", "b", numbered(5..8)).await?;
    target.take_free_name(&moves[0]).await?;
    target.take_free_name(&moves[0]).await?;
    let refused = target.take_free_name(&moves[1]).await;
    assert!(matches!(refused, Err(Error::Command { .. })), "{refused:?}");
    let shop = world.client.database("shop");
    for (name, count) in [("a", 1), ("b", 3)] {
        let held = shop.collection::<Document>(name);
        assert_eq!(held.count_documents(doc! {}).await?, count, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn documents_are_deleted_by_ids_of_any_type() -> anyhow::Result<()> {
    let world = world().await?;
    let ids: Vec<RawDocumentBuf> = vec![
        rawdoc! { "_id": 1 },
        rawdoc! { "_id": "a" },
        rawdoc! { "_id": bson::RawBson::Null },
        rawdoc! { "_id": { "a": { "b": 1 } } },
        rawdoc! { "_id": f64::NAN },
        rawdoc! { "_id": bson::RawBson::MaxKey },
        rawdoc! { "_id": bson::RawBson::MinKey },
    ];
    let collation = doc! { "collation": { "locale": "en", "strength": 2 } };
    create(&world.client, "shop", "c", collation).await?;
    insert(&world.client, "shop", "c", ids.clone()).await?;
    insert(&world.client, "shop", "c", numbered(10..13)).await?;
    let target = world.target("job").await?;
    let collection = entry(&world.deployment.catalog().await?, "shop", "c")?;
    let mut elements: Vec<Vec<u8>> = ids
        .iter()
        .map(|document| document.as_bytes()[4..document.as_bytes().len() - 1].to_vec())
        .collect();
    elements.extend([b"\x10_id\0\x63\0\0\0".to_vec()]);
    // In the way of `a` by the collation of the collection.
    elements[1] = b"\x02_id\0\x02\0\0\0A\0".to_vec();
    assert_eq!(target.delete_ids(&collection, &elements).await?, 7);
    assert_eq!(target.delete_ids(&collection, &elements).await?, 0);
    target.begin().await?;
    target.barrier().await?;
    assert_eq!(documents(target.read_back(&collection)).await?.len(), 3);
    let refused = target
        .delete_ids(&collection, &[b"nonsense".to_vec()])
        .await;
    assert!(
        matches!(refused, Err(Error::InvalidInput { .. })),
        "{refused:?}"
    );
    Ok(())
}
