//! The promises of the workload: it does everything it says, and then nothing changes any more.

use testkit::workload::{Workload, WorkloadOptions};
use testkit::{RealMongo, sample};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_operation_is_done_and_then_nothing_changes() {
    let server = RealMongo::replica_set()
        .for_workload()
        .start()
        .await
        .unwrap();
    let options = WorkloadOptions {
        operations: 3_000,
        catalog_per_mille: 150,
        ..WorkloadOptions::new(5)
    };
    let workload = Workload::start(&server.uri(), options).await.unwrap();
    let report = workload.finish().await.unwrap();
    let kinds: Vec<&str> = report.done.keys().map(String::as_str).collect();
    for kind in [
        "bulk update",
        "collMod",
        "convert to capped",
        "copy as capped",
        "create",
        "create index",
        "delete",
        "delete and insert again",
        "delete many",
        "drop",
        "drop and create again",
        "drop database",
        "drop index",
        "equal identity",
        "find and modify",
        "insert",
        "insert many",
        "log",
        "long transaction",
        "measure",
        "out or merge",
        "rename",
        "replace",
        "transaction",
        "transaction given up",
        "update",
        "update many",
    ] {
        assert!(kinds.contains(&kind), "{kind} was never done: {report:#?}");
    }
    let client = server.client().await.unwrap();
    let first = sample::state(&client).await.unwrap();
    let second = sample::state(&client).await.unwrap();
    assert_eq!(first.differences(&second), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_go_on_after_a_primary_is_stepped_down_and_a_member_killed() {
    let set = RealMongo::replica_set().for_workload().start_three().await;
    let mut set = set.unwrap();
    let workload = Workload::start(&set.uri(), WorkloadOptions::new(6))
        .await
        .unwrap();
    workload.advance(100).await.unwrap();
    set.step_down().await.unwrap();
    workload.advance(100).await.unwrap();
    let primary = set.primary().await.unwrap();
    set.kill(primary);
    workload.advance(100).await.unwrap();
    set.restart(primary).await.unwrap();
    let report = workload.stop().await.unwrap();
    assert!(report.operations() > 100, "{report:#?}");
}
