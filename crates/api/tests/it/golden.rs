//! Every shape: fixture → type → text.

use std::path::Path;

use api::error::ErrorDocument;
use api::{List, pretty};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.trim_end().to_owned()
}

fn check<T: Serialize + DeserializeOwned>(name: &str) {
    let text = fixture(&format!("{name}.json"));
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let written = String::from_utf8(pretty::to_bytes(&read, false)).unwrap();
    assert_eq!(written, text, "{name}");
}

#[test]
fn every_fixture_comes_out_as_it_went_in() {
    check::<api::tenant::Snapshot>("tenant_snapshot");
    check::<api::tenant::Snapshot>("tenant_snapshot_pending");
    check::<api::tenant::RestoreJob>("tenant_restore");
    check::<api::tenant::RestoreJob>("tenant_download");
    check::<List<api::tenant::RestoreJob>>("tenant_restores");
    check::<api::snapshot::Snapshot>("serverless_snapshot");
    check::<api::restore_job::RestoreJob>("serverless_restore_job");
    check::<List<api::restore_job::RestoreJob>>("serverless_restore_jobs");
    check::<api::serverless::Instance>("serverless_instance");
    check::<api::cluster::Cluster>("cluster");
    check::<api::group::Group>("group");
    check::<api::org::Org>("org");
    check::<api::api_key::ApiKey>("api_key");
    check::<api::access_list::KeyEntry>("key_access_list_entry");
    check::<api::access_list::ProjectEntry>("project_access_list_entry");
    check::<api::root::SystemStatus>("root");
    check::<api::regrow::Cluster>("regrow_cluster");
    check::<api::regrow::Snapshot>("regrow_snapshot");
    check::<api::regrow::Snapshot>("regrow_snapshot_failed");
    check::<api::regrow::Restore>("regrow_restore");
    check::<api::regrow::Restore>("regrow_restore_running");
    check::<ErrorDocument>("error");
}

#[test]
fn every_fixture_has_its_members_in_alphabetical_order() {
    fn sorted(value: &serde_json::Value, name: &str) {
        match value {
            serde_json::Value::Object(members) => {
                let keys: Vec<_> = members.keys().collect();
                assert!(keys.is_sorted(), "{name}: {keys:?}");
                members.values().for_each(|member| sorted(member, name));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| sorted(item, name)),
            _ => {}
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".json") {
            sorted(&serde_json::from_str(&fixture(&name)).unwrap(), &name);
        }
    }
}

#[test]
fn the_pretty_list_of_restores_looks_like_the_documentation() {
    let text = fixture("tenant_restores.json");
    let list: List<api::tenant::RestoreJob> = serde_json::from_str(&text).unwrap();
    let pretty = String::from_utf8(pretty::to_bytes(&list, true)).unwrap();
    assert_eq!(pretty, fixture("tenant_restores.pretty.txt"));
}

#[test]
fn the_names_of_version_1_repeat_the_names_of_the_table() {
    let text = fixture("tenant_download.json");
    let job: api::tenant::RestoreJob = serde_json::from_str(&text).unwrap();
    let bare = api::tenant::RestoreJob {
        finished_date: None,
        submitted_at: None,
        timestamp: None,
        ..job.clone()
    };
    assert_eq!(bare.with_aliases(), job);
}
