//! The steps that all ways of putting a snapshot back are made of.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use model::{CollectionAction, CollectionReport, Proof, RestoreReport};
use mongo::{Collection, Move, Target};
use vault::{CollectionManifest, Fingerprint, Manifest};

use super::Error;
use super::items::{Item, Items};
use crate::Engine;
use crate::lanes::Lanes;
use crate::pump::{self, SharedCounter};
use crate::under_way::UnderWay;
use crate::worker::in_words;

/// How long to wait for commands that nobody waits for any more.
const UNDER_WAY_WAIT: Duration = Duration::from_secs(60);

/// What one restore works with.
pub(super) struct Put<'a> {
    pub(super) engine: &'a Engine,
    manifest: Arc<Manifest>,
    /// Keeps what is read from the sweeps, whatever becomes of the snapshot meanwhile.
    _kept: vault::Held,
    pub(super) items: Items,
    pub(super) target: Target,
    /// Whether everything is to be read in the end, also where history would prove it.
    pub(super) reads_whole: bool,
    lanes: Lanes,
    under_way: UnderWay,
    counter: &'a SharedCounter,
}

/// Says that what was found is not what the snapshot holds.
pub(super) fn mismatch(item: &Item, found: Fingerprint, expected: Fingerprint) -> Error {
    let what = if found.documents == expected.documents {
        "its documents differ".to_owned()
    } else {
        let (found, expected) = (found.documents, expected.documents);
        format!("{found} documents instead of {expected}")
    };
    Error::Mismatch {
        namespace: item.wanted.namespace(),
        what,
    }
}

/// An item under the name that it is loaded by.
pub(super) struct Loading<'a> {
    pub(super) item: &'a Item,
    pub(super) under: Collection,
    pub(super) action: CollectionAction,
}

/// Items under names beside, and how each takes its own.
pub(super) struct Staged<'a> {
    pub(super) moves: Vec<Move>,
    /// In the same order.
    pub(super) all: Vec<Loading<'a>>,
}

