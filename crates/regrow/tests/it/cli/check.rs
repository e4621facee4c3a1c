//! `regrow check` finds what is broken and says what it costs.

use std::fs;
use std::path::{Path, PathBuf};

use bson::doc;
use serde_json::Value;
use testkit::RealMongo;

use super::world::{World, ended, regrow};

/// Returns the files below a folder, with the largest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    found
}

/// Makes a data directory with one snapshot, and stops the service; returns the snapshot's id.
async fn with_snapshot() -> (World, String) {
    let mongo = RealMongo::replica_set().start().await.unwrap();
    let client = mongo.client().await.unwrap();
    let things = client.database("zoo").collection("things");
    let documents = (0..500).map(|number| doc! { "_id": number, "pad": "x".repeat(100) });
    things.insert_many(documents).await.unwrap();
    let mut world = World::new().await;
    world.attach("zoo", &mongo).await;
    let snapshot = world.snapshot("zoo").await;
    let busy = ended(regrow(&["check", "--data-dir"]).arg(world.data_dir())).await;
    busy.fails(8, &["the service is running", "stop it first"]);
    world.stop().await;
    (world, snapshot)
}

#[tokio::test]
async fn a_changed_byte_is_found_with_the_snapshot_that_it_harms() {
    let (world, snapshot) = with_snapshot().await;
    let sound = world.check().await.json();
    assert_eq!(sound["documents"], 500, "{sound}");

    let packs = files(&world.data_dir().join("snapshots/packs"));
    let mut bytes = fs::read(&packs[0]).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    let mut permissions = packs[0].metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(&packs[0], permissions).unwrap();
    fs::write(&packs[0], bytes).unwrap();
    let checked = world.check().await.is(7);
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    let problem = &report["problems"][0];
    assert_eq!(problem["snapshots"][0]["id"], snapshot, "{report}");
    assert_eq!(problem["snapshots"][0]["clusterName"], "zoo");
    let shown = ended(regrow(&["check", "--read-data", "--data-dir"]).arg(world.data_dir())).await;
    assert!(
        shown.stdout.contains(&format!("{snapshot} of zoo")),
        "{}",
        shown.stdout
    );
    shown.fails(7, &["wrong with"]);
}

#[tokio::test]
async fn a_snapshot_that_is_gone_from_the_store_is_missed() {
    let (world, snapshot) = with_snapshot().await;
    for manifest in files(&world.data_dir().join("snapshots/snapshots")) {
        fs::remove_file(manifest).unwrap();
    }
    let checked = world.check().await.is(7);
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        report["problems"][0]["snapshots"][0]["id"], snapshot,
        "{report}"
    );
    assert_eq!(
        report["problems"][0]["object"],
        format!("manifest of snapshot {snapshot}")
    );
}

#[tokio::test]
async fn a_store_without_its_metadata_is_checked_all_the_same() {
    let (world, _) = with_snapshot().await;
    fs::remove_file(world.data_dir().join("regrow.db")).unwrap();
    let checked = world.check().await.is(7);
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(
        (&report["snapshots"], &report["documents"]),
        (&1.into(), &500.into())
    );
    let object = report["problems"][0]["object"].as_str().unwrap();
    assert!(object.ends_with("regrow.db"), "{report}");
    assert!(!world.data_dir().join("regrow.db").exists());
}
