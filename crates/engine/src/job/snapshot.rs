//! Taking one snapshot, in whichever way costs least; all three end in the same manifest.
//!
//! *Follow* where the server tells what changed since the snapshot before, *scan* otherwise, and
//! *converge* when a scan cannot end before its time leaves the server's history. A collection that
//! is dropped while it is read costs another reading, at a later time, of what has changed since;
//! where that cannot be told, a new start, which goes on from the last checkpoint. The manifest is
//! the commit point: an attempt that finds one already written by
//! an earlier attempt only has to say so.

mod base;
mod converge;
mod pass;
mod resume;

use std::time::Duration;

use model::{Cluster, Consistency, SnapshotCost, SnapshotOutcome, SnapshotWay, Timestamp};
use mongo::{Deployment, Description, LostReason, SourceSnapshot, Topology};
use vault::{Checkpoint, Manifest, SnapshotHeader, Source, WriteOptions};

use self::base::{Base, Since};
use self::pass::{Known, Pass};
use self::resume::{Keeper, Resumed};
use crate::Engine;
use crate::pump::{Counter, PumpError};

/// Starts of one attempt: each at a later time than the one before.
const STARTS_MAX: u32 = 5;

/// Pause after the first start that failed for a passing reason; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a snapshot failed; what is shown of it holds no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Pump(PumpError),
    #[error("sharded clusters are not supported yet")]
    Sharded,
    #[error(
        "the snapshot takes longer than the server keeps the past, and what changes meanwhile \
         cannot be followed; grant the user the role `backup`"
    )]
    CannotFollow,
    #[error(
        "what is written while the snapshot is taken is more than can be read within the \
         server's history window; lengthen minSnapshotHistoryWindowInSeconds"
    )]
    NotConverging,
}

impl<E: Into<PumpError>> From<E> for Error {
    fn from(error: E) -> Self {
        Error::Pump(error.into())
    }
}

impl Error {
    fn is_transient(&self) -> bool {
        matches!(self, Error::Pump(error) if error.is_transient())
    }

    /// Tells whether reading took longer than the server keeps the past.
    fn is_too_late(&self) -> bool {
        matches!(
            self,
            Error::Pump(PumpError::Mongo(mongo::Error::SnapshotLost {
                reason: LostReason::TooOld,
                ..
            }))
        )
    }

    /// Tells whether it cannot be known what changed.
    fn is_history_lost(&self) -> bool {
        matches!(
            self,
            Error::Pump(PumpError::Mongo(mongo::Error::HistoryLost { .. }))
        )
    }

    /// Tells whether the store could not give what it says it has.
    fn is_damage(&self) -> bool {
        matches!(self, Error::Pump(error) if error.is_damage())
    }
}

/// A snapshot that is whole in the store.
pub(crate) struct Taken {
    /// Version of the server it was taken from.
    pub(crate) version: String,
    /// What it became.
    pub(crate) outcome: SnapshotOutcome,
}

/// What the starts before have taught.
struct Start {
    /// The way to go if it can be gone.
    way: SnapshotWay,
    /// Why not a cheaper one.
    reason: Option<String>,
    /// Whether something that was stored before turned out to be damaged: all is read again.
    distrusts: bool,
}

/// Takes the snapshot `id` of `cluster`, or finds that an earlier attempt already has.
///
/// Cancel it by dropping: nothing but unreferenced packs and a checkpoint stay behind.
pub(crate) async fn take(
    engine: &Engine,
    cluster: &Cluster,
    id: model::SnapshotId,
    counter: &Counter,
) -> Result<Taken, Error> {
    let stored_id = vault::SnapshotId(id.to_bytes());
    match engine.parts.repository.manifest(stored_id).await {
        Ok(manifest) => {
            return Ok(Taken {
                version: manifest.source.server_version.clone().unwrap_or_default(),
                outcome: outcome(&manifest, None),
            });
        }
        Err(error) if error.kind() == vault::ErrorKind::Missing => {}
        Err(error) => return Err(error.into()),
    }
    let mut start = Start {
        way: engine
            .parts
            .config
            .snapshot_way
            .unwrap_or(SnapshotWay::Follow),
        reason: None,
        distrusts: false,
    };
    let mut pause = PAUSE;
    for number in 1.. {
        counter.reset();
        let error = match once(engine, cluster, stored_id, &start, counter).await {
            Ok(taken) => return Ok(taken),
            Err(error) => error,
        };
        if number == STARTS_MAX || !start.learn(engine, &error) {
            return Err(error);
        }
        tracing::warn!(
            cluster.id = %cluster.id, snapshot.id = %id, start = number,
            "snapshot starts again at a later time: {error}"
        );
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    unreachable!("the last start returns")
}

impl Start {
    /// Returns whether another start may do better, and in which way.
    fn learn(&mut self, engine: &Engine, error: &Error) -> bool {
        let forced = engine.parts.config.snapshot_way.is_some();
        if error.is_damage() && !self.distrusts {
            self.distrusts = true;
            if self.way == SnapshotWay::Follow {
                self.way = SnapshotWay::Scan;
            }
            self.reason = Some(format!("what was stored cannot be built upon: {error}"));
            return true;
        }
        if error.is_too_late() && !forced && self.way != SnapshotWay::Converge {
            self.way = SnapshotWay::Converge;
            self.reason = Some("a scan takes longer than the server keeps the past".to_owned());
        }
        error.is_transient()
    }
}

/// What all passes of one start share.
struct Work<'a> {
    engine: &'a Engine,
    cluster: &'a Cluster,
    id: vault::SnapshotId,
    deployment: Deployment,
    description: Description,
    counter: &'a Counter,
}

