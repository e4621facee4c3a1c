//! An independent witness of what a server held at a past time: documents read by UUID at that
//! time, the catalog folded from the oplog. It shares with the product only the hashing of
//! documents, and must never take anything about the source from a snapshot but what to look at.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, Timestamp, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Client, Cursor};
use tokio::sync::Mutex;
use vault::{CheckOptions, Fingerprint, Manifest};

use crate::exact_catalog::{CatalogLog, Known};
use crate::world::{OpenStore, World};

/// The collection does not exist any more.
const NAMESPACE_NOT_FOUND: i32 = 26;
/// The collection was renamed or the like since, so its past cannot be read.
const SNAPSHOT_UNAVAILABLE: i32 = 246;
/// The same between two batches of one reading.
const QUERY_PLAN_KILLED: i32 = 175;

/// Reads a source, and the store of the engine that takes snapshots of it.
pub(crate) struct Witness {
    client: Client,
    store: OpenStore,
    log: Mutex<CatalogLog>,
}

/// How much of a snapshot could be proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proven {
    /// Collections whose documents are those that the server had.
    pub(crate) collections: usize,
    /// Their documents.
    pub(crate) documents: u64,
    /// Collections that are gone from the server, so that nobody can say.
    pub(crate) gone: usize,
}

impl Witness {
    /// Judges snapshots of the server behind `client` that `world` takes.
    pub(crate) async fn new(client: Client, world: &World) -> anyhow::Result<Self> {
        Ok(Self {
            client,
            store: world.store().await?,
            log: Mutex::default(),
        })
    }

    /// Fails unless reading all of the store finds nothing wrong.
    pub(crate) async fn store_is_sound(&self) -> anyhow::Result<()> {
        let options = CheckOptions { read_data: true };
        let problems = self.store.repository.check(options).await?.problems;
        ensure!(problems.is_empty(), "the store is not sound: {problems:#?}");
        Ok(())
    }

    /// Fails unless the snapshot is what the server had at the snapshot's time.
    pub(crate) async fn prove(&self, id: model::SnapshotId) -> anyhow::Result<Proven> {
        self.prove_manifest(&self.manifest(id).await?).await
    }

    /// Returns what the store has of a snapshot.
    pub(crate) async fn manifest(&self, id: model::SnapshotId) -> anyhow::Result<Manifest> {
        self.store.manifest(id).await
    }

    /// As [`Witness::prove`], of what a manifest claims.
    pub(crate) async fn prove_manifest(&self, manifest: &Manifest) -> anyhow::Result<Proven> {
        self.prove_catalog(manifest, time_of(manifest)?).await?;
        self.prove_documents(manifest).await
    }

    /// As [`Witness::prove_manifest`], without the catalog: for a server whose oplog has lost its
    /// beginning.
    pub(crate) async fn prove_documents(&self, manifest: &Manifest) -> anyhow::Result<Proven> {
        let time = time_of(manifest)?;
        let mut proven = Proven::default();
        for collection in manifest.collections.iter().filter(|entry| entry.exact) {
            let Some(uuid) = collection.uuid else {
                continue;
            };
            match self.fingerprint(&collection.database, uuid, time).await {
                Ok(found) => {
                    let stored = collection.fingerprint();
                    ensure!(
                        found == stored,
                        "{}.{} has {} documents in the snapshot at {time:?} and had {} (or the \
                         same number of others)",
                        collection.database,
                        collection.name,
                        stored.documents,
                        found.documents
                    );
                    proven.collections += 1;
                    proven.documents += found.documents;
                }
                Err(error) if is_gone(&error) => proven.gone += 1,
                Err(error) => return Err(error).context("read at the snapshot's time"),
            }
        }
        Ok(proven)
    }

    /// Reads a collection at a time.
    async fn fingerprint(
        &self,
        database: &str,
        uuid: [u8; 16],
        time: Timestamp,
    ) -> Result<Fingerprint, Error> {
        let mut cursor = self.find_at(database, uuid, time).await?;
        let mut fingerprint = self.store.repository.fingerprinter();
        while cursor.advance().await? {
            fingerprint.add(cursor.current().as_bytes());
        }
        Ok(fingerprint.finish())
    }

    async fn find_at(
        &self,
        database: &str,
        uuid: [u8; 16],
        time: Timestamp,
    ) -> Result<Cursor<Document>, Error> {
        let uuid = Binary {
            subtype: BinarySubtype::Uuid,
            bytes: uuid.to_vec(),
        };
        let at = doc! { "level": "snapshot", "atClusterTime": time };
        let command = doc! { "find": uuid, "readConcern": at };
        let database = self.client.database(database);
        database.run_cursor_command(command).await
    }

    /// Compares the names of collections, views and indexes with what the oplog tells.
    async fn prove_catalog(&self, manifest: &Manifest, time: Timestamp) -> anyhow::Result<()> {
        let known = {
            let mut log = self.log.lock().await;
            log.read_on(&self.client).await?;
            log.at(time)?
        };
        let expected = known.collections();
        let stored = manifest.collections.iter();
        let stored = stored.filter_map(|entry| Some((entry.uuid?, Known::stored(entry))));
        let stored: BTreeMap<[u8; 16], Known> = stored.collect();
        let differing = expected
            .keys()
            .chain(stored.keys())
            .filter(|uuid| expected.get(*uuid) != stored.get(*uuid))
            .map(|uuid| (expected.get(uuid), stored.get(uuid)))
            .collect::<Vec<_>>();
        ensure!(
            differing.is_empty(),
            "the catalog at {time:?} was another; as it was, and as the snapshot has it: \
             {differing:#?}"
        );
        for (database, uuid) in known.holders_of_views() {
            let views = match self.find_at(&database, uuid, time).await {
                Ok(cursor) => cursor.try_collect::<Vec<Document>>().await?,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(error).context("read the views"),
            };
            let stored = manifest.collections.iter();
            let stored = stored.filter(|entry| entry.database == database && entry.kind == "view");
            let mut stored: Vec<String> = stored
                .map(|entry| format!("{database}.{}", entry.name))
                .collect();
            let mut expected: Vec<String> = views.iter().filter_map(view_name).collect();
            stored.sort_unstable();
            expected.sort_unstable();
            ensure!(stored == expected, "{database} had the views {expected:?}");
        }
        Ok(())
    }
}

fn time_of(manifest: &Manifest) -> anyhow::Result<Timestamp> {
    let time = manifest.consistency.context("it is exact at no time")?;
    Ok(Timestamp {
        time: time.seconds,
        increment: time.increment,
    })
}

/// Returns the full name of a view that is not a time series.
fn view_name(view: &Document) -> Option<String> {
    let on = view.get("viewOn").and_then(Bson::as_str)?;
    let is_series = on.starts_with("system.buckets.");
    let name = view.get("_id").and_then(Bson::as_str)?;
    (!is_series).then(|| name.to_owned())
}

fn is_gone(error: &Error) -> bool {
    let gone = [NAMESPACE_NOT_FOUND, SNAPSHOT_UNAVAILABLE, QUERY_PLAN_KILLED];
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if gone.contains(&command.code))
}
