//! Clusters: names, options, state, and what deleting one takes along.

use meta::{ClusterChange, Connection};
use model::{
    Cluster, ClusterId, ClusterState, Delivery, Error, Family, JobKind, Page, ProjectId, Tier,
    Trigger,
};
use secrecy::ExposeSecret as _;

use crate::world::*;

#[tokio::test]
async fn a_name_is_taken_once_per_project() {
    let world = World::new().await;
    let first = world.attach(10).await;
    let twin = Cluster {
        id: ClusterId::from_bytes([11; 12]),
        tier: Tier::Serverless,
        ..first.clone()
    };
    let inserted = world
        .meta
        .cluster_insert(&twin, &uri(), None, &actor())
        .await;
    assert_refused!(inserted, Error::ClusterExists(_));
    let nowhere = Cluster {
        project_id: ProjectId::from_bytes([9; 12]),
        ..twin
    };
    let inserted = world
        .meta
        .cluster_insert(&nowhere, &uri(), None, &actor())
        .await;
    assert_refused!(inserted, Error::ProjectNotFound(_));
}

#[tokio::test]
async fn clusters_are_listed_by_family() {
    let world = World::new().await;
    let tenant = world.attach(10).await;
    let serverless = Cluster {
        tier: Tier::Serverless,
        replica_set: None,
        hosts: vec!["a:1".to_owned(), "b:2".to_owned()],
        ..cluster(11)
    };
    world
        .meta
        .cluster_insert(&serverless, &uri(), None, &actor())
        .await
        .unwrap();
    let list = async |family| {
        let listed = world.meta.clusters(PROJECT, family, Page::FIRST).await;
        listed.unwrap().items
    };
    assert_eq!(
        list(Some(Family::Tenant)).await,
        std::slice::from_ref(&tenant)
    );
    assert_eq!(
        list(Some(Family::Serverless)).await,
        std::slice::from_ref(&serverless)
    );
    assert_eq!(list(None).await, [tenant.clone(), serverless.clone()]);
    let all = world.meta.all_clusters().await.unwrap();
    assert_eq!(all, [tenant, serverless]);
}

#[tokio::test]
async fn a_cluster_comes_with_its_first_snapshot() {
    let world = World::new().await;
    let cluster = cluster(10);
    let first = snapshot(&cluster, 20, Trigger::Scheduled);
    let job = snapshot_job(&first);
    world
        .meta
        .cluster_insert(&cluster, &uri(), Some((&first, &job)), &actor())
        .await
        .unwrap();
    let all = world.meta.all_snapshots(cluster.id).await.unwrap();
    assert_eq!(all, std::slice::from_ref(&first));
    let latest = world.meta.latest_scheduled(cluster.id).await.unwrap();
    assert_eq!(latest, Some(first.scheduled_at));
    let lease = world.claim(at(30)).await;
    assert_eq!(lease.job.kind, JobKind::Snapshot(first.id));
}

#[tokio::test]
async fn options_change_one_by_one_and_what_the_server_says_is_kept() {
    let world = World::new().await;
    let meta = &world.meta;
    let id = world.attach(10).await.id;
    let changed = meta
        .cluster_change(
            id,
            ClusterChange {
                continuous_backup: Some(true),
                ..ClusterChange::default()
            },
            &actor(),
            at(1),
        )
        .await
        .unwrap();
    assert!(changed.continuous_backup && !changed.termination_protection);
    let change = ClusterChange {
        termination_protection: Some(true),
        drill_every_days: Some(7),
        ..ClusterChange::default()
    };
    meta.cluster_change(id, change, &actor(), at(2))
        .await
        .unwrap();
    meta.cluster_seen(id, "8.0.4", Some("rs1"), at(3))
        .await
        .unwrap();
    let found = meta.cluster(id).await.unwrap().unwrap();
    assert!(found.continuous_backup && found.termination_protection);
    assert_eq!(found.drill_every_days, Some(7));
    assert_eq!(found.mongodb_version, "8.0.4");
    assert_eq!(found.replica_set.as_deref(), Some("rs1"));

    let never = ClusterChange {
        drill_every_days: Some(0),
        ..ClusterChange::default()
    };
    let changed = meta.cluster_change(id, never, &actor(), at(3)).await;
    assert_eq!(changed.unwrap().drill_every_days, None);

    let before = (meta.generation(), world.actions().await);
    meta.cluster_seen(id, "8.0.4", Some("rs1"), at(4))
        .await
        .unwrap();
    assert_eq!((meta.generation(), world.actions().await), before);
    let deleted = meta.cluster_delete(id, &actor(), at(5)).await;
    assert_refused!(deleted, Error::TerminationProtected(_));
}

