//! The promises of `RealMongo`: it answers, it is primary, it ends.

use std::path::Path;
use std::time::Duration;

use bson::{Document, doc};
use testkit::{RealMongo, wait_for};

#[tokio::test]
async fn several_servers_run_at_a_time_and_end_with_their_values() {
    let (first, second, third) = tokio::join!(
        RealMongo::replica_set().start(),
        RealMongo::replica_set().start(),
        RealMongo::standalone().start(),
    );
    let servers = [first.unwrap(), second.unwrap(), third.unwrap()];
    for server in &servers {
        let things = server
            .client()
            .await
            .unwrap()
            .database("shop")
            .collection("things");
        things
            .insert_one(doc! { "port": i32::from(server.port()) })
            .await
            .unwrap();
        let count = things.count_documents(doc! {}).await.unwrap();
        assert_eq!(count, 1, "each server has data of its own");
    }
    let left: Vec<_> = servers
        .iter()
        .map(|s| (s.pid().unwrap(), s.folder().to_owned()))
        .collect();
    drop(servers);
    for (pid, folder) in left {
        assert!(
            !Path::new(&format!("/proc/{pid}")).exists(),
            "process {pid} is gone"
        );
        assert!(!folder.exists(), "{} is gone", folder.display());
    }
}

#[tokio::test]
async fn a_restart_keeps_data_and_users() {
    let mut server = RealMongo::replica_set().with_auth().start().await.unwrap();
    server
        .create_user("ann", "p@ss/w:rd", &[("readWrite", "shop")])
        .await
        .unwrap();
    let things = server.client_as("ann", "p@ss/w:rd").await.unwrap();
    things
        .database("shop")
        .collection("things")
        .insert_one(doc! { "_id": 1 })
        .await
        .unwrap();

    server.restart().await.unwrap();
    let client = server.client_as("ann", "p@ss/w:rd").await.unwrap();
    let things = client.database("shop").collection::<Document>("things");
    assert_eq!(things.count_documents(doc! {}).await.unwrap(), 1);
    let refused = client
        .database("other")
        .collection("things")
        .insert_one(doc! {})
        .await;
    assert!(refused.is_err(), "the user has rights on one database only");
}

#[tokio::test]
async fn authentication_is_asked_for_without_a_replica_set_too() {
    let server = RealMongo::standalone().with_auth().start().await.unwrap();
    server
        .client()
        .await
        .unwrap()
        .list_database_names()
        .await
        .unwrap();
    let stranger = mongodb::Client::with_uri_str(server.uri_without_user())
        .await
        .unwrap();
    assert!(stranger.list_database_names().await.is_err());
}

#[tokio::test]
async fn a_server_without_its_process_is_ended_by_its_guardian() {
    // This test runs itself again as a process of its own, which starts a server and is killed.
    if let Ok(report) = std::env::var("TESTKIT_LEAVE_A_SERVER_BEHIND") {
        let server = RealMongo::standalone().start().await.unwrap();
        let told = format!("{}\n{}\n", server.pid().unwrap(), server.folder().display());
        std::fs::write(report, told).unwrap();
        std::future::pending::<()>().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let name = "real_mongo::a_server_without_its_process_is_ended_by_its_guardian";
    let mut process = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env("TESTKIT_LEAVE_A_SERVER_BEHIND", &report)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let told = wait_for(
        Duration::from_secs(60),
        "the server of the other process",
        || async {
            let told = std::fs::read_to_string(&report).map_err(|error| error.to_string())?;
            if told.ends_with('\n') {
                Ok(told)
            } else {
                Err(told)
            }
        },
    );
    let told = told.await;
    process.kill().unwrap();
    process.wait().unwrap();
    let told = told.unwrap();
    let (pid, left) = told.trim().split_once('\n').unwrap();
    wait_for(Duration::from_secs(30), "the end of the server", || async {
        let is_there = |path: &str| Path::new(path).exists();
        match (is_there(&format!("/proc/{pid}")), is_there(left)) {
            (false, false) => Ok(()),
            seen => Err(format!("process and folder are there: {seen:?}")),
        }
    })
    .await
    .unwrap();
}
