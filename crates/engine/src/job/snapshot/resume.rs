//! Checkpoints of a snapshot that is being taken: put while a pass reads, and gone on from by the
//! next start or attempt. Must never end a snapshot: without a checkpoint it only costs more.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use mongo::{ResumePoint, SourceSnapshot};
use vault::{Checkpoint, CheckpointHeader, SnapshotHeader, SnapshotWriter};

use super::base::{self, Since};
use super::pass::Known;
use super::{Error, Work, stored_time};
use crate::Engine;

/// How often it is looked whether a checkpoint is due, at most.
const LOOK: Duration = Duration::from_millis(200);

/// What earlier attempts have stored, and what was written since.
pub(super) struct Resumed {
    pub(super) checkpoint: Checkpoint,
    since: Option<Since>,
}

/// Returns what earlier starts and attempts have left of a snapshot.
pub(super) async fn newest(engine: &Engine, id: vault::SnapshotId) -> Option<Checkpoint> {
    let found = engine.parts.repository.checkpoint(id).await;
    found.unwrap_or_else(|error| {
        tracing::warn!("a checkpoint cannot be read, so everything is stored again: {error}");
        None
    })
}

/// Returns the time that a snapshot upon a checkpoint must not be earlier than: nothing tells what
/// was written between its own time and what was read later than that.
pub(super) fn read_until(checkpoint: &Checkpoint) -> Option<mongo::ClusterTime> {
    checkpoint.read_until.map(|time| mongo::ClusterTime {
        seconds: time.seconds,
        increment: time.increment,
    })
}

impl Resumed {
    /// Finds out what was written since the checkpoint, unless it is only to be compared with.
    pub(super) async fn new(
        work: &Work<'_>,
        source: &SourceSnapshot,
        checkpoint: Checkpoint,
        compare_only: bool,
    ) -> Result<Self, Error> {
        let point = checkpoint.resume_point.as_deref();
        let scanned_at_ms = checkpoint.scanned_at_ms.map(u64::cast_signed);
        let scanned_at = scanned_at_ms.map(model::Timestamp::from_millis);
        let since = match (point, compare_only) {
            (Some(point), false) => {
                let found = base::since(work.engine, source, Some(point), scanned_at).await?;
                found.inspect_err(|reason| {
                    tracing::info!("what was read before a checkpoint is read again: {reason}");
                })
            }
            _ => Err(String::new()),
        };
        let (checkpoint, since) = match since {
            Ok(since) => (checkpoint, Some(since)),
            Err(_) => (checkpoint.without_point(), None),
        };
        Ok(Self { checkpoint, since })
    }

    /// Says for people what is used.
    pub(super) fn reason(&self) -> String {
        let stored = self.checkpoint.stored.documents;
        let whole = match self.since {
            Some(_) => self.checkpoint.collections.len(),
            None => 0,
        };
        format!(
            "resumed from a checkpoint: {stored} documents were stored before, and {whole} \
             collections read to their end"
        )
    }

    /// Returns when everything that is not read again was read.
    pub(super) fn scanned_at(&self) -> Option<model::Timestamp> {
        self.since.as_ref().map(|since| since.scanned_at)
    }

    /// Returns what it has, for a pass.
    pub(super) fn known(&mut self) -> Known<'_> {
        Known {
            collections: &self.checkpoint.collections,
            only_exact: true,
            changes: self.since.take().map(|since| since.changes),
        }
    }
}

/// Puts the checkpoints of one pass.
pub(super) struct Keeper<'a> {
    engine: &'a Engine,
    source: SourceSnapshot,
    writer: &'a SnapshotWriter,
    header: CheckpointHeader,
}

impl<'a> Keeper<'a> {
    /// Will put checkpoints of `writer`. `header` has the point from before the first read.
    pub(super) fn new(
        work: &Work<'a>,
        source: &SourceSnapshot,
        writer: &'a SnapshotWriter,
        header: &SnapshotHeader,
        scanned_at: model::Timestamp,
    ) -> Self {
        let scanned_at_ms = u64::try_from(scanned_at.as_millis()).ok();
        // A later attempt may keep the point for what it reads by a pass.
        let point = header.resume_point.as_deref().map(ResumePoint::from_bytes);
        let point = point.and_then(Result::ok).map(ResumePoint::for_passes);
        Self {
            engine: work.engine,
            source: source.clone(),
            writer,
            header: CheckpointHeader {
                snapshot: header.snapshot,
                created_at_ms: header.created_at_ms,
                scanned_at_ms,
                resume_point: point.map(|point| point.to_bytes()),
                read_until: None,
            },
        }
    }

    /// Reads, with checkpoints as they fall due; with one more where reading ends for a reason that
    /// another start may not meet.
    pub(super) async fn beside<T>(
        &self,
        reading: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let read = tokio::select! {
            read = reading => read,
            never = self.keep() => match never {},
        };
        if let Err(error) = &read
            && (error.is_transient() || error.is_too_late())
        {
            self.put_or_warn().await;
        }
        read
    }

    /// Puts a checkpoint of what the pass has.
    pub(super) async fn put(&self) -> Result<Checkpoint, vault::Error> {
        let captured = self.writer.capture().await?;
        let created_at_ms = u64::try_from(self.engine.now().as_millis()).unwrap_or(0);
        let mut header = CheckpointHeader {
            created_at_ms,
            ..self.header.clone()
        };
        // Only now, so that nothing in it was read later.
        match self.source.read_until().await {
            Ok(time) => header.read_until = time.map(stored_time),
            Err(error) => {
                tracing::warn!("what a checkpoint has will be read again: {error}");
                header.resume_point = None;
            }
        }
        captured.put(header).await
    }

    async fn put_or_warn(&self) {
        match self.put().await {
            Ok(checkpoint) => tracing::info!(
                snapshot.id = %checkpoint.snapshot, number = checkpoint.number,
                documents_stored = checkpoint.stored.documents,
                collections = checkpoint.collections.len(), "checkpoint"
            ),
            Err(error) => tracing::warn!("no checkpoint could be made: {error}"),
        }
    }

    async fn keep(&self) -> Infallible {
        let config = &self.engine.parts.config;
        let (mut last, mut before) = (Instant::now(), self.writer.progress());
        loop {
            tokio::time::sleep(LOOK.min(config.checkpoint_every)).await;
            let now = self.writer.progress();
            let by_size = now.stored_bytes - before.stored_bytes >= config.checkpoint_bytes;
            let read_on = now.documents > before.documents;
            let by_time = read_on && last.elapsed() >= config.checkpoint_every;
            if by_size || by_time {
                self.put_or_warn().await;
                (last, before) = (Instant::now(), self.writer.progress());
            }
        }
    }
}
