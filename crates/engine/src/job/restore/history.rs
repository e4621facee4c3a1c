//! What was written to a target since its snapshot, followed step by step.
//!
//! A step goes on where the one before it ended, from the very entry of the history that it ended
//! with, so that nothing is read twice. Nothing counts as unchanged but what an unbroken history
//! says so of.

use bytes::Bytes;
use mongo::{
    Change, ChangeLimits, Changes, ClusterTime, Collection, Deployment, FollowWay, RereadStream,
    ResumePoint,
};

/// What one step remembers; more makes a collection one that is loaded whole.
const LIMITS: ChangeLimits = ChangeLimits {
    ids_per_collection: 2_000_000,
    bytes: 64 << 20,
};

/// The steps so far, and where the next one goes on.
pub(super) struct History {
    deployment: Deployment,
    since: ResumePoint,
    /// None where the next step has to begin from the beginning.
    point: Option<ResumePoint>,
    steps: Vec<Changes>,
    until: ClusterTime,
}

impl History {
    /// Follows from the point of a snapshot up to now.
    pub(super) async fn begin(
        deployment: &Deployment,
        since: ResumePoint,
    ) -> Result<Self, mongo::Error> {
        let mut history = Self {
            deployment: deployment.clone(),
            until: since.time(),
            since,
            point: None,
            steps: Vec::new(),
        };
        history.go_on(None).await?;
        Ok(history)
    }

    /// Follows on up to now, which is not earlier than `at_least`.
    pub(super) async fn go_on(
        &mut self,
        at_least: Option<ClusterTime>,
    ) -> Result<(), mongo::Error> {
        let since = self.point.as_ref().unwrap_or_else(|| {
            self.steps.clear();
            &self.since
        });
        let deployment = &self.deployment;
        let followed = deployment
            .changes_until_now(since, &LIMITS, at_least)
            .await?;
        self.steps.push(followed.changes);
        self.until = followed.until;
        self.point = followed.point;
        Ok(())
    }

    /// Returns how many documents of a collection may have been written, or somewhat more; none
    /// where that is not known.
    pub(super) fn count(&self, collection: &Collection) -> Option<u64> {
        self.steps.iter().map(|step| step.count(collection)).sum()
    }

    /// Takes out what was written to a collection since it was last asked for.
    pub(super) fn take(&mut self, collection: &Collection) -> Change {
        let mut written = Vec::new();
        for step in &mut self.steps {
            match step.take(collection) {
                Change::Unchanged => {}
                Change::Documents(mut ids) => written.append(&mut ids),
                unknown @ Change::Unknown(_) => return unknown,
            }
        }
        if written.is_empty() {
            return Change::Unchanged;
        }
        written.sort_unstable();
        written.dedup();
        Change::Documents(written)
    }

    /// Reads the documents that have one of `ids` as they were at the time up to which it is known.
    pub(super) fn reread(&self, collection: &Collection, ids: Vec<Bytes>) -> RereadStream {
        self.deployment.reread_at(self.until, collection, ids)
    }

    /// Tells whether every write left a trace in it: change streams do not show everything.
    pub(super) fn shows_everything(&self) -> bool {
        self.steps.iter().all(|step| step.way() == FollowWay::Oplog)
    }
}
