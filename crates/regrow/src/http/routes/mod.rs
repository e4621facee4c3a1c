//! One file per resource: read the request, call one use case, write what it returned.
//!
//! Conversions between the domain and the wire live here and nowhere else.

mod backups;
pub(super) mod clusters;
pub(super) mod downloads;
pub(super) mod groups;
pub(super) mod health;
pub(super) mod key_access_list;
pub(super) mod org_keys;
pub(super) mod orgs;
pub(super) mod own_clusters;
pub(super) mod own_drills;
pub(super) mod own_peek;
pub(super) mod own_restores;
pub(super) mod own_retention;
pub(super) mod own_snapshots;
pub(super) mod project_access_list;
pub(super) mod project_keys;
pub(super) mod root;
pub(super) mod serverless;
pub(super) mod serverless_restores;
pub(super) mod serverless_snapshots;
pub(super) mod tenant_restores;
pub(super) mod tenant_snapshots;

use api::link::segment;
use api::{ATLAS_V1, Date, Id, REGROW_V1, cluster, tenant};
use model::{Cluster, ClusterState, ProjectId, RestoreJob, Status, Timestamp};

use super::extract::Ask;

/// Writes an id; each kind has twelve bytes.
macro_rules! wire_id {
    ($id:expr) => {
        api::Id::from_bytes($id.to_bytes())
    };
}
use wire_id;

fn date(time: Timestamp) -> Date {
    Date::from_millis(time.as_millis())
}

fn snapshot_of(id: Id) -> model::SnapshotId {
    model::SnapshotId::from_bytes(id.bytes())
}

fn project_of(id: Id) -> ProjectId {
    ProjectId::from_bytes(id.bytes())
}

fn status(status: Status) -> tenant::Status {
    match status {
        Status::Pending => tenant::Status::Pending,
        Status::Queued => tenant::Status::Queued,
        Status::Running => tenant::Status::Running,
        Status::Completed => tenant::Status::Completed,
        Status::Failed => tenant::Status::Failed,
    }
}

fn state_name(state: ClusterState) -> cluster::StateName {
    match state {
        ClusterState::Idle => cluster::StateName::Idle,
        ClusterState::Updating => cluster::StateName::Updating,
    }
}

/// Returns the addresses of a cluster's servers, without credentials, and those with options.
fn addresses(cluster: &Cluster) -> (String, String) {
    let plain = format!("mongodb://{}", cluster.hosts.join(","));
    let options = match &cluster.replica_set {
        Some(name) => format!("{plain}/?replicaSet={}", segment(name)),
        None => format!("{plain}/?directConnection=true"),
    };
    (plain, options)
}

/// The addresses of resources, below the address by which the client knows this service.
impl Ask {
    fn org_url(&self, id: model::OrgId) -> String {
        self.url(&format!("{ATLAS_V1}/orgs/{id}"))
    }

    fn group_url(&self, id: ProjectId) -> String {
        self.url(&format!("{ATLAS_V1}/groups/{id}"))
    }

    fn cluster_url(&self, project: ProjectId, name: &str) -> String {
        format!("{}/clusters/{}", self.group_url(project), segment(name))
    }

    fn instance_url(&self, project: ProjectId, name: &str) -> String {
        format!("{}/serverless/{}", self.group_url(project), segment(name))
    }

    fn own_cluster_url(&self, project: ProjectId, name: &str) -> String {
        self.url(&format!(
            "{REGROW_V1}/groups/{project}/clusters/{}",
            segment(name)
        ))
    }

    /// Returns the link behind which a download's archive is; none for other jobs.
    fn download_url(&self, job: &RestoreJob) -> Option<String> {
        let link = self.engine().downloads().link(job)?;
        Some(self.url(&format!("/download/{link}")))
    }
}