fn led_by(uri: &str, hosts: &[&str], is_another: bool) -> ClusterChange {
    ClusterChange {
        connection: Some(Connection {
            uri: uri.into(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            replica_set: Some("rs0".to_owned()),
            mongodb_version: "8.0.4".to_owned(),
            is_another,
        }),
        ..ClusterChange::default()
    }
}

#[tokio::test]
async fn a_new_connection_string_is_sealed_and_recorded_without_its_secret() {
    let world = World::new().await;
    let before = world.attach(10).await;
    let hosts = ["a.example.net:27017", "b.example.net:27017"];
    let rotated = "mongodb://backup:c0rrect-h0rse@a.example.net:27017/?replicaSet=rs0";
    let changed = world
        .meta
        .cluster_change(before.id, led_by(rotated, &hosts, false), &actor(), at(1))
        .await
        .unwrap();
    assert_eq!(changed.hosts, hosts);
    assert_eq!(changed.mongodb_version, "8.0.4");
    let world = world.reopened().await;
    let found = world.meta.cluster(before.id).await.unwrap().unwrap();
    assert_eq!(found, changed);
    let uri = world.meta.cluster_uri(before.id).await.unwrap();
    assert_eq!(uri.expose_secret(), rotated);
    let rows = world.audit().await;
    let row = rows.last().unwrap();
    assert_eq!(row.action, "cluster.change");
    assert_eq!(row.detail["connection"]["before"][0], before.hosts[0]);
    assert_eq!(row.detail["connection"]["hosts"][1], hosts[1]);
    assert!(!format!("{rows:?}").contains("h0rse"));
}

#[tokio::test]
async fn no_open_job_finds_itself_at_another_deployment() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    world.ask_snapshot(&cluster, 20).await;
    let change = async |is_another| {
        let wanted = led_by(URI, &["elsewhere.example.net:27017"], is_another);
        world
            .meta
            .cluster_change(cluster.id, wanted, &actor(), at(21))
            .await
    };
    assert_refused!(change(true).await, Error::ClusterBusy(_));
    let found = world.meta.cluster(cluster.id).await.unwrap().unwrap();
    assert_eq!(found.hosts, cluster.hosts);
    change(false).await.unwrap();
    let lease = world.claim(at(22)).await;
    world.meta.job_failed(&lease, at(23), "x").await.unwrap();
    change(true).await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_updating_while_a_restore_onto_it_is_open() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let snapshot = world.take_snapshot(&source, 20).await;
    world
        .ask_restore(&snapshot, &source, &target, 30)
        .await
        .unwrap();
    let state = async |id| world.meta.cluster(id).await.unwrap().unwrap().state;
    assert_eq!(state(target.id).await, ClusterState::Updating);
    assert_eq!(state(source.id).await, ClusterState::Idle);
    let lease = world.claim(at(40)).await;
    assert_eq!(state(target.id).await, ClusterState::Updating);
    world
        .meta
        .job_failed(&lease, at(41), "the disk is full")
        .await
        .unwrap();
    assert_eq!(state(target.id).await, ClusterState::Idle);
}

#[tokio::test]
async fn a_cluster_with_open_jobs_is_not_deleted() {
    let world = World::new().await;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let snapshot = world.take_snapshot(&source, 20).await;
    world
        .ask_restore(&snapshot, &source, &target, 30)
        .await
        .unwrap();
    for id in [source.id, target.id] {
        let deleted = world.meta.cluster_delete(id, &actor(), at(40)).await;
        assert_refused!(deleted, Error::ClusterBusy(_));
    }
    let lease = world.claim(at(41)).await;
    let failed = world.meta.job_failed(&lease, at(42), "x");
    failed.await.unwrap();
    world.ask_snapshot(&target, 21).await;
    let deleted = world.meta.cluster_delete(target.id, &actor(), at(43)).await;
    assert_refused!(deleted, Error::ClusterBusy(_));
}

#[tokio::test]
async fn deleting_a_cluster_takes_its_own_rows_and_leaves_those_of_others() {
    let world = World::new().await;
    let meta = &world.meta;
    let source = world.attach(10).await;
    let target = world.attach(11).await;
    let snapshot = world.take_snapshot(&source, 20).await;
    let onto_target = world
        .ask_restore(&snapshot, &source, &target, 30)
        .await
        .unwrap();
    let lease = world.claim(at(40)).await;
    let report = model::RestoreReport::default();
    meta.restore_completed(&lease, at(41), &report)
        .await
        .unwrap();

    assert_eq!(
        meta.cluster_delete(target.id, &actor(), at(42))
            .await
            .unwrap(),
        []
    );
    let kept = meta
        .restore(source.id, onto_target.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.target_name, target.name);
    assert_eq!(kept.report, Some(report));

    let link = download(&snapshot, &source, 31);
    assert_eq!(link.delivery, Delivery::Download);
    meta.restore_request(&link, None, &actor()).await.unwrap();
    let deleted = meta
        .cluster_delete(source.id, &actor(), at(43))
        .await
        .unwrap();
    assert_eq!(deleted, [snapshot.id]);
    assert_eq!(meta.snapshot_by_id(snapshot.id).await.unwrap(), None);
    assert_eq!(meta.restore_by_id(onto_target.id).await.unwrap(), None);
    assert_eq!(meta.restore_by_id(link.id).await.unwrap(), None);
    assert_eq!(world.try_claim(at(44)).await, None);
}
