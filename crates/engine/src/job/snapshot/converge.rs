//! A snapshot that cannot be read at one time in one go.
//!
//! A first pass reads everything as a majority has it, whenever that is. What was written since the
//! pass began is known afterwards, so a second pass reads only that, at one time T. Why the result
//! is exact at T: a document whose state at T is not what the first pass saw was written after the
//! pass began and no later than T, so it is among the changed ones and is read again at T. A second
//! pass that is too long itself becomes another first pass, shorter than the one before. So does a
//! pass at one time during which a collection was dropped: what it has read is kept, and the next
//! one, at a later time, reads what was written since and what was left out, if it is still there.

use model::{SnapshotWay, Timestamp};
use mongo::{Changes, ResumePoint, SourceSnapshot};
use vault::{Checkpoint, Held, Manifest};

use super::base::{Base, Since, changes_since};
use super::pass::{Known, Pass};
use super::resume::{self, Keeper, Resumed};
use super::{Error, Start, Taken, Work, because};
use crate::pump::PumpError;

/// Passes at no one time before a snapshot is given up: each that helps is shorter than the last.
const PASSES_MAX: u32 = 6;
/// Passes at one time during which something was dropped, before all of it is begun anew.
const UNSTEADY_MAX: u32 = 16;

/// What passes so far have read, exact but for what was left out or written since the point.
pub(super) struct Approach {
    checkpoint: Checkpoint,
    since: ResumePoint,
    /// When what was not read again was last read.
    scanned_at: Timestamp,
    /// Another checkpoint may take its place in the store.
    _held: Held,
}

impl Approach {
    fn read_until(&self) -> Option<mongo::ClusterTime> {
        resume::read_until(&self.checkpoint)
    }

    fn known(&self, changes: Changes) -> Known<'_> {
        Known {
            collections: &self.checkpoint.collections,
            only_exact: true,
            changes: Some(changes),
        }
    }
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
        checkpoint: Option<Checkpoint>,
        start: &Start,
    ) -> Result<Taken, Error> {
        let read_until = checkpoint.as_ref().and_then(resume::read_until);
        let source = self.deployment.begin_pass_not_before(read_until).await?;
        if source.resume_point().await?.is_none() {
            return Err(Error::CannotFollow);
        }
        let resumed = self.resumed(&source, checkpoint, start).await?;
        let reason = because(start.reason.clone(), resumed.as_ref());
        let since_base = match &base {
            Some(base) if self.engine.parts.config.snapshot_way.is_none() && !start.distrusts => {
                base.changes(self.engine, &source).await?.ok()
            }
            _ => None,
        };
        let before = base.as_ref().map(|base| &base.manifest);
        let approach = self
            .first_pass(&source, before, since_base, resumed)
            .await?;
        let scanned_at = approach.scanned_at;
        let manifest = self.close_in(before, approach).await?;
        Ok(self.taken(&manifest, SnapshotWay::Converge, reason, scanned_at))
    }

    /// Reads at one time what passes so far lack, as often as that takes.
    pub(super) async fn close_in(
        &self,
        base: Option<&Manifest>,
        mut approach: Approach,
    ) -> Result<Manifest, Error> {
        let (mut passes, mut unsteady) = (1, 0);
        loop {
            match self.exact_pass(base, &approach).await {
                Ok(Exact::Whole(manifest)) => return Ok(*manifest),
                Ok(Exact::Lacking(closer, _)) if unsteady < UNSTEADY_MAX => {
                    unsteady += 1;
                    approach = *closer;
                }
                Ok(Exact::Lacking(_, why)) => return Err(why.into()),
                Err(error) if !error.is_too_late() => return Err(error),
                Err(_) if passes < PASSES_MAX => {
                    passes += 1;
                    approach = self.closer_pass(base, approach).await?;
                }
                Err(_) => return Err(Error::NotConverging),
            }
        }
    }

    /// Reads everything, or what changed since the snapshot before where that is known.
    async fn first_pass(
        &self,
        source: &SourceSnapshot,
        base: Option<&Manifest>,
        since_base: Option<Since>,
        mut resumed: Option<Resumed>,
    ) -> Result<Approach, Error> {
        let scanned_at = self.scanned_at(since_base.as_ref(), resumed.as_ref());
        let writer = self.begin(base, resumed.as_ref().map(|resumed| &resumed.checkpoint));
        let mut known: Vec<Known<'_>> = resumed.iter_mut().map(Resumed::known).collect();
        known.extend(base.map(|base| Known::of_base(base, since_base)));
        let header = self.header(source).await?;
        let pass = Pass::new(self, source, &writer, known).leaving_out();
        let keeper = Keeper::new(self, source, &writer, &header, scanned_at);
        keeper.beside(pass.read_all()).await?;
        self.approach(source, &keeper, scanned_at).await
    }

    /// Reads what was written since the passes so far, again at no one time.
    async fn closer_pass(
        &self,
        base: Option<&Manifest>,
        so_far: Approach,
    ) -> Result<Approach, Error> {
        let source = self.deployment.begin_pass_not_before(so_far.read_until());
        let source = source.await?;
        let changes = changes_since(&source, &so_far.since).await?;
        let writer = self.begin(base, Some(&so_far.checkpoint));
        let header = self.header(&source).await?;
        let known = vec![so_far.known(changes)];
        let pass = Pass::new(self, &source, &writer, known).leaving_out();
        let keeper = Keeper::new(self, &source, &writer, &header, so_far.scanned_at);
        keeper.beside(pass.read_all()).await?;
        self.approach(&source, &keeper, so_far.scanned_at).await
    }

    /// Puts a checkpoint of what a pass has read, for another one to build upon.
    pub(super) async fn approach(
        &self,
        source: &SourceSnapshot,
        keeper: &Keeper<'_>,
        scanned_at: Timestamp,
    ) -> Result<Approach, Error> {
        let Some(since) = source.resume_point().await? else {
            return Err(Error::CannotFollow);
        };
        let checkpoint = keeper.put().await?;
        Ok(Approach {
            _held: self.engine.parts.repository.hold_checkpoint(&checkpoint),
            checkpoint,
            since,
            scanned_at,
        })
    }

    /// Reads what was written since the passes so far and what they lack at one time, and commits.
    async fn exact_pass(&self, base: Option<&Manifest>, so_far: &Approach) -> Result<Exact, Error> {
        let source = self
            .deployment
            .begin_snapshot_not_before(so_far.read_until());
        let source = source.await?;
        let header = self.header(&source).await?;
        let changes = changes_since(&source, &so_far.since).await?;
        let writer = self.begin(base, Some(&so_far.checkpoint));
        let mut pass = Pass::new(self, &source, &writer, vec![so_far.known(changes)]);
        if header.resume_point.is_some() {
            pass = pass.leaving_out();
        }
        let keeper = Keeper::new(self, &source, &writer, &header, so_far.scanned_at);
        if let Some(why) = keeper.beside(pass.read_all()).await? {
            let closer = self.approach(&source, &keeper, so_far.scanned_at).await?;
            return Ok(Exact::Lacking(Box::new(closer), why));
        }
        source.finish().await?;
        Ok(Exact::Whole(Box::new(writer.commit(header).await?)))
    }
}
