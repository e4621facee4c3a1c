//! The snapshot before, and whether the next one can follow it.

use model::{Cluster, Page, Status, Timestamp};
use mongo::{ChangeLimits, Changes, ResumePoint, SourceSnapshot};
use vault::Manifest;

use crate::Engine;

/// What is remembered of changed documents, in all: ids of about 50 bytes make a million.
const LIMITS: ChangeLimits = ChangeLimits {
    ids_per_collection: 1_000_000,
    bytes: 64 << 20,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The newest snapshot of a cluster that can be read.
pub(super) struct Base {
    pub(super) manifest: Manifest,
    /// When everything in it was last read from the deployment.
    pub(super) scanned_at: Option<Timestamp>,
}

/// Returns the newest completed snapshot of the cluster that can be read; without one, all is new.
pub(super) async fn newest(engine: &Engine, cluster: &Cluster) -> Option<Base> {
    let newest_first = meta::Order::NewestFirst;
    let listed = engine
        .parts
        .meta
        .snapshots(cluster.id, newest_first, Page::FIRST)
        .await
        .inspect_err(|error| tracing::warn!("snapshots cannot be listed: {error}"))
        .ok()?;
    let completed = listed
        .items
        .into_iter()
        .filter(|snapshot| snapshot.status == Status::Completed);
    for snapshot in completed {
        let id = vault::SnapshotId(snapshot.id.to_bytes());
        match engine.parts.repository.manifest(id).await {
            Ok(manifest) => {
                let cost = snapshot.outcome.and_then(|outcome| outcome.cost);
                return Some(Base {
                    manifest,
                    scanned_at: cost.and_then(|cost| cost.scanned_at),
                });
            }
            Err(error) => tracing::warn!(
                snapshot.id = %snapshot.id,
                "an earlier snapshot cannot be read, so nothing is shared with it: {error}"
            ),
        }
    }
    None
}

impl Base {
    /// Returns what changed since, or why everything is to be read.
    pub(super) async fn changes(
        &self,
        engine: &Engine,
        source: &SourceSnapshot,
    ) -> Result<Result<Changes, String>, mongo::Error> {
        let Some(point) = &self.manifest.resume_point else {
            return Ok(Err("the snapshot before cannot be followed".to_owned()));
        };
        let every_ms = i64::from(engine.parts.config.scan_every_days) * DAY_MS;
        match self.scanned_at {
            // A clock that was set back says nothing about how long ago that was.
            Some(scanned_at) if (0..every_ms).contains(&engine.now().millis_since(scanned_at)) => {}
            _ => return Ok(Err("the last scan is long ago".to_owned())),
        }
        let Ok(point) = ResumePoint::from_bytes(point) else {
            return Ok(Err("the snapshot before cannot be followed".to_owned()));
        };
        match source.changes_since(&point, &LIMITS).await {
            Ok(changes) => {
                tracing::info!(
                    way = ?changes.way(), entries = changes.entries_read(),
                    size_bytes = changes.bytes_read(), "what changed is known"
                );
                Ok(Ok(changes))
            }
            Err(error @ mongo::Error::HistoryLost { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }
}

/// Returns what changed since a point of the same snapshot's earlier pass.
pub(super) async fn changes_since(
    source: &SourceSnapshot,
    point: &ResumePoint,
) -> Result<Changes, mongo::Error> {
    source.changes_since(point, &LIMITS).await
}