impl<'a> Put<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        manifest: Arc<Manifest>,
        items: Items,
        target: Target,
        counter: &'a SharedCounter,
    ) -> Self {
        let put = Self {
            engine,
            _kept: engine.parts.repository.hold(&manifest),
            manifest,
            items,
            target,
            reads_whole: false,
            lanes: Lanes::new(engine.parts.config.cursors),
            under_way: UnderWay::default(),
            counter,
        };
        counter.reset();
        let (documents, bytes) = put.totals();
        counter.set_total(documents, bytes);
        put
    }

    /// Returns where to follow the source from to learn what changed since the snapshot.
    pub(super) fn resume_point(&self) -> Option<&[u8]> {
        self.manifest.resume_point.as_deref()
    }

    /// Returns documents and their bytes in all that is put back.
    pub(super) fn totals(&self) -> (u64, u64) {
        let stored = self.items.list.iter().map(|item| self.stored(item));
        stored.fold((0, 0), |(documents, bytes), stored| {
            (documents + stored.documents, bytes + stored.bytes)
        })
    }

    /// Counts documents as done.
    pub(super) fn count(&self, documents: u64, bytes: u64) {
        self.counter.add(documents, bytes);
    }

    /// Loads collections beside, proves them there and lets each take its name; the target must be
    /// marked as one that is being changed.
    pub(super) async fn load_and_flip(
        &self,
        items: &[&Item],
    ) -> Result<Vec<CollectionReport>, Error> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let staged = self.stage(items).await?;
        self.load_all(&staged.all).await?;
        let rows = self.verify_all(&staged.all).await?;
        self.take_names(staged.moves).await?;
        Ok(rows)
    }

    /// Gives each a name beside, which the journal has from then on; makes none of them.
    pub(super) async fn stage<'b>(&self, items: &[&'b Item]) -> Result<Staged<'b>, Error> {
        let wanted: Vec<Collection> = items.iter().map(|item| item.wanted.clone()).collect();
        let present = self.target.catalog().await?;
        let moves = self.target.stage(&wanted, &present).await?;
        let all = items.iter().zip(&moves).map(|(item, one)| Loading {
            item,
            under: item.wanted.renamed(&one.beside),
            action: CollectionAction::Loaded,
        });
        let all = all.collect();
        Ok(Staged { moves, all })
    }

    /// Lets what was loaded beside and proved take its names, and proves that it has them.
    pub(super) async fn take_names(&self, moves: Vec<Move>) -> Result<(), Error> {
        let moves = self.durable(moves).await?;
        for one in &moves {
            self.target.flip(one).await?;
        }
        Ok(self.target.require_flipped(&moves).await?)
    }

    /// The same for names that nothing had: what somebody made under one of them meanwhile stays,
    /// and is an error.
    pub(super) async fn take_free_names(&self, moves: Vec<Move>) -> Result<(), Error> {
        let moves = self.durable(moves).await?;
        for one in &moves {
            self.target.take_free_name(one).await?;
        }
        Ok(self.target.require_flipped(&moves).await?)
    }

    /// Waits until what was loaded beside is durable, and notes what each collection is.
    async fn durable(&self, mut moves: Vec<Move>) -> Result<Vec<Move>, Error> {
        self.target.barrier().await?;
        self.target.identify(&mut moves).await?;
        Ok(moves)
    }

    /// Fails where less than a whole snapshot must not be put onto the target, or cannot be.
    pub(super) async fn require_room_for_a_part(&self) -> Result<(), Error> {
        self.target.require_whole().await?;
        let present = self.target.catalog().await?;
        let wanted = self.items.list.iter().map(|item| &item.wanted);
        Ok(present.require_no_clash(wanted)?)
    }

    /// Drops and loads what no server can rename.
    pub(super) async fn load_at_the_flip(
        &self,
        items: &[&Item],
    ) -> Result<Vec<CollectionReport>, Error> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for item in items {
            self.target.remove(&item.wanted).await?;
            all.push(Loading {
                item,
                under: item.wanted.clone(),
                action: CollectionAction::LoadedAtTheFlip,
            });
        }
        self.load_all(&all).await?;
        self.verify_all(&all).await
    }

    pub(super) fn stored(&self, item: &Item) -> &CollectionManifest {
        &self.manifest.collections[item.place]
    }

    /// Creates, loads and indexes each under its name there, some side by side.
    pub(super) async fn load_all(&self, all: &[Loading<'_>]) -> Result<(), Error> {
        let work = all.iter().map(|one| self.load(one).boxed()).collect();
        pump::side_by_side(work, self.engine.parts.config.cursors).await?;
        Ok(())
    }

    /// Makes sure that nothing makes a collection again once it is dropped: after an error in one,
    /// what was sent for the others goes on at the server. Answers whether all of it ended; where
    /// not, the journal has to stay.
    pub(super) async fn still(&self) -> bool {
        let ended = || tokio::time::timeout(UNDER_WAY_WAIT, self.under_way.ended());
        if ended().await.is_ok() {
            return true;
        }
        // What takes so long is a build of indexes; it ends with its collection.
        if let Err(error) = self.target.drop_beside().await {
            tracing::warn!(%error, "what was loaded beside is not dropped yet");
        }
        ended().await.is_ok()
    }

    /// Says that the target is neither what it was nor what it should be, once nothing that was
    /// sent changes it any more.
    pub(super) async fn incomplete(&self, error: &Error) -> Error {
        self.still().await;
        Error::Incomplete(in_words(error))
    }

    async fn load(&self, one: &Loading<'_>) -> Result<(), Error> {
        let stored = self.stored(one.item);
        let overflows = one.under.overflows(stored.documents, stored.bytes);
        let (target, under) = (self.target.clone(), one.under.clone());
        self.run(async move { target.create(&under).await }).await?;
        if overflows {
            let (documents, bytes) = (stored.documents, stored.bytes);
            self.target
                .lift_limits(&one.under, documents, bytes)
                .await?;
        }
        pump::up(
            &self.engine.parts.repository,
            stored,
            &self.target.loader(&one.under),
            &self.lanes,
            &self.under_way,
            self.counter,
        )
        .await?;
        if overflows {
            self.target.restore_limits(&one.under).await?;
        }
        let (target, under) = (self.target.clone(), one.under.clone());
        self.run(async move { target.build_indexes(&under).await })
            .await?;
        Ok(())
    }

    /// Runs a command that is waited for although nobody wants to know what comes of it any more.
    async fn run<R: Send + 'static>(
        &self,
        command: impl Future<Output = Result<R, mongo::Error>> + Send + 'static,
    ) -> Result<R, Error> {
        let ended = self.under_way.start(command).await;
        Ok(ended.expect("a command does not panic")?)
    }

    /// Reads everything back that was loaded, and compares; only then may anything in it expire.
    pub(super) async fn verify_all(
        &self,
        all: &[Loading<'_>],
    ) -> Result<Vec<CollectionReport>, Error> {
        // What is read back with majority read concern must have arrived there.
        self.target.barrier().await?;
        let work = all.iter().map(|one| self.verify(one).boxed()).collect();
        pump::side_by_side(work, self.engine.parts.config.cursors).await
    }

    async fn verify(&self, one: &Loading<'_>) -> Result<CollectionReport, Error> {
        self.require_equal(one.item, &one.under).await?;
        let (target, under) = (self.target.clone(), one.under.clone());
        self.run(async move { target.finish_collection(&under).await })
            .await?;
        Ok(self.row(one.item, one.action))
    }

    /// Fails unless a collection of the target has exactly the documents of the snapshot.
    pub(super) async fn require_equal(&self, item: &Item, under: &Collection) -> Result<(), Error> {
        let batches = self.target.read_back(under);
        let found = pump::fingerprint(&self.engine.parts.repository, batches).await?;
        let expected = self.stored(item).fingerprint();
        if found == expected {
            return Ok(());
        }
        Err(mismatch(item, found, expected))
    }

    /// Returns the row of what was loaded whole and found equal.
    pub(super) fn row(&self, item: &Item, action: CollectionAction) -> CollectionReport {
        let stored = self.stored(item);
        CollectionReport {
            namespace: item.wanted.namespace(),
            action,
            documents: stored.documents,
            size_bytes: stored.bytes,
            changed: stored.documents,
            verified: true,
            proof: match action {
                CollectionAction::View => Proof::Catalog,
                _ => Proof::ReadBack,
            },
        }
    }

    /// Reads what the store has of these, so that what cannot be read is found out before
    /// anything is removed to make room for it.
    pub(super) async fn read_through(&self, all: &[&Item]) -> Result<(), Error> {
        let repository = &self.engine.parts.repository;
        let work = all.iter().map(|item| {
            let stored = self.stored(item);
            async move { pump::read_through(repository, stored, &self.lanes).await }.boxed()
        });
        pump::side_by_side(work.collect(), self.engine.parts.config.cursors).await?;
        Ok(())
    }

    /// Puts the views right, and says so in rows. What differs goes first: a server refuses a view
    /// over another one that compares text differently.
    pub(super) async fn put_views(&self) -> Result<Vec<CollectionReport>, Error> {
        let present = self.target.catalog().await?;
        for item in self.items.views() {
            let wanted = &item.wanted;
            let found = present.find(&wanted.database, &wanted.name);
            if found.is_some_and(|found| wanted.difference(found).is_some()) {
                self.target.remove(wanted).await?;
            }
        }
        let mut rows = Vec::new();
        for item in self.items.views() {
            self.target.create_view(&item.wanted).await?;
            rows.push(self.row(item, CollectionAction::View));
        }
        Ok(rows)
    }

    /// Compares the catalog, removes the mark, and gives the rows in order.
    pub(super) async fn end(
        &self,
        mut rows: Vec<CollectionReport>,
    ) -> Result<RestoreReport, Error> {
        self.target.barrier().await?;
        let wanted = self.items.catalog();
        let mut found = self.target.catalog().await?;
        if self.items.is_part {
            let concerned = |one: &Collection| wanted.find(&one.database, &one.name).is_some();
            found.collections.retain(concerned);
        }
        if let Some(difference) = wanted.differences(&found).into_iter().next() {
            return Err(Error::Mismatch {
                namespace: difference.namespace,
                what: difference.what,
            });
        }
        self.target.held().await?;
        self.target.release().await?;
        rows.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        Ok(RestoreReport { collections: rows })
    }

    /// Returns the rows of what is no longer there.
    pub(super) fn dropped(namespaces: Vec<String>) -> impl Iterator<Item = CollectionReport> {
        namespaces.into_iter().map(|namespace| CollectionReport {
            namespace,
            action: CollectionAction::Dropped,
            documents: 0,
            size_bytes: 0,
            changed: 0,
            verified: true,
            proof: Proof::Catalog,
        })
    }
}