async fn once(
    engine: &Engine,
    cluster: &Cluster,
    id: vault::SnapshotId,
    start: &Start,
    counter: &Counter,
) -> Result<Taken, Error> {
    let deployment = engine.connect(cluster.id).await?;
    let description = deployment.describe().await?;
    if description.topology == Topology::Sharded {
        return Err(Error::Sharded);
    }
    deployment.require_source().await?;
    remember(engine, cluster, &description).await;
    let work = Work {
        engine,
        cluster,
        id,
        deployment,
        description,
        counter,
    };
    let base = base::newest(engine, cluster).await;
    let checkpoint = resume::newest(engine, id).await;
    let can_converge = work.description.topology != Topology::Standalone;
    if start.way == SnapshotWay::Converge && can_converge {
        work.converge(base, checkpoint, start).await
    } else {
        work.at_one_time(base, checkpoint, start).await
    }
}

impl Work<'_> {
    /// Reads everything at one time: what changed where that can be told, all of it otherwise.
    async fn at_one_time(
        &self,
        base: Option<Base>,
        checkpoint: Option<Checkpoint>,
        start: &Start,
    ) -> Result<Taken, Error> {
        let read_until = checkpoint.as_ref().and_then(resume::read_until);
        let source = self.deployment.begin_snapshot_not_before(read_until);
        let source = source.await?;
        // Now, because the oplog may have passed this time by when everything is read.
        let header = self.header(&source).await?;
        let (since_base, why_not) = match (&base, &start.reason) {
            _ if start.way == SnapshotWay::Scan => (None, start.reason.clone()),
            (None, _) => (None, Some("there is no snapshot before".to_owned())),
            (Some(base), _) => match base.changes(self.engine, &source).await? {
                Ok(since) => (Some(since), None),
                Err(reason) => (None, Some(reason)),
            },
        };
        let way = match since_base {
            Some(_) => SnapshotWay::Follow,
            None => SnapshotWay::Scan,
        };
        let mut resumed = self.resumed(&source, checkpoint, start).await?;
        let reason = because(why_not, resumed.as_ref());
        let scanned_at = self.scanned_at(since_base.as_ref(), resumed.as_ref());
        let before = base.as_ref().map(|base| &base.manifest);
        let writer = self.begin(before, resumed.as_ref().map(|resumed| &resumed.checkpoint));
        let mut known: Vec<Known<'_>> = resumed.iter_mut().map(Resumed::known).collect();
        known.extend(before.map(|base| Known::of_base(base, since_base)));
        let mut pass = Pass::new(self, &source, &writer, known);
        if header.resume_point.is_some() {
            pass = pass.leaving_out();
        }
        let keeper = Keeper::new(self, &source, &writer, &header, scanned_at);
        let manifest = match keeper.beside(pass.read_all()).await? {
            None => {
                source.finish().await?;
                writer.commit(header).await?
            }
            Some(why) => {
                let approach = self.approach(&source, &keeper, scanned_at).await?;
                drop(writer);
                self.close_in(before, approach).await.map_err(|error| {
                    // What changed meanwhile cannot be told: so it has to be begun anew.
                    if error.is_history_lost() {
                        why.into()
                    } else {
                        error
                    }
                })?
            }
        };
        Ok(self.taken(&manifest, way, reason, scanned_at))
    }

    /// Returns when what a pass does not read again was last read.
    fn scanned_at(&self, base: Option<&Since>, resumed: Option<&Resumed>) -> Timestamp {
        let of_base = base.map(|since| since.scanned_at);
        let of_resumed = resumed.and_then(Resumed::scanned_at);
        let oldest = of_base.into_iter().chain(of_resumed).min();
        oldest.unwrap_or_else(|| self.engine.now())
    }

    /// Returns what earlier starts and attempts have stored, with what was written since.
    async fn resumed(
        &self,
        source: &SourceSnapshot,
        checkpoint: Option<Checkpoint>,
        start: &Start,
    ) -> Result<Option<Resumed>, Error> {
        let Some(checkpoint) = checkpoint else {
            return Ok(None);
        };
        let resumed = Resumed::new(self, source, checkpoint, start.distrusts).await?;
        tracing::info!(cluster.id = %self.cluster.id, snapshot.id = %self.id,
            "{}", resumed.reason());
        Ok(Some(resumed))
    }

    fn begin(
        &self,
        base: Option<&Manifest>,
        checkpoint: Option<&Checkpoint>,
    ) -> vault::SnapshotWriter {
        let options = WriteOptions {
            compression_level: self.engine.parts.config.compression_level,
            ..WriteOptions::default()
        };
        let repository = &self.engine.parts.repository;
        match checkpoint {
            Some(checkpoint) => repository.resume(options, base, checkpoint),
            None => repository.begin_upon(options, base),
        }
    }

    async fn header(&self, source: &SourceSnapshot) -> Result<SnapshotHeader, Error> {
        let resume_point = source.resume_point().await?;
        Ok(SnapshotHeader {
            snapshot: self.id,
            created_at_ms: u64::try_from(self.engine.now().as_millis()).unwrap_or(0),
            source: source_of(self.cluster, &self.description),
            consistency: source.time().map(stored_time),
            resume_point: resume_point.map(|point| point.to_bytes()),
        })
    }

    /// Says what a snapshot became and what it cost.
    fn taken(
        &self,
        manifest: &Manifest,
        way: SnapshotWay,
        reason: Option<String>,
        scanned_at: Timestamp,
    ) -> Taken {
        let read = self.counter.progress();
        let cost = SnapshotCost {
            way,
            reason,
            documents_read: read.documents,
            size_bytes_read: read.size_bytes,
            documents_stored: manifest.totals.documents_new.unwrap_or_default(),
            documents_shared: manifest.totals.documents_shared.unwrap_or_default(),
            scanned_at: Some(scanned_at),
        };
        Taken {
            version: self.description.version.text.clone(),
            outcome: outcome(manifest, Some(cost)),
        }
    }
}

