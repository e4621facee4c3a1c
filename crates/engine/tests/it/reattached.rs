//! Another connection string for an attached cluster: taken where it leads to the same deployment
//! with a user that can back it up, refused before anything is changed otherwise.

use engine::ChangeCluster;
use model::{Cluster, DeploymentFault, Error, Status, Tier};
use mongodb::bson::doc;
use testkit::RealMongo;

use crate::world::World;

async fn change(world: &World, uri: &str, allow_another: bool) -> Result<Cluster, Error> {
    let wanted = ChangeCluster {
        uri: Some(uri.into()),
        allow_another,
        ..ChangeCluster::default()
    };
    let clusters = world.engine.clusters();
    clusters
        .change(&world.caller, world.project, "c", wanted)
        .await
}

fn is_fault(changed: &Result<Cluster, Error>, wanted: DeploymentFault) -> bool {
    matches!(changed, Err(Error::Deployment { fault, .. }) if *fault == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_password_is_taken_once_it_opens_the_deployment() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().with_auth().start().await?;
    let admin = mongo.client().await?.database("admin");
    let one = doc! { "_id": 1 };
    let zoo = mongo.client().await?.database("zoo");
    zoo.collection("things").insert_one(one).await?;
    for (name, role) in [("backup", "backup"), ("nobody", "read")] {
        mongo.create_user(name, "old", &[(role, "admin")]).await?;
    }
    let world = World::started().await?;
    let old = mongo.uri_as("backup", "old");
    world.attach("c", &old, Tier::M2).await?;
    let rotated = doc! { "updateUser": "backup", "pwd": "new" };
    admin.run_command(rotated).await?;
    assert_eq!(world.snapshot("c").await?.status, Status::Failed);

    let changed = change(&world, &old, false).await;
    assert!(
        is_fault(&changed, DeploymentFault::AuthenticationFailed),
        "{changed:?}"
    );
    let changed = change(&world, &mongo.uri_as("nobody", "old"), true).await;
    assert!(
        is_fault(&changed, DeploymentFault::MissingPrivilege),
        "{changed:?}"
    );
    change(&world, &mongo.uri_as("backup", "new"), false).await?;
    assert_eq!(world.snapshot("c").await?.status, Status::Completed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployment_is_taken_only_where_that_is_allowed() -> anyhow::Result<()> {
    let (first, second) = tokio::try_join!(
        RealMongo::replica_set().start(),
        RealMongo::replica_set().start(),
    )?;
    let alone = RealMongo::standalone().start().await?;
    for mongo in [&first, &second, &alone] {
        let zoo = mongo.client().await?.database("zoo");
        zoo.collection("things")
            .insert_one(doc! { "_id": 1 })
            .await?;
    }
    let world = World::started().await?;
    let attached = world.attach("c", &first.uri(), Tier::M2).await?;
    let of_first = world.snapshot("c").await?;
    for (uri, what) in [
        (second.uri(), "hosts"),
        (
            alone.uri(),
            "a standalone server instead of replica set `rs0`",
        ),
    ] {
        let refused = change(&world, &uri, false).await.expect_err("another");
        assert!(matches!(refused, Error::AnotherDeployment { .. }));
        assert!(refused.to_string().contains(what), "{refused}");
    }
    let clusters = world.engine.clusters();
    let same = clusters.get(&world.caller, world.project, "c", None);
    assert_eq!(same.await?, attached);

    let moved = change(&world, &second.uri(), true).await?;
    assert_ne!(moved.hosts, attached.hosts);
    let snapshot = world.snapshot("c").await?;
    let cost = snapshot.outcome.and_then(|outcome| outcome.cost);
    let cost = cost.expect("a completed snapshot");
    assert_eq!(cost.way, model::SnapshotWay::Scan, "{:?}", cost.reason);

    // One that runs alone has no history to follow, whatever the snapshots before say of theirs.
    change(&world, &alone.uri(), true).await?;
    let snapshot = world.snapshot("c").await?;
    assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
    let restore = world.restore("c", of_first.id, "c").await?;
    assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
    Ok(())
}
