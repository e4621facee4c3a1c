//! A source at one cluster time, or as it is during a pass: its catalog, its documents, and what
//! changed since an earlier one. That the catalog belongs to the time is proven in `bracket.rs`.
//!
//! It must never be declared complete before every collection was read to its end.
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::bracket::{TRIES_MAX, listing, majority_time, refuse_unfinished};
use crate::describe::{Hello, Topology};
use crate::scan::{self, ReadAt, Scan};
use crate::server::Server;
use crate::{
    Catalog, ChangeLimits, Changes, Collection, CollectionKind, Error, FollowWay, RereadStream,
    ResumePoint, ScanStream,
};
use crate::{bracket, catalog, follow, reread};

/// A point in a replica set's history: seconds since 1970 and a count within the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: u32,
    /// Position within the second, from 1.
    pub increment: u32,
}

impl From<bson::Timestamp> for ClusterTime {
    fn from(timestamp: bson::Timestamp) -> Self {
        Self {
            seconds: timestamp.time,
            increment: timestamp.increment,
        }
    }
}

impl From<ClusterTime> for bson::Timestamp {
    fn from(time: ClusterTime) -> Self {
        Self {
            time: time.seconds,
            increment: time.increment,
        }
    }
}

impl std::fmt::Display for ClusterTime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "({}, {})", self.seconds, self.increment)
    }
}

/// A catalog and a time at which all of it can be read; cloning shares it.
#[derive(Clone)]
pub struct SourceSnapshot {
    inner: Arc<Inner>,
}

/// When everything is read.
#[derive(Clone, Copy)]
enum Moment {
    /// At no one time: a standalone server.
    Any,
    /// All at this time.
    At(ClusterTime),
    /// At no one time, but as a majority has it not earlier than this.
    Since(ClusterTime),
}

/// What scans share with the snapshot that they belong to.
pub(crate) struct Inner {
    pub(crate) server: Server,
    time: Moment,
    catalog: Catalog,
    /// Asked for at most once.
    point: OnceCell<Option<ResumePoint>>,
    /// Set once the server has refused a read by UUID for want of a privilege.
    pub(crate) by_name: AtomicBool,
    /// The UUIDs of the collections that were read to their end.
    read: Mutex<HashSet<[u8; 16]>>,
}

impl Inner {
    /// Remembers that a collection was read to its end.
    pub(crate) fn has_read(&self, uuid: [u8; 16]) {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(uuid);
    }
}

/// Picks a time, not earlier than `at_least`, and proves the catalog at it.
pub(crate) async fn begin(
    server: &Server,
    at_least: Option<ClusterTime>,
) -> Result<SourceSnapshot, Error> {
    let hello = Hello::ask(server).await?;
    if hello.topology == Topology::Sharded {
        return unsupported(
            "snapshots of sharded clusters; use a replica set or a standalone server",
        );
    }
    if hello.topology == Topology::Standalone {
        let listing = catalog::list(server).await?;
        refuse_unfinished(server).await?;
        return Ok(SourceSnapshot::new(server, Moment::Any, listing.catalog));
    }
    if !hello.has_snapshot_reads {
        return unsupported(
            "replica sets older than MongoDB 5.0, which has the first snapshot reads",
        );
    }
    let (time, catalog) = bracket::prove(server, hello.majority_time, at_least).await?;
    Ok(SourceSnapshot::new(server, Moment::At(time), catalog))
}

/// Begins to read at no one time, with a point from before the first read.
pub(crate) async fn begin_pass(
    server: &Server,
    at_least: Option<ClusterTime>,
) -> Result<SourceSnapshot, Error> {
    let since = newest_majority_time(server, at_least).await?;
    let point = follow::point(server, since, true).await?;
    refuse_unfinished(server).await?;
    let mut what = String::new();
    for _ in 0..TRIES_MAX {
        match listing(server).await? {
            Ok(listing) => {
                let pass = SourceSnapshot::new(server, Moment::Since(since), listing.catalog);
                let is_new = pass.inner.point.set(point).is_ok();
                assert!(is_new, "nobody else has it yet");
                return Ok(pass);
            }
            Err(change) => what = change,
        }
    }
    Err(Error::CatalogChanged { what })
}

/// What was written up to a time, and from where to follow on.
#[derive(Debug)]
pub struct Followed {
    /// What was written.
    pub changes: Changes,
    /// A time that a majority has.
    pub until: ClusterTime,
    /// The point at that time; none where it has to be followed from the beginning.
    pub point: Option<ResumePoint>,
}

/// Reads what was written since a point until now, which is not earlier than `at_least`.
pub(crate) async fn changes_until_now(
    server: &Server,
    since: &ResumePoint,
    limits: &ChangeLimits,
    at_least: Option<ClusterTime>,
) -> Result<Followed, Error> {
    let until = newest_majority_time(server, at_least).await?;
    // Before what led to it is read: it might be gone from the oplog after that.
    let point = match since.way() {
        FollowWay::Oplog => follow::point(server, until, since.of_pass()).await?,
        // Where a stream begins anew is dearer to find out than to follow from the beginning.
        FollowWay::ChangeStream => None,
    };
    let changes = follow::changes(server, since, until, limits).await?;
    Ok(Followed {
        changes,
        until,
        point,
    })
}

/// Reads single documents as they were at a time that a majority has.
pub(crate) fn reread_at(
    server: &Server,
    time: ClusterTime,
    collection: &Collection,
    ids: Vec<Bytes>,
) -> RereadStream {
    SourceSnapshot::new(server, Moment::At(time), Catalog::default()).reread(collection, ids)
}

