//! What is refused, before anything is touched.

use model::{DeploymentFault, Error, Role, RoleAssignment, SnapshotId, Status, Tier};
use mongodb::bson::doc;
use testkit::RealMongo;

use crate::world::{World, with_one_document};

fn fault(error: &anyhow::Error) -> Option<DeploymentFault> {
    match error.downcast_ref::<Error>() {
        Some(Error::Deployment { fault, .. }) => Some(*fault),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_restore_at_a_time_goes_to_a_target() -> anyhow::Result<()> {
    let mongo = with_one_document().await?;
    let mut world = World::new().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let asked = world.ask_snapshot("c").await?;
    world.start();
    let snapshot = world.finished_snapshot("c", asked.id).await?;
    let world = world.reopen().await?;
    // No worker runs: the first stays open.
    let request = world.request("c", snapshot.id, "c");
    let restores = world.engine.restores();
    let (first, second) = tokio::join!(
        restores.request(&world.caller, &request),
        restores.request(&world.caller, &request)
    );
    let refused = [first, second]
        .into_iter()
        .filter_map(Result::err)
        .collect::<Vec<_>>();
    assert!(
        matches!(refused[..], [Error::RestoreInProgress(_)]),
        "{refused:?}"
    );
    let state = world
        .engine
        .clusters()
        .get(&world.caller, world.project, "c", None)
        .await?
        .state;
    assert_eq!(state, model::ClusterState::Updating);
    let detached = world
        .engine
        .clusters()
        .detach(&world.caller, world.project, "c", None)
        .await;
    assert!(
        matches!(detached, Err(Error::ClusterBusy(_))),
        "{detached:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_cannot_be_used_is_not_attached() -> anyhow::Result<()> {
    let world = World::new().await?;
    let mongo = RealMongo::replica_set().with_auth().start().await?;
    mongo
        .create_user("reader", "secret-word", &[("clusterMonitor", "admin")])
        .await?;
    let cases = [
        ("not a uri".to_owned(), DeploymentFault::InvalidUri),
        (
            "mongodb://127.0.0.1:1/".to_owned(),
            DeploymentFault::Unreachable,
        ),
        (
            mongo.uri_as("reader", "wrong"),
            DeploymentFault::AuthenticationFailed,
        ),
        (
            mongo.uri_as("reader", "secret-word"),
            DeploymentFault::MissingPrivilege,
        ),
    ];
    for (uri, expected) in cases {
        let refused = world
            .attach("c", &uri, Tier::M2)
            .await
            .expect_err("it is refused");
        assert_eq!(fault(&refused), Some(expected), "{refused:#}");
        let shown = format!("{refused:?} {refused:#}");
        assert!(
            !shown.contains("secret-word") && !shown.contains("wrong@"),
            "{shown}"
        );
    }
    let clusters = world.engine.clusters();
    let listed = clusters
        .list(&world.caller, world.project, None, model::Page::FIRST)
        .await?;
    assert_eq!(listed.total, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_user_without_the_rights_is_told_which() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().with_auth().start().await?;
    mongo
        .create_user("saver", "p", &[("backup", "admin")])
        .await?;
    let client = mongo.client().await?;
    client
        .database("d")
        .collection("c")
        .insert_one(doc! { "_id": 1 })
        .await?;
    let world = World::started().await?;
    world
        .attach("c", &mongo.uri_as("saver", "p"), Tier::M2)
        .await?;
    let snapshot = world.snapshot("c").await?;
    assert_eq!(snapshot.status, Status::Completed, "{:?}", snapshot.failure);
    let refused = world
        .restore("c", snapshot.id, "c")
        .await
        .expect_err("it is refused");
    assert_eq!(
        fault(&refused),
        Some(DeploymentFault::MissingPrivilege),
        "{refused:#}"
    );
    assert!(refused.to_string().contains("dropDatabase"), "{refused}");
    let count = client
        .database("d")
        .collection::<mongodb::bson::Document>("c");
    assert_eq!(count.count_documents(doc! {}).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_or_is_not_complete_cannot_be_restored() -> anyhow::Result<()> {
    let mut mongo = RealMongo::replica_set().start().await?;
    let world = World::new().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let restores = world.engine.restores();
    let unknown = SnapshotId::from_bytes([7; 12]);
    let refused = restores
        .request(&world.caller, &world.request("c", unknown, "c"))
        .await;
    assert!(
        matches!(refused, Err(Error::SnapshotNotFound { .. })),
        "{refused:?}"
    );
    let snapshots = world.engine.snapshots();
    let (_, pending) = snapshots
        .take(&world.caller, world.project, "c", None)
        .await?;
    let refused = restores
        .request(&world.caller, &world.request("c", pending.id, "c"))
        .await;
    assert!(
        matches!(refused, Err(Error::SnapshotIncomplete(_))),
        "{refused:?}"
    );
    let second = snapshots
        .take(&world.caller, world.project, "c", None)
        .await;
    assert!(
        matches!(second, Err(Error::SnapshotInProgress(_))),
        "{second:?}"
    );
    let deleted = snapshots
        .delete(&world.caller, world.project, "c", pending.id)
        .await;
    assert!(
        matches!(deleted, Err(Error::SnapshotUnfinished(_))),
        "{deleted:?}"
    );
    mongo.stop().await?;
    let mut world = world;
    world.start();
    let ended = world.finished_snapshot("c", pending.id).await?;
    assert_eq!(ended.status, Status::Failed);
    assert!(
        ended
            .failure
            .is_some_and(|why| why.contains("no server answers"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_down_or_unknown_is_refused_at_once() -> anyhow::Result<()> {
    let source = RealMongo::replica_set().start().await?;
    let mut target = RealMongo::replica_set().start().await?;
    let world = World::started().await?;
    world.attach("from", &source.uri(), Tier::M2).await?;
    world.attach("to", &target.uri(), Tier::M2).await?;
    let snapshot = world.snapshot("from").await?;
    let restores = world.engine.restores();
    let unknown = world.request("from", snapshot.id, "nowhere");
    let refused = restores.request(&world.caller, &unknown).await;
    assert!(
        matches!(refused, Err(Error::ClusterNotFound { .. })),
        "{refused:?}"
    );
    target.stop().await?;
    let down = world.request("from", snapshot.id, "to");
    let refused = restores.request(&world.caller, &down).await;
    assert!(
        matches!(refused, Err(Error::TargetUnavailable { .. })),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_decide_before_anything_else() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let world = World::new().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let mut reader = world.caller.clone();
    reader.principal.key.roles = vec![RoleAssignment::Project(world.project, Role::GroupReadOnly)];
    let snapshots = world.engine.snapshots();
    let denied = snapshots.take(&reader, world.project, "c", None).await;
    assert!(matches!(denied, Err(Error::Denied)), "{denied:?}");
    let mut stranger = world.caller.clone();
    stranger.principal.key.roles.clear();
    let denied = snapshots.take(&stranger, world.project, "c", None).await;
    assert!(matches!(denied, Err(Error::NotInProject(_))), "{denied:?}");
    Ok(())
}