fn stored_time(time: mongo::ClusterTime) -> vault::ClusterTime {
    vault::ClusterTime {
        seconds: time.seconds,
        increment: time.increment,
    }
}

/// Says for people why not a cheaper way was gone, and what was gone on from.
fn because(why_not: Option<String>, resumed: Option<&Resumed>) -> Option<String> {
    let resumed = resumed.map(Resumed::reason);
    let reasons: Vec<String> = why_not.into_iter().chain(resumed).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Keeps what the server says of itself now, since servers are upgraded.
async fn remember(engine: &Engine, cluster: &Cluster, found: &Description) {
    let meta = &engine.parts.meta;
    let (version, now) = (&found.version.text, engine.now());
    if let Err(error) = meta
        .cluster_seen(cluster.id, version, replica_set(found), now)
        .await
    {
        tracing::warn!(cluster.id = %cluster.id, error = ?error, "a new version was not kept");
    }
}

fn replica_set(found: &Description) -> Option<&str> {
    match &found.topology {
        Topology::ReplicaSet { name } => Some(name.as_str()),
        Topology::Standalone | Topology::Sharded => None,
    }
}

fn source_of(cluster: &Cluster, found: &Description) -> Source {
    Source {
        cluster_id: Some(cluster.id.to_string()),
        cluster_name: Some(cluster.name.clone()),
        server_version: Some(found.version.text.clone()),
        replica_set: replica_set(found).map(ToOwned::to_owned),
        feature_compatibility_version: found.feature_compatibility_version.clone(),
    }
}

/// Returns what the domain keeps of a manifest; `cost` where this attempt took it.
fn outcome(manifest: &Manifest, cost: Option<SnapshotCost>) -> SnapshotOutcome {
    let consistency = match manifest.consistency {
        Some(time) => Consistency::Snapshot(model::ClusterTime {
            seconds: time.seconds,
            increment: time.increment,
        }),
        None => Consistency::None,
    };
    SnapshotOutcome {
        consistency,
        documents: manifest.totals.documents,
        size_bytes: manifest.totals.bytes,
        stored_bytes: manifest.totals.stored_bytes,
        collections: u32::try_from(manifest.collections.len()).unwrap_or(u32::MAX),
        cost,
    }
}
