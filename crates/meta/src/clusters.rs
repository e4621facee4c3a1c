//! Protected deployments and their sealed connection strings.

use model::{
    Actor, Cluster, ClusterId, Error, Family, Job, Listed, Page, ProjectId, Snapshot, SnapshotId,
    Timestamp,
};
use secrecy::SecretString;

use crate::Meta;

impl Meta {
    /// Stores a cluster, sealed with its connection string, and its first snapshot if one is
    /// to be taken at once. Its `state` is not read.
    ///
    /// Fails with `ClusterExists` or `ProjectNotFound`.
    pub async fn cluster_insert(
        &self,
        cluster: &Cluster,
        uri: &SecretString,
        first_snapshot: Option<(&Snapshot, &Job)>,
        actor: &Actor,
    ) -> Result<(), Error> {
        let _ = (cluster, uri, first_snapshot, actor);
        unimplemented!()
    }

    /// Returns the project's cluster of that name, of either family.
    pub async fn cluster_by_name(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<Cluster>, Error> {
        let _ = (project, name);
        unimplemented!()
    }

    /// Returns a cluster.
    pub async fn cluster(&self, id: ClusterId) -> Result<Option<Cluster>, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Returns a project's clusters, the oldest first; of one family or of both.
    pub async fn clusters(
        &self,
        project: ProjectId,
        family: Option<Family>,
        page: Page,
    ) -> Result<Listed<Cluster>, Error> {
        let _ = (project, family, page);
        unimplemented!()
    }

    /// Returns every cluster of every project, the oldest first.
    pub async fn all_clusters(&self) -> Result<Vec<Cluster>, Error> {
        unimplemented!()
    }

    /// Returns a cluster's connection string.
    pub async fn cluster_uri(&self, id: ClusterId) -> Result<SecretString, Error> {
        let _ = id;
        unimplemented!()
    }

    /// Keeps what the server said of itself; changes nothing when it said the same before.
    pub async fn cluster_seen(
        &self,
        id: ClusterId,
        mongodb_version: &str,
        replica_set: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let _ = (id, mongodb_version, replica_set, now);
        unimplemented!()
    }

    /// Changes a cluster's options, `None` keeping one as it is, and returns the cluster.
    pub async fn cluster_set_options(
        &self,
        id: ClusterId,
        continuous_backup: Option<bool>,
        termination_protection: Option<bool>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Cluster, Error> {
        let _ = (id, continuous_backup, termination_protection, actor, now);
        unimplemented!()
    }

    /// Deletes a cluster with its snapshots, restore jobs and jobs, and returns the ids of
    /// those snapshots. Restores of other clusters onto it keep their rows.
    ///
    /// Fails with `TerminationProtected`, or with `ClusterBusy` while a job reads it, writes
    /// it or restores one of its snapshots.
    pub async fn cluster_delete(
        &self,
        id: ClusterId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<SnapshotId>, Error> {
        let _ = (id, actor, now);
        unimplemented!()
    }
}
