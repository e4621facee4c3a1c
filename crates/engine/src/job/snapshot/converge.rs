//! A snapshot that cannot be read at one time in one go.
//!
//! A first pass reads everything as a majority has it, whenever that is. What was written since the
//! pass began is known afterwards, so a second pass reads only that, at one time T. Why the result
//! is exact at T: a document whose state at T is not what the first pass saw was written after the
//! pass began and no later than T, so it is among the changed ones and is read again at T. A second
//! pass that is too long itself becomes another first pass, shorter than the one before. So does a
//! pass at one time during which a collection was dropped: what it has read is kept, and the next
//! one, at a later time, reads what was written since and what was left out, if it is still there.

use model::{SnapshotCost, SnapshotWay, Timestamp};
use mongo::{ResumePoint, SourceSnapshot};
use vault::{Manifest, Sealed, Totals};

use super::base::{Base, changes_since};
use super::pass::Pass;
use super::{Error, Taken, Work};
use crate::pump::PumpError;

/// Passes at no one time before a snapshot is given up: each that helps is shorter than the last.
const PASSES_MAX: u32 = 6;
/// Passes at one time during which something was dropped, before all of it is begun anew.
const UNSTEADY_MAX: u32 = 16;

/// What passes so far have read, exact but for what was left out or written since the point.
pub(super) struct Approach {
    sealed: Sealed,
    since: ResumePoint,
    /// What was stored by all passes.
    stored: Totals,
}

/// A snapshot that is whole.
pub(super) struct Whole {
    pub(super) manifest: Manifest,
    /// What was stored by all passes.
    pub(super) stored: Totals,
}

/// What a pass at one time came to.
enum Exact {
    Whole(Box<Manifest>),
    /// Something could not be read to its end; why.
    Lacking(Box<Approach>, PumpError),
}

impl Work<'_> {
    /// Takes the snapshot by passes that come ever closer to one time.
    pub(super) async fn converge(
        &self,
        base: Option<Base>,
        reason: Option<String>,
    ) -> Result<Taken, Error> {
        let now = self.engine.now();
        let approach = self.first_pass(base).await?;
        let whole = self.close_in(approach).await?;
        Ok(self.converged(whole, now, reason))
    }

    /// Reads at one time what passes so far lack, as often as that takes.
    pub(super) async fn close_in(&self, mut approach: Approach) -> Result<Whole, Error> {
        let (mut passes, mut unsteady) = (1, 0);
        loop {
            match self.exact_pass(&approach).await {
                Ok(Exact::Whole(manifest)) => {
                    return Ok(Whole {
                        stored: sum(approach.stored, &manifest.totals),
                        manifest: *manifest,
                    });
                }
                Ok(Exact::Lacking(closer, _)) if unsteady < UNSTEADY_MAX => {
                    unsteady += 1;
                    approach = *closer;
                }
                Ok(Exact::Lacking(_, why)) => return Err(why.into()),
                Err(error) if !error.is_too_late() => return Err(error),
                Err(_) if passes < PASSES_MAX => {
                    passes += 1;
                    approach = self.closer_pass(approach).await?;
                }
                Err(_) => return Err(Error::NotConverging),
            }
        }
    }

    /// Reads everything, or what changed since the snapshot before where that is known.
    async fn first_pass(&self, base: Option<Base>) -> Result<Approach, Error> {
        let source = self.deployment.begin_pass().await?;
        if source.resume_point().await?.is_none() {
            return Err(Error::CannotFollow);
        }
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

    /// Keeps what a pass has read, for another one to build upon.
    pub(super) async fn seal(
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

    /// Reads what was written since the passes so far and what they lack at one time, and commits.
    async fn exact_pass(&self, so_far: &Approach) -> Result<Exact, Error> {
        let source = self.deployment.begin_snapshot().await?;
        let header = self.header(&source).await?;
        let changes = changes_since(&source, &so_far.since).await?;
        let before = so_far.sealed.manifest();
        let writer = self.begin(Some(before));
        let mut pass = Pass::new(self, &source, &writer, Some(before), Some(changes));
        if header.resume_point.is_some() {
            pass = pass.leaving_out();
        }
        if let Some(why) = pass.read_all().await? {
            let closer = self.seal(&source, writer, so_far.stored).await?;
            return Ok(Exact::Lacking(Box::new(closer), why));
        }
        source.finish().await?;
        Ok(Exact::Whole(Box::new(writer.commit(header).await?)))
    }

    fn converged(&self, whole: Whole, began: Timestamp, reason: Option<String>) -> Taken {
        let read = self.counter.progress();
        let cost = SnapshotCost {
            way: SnapshotWay::Converge,
            reason,
            documents_read: read.documents,
            size_bytes_read: read.size_bytes,
            documents_stored: whole.documents_stored(),
            documents_shared: whole.documents_shared(),
            scanned_at: Some(began),
        };
        self.taken(&whole, cost)
    }
}

impl Whole {
    /// Returns how many documents were stored by all passes.
    pub(super) fn documents_stored(&self) -> u64 {
        self.stored.documents_new.unwrap_or_default()
    }

    /// Returns how many documents were stored by earlier snapshots.
    pub(super) fn documents_shared(&self) -> u64 {
        let documents = self.manifest.totals.documents;
        documents.saturating_sub(self.documents_stored())
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
