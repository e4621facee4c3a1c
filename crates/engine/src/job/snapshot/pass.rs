//! One reading of all collections, each with the least work that is known to be enough.
//!
//! A collection that nothing was written to is referred to as it is; of one that is known to have
//! changed little, the changed documents are read again; every other one is scanned. Must never
//! take a collection for unchanged that the changes do not cover.

use std::sync::{Mutex, PoisonError};

use futures::{FutureExt, TryStreamExt};
use mongo::{Change, Changes, Collection, CollectionKind, LostReason, SourceSnapshot};
use vault::{CollectionEditor, CollectionManifest, CollectionWriter, Manifest, SnapshotWriter};

use super::base::Since;
use super::{Error, Work};
use crate::lanes::Lanes;
use crate::namespace;
use crate::pump::{self, Counter, PumpError};

/// So many changed documents are always read one by one.
const REREAD_ALWAYS: u64 = 1_000;
/// At most one in so many documents may have changed for reading them one by one to cost less than
/// a scan: a document by its `_id` takes about eight times as long as one of a scan.
const REREAD_ONE_IN: u64 = 8;
/// The same where each takes a command of its own, which is about 35 times as long.
const REREAD_ONE_IN_CLUSTERED: u64 = 35;

/// A reading of all collections of a source into a writer.
pub(super) struct Pass<'a> {
    source: &'a SourceSnapshot,
    writer: &'a SnapshotWriter,
    /// What may be built upon; the first that has a collection decides about it.
    known: Vec<Known<'a>>,
    /// Whether a collection that cannot be read on may be left out, for another pass to read.
    may_leave_out: bool,
    /// Why the last one that was left out could not be read on.
    left_out: Mutex<Option<PumpError>>,
    lanes: Lanes,
    side_by_side: usize,
    counter: &'a Counter,
}

/// Collections that the writer was begun upon, and what was written to them since.
pub(super) struct Known<'a> {
    pub(super) collections: &'a [CollectionManifest],
    /// Whether the changes cover only those that are exact.
    pub(super) only_exact: bool,
    /// `None` where that cannot be told: all is read.
    pub(super) changes: Option<Changes>,
}

impl<'a> Known<'a> {
    /// Returns what the snapshot before has.
    pub(super) fn of_base(base: &'a Manifest, since: Option<Since>) -> Self {
        Self {
            collections: &base.collections,
            only_exact: false,
            changes: since.map(|since| since.changes),
        }
    }
}

/// How one collection is read.
enum Plan {
    Nothing(CollectionWriter),
    Scan(CollectionWriter),
    Edit(Box<CollectionEditor>, Vec<bytes::Bytes>),
}

impl<'a> Pass<'a> {
    /// Plans to read `source` into `writer`, which was begun upon what is known.
    pub(super) fn new(
        work: &Work<'a>,
        source: &'a SourceSnapshot,
        writer: &'a SnapshotWriter,
        known: Vec<Known<'a>>,
    ) -> Self {
        let side_by_side = work.engine.parts.config.cursors;
        Self {
            source,
            writer,
            known,
            may_leave_out: false,
            left_out: Mutex::default(),
            lanes: Lanes::new(side_by_side),
            side_by_side,
            counter: work.counter,
        }
    }

    /// Lets collections that are dropped meanwhile be left out; the caller has to make good for it.
    pub(super) fn leaving_out(self) -> Self {
        Self {
            may_leave_out: true,
            ..self
        }
    }

    /// Reads everything; returns why a collection was left out, where one was.
    pub(super) async fn read_all(mut self) -> Result<Option<PumpError>, Error> {
        // Begun in the catalog's order, so that manifests list collections the same way each time.
        let source = self.source;
        let mut plans = Vec::with_capacity(source.catalog().collections.len());
        for collection in &source.catalog().collections {
            plans.push((collection, self.plan(collection)?));
        }
        let mut work = Vec::with_capacity(plans.len());
        for (collection, plan) in plans {
            work.push(self.read(collection, plan).boxed());
        }
        pump::side_by_side(work, self.side_by_side).await?;
        let left_out = self.left_out.into_inner();
        Ok(left_out.unwrap_or_else(PoisonError::into_inner))
    }

