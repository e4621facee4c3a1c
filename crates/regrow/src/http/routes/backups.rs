//! Clusters, snapshots and restore jobs as each part of the API reads and asks for them. In what
//! shape they are written is each part's own affair.

use engine::{DownloadFormat, Order, RestoreRequest};
use model::{Cluster, Error, Family, Listed, ProjectId, RestoreJob, Snapshot, SnapshotId};

use super::super::error::{Failure, download, serverless, tenant};
use super::super::extract::{Ask, project_id, restore_id, snapshot_id};

/// Which clusters a part of the API is about, and how it says what is wrong.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) family: Option<Family>,
    pub(super) failure: fn(Error) -> Failure,
}

/// The requests about M2 and M5 clusters.
pub(super) const TENANT: Part = Part {
    family: Some(Family::Tenant),
    failure: tenant,
};

/// The requests about serverless instances.
pub(super) const SERVERLESS: Part = Part {
    family: Some(Family::Serverless),
    failure: serverless,
};

/// The requests that Atlas does not have, about clusters of any tier.
pub(super) const OWN: Part = Part {
    family: None,
    failure: serverless,
};

/// Project and cluster, as the path has them.
pub(super) type OfCluster = (String, String);

/// Project, cluster, and the id of a snapshot or job, as the path has them.
pub(super) type OneOfCluster = (String, String, String);

impl Ask {
    /// Returns the page of a project's clusters that is asked for.
    pub(super) async fn clusters(
        &self,
        part: Part,
        group: &str,
    ) -> Result<Listed<Cluster>, Failure> {
        let (project, clusters) = (project_id(group)?, self.engine().clusters());
        let listed = clusters.list(self.caller(), project, part.family, self.page());
        listed.await.map_err(part.failure)
    }

    /// Returns one cluster.
    pub(super) async fn cluster(
        &self,
        part: Part,
        (group, name): &OfCluster,
    ) -> Result<Cluster, Failure> {
        let (project, clusters) = (project_id(group)?, self.engine().clusters());
        let found = clusters.get(self.caller(), project, name, part.family);
        found.await.map_err(part.failure)
    }

    /// Returns the page of a cluster's snapshots that is asked for.
    pub(super) async fn snapshots(
        &self,
        part: Part,
        (group, name): &OfCluster,
        order: Order,
    ) -> Result<(Cluster, Listed<Snapshot>), Failure> {
        let (project, page) = (project_id(group)?, self.page());
        let snapshots = self.engine().snapshots();
        let listed = snapshots.list(self.caller(), project, name, part.family, order, page);
        listed.await.map_err(part.failure)
    }

    /// Returns one snapshot.
    pub(super) async fn snapshot(
        &self,
        part: Part,
        (group, name, id): &OneOfCluster,
    ) -> Result<(Cluster, Snapshot), Failure> {
        let (project, id) = (project_id(group)?, snapshot_id(id)?);
        let snapshots = self.engine().snapshots();
        let found = snapshots.get(self.caller(), project, name, part.family, id);
        found.await.map_err(part.failure)
    }

    /// Returns the page of a cluster's restore jobs that is asked for.
    pub(super) async fn restores(
        &self,
        part: Part,
        (group, name): &OfCluster,
    ) -> Result<(Cluster, Listed<RestoreJob>), Failure> {
        let (project, page) = (project_id(group)?, self.page());
        let restores = self.engine().restores();
        let listed = restores.list(self.caller(), project, name, part.family, page);
        listed.await.map_err(part.failure)
    }

    /// Returns one restore job.
    pub(super) async fn restore(
        &self,
        part: Part,
        (group, name, id): &OneOfCluster,
    ) -> Result<(Cluster, RestoreJob), Failure> {
        let (project, id) = (project_id(group)?, restore_id(id)?);
        let restores = self.engine().restores();
        let found = restores.get(self.caller(), project, name, part.family, id);
        found.await.map_err(part.failure)
    }

    /// Asks for a restore.
    pub(super) async fn start_restore(
        &self,
        part: Part,
        request: &RestoreRequest,
    ) -> Result<(Cluster, RestoreJob), Failure> {
        let restores = self.engine().restores();
        let requested = restores.request(self.caller(), request);
        requested.await.map_err(part.failure)
    }

    /// Asks for a download.
    pub(super) async fn start_download(
        &self,
        part: Part,
        (project, name): (ProjectId, &str),
        snapshot: SnapshotId,
        format: Option<DownloadFormat>,
    ) -> Result<(Cluster, RestoreJob), Failure> {
        let (caller, family) = (self.caller(), part.family);
        let restores = self.engine().restores();
        let offered = restores.download(caller, project, name, family, snapshot, format);
        offered.await.map_err(download(part.failure))
    }
}
