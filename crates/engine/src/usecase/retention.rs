//! What a cluster's policy keeps and why; said before it is done, and done on request.

use model::{Action, Cluster, Error, ProjectId};

use crate::Caller;
use crate::reconcile::retention::{self, Planned};
use crate::usecase::snapshots::Snapshots;

impl Snapshots<'_> {
    /// Returns what the policy says of each snapshot now, the newest first; does nothing.
    pub async fn retention(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
    ) -> Result<(Cluster, Vec<Planned>), Error> {
        let clusters = self.0.clusters();
        let cluster = clusters.get(caller, project, cluster, None).await?;
        let planned = retention::plan(self.0, &cluster).await?;
        Ok((cluster, planned))
    }

    /// Gives up what the policy does not keep; returns what it said of each snapshot. Space is
    /// given back by the next sweeps.
    pub async fn prune(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
    ) -> Result<(Cluster, Vec<Planned>), Error> {
        let clusters = self.0.clusters();
        let cluster = clusters
            .require(caller, project, cluster, None, Action::OwnProject)
            .await?;
        let planned = retention::apply(self.0, &cluster, &caller.actor()).await?;
        Ok((cluster, planned))
    }
}
