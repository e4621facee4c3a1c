//! Putting one snapshot onto a target and proving it.
//!
//! The target is marked unfinished before the first change and released after the last
//! proof, so it never looks finished when it is not. Every step can be done again: an attempt
//! that follows a crash begins at the first, which empties the target.

use futures::FutureExt;
use model::{Cluster, CollectionReport, RestoreReport, Snapshot};
use mongo::{Catalog, Collection, CollectionKind, Deployment, Description, Target, Topology};
use vault::{CollectionManifest, Manifest};

use crate::Engine;
use crate::deployment::ConnectError;
use crate::lanes::Lanes;
use crate::namespace::{self, InvalidEntry};
use crate::pump::{self, PumpError, SharedCounter};

/// Why a restore failed; what is shown of it holds no secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Pump(#[from] PumpError),
    #[error(transparent)]
    Manifest(#[from] InvalidEntry),
    #[error(transparent)]
    Incompatible(#[from] model::Error),
    #[error("{namespace} is not what the snapshot holds: {what}")]
    Mismatch { namespace: String, what: String },
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

/// Fails unless a target of that name and description can take the snapshot: not sharded, and of
/// the same or a later release series than the snapshot's source.
pub(crate) fn check_compatible(
    snapshot: &Snapshot,
    target: &str,
    description: &Description,
) -> Result<(), model::Error> {
    if description.topology == Topology::Sharded {
        return Err(model::Error::TargetSharded(target.to_owned()));
    }
    let found = (description.version.major, description.version.minor);
    match release_series(&snapshot.mongodb_version) {
        Some(needed) if found < needed => Err(model::Error::VersionMismatch {
            snapshot: snapshot.mongodb_version.clone(),
            target: description.version.text.clone(),
        }),
        _ => Ok(()),
    }
}

fn release_series(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

/// Puts `snapshot` onto `target`; returns a row per collection once all was found equal.
pub(crate) async fn put_back(
    engine: &Engine,
    restore: model::RestoreId,
    snapshot: &Snapshot,
    target: &Cluster,
    counter: &SharedCounter,
) -> Result<RestoreReport, Error> {
    let deployment = engine.connect(target.id).await?;
    put_onto(
        engine,
        restore,
        snapshot,
        &target.name,
        &deployment,
        counter,
    )
    .await
}

/// Replaces everything on `deployment`, called `target` in messages, by `snapshot`, in place.
pub(crate) async fn put_onto(
    engine: &Engine,
    restore: model::RestoreId,
    snapshot: &Snapshot,
    target: &str,
    deployment: &Deployment,
    counter: &SharedCounter,
) -> Result<RestoreReport, Error> {
    counter.reset();
    let stored_id = vault::SnapshotId(snapshot.id.to_bytes());
    let manifest = engine.parts.repository.manifest(stored_id).await?;
    // Everything is read from the manifest before the target is touched.
    let catalog = namespace::catalog(&manifest)?;
    counter.set_total(manifest.totals.documents, manifest.totals.bytes);
    check_compatible(snapshot, target, &deployment.describe().await?)?;
    deployment.require_target().await?;
    let held = deployment.target(&restore.to_string()).await?;
    held.begin().await?;
    held.wipe().await?;
    let put = Put {
        engine,
        manifest: &manifest,
        catalog: &catalog,
        target: &held,
        lanes: Lanes::new(engine.parts.config.cursors),
        counter,
    };
    put.load_all().await?;
    // What is read back with majority read concern must have arrived there.
    held.barrier().await?;
    let report = put.verify_all().await?;
    put.create_views().await?;
    held.barrier().await?;
    if let Some(difference) = held.compare_catalog(&catalog).await?.into_iter().next() {
        return Err(Error::Mismatch {
            namespace: difference.namespace,
            what: difference.what,
        });
    }
    held.held().await?;
    held.release().await?;
    Ok(report)
}

struct Put<'a> {
    engine: &'a Engine,
    manifest: &'a Manifest,
    catalog: &'a Catalog,
    target: &'a Target,
    lanes: Lanes,
    counter: &'a SharedCounter,
}

impl Put<'_> {
    /// Returns what holds documents, as stored and as the server is told.
    fn holding(&self) -> impl Iterator<Item = (&CollectionManifest, &Collection)> {
        let stored = self.manifest.collections.iter();
        stored
            .zip(&self.catalog.collections)
            .filter(|(_, collection)| collection.kind != CollectionKind::View)
    }

    async fn load_all(&self) -> Result<(), Error> {
        let mut work = Vec::new();
        for (stored, collection) in self.holding() {
            work.push(self.load(stored, collection).boxed());
        }
        pump::side_by_side(work, self.engine.parts.config.cursors).await?;
        Ok(())
    }

    async fn load(
        &self,
        stored: &CollectionManifest,
        collection: &Collection,
    ) -> Result<(), Error> {
        let repository = &self.engine.parts.repository;
        self.target.create(collection).await?;
        pump::up(
            repository,
            stored,
            &self.target.loader(collection),
            &self.lanes,
            self.counter,
        )
        .await?;
        self.target.build_indexes(collection).await?;
        Ok(())
    }

    async fn verify_all(&self) -> Result<RestoreReport, Error> {
        let mut work = Vec::new();
        for (stored, collection) in self.holding() {
            work.push(self.verify(stored, collection).boxed());
        }
        let mut rows = pump::side_by_side(work, self.engine.parts.config.cursors).await?;
        rows.sort_by(|a, b| a.namespace.cmp(&b.namespace));
        Ok(RestoreReport { collections: rows })
    }

    /// Reads a collection back and compares; only then may anything in it expire.
    async fn verify(
        &self,
        stored: &CollectionManifest,
        collection: &Collection,
    ) -> Result<CollectionReport, Error> {
        let batches = self.target.read_back(collection);
        let found = pump::fingerprint(&self.engine.parts.repository, batches).await?;
        let expected = stored.fingerprint();
        let namespace = namespace::namespace(stored);
        if found != expected {
            let what = if found.documents == expected.documents {
                "its documents differ".to_owned()
            } else {
                format!(
                    "{} documents instead of {}",
                    found.documents, expected.documents
                )
            };
            return Err(Error::Mismatch { namespace, what });
        }
        self.target.finish_collection(collection).await?;
        Ok(CollectionReport {
            namespace,
            action: model::CollectionAction::Loaded,
            documents: stored.documents,
            size_bytes: stored.bytes,
            changed: stored.documents,
            verified: true,
        })
    }

    async fn create_views(&self) -> Result<(), Error> {
        let views = self.catalog.collections.iter();
        for view in views.filter(|collection| collection.kind == CollectionKind::View) {
            self.target.create_view(view).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::{Consistency, SnapshotOutcome, Status, Timestamp, Trigger};
    use mongo::Version;

    use super::*;

    fn snapshot(mongodb_version: &str) -> Snapshot {
        let at = Timestamp::from_millis(0);
        Snapshot {
            id: model::SnapshotId::from_bytes([1; 12]),
            cluster_id: model::ClusterId::from_bytes([2; 12]),
            project_id: model::ProjectId::from_bytes([3; 12]),
            status: Status::Completed,
            trigger: Trigger::OnDemand,
            scheduled_at: at,
            started_at: Some(at),
            finished_at: Some(at),
            expires_at: at,
            mongodb_version: mongodb_version.to_owned(),
            outcome: Some(SnapshotOutcome {
                consistency: Consistency::None,
                documents: 0,
                size_bytes: 0,
                stored_bytes: 0,
                collections: 0,
                cost: None,
            }),
            failure: None,
        }
    }

    fn check(
        taken_from: &str,
        topology: Topology,
        major: u32,
        minor: u32,
    ) -> Result<(), model::Error> {
        let text = format!("{major}.{minor}.0");
        let description = Description {
            topology,
            version: Version {
                major,
                minor,
                patch: 0,
                text,
            },
            feature_compatibility_version: None,
            hosts: vec![],
            storage_engine: None,
        };
        check_compatible(&snapshot(taken_from), "target", &description)
    }

    #[test]
    fn a_target_of_an_older_release_series_is_refused() {
        let refused = check("7.0.2", Topology::Standalone, 6, 0);
        assert!(
            matches!(refused, Err(model::Error::VersionMismatch { .. })),
            "{refused:?}"
        );
        let refused = check("5.3.1", Topology::Standalone, 5, 0);
        assert!(
            matches!(refused, Err(model::Error::VersionMismatch { .. })),
            "{refused:?}"
        );
        assert!(check("6.0.5", Topology::Standalone, 6, 0).is_ok());
        assert!(check("6.0.27", Topology::Standalone, 7, 0).is_ok());
    }

    #[test]
    fn a_sharded_target_is_refused() {
        let refused = check("6.0.5", Topology::Sharded, 6, 0);
        assert!(
            matches!(refused, Err(model::Error::TargetSharded(_))),
            "{refused:?}"
        );
    }
}
