//! Which targets are refused.

use model::{Consistency, SnapshotOutcome, Status, Timestamp, Trigger};
use mongo::Version;

use super::*;

fn snapshot(mongodb_version: &str) -> Snapshot {
    let at = Timestamp::from_millis(0);
    Snapshot {
        id: model::SnapshotId::from_bytes([1; 12]),
        cluster_id: model::ClusterId::from_bytes([2; 12]),
        project_id: model::ProjectId::from_bytes([3; 12]),
        status: Status::Completed,
        trigger: Trigger::OnDemand,
        scheduled_at: at,
        started_at: Some(at),
        finished_at: Some(at),
        expires_at: at,
        mongodb_version: mongodb_version.to_owned(),
        outcome: Some(SnapshotOutcome {
            consistency: Consistency::None,
            documents: 0,
            size_bytes: 0,
            stored_bytes: 0,
            collections: 0,
            cost: None,
        }),
        failure: None,
    }
}

fn check(taken_from: &str, topology: Topology, major: u32, minor: u32) -> Result<(), model::Error> {
    let text = format!("{major}.{minor}.0");
    let description = Description {
        topology,
        version: Version {
            major,
            minor,
            patch: 0,
            text,
        },
        feature_compatibility_version: None,
        hosts: vec![],
        storage_engine: None,
    };
    check_compatible(&snapshot(taken_from), "target", &description)
}

#[test]
fn a_target_of_an_older_release_series_is_refused() {
    let refused = check("7.0.2", Topology::Standalone, 6, 0);
    assert!(
        matches!(refused, Err(model::Error::VersionMismatch { .. })),
        "{refused:?}"
    );
    let refused = check("5.3.1", Topology::Standalone, 5, 0);
    assert!(
        matches!(refused, Err(model::Error::VersionMismatch { .. })),
        "{refused:?}"
    );
    assert!(check("6.0.5", Topology::Standalone, 6, 0).is_ok());
    assert!(check("6.0.27", Topology::Standalone, 7, 0).is_ok());
}

#[test]
fn a_sharded_target_is_refused() {
    let refused = check("6.0.5", Topology::Sharded, 6, 0);
    assert!(
        matches!(refused, Err(model::Error::TargetSharded(_))),
        "{refused:?}"
    );
}
