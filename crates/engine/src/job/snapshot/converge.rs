//! A snapshot that takes longer than the server keeps the past.
//!
//! A first pass reads everything as a majority has it, whenever that is. What was written since the
//! pass began is known afterwards, so a second pass reads only that, at one time T. Why the result
//! is exact at T: a document whose state at T is not what the first pass saw was written after the
//! pass began and no later than T, so it is among the changed ones and is read again at T. A second
//! pass that is too long itself becomes another first pass, shorter than the one before.

use model::{SnapshotCost, SnapshotWay, Timestamp};
use mongo::{ResumePoint, SourceSnapshot};
use vault::{Manifest, Sealed, Totals};

use super::base::{Base, changes_since};
use super::pass::Pass;
use super::{Error, Taken, Work};

/// Passes at no one time before a snapshot is given up: each that helps is shorter than the last.
const PASSES_MAX: u32 = 6;

/// What passes so far have read, exact but for what was written since the point.
struct Approach {
    sealed: Sealed,
    since: ResumePoint,
    /// What was stored by all passes.
    stored: Totals,
}

impl Work<'_> {
    /// Takes the snapshot by passes that come ever closer to one time.
    pub(super) async fn converge(
        &self,
        base: Option<Base>,
        reason: Option<String>,
    ) -> Result<Taken, Error> {
        let now = self.engine.now();
        let mut approach = self.first_pass(base).await?;
        for _ in 1..PASSES_MAX {
            match self.exact_pass(&approach).await {
                Ok(manifest) => {
                    return Ok(self.converged(&manifest, approach.stored, now, reason));
                }
                Err(error) if error.is_too_late() => {}
                Err(error) => return Err(error),
            }
            approach = self.closer_pass(approach).await?;
        }
        Err(Error::NotConverging)
    }

    /// Reads everything, or what changed since the snapshot before where that is known.
    async fn first_pass(&self, base: Option<Base>) -> Result<Approach, Error> {
        let source = self.deployment.begin_pass().await?;
        let changes = match &base {
            Some(base) if self.engine.parts.config.snapshot_way.is_none() => {
                base.changes(self.engine, &source).await?.ok()
            }
            _ => None,
        };
        let before = base.as_ref().map(|base| &base.manifest);
        let writer = self.begin(before);
        let pass = Pass::new(self, &source, &writer, before, changes).leaving_out();
        pass.read_all().await?;
        self.seal(&source, writer, Totals::default()).await
    }

    /// Reads what was written since the passes so far, again at no one time.
    async fn closer_pass(&self, so_far: Approach) -> Result<Approach, Error> {
        let source = self.deployment.begin_pass().await?;
        let changes = changes_since(&source, &so_far.since).await?;
        let before = so_far.sealed.manifest();
        let writer = self.begin(Some(before));
        let pass = Pass::new(self, &source, &writer, Some(before), Some(changes)).leaving_out();
        pass.read_all().await?;
        self.seal(&source, writer, so_far.stored).await
    }

    async fn seal(
        &self,
        source: &SourceSnapshot,
        writer: vault::SnapshotWriter,
        stored: Totals,
    ) -> Result<Approach, Error> {
        let Some(since) = source.resume_point().await? else {
            return Err(Error::CannotFollow);
        };
        let sealed = writer.seal(self.header(source).await?).await?;
        let stored = sum(stored, &sealed.manifest().totals);
        Ok(Approach {
            sealed,
            since,
            stored,
        })
    }

    /// Reads what was written since the passes so far at one time, and commits.
    async fn exact_pass(&self, so_far: &Approach) -> Result<Manifest, Error> {
        let source = self.deployment.begin_snapshot().await?;
        let header = self.header(&source).await?;
        let changes = changes_since(&source, &so_far.since).await?;
        let before = so_far.sealed.manifest();
        let writer = self.begin(Some(before));
        let pass = Pass::new(self, &source, &writer, Some(before), Some(changes));
        pass.read_all().await?;
        source.finish().await?;
        Ok(writer.commit(header).await?)
    }

    fn converged(
        &self,
        manifest: &Manifest,
        stored: Totals,
        began: Timestamp,
        reason: Option<String>,
    ) -> Taken {
        let stored = sum(stored, &manifest.totals);
        let documents_stored = stored.documents_new.unwrap_or_default();
        let read = self.counter.progress();
        let cost = SnapshotCost {
            way: SnapshotWay::Converge,
            reason,
            documents_read: read.documents,
            size_bytes_read: read.size_bytes,
            documents_stored,
            documents_shared: manifest.totals.documents.saturating_sub(documents_stored),
            scanned_at: Some(began),
        };
        let mut taken = self.taken(manifest, cost);
        taken.outcome.stored_bytes = stored.stored_bytes;
        taken
    }
}

/// Adds what one more pass has stored.
fn sum(so_far: Totals, pass: &Totals) -> Totals {
    let new = so_far.documents_new.unwrap_or_default() + pass.documents_new.unwrap_or_default();
    Totals {
        stored_bytes: so_far.stored_bytes + pass.stored_bytes,
        documents_new: Some(new),
        ..so_far
    }
}