/// Returns the newest time that a majority has; fails where there is no replica set.
async fn newest_majority_time(
    server: &Server,
    at_least: Option<ClusterTime>,
) -> Result<ClusterTime, Error> {
    let hello = Hello::ask(server).await?;
    match hello.topology {
        Topology::ReplicaSet { .. } if hello.has_snapshot_reads => {
            majority_time(server, at_least).await
        }
        _ => unsupported("following anything but a replica set of MongoDB 5.0 or later"),
    }
}

fn unsupported<T>(what: &str) -> Result<T, Error> {
    Err(Error::Unsupported {
        what: what.to_owned(),
    })
}

impl SourceSnapshot {
    fn new(server: &Server, time: Moment, catalog: Catalog) -> Self {
        let inner = Inner {
            server: server.clone(),
            time,
            catalog,
            point: OnceCell::new(),
            by_name: AtomicBool::new(false),
            read: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns the time that everything is read at; none for a pass and for a standalone server,
    /// whose collections are read one after the other without any consistency between them.
    pub fn time(&self) -> Option<ClusterTime> {
        match self.inner.time {
            Moment::At(time) => Some(time),
            Moment::Any | Moment::Since(_) => None,
        }
    }

    /// Returns a time that nothing that was read so far is later than; none for a standalone
    /// server. At one time it is that of all collections that are [`SourceSnapshot::exact`].
    pub async fn read_until(&self) -> Result<Option<ClusterTime>, Error> {
        match self.inner.time {
            Moment::Any => Ok(None),
            Moment::At(time) => Ok(Some(time)),
            Moment::Since(time) => {
                let now = majority_time(&self.inner.server, Some(time));
                now.await.map(Some)
            }
        }
    }

    /// Returns the catalog at that time.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Tells whether the collection is read as it was at [`SourceSnapshot::time`].
    ///
    /// Not so for capped collections, which refuse snapshot reads (they are read as they are at
    /// that moment, which is not earlier than the time), nor in passes and on standalone servers.
    pub fn exact(&self, collection: &Collection) -> bool {
        self.time().is_some() && !collection.is_capped()
    }

    /// Reads a collection of this catalog from beginning to end, in natural order, as raw batches
    /// of 1 to 4 MB. A view has none.
    ///
    /// The stream ends after its first error. [`Error::SnapshotLost`] means that the collection
    /// can no longer be read at this time: begin again. Dropping the stream closes the cursor.
    pub fn scan(&self, collection: &Collection) -> ScanStream {
        if collection.kind == CollectionKind::View {
            return scan::nothing();
        }
        let at = self.read_at(collection);
        scan::stream(Scan::of_snapshot(Arc::clone(&self.inner), collection, at))
    }

    fn read_at(&self, collection: &Collection) -> ReadAt {
        match self.inner.time {
            Moment::Any => ReadAt::Now,
            Moment::At(time) if !collection.is_capped() => ReadAt::Time(time),
            Moment::At(time) | Moment::Since(time) => ReadAt::MajoritySince(time),
        }
    }

    /// Returns the point from which a later snapshot can follow this one; none where nothing can
    /// be followed: a standalone server, or one where neither the oplog nor a change stream may be
    /// read. For a pass it is from before the first read.
    ///
    /// Asked for late, it may have gone from the oplog: ask before the scans.
    pub async fn resume_point(&self) -> Result<Option<ResumePoint>, Error> {
        let find = async || match self.inner.time {
            Moment::Any => Ok(None),
            Moment::At(time) => follow::point(&self.inner.server, time, false).await,
            Moment::Since(time) => follow::point(&self.inner.server, time, true).await,
        };
        self.inner.point.get_or_try_init(find).await.cloned()
    }

    /// Returns which documents were written after `since` and no later than this snapshot's time
    /// (for a pass: than its begin). [`Error::HistoryLost`] means: scan instead.
    pub async fn changes_since(
        &self,
        since: &ResumePoint,
        limits: &ChangeLimits,
    ) -> Result<Changes, Error> {
        match self.inner.time {
            Moment::Any => unsupported("following a standalone server, which has no oplog"),
            Moment::At(time) | Moment::Since(time) => {
                follow::changes(&self.inner.server, since, time, limits).await
            }
        }
    }

    /// Reads the documents of a collection that have one of `ids` (raw `_id` elements) at this
    /// snapshot's time, and marks the collection as read at the end.
    ///
    /// What is asked for and not found was deleted. A document may be found whose `_id` is equal to
    /// the server but not the same bytes (`1` and `1.0`, or by collation): take out the identity of
    /// what was found, too.
    pub fn reread(&self, collection: &Collection, ids: Vec<Bytes>) -> RereadStream {
        reread::stream(&self.inner, collection, self.read_at(collection), ids)
    }

    /// Says that a collection is as it was at the point that was followed from, and so needs no
    /// reading.
    pub fn unchanged(&self, collection: &Collection) {
        if let Some(uuid) = collection.uuid {
            self.inner.has_read(uuid);
        }
    }

    /// Proves that everything was read; call it after all scans, before the snapshot is declared
    /// complete.
    ///
    /// That each scan read the state at the time is proven scan by scan; what is left to prove is
    /// that no collection of the catalog was left out or broken off: [`Error::NotRead`].
    pub async fn finish(&self) -> Result<(), Error> {
        let read = self
            .inner
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let missing = self.inner.catalog.collections.iter().find(|collection| {
            collection.kind != CollectionKind::View
                && !collection.uuid.is_some_and(|uuid| read.contains(&uuid))
        });
        match missing {
            Some(collection) => Err(Error::NotRead {
                namespace: collection.namespace(),
            }),
            None => Ok(()),
        }
    }
}