    fn plan(&mut self, collection: &Collection) -> Result<Plan, Error> {
        let entry = namespace::entry(collection, self.source.exact(collection));
        if collection.kind == CollectionKind::View {
            return Ok(Plan::Nothing(self.writer.collection(entry)));
        }
        match self.written(collection) {
            Some(ids) => Ok(Plan::Edit(Box::new(self.writer.edit(entry)?), ids)),
            None => Ok(Plan::Scan(self.writer.collection(entry))),
        }
    }

    /// Returns which documents were written since the collection was known, where reading them is
    /// enough and costs less than a scan.
    fn written(&mut self, collection: &Collection) -> Option<Vec<bytes::Bytes>> {
        let (known, changes) = self.known.iter_mut().find_map(|known| {
            let stored = stored(known.collections, collection)?;
            // Another one's changes are of another time.
            let covered = stored.can_be_edited() && (stored.exact || !known.only_exact);
            Some((stored, known.changes.as_mut().filter(|_| covered)))
        })?;
        let changes = changes?;
        let one_in = match collection.is_clustered() {
            true => REREAD_ONE_IN_CLUSTERED,
            false => REREAD_ONE_IN,
        };
        let worthwhile = REREAD_ALWAYS.max(known.documents / one_in);
        match changes.take(collection) {
            Change::Unchanged => Some(Vec::new()),
            Change::Documents(ids) if ids.len() as u64 <= worthwhile => Some(ids),
            Change::Documents(_) | Change::Unknown(_) => None,
        }
    }

    async fn read(&self, collection: &Collection, plan: Plan) -> Result<(), Error> {
        let read = match plan {
            Plan::Nothing(writer) => return Ok(writer.finish().await.map(drop)?),
            Plan::Scan(writer) => self.scan(collection, writer).await,
            Plan::Edit(editor, ids) => self.edit(collection, editor, ids).await,
        };
        Ok(read?)
    }

    async fn scan(
        &self,
        collection: &Collection,
        mut writer: CollectionWriter,
    ) -> Result<(), PumpError> {
        let read = pump::down(
            self.source,
            collection,
            &mut writer,
            &self.lanes,
            self.counter,
        );
        match read.await {
            Ok(()) => writer.finish().await.map(drop)?,
            Err(error) => {
                self.leave_out(collection, error, false)?;
                writer.discard();
            }
        }
        Ok(())
    }

    async fn edit(
        &self,
        collection: &Collection,
        mut editor: Box<CollectionEditor>,
        ids: Vec<bytes::Bytes>,
    ) -> Result<(), PumpError> {
        if ids.is_empty() {
            self.source.unchanged(collection);
            editor.finish().await?;
            return Ok(());
        }
        let _lane = self.lanes.one().await;
        match self.reread(collection, &mut editor, ids).await {
            Ok(()) => editor.finish().await.map(drop)?,
            Err(error) => {
                self.leave_out(collection, error, true)?;
                editor.discard();
            }
        }
        Ok(())
    }

    async fn reread(
        &self,
        collection: &Collection,
        editor: &mut CollectionEditor,
        ids: Vec<bytes::Bytes>,
    ) -> Result<(), PumpError> {
        let mut found = self.source.reread(collection, ids);
        while let Some((asked, documents)) = found.try_next().await? {
            let documents = pump::counted(documents, self.counter);
            editor.replace(&asked, documents).await?;
        }
        Ok(())
    }

    /// Takes note that a collection is left out because of an error; gives the error back where it
    /// must not be. The next pass reads it whole if it is still there: so a collection of which
    /// only a part was to be read is left out only where it will hardly be there.
    fn leave_out(
        &self,
        collection: &Collection,
        error: PumpError,
        is_part: bool,
    ) -> Result<(), PumpError> {
        let reason = match &error {
            PumpError::Mongo(mongo::Error::SnapshotLost { reason, .. }) => Some(*reason),
            _ => None,
        };
        let may_be = match reason {
            None | Some(LostReason::TooOld) => false,
            Some(LostReason::Gone) => true,
            Some(_) => !is_part || self.source.time().is_none(),
        };
        if !may_be || !self.may_leave_out {
            return Err(error);
        }
        tracing::info!(
            collection.name = collection.namespace(),
            "left out: {error}"
        );
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        *left_out = Some(error);
        Ok(())
    }
}

/// Returns what is known of the same collection.
fn stored<'a>(
    known: &'a [CollectionManifest],
    collection: &Collection,
) -> Option<&'a CollectionManifest> {
    let uuid = collection.uuid?;
    known.iter().find(|stored| stored.uuid == Some(uuid))
}
