//! Request bodies: what is taken, what is ignored, what is refused and with which code.

use api::ApiError;
use api::access_list::CreateEntry;
use api::api_key::CreateApiKey;
use api::group::CreateGroup;
use api::regrow::{AttachCluster, TakeSnapshot, Tier};
use api::restore_job::DeliveryType;
use api::{restore_job, tenant};

const SNAPSHOT: &str = "64a1f0c2d3e4b5a600000001";
const PROJECT: &str = "64a1f0c2d3e4b5a697887766";

fn refused<T: std::fmt::Debug>(outcome: Result<T, ApiError>, code: &str, parameters: &[&str]) {
    let document = outcome.unwrap_err().document();
    assert_eq!(document.error_code, code);
    assert_eq!(document.parameters.unwrap(), parameters);
}

#[test]
fn a_download_needs_a_snapshot_and_ignores_the_target() {
    let parse = |text: &str| tenant::CreateDownload::parse(text.as_bytes());
    let body = format!(
        r#"{{"snapshotId":"{SNAPSHOT}","targetDeploymentItemName":"x","targetProjectId":""}}"#
    );
    assert_eq!(parse(&body).unwrap().snapshot_id.to_string(), SNAPSHOT);
    refused(parse("{}"), "MISSING_ATTRIBUTE", &["snapshotId"]);
    refused(parse(""), "MISSING_ATTRIBUTE", &["snapshotId"]);
    refused(
        parse(r#"{"snapshotID":"x"}"#),
        "INVALID_ATTRIBUTE",
        &["snapshotID"],
    );
}

#[test]
fn a_restore_needs_a_target_and_may_leave_its_project_out() {
    let parse = |text: &str| tenant::CreateRestore::parse(text.as_bytes());
    let body = format!(
        r#"{{"snapshotId":"{SNAPSHOT}","targetDeploymentItemName":"crow","instanceName":"x",
            "deliveryType":"DOWNLOAD","status":"FAILED","targetProjectId":"{PROJECT}"}}"#
    );
    let request = parse(&body).unwrap();
    assert_eq!(request.target_deployment_item_name, "crow");
    assert_eq!(request.target_project_id.unwrap().to_string(), PROJECT);
    let body = format!(r#"{{"snapshotId":"{SNAPSHOT}","targetDeploymentItemName":"crow"}}"#);
    assert_eq!(parse(&body).unwrap().target_project_id, None);
    let body = format!(r#"{{"snapshotId":"{SNAPSHOT}","targetDeploymentItemName":""}}"#);
    refused(
        parse(&body),
        "MISSING_ATTRIBUTE",
        &["targetDeploymentItemName"],
    );
    let body = r#"{"snapshotId":5,"targetDeploymentItemName":"crow"}"#;
    refused(parse(body), "INVALID_JSON_ATTRIBUTE", &["snapshotId"]);
}

#[test]
fn what_a_serverless_restore_needs_follows_from_its_delivery_type() {
    let parse = |text: &str| restore_job::CreateRestore::parse(text.as_bytes());
    let target = format!(r#""targetClusterName":"gull","targetGroupId":"{PROJECT}""#);
    let body = format!(r#"{{"deliveryType":"automated","snapshotId":"{SNAPSHOT}",{target}}}"#);
    assert_eq!(parse(&body).unwrap().delivery_type, DeliveryType::Automated);
    let body =
        format!(r#"{{"deliveryType":"pointInTime","pointInTimeUTCSeconds":1700000000,{target}}}"#);
    assert_eq!(
        parse(&body).unwrap().point_in_time_utc_seconds,
        Some(1_700_000_000)
    );
    let body = format!(
        r#"{{"deliveryType":"download","snapshotId":"{SNAPSHOT}","targetClusterName":"",
            "targetGroupId":""}}"#
    );
    let request = parse(&body).unwrap();
    assert_eq!(
        (request.target_cluster_name, request.target_group_id),
        (None, None)
    );

    refused(parse("{}"), "MISSING_ATTRIBUTE", &["deliveryType"]);
    refused(
        parse(r#"{"deliveryType":"carrier"}"#),
        "INVALID_ENUM_VALUE",
        &["carrier"],
    );
    let body = format!(r#"{{"deliveryType":"automated",{target}}}"#);
    refused(parse(&body), "MISSING_ATTRIBUTE", &["snapshotId"]);
    let body = format!(r#"{{"deliveryType":"automated","snapshotId":"{SNAPSHOT}"}}"#);
    refused(parse(&body), "MISSING_ATTRIBUTE", &["targetClusterName"]);
}

#[test]
fn a_key_needs_a_description_and_a_role() {
    let parse = |text: &str| CreateApiKey::parse(text.as_bytes());
    let request = parse(r#"{"desc":"nightly","roles":["ORG_MEMBER"]}"#).unwrap();
    assert_eq!((request.desc.as_str(), request.roles.len()), ("nightly", 1));
    refused(
        parse(r#"{"roles":["ORG_MEMBER"]}"#),
        "MISSING_ATTRIBUTE",
        &["desc"],
    );
    refused(parse(r#"{"desc":"x"}"#), "MISSING_ATTRIBUTE", &["roles"]);
    refused(
        parse(r#"{"desc":"x","roles":[]}"#),
        "MISSING_API_KEY_ROLES",
        &[],
    );
    let long = "ä".repeat(251);
    let body = format!(r#"{{"desc":"{long}","roles":["ORG_MEMBER"]}}"#);
    refused(parse(&body), "VALIDATION_ERROR", &["desc"]);
}

#[test]
fn an_access_list_entry_names_one_address_or_one_block() {
    let key = |text: &str| CreateEntry::parse_for_key(text.as_bytes());
    let project = |text: &str| CreateEntry::parse_for_project(text.as_bytes());
    let entries = key(r#"[{"ipAddress":"192.0.2.7"},{"cidrBlock":"2001:db8::/32"}]"#).unwrap();
    let addresses: Vec<_> = entries.iter().map(CreateEntry::address).collect();
    assert_eq!(addresses, ["192.0.2.7", "2001:db8::/32"]);
    for body in [
        "[]",
        "[{}]",
        r#"[{"ipAddress":"192.0.2.7","cidrBlock":"192.0.2.0/24"}]"#,
    ] {
        refused(key(body), "BAD_ACCESS_LIST_ADD_REQUEST", &[]);
    }
    refused(key(r#"{"ipAddress":"192.0.2.7"}"#), "INVALID_JSON", &[]);
    refused(
        key(r#"[{"comment":"x"}]"#),
        "INVALID_ATTRIBUTE",
        &["comment"],
    );
    assert!(project(r#"[{"ipAddress":"192.0.2.7","comment":"x"}]"#).is_ok());
    let long = "x".repeat(81);
    let body = format!(r#"[{{"ipAddress":"192.0.2.7","comment":"{long}"}}]"#);
    refused(project(&body), "VALIDATION_ERROR", &["comment"]);
}

#[test]
fn attaching_a_cluster_never_shows_its_connection_string() {
    let body = r#"{"name":"crow","connectionString":"mongodb://a:secret@h/","tier":"SERVERLESS",
        "continuousBackup":true,"takeSnapshot":false}"#;
    let request = AttachCluster::parse(body.as_bytes()).unwrap();
    assert_eq!(
        (request.tier, request.take_snapshot),
        (Tier::Serverless, Some(false))
    );
    assert!(!format!("{request:?}").contains("secret"));
    let parse = |text: &str| AttachCluster::parse(text.as_bytes());
    refused(
        parse(r#"{"name":"a","connectionString":"b"}"#),
        "MISSING_ATTRIBUTE",
        &["tier"],
    );
    let body = r#"{"name":"a","connectionString":"b","tier":"M0"}"#;
    refused(parse(body), "INVALID_ENUM_VALUE", &["M0"]);
}

#[test]
fn a_snapshot_on_demand_needs_no_body_but_a_whole_number_of_days() {
    let parse = |text: &str| TakeSnapshot::parse(text.as_bytes());
    assert_eq!(parse("").unwrap().retention_in_days, None);
    assert_eq!(
        parse(r#"{"retentionInDays":3}"#).unwrap().retention_in_days,
        Some(3)
    );
    let body = r#"{"retentionInDays":0}"#;
    refused(
        parse(body),
        "ATTRIBUTE_NEGATIVE_OR_ZERO",
        &["retentionInDays"],
    );
    let body = r#"{"retentionInDays":"3"}"#;
    refused(parse(body), "INVALID_JSON_ATTRIBUTE", &["retentionInDays"]);
}

#[test]
fn a_project_needs_a_name_and_an_organization() {
    let parse = |text: &str| CreateGroup::parse(text.as_bytes());
    let body = format!(r#"{{"name":"a","orgId":"{PROJECT}","withDefaultAlertsSettings":true}}"#);
    assert_eq!(parse(&body).unwrap().name, "a");
    refused(parse(r#"{"name":"a"}"#), "MISSING_ATTRIBUTE", &["orgId"]);
}
