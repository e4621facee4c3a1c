//! Taking one snapshot by scan: all collections at one cluster time, by UUID.
//!
//! A collection that is dropped or renamed while it is read, or a history window that
//! passes, costs a new start at a later time; packs of the abandoned start are garbage that
//! the sweep collects. The manifest is the commit point: an attempt that finds one already
//! written by an earlier attempt only has to say so.

use std::time::Duration;

use futures::FutureExt;
use model::{Cluster, Consistency, Page, SnapshotCost, SnapshotOutcome, SnapshotWay, Status};
use mongo::{CollectionKind, Description, SourceSnapshot, Topology};
use vault::{Manifest, SnapshotHeader, Source, WriteOptions};

use crate::deployment::ConnectError;
use crate::lanes::Lanes;
use crate::pump::{self, Counter, PumpError};
use crate::{Engine, namespace};

/// Starts of one attempt: each at a later time than the one before.
const STARTS_MAX: u32 = 5;

/// Pause after the first start that failed for a passing reason; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a snapshot failed; what is shown of it holds no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Pump(#[from] PumpError),
    #[error("sharded clusters are not supported yet")]
    Sharded,
}

impl From<mongo::Error> for Error {
    fn from(error: mongo::Error) -> Self {
        Error::Pump(PumpError::Mongo(error))
    }
}

impl From<vault::Error> for Error {
    fn from(error: vault::Error) -> Self {
        Error::Pump(PumpError::Vault(error))
    }
}

impl Error {
    fn is_transient(&self) -> bool {
        match self {
            Error::Pump(PumpError::Mongo(error))
            | Error::Connect(ConnectError::Deployment(error)) => error.is_transient(),
            _ => false,
        }
    }
}

/// A snapshot that is whole in the store.
pub(crate) struct Taken {
    /// Version of the server it was taken from.
    pub(crate) version: String,
    /// What it became.
    pub(crate) outcome: SnapshotOutcome,
}

/// Takes the snapshot `id` of `cluster`, or finds that an earlier attempt already has.
///
/// Cancel it by dropping: nothing but unreferenced packs stay behind.
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
    let mut pause = PAUSE;
    for start in 1.. {
        counter.reset();
        match scan(engine, cluster, stored_id, counter).await {
            Err(error) if error.is_transient() && start < STARTS_MAX => {
                tracing::warn!(
                    cluster.id = %cluster.id, snapshot.id = %id, start,
                    "snapshot starts again at a later time: {error}"
                );
            }
            ended => return ended,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    unreachable!("the last start returns")
}

async fn scan(
    engine: &Engine,
    cluster: &Cluster,
    id: vault::SnapshotId,
    counter: &Counter,
) -> Result<Taken, Error> {
    let deployment = engine.connect(cluster.id).await?;
    let description = deployment.describe().await?;
    let replica_set = match &description.topology {
        Topology::ReplicaSet { name } => Some(name.clone()),
        Topology::Standalone => None,
        Topology::Sharded => return Err(Error::Sharded),
    };
    deployment.require_source().await?;
    remember(engine, cluster, &description).await;
    let source = deployment.begin_snapshot().await?;
    let options = WriteOptions {
        compression_level: engine.parts.config.compression_level,
        ..WriteOptions::default()
    };
    let base = newest(engine, cluster).await;
    let writer = engine.parts.repository.begin_upon(options, base.as_ref());
    read_all(engine, &source, &writer, counter).await?;
    source.finish().await?;
    let header = SnapshotHeader {
        snapshot: id,
        created_at_ms: u64::try_from(engine.now().as_millis()).unwrap_or(0),
        source: source_of(cluster, &description, replica_set),
        consistency: source.time().map(|time| vault::ClusterTime {
            seconds: time.seconds,
            increment: time.increment,
        }),
        resume_point: None,
    };
    let manifest = writer.commit(header).await?;
    let cost = SnapshotCost {
        way: SnapshotWay::Scan,
        reason: None,
        documents_read: manifest.totals.documents,
        size_bytes_read: manifest.totals.bytes,
        documents_stored: manifest.totals.documents_new.unwrap_or_default(),
        documents_shared: manifest.totals.documents_shared.unwrap_or_default(),
    };
    Ok(Taken {
        version: description.version.text,
        outcome: outcome(&manifest, Some(cost)),
    })
}

/// Keeps what the server says of itself now, since servers are upgraded.
async fn remember(engine: &Engine, cluster: &Cluster, found: &Description) {
    let replica_set = match &found.topology {
        Topology::ReplicaSet { name } => Some(name.as_str()),
        Topology::Standalone | Topology::Sharded => None,
    };
    let meta = &engine.parts.meta;
    let (version, now) = (&found.version.text, engine.now());
    if let Err(error) = meta
        .cluster_seen(cluster.id, version, replica_set, now)
        .await
    {
        tracing::warn!(cluster.id = %cluster.id, error = ?error, "a new version was not kept");
    }
}

/// Returns the newest completed snapshot of the cluster that can be read; without one, all is new.
async fn newest(engine: &Engine, cluster: &Cluster) -> Option<Manifest> {
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
            Ok(manifest) => return Some(manifest),
            Err(error) => tracing::warn!(
                snapshot.id = %snapshot.id,
                "an earlier snapshot cannot be read, so nothing is shared with it: {error}"
            ),
        }
    }
    None
}

async fn read_all(
    engine: &Engine,
    source: &SourceSnapshot,
    writer: &vault::SnapshotWriter,
    counter: &Counter,
) -> Result<(), Error> {
    let cursors = engine.parts.config.cursors;
    let lanes = Lanes::new(cursors);
    // Begun in the catalog's order, so that manifests list collections the same way each time.
    let mut work = Vec::with_capacity(source.catalog().collections.len());
    for collection in &source.catalog().collections {
        let entry = namespace::entry(collection, source.exact(collection));
        work.push(
            read(
                source,
                collection,
                writer.collection(entry),
                &lanes,
                counter,
            )
            .boxed(),
        );
    }
    pump::side_by_side(work, cursors).await?;
    Ok(())
}

async fn read(
    source: &SourceSnapshot,
    collection: &mongo::Collection,
    writer: vault::CollectionWriter,
    lanes: &Lanes,
    counter: &Counter,
) -> Result<(), Error> {
    if collection.kind == CollectionKind::View {
        writer.finish().await?;
    } else {
        pump::down(source, collection, writer, lanes, counter).await?;
    }
    Ok(())
}

fn source_of(cluster: &Cluster, found: &Description, replica_set: Option<String>) -> Source {
    Source {
        cluster_id: Some(cluster.id.to_string()),
        cluster_name: Some(cluster.name.clone()),
        server_version: Some(found.version.text.clone()),
        replica_set,
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
