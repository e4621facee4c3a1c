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

/// What was written since a point.
pub(super) struct Since {
    pub(super) changes: Changes,
    /// When everything was last read whole at that point.
    pub(super) scanned_at: Timestamp,
}

impl Base {
    /// Returns what changed since, or why everything is to be read.
    pub(super) async fn changes(
        &self,
        engine: &Engine,
        source: &SourceSnapshot,
    ) -> Result<Result<Since, String>, mongo::Error> {
        let point = self.manifest.resume_point.as_deref();
        since(engine, source, point, self.scanned_at).await
    }
}

/// Returns what was written since a point at which everything was known, or why everything is to be
/// read.
pub(super) async fn since(
    engine: &Engine,
    source: &SourceSnapshot,
    point: Option<&[u8]>,
    scanned_at: Option<Timestamp>,
) -> Result<Result<Since, String>, mongo::Error> {
    let point = point.and_then(|point| ResumePoint::from_bytes(point).ok());
    let Some(point) = point else {
        return Ok(Err("the snapshot before cannot be followed".to_owned()));
    };
    let every_ms = i64::from(engine.parts.config.scan_every_days) * DAY_MS;
    // A clock that was set back says nothing about how long ago that was.
    let recent = |at: &Timestamp| (0..every_ms).contains(&engine.now().millis_since(*at));
    let Some(scanned_at) = scanned_at.filter(recent) else {
        return Ok(Err("the last scan is long ago".to_owned()));
    };
    match source.changes_since(&point, &LIMITS).await {
        Ok(changes) => {
            tracing::info!(
                way = ?changes.way(), entries = changes.entries_read(),
                size_bytes = changes.bytes_read(), "what changed is known"
            );
            Ok(Ok(Since {
                changes,
                scanned_at,
            }))
        }
        // A member that now runs alone has no history, whatever it had before.
        Err(error @ (mongo::Error::HistoryLost { .. } | mongo::Error::Unsupported { .. })) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Returns what changed since a point of the same snapshot's earlier pass.
pub(super) async fn changes_since(
    source: &SourceSnapshot,
    point: &ResumePoint,
) -> Result<Changes, mongo::Error> {
    source.changes_since(point, &LIMITS).await
}
