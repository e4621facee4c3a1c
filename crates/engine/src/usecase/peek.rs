//! Looking into snapshots: documents that match a filter, and what differs between two. Whoever may
//! download a snapshot may.

use model::{Error, ProjectId, SnapshotId};
use mongo::{Filter, JsonMode};
use vault::Manifest;

use crate::peek::diff::{self, Detail, Differs};
use crate::peek::find::{self, Found, Query};
use crate::peek::{self, Pieces};
use crate::{Caller, Engine};

/// Use cases about what is in snapshots.
pub struct Peek<'a>(pub(crate) &'a Engine);

/// How documents are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// As relaxed extended JSON, easy to read.
    Relaxed,
    /// As canonical extended JSON, which keeps every type.
    Canonical,
}

impl From<Written> for JsonMode {
    fn from(written: Written) -> Self {
        match written {
            Written::Relaxed => JsonMode::Relaxed,
            Written::Canonical => JsonMode::Canonical,
        }
    }
}

/// What is to be found in a snapshot, and how it is to be written.
#[derive(Debug, Clone)]
pub struct FindRequest {
    /// The cluster's project.
    pub project: ProjectId,
    /// The cluster that the snapshot was taken from.
    pub cluster: String,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The collection's database.
    pub database: String,
    /// The collection's name in its database.
    pub collection: String,
    /// A filter of MongoDB, in extended JSON.
    pub filter: String,
    /// Most documents to find; all where absent.
    pub limit: Option<u64>,
    /// How to write documents; they are only counted where absent.
    pub written: Option<Written>,
}

/// Which snapshots are compared, and what is told of documents that differ.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    /// The cluster's project.
    pub project: ProjectId,
    /// The cluster that both snapshots were taken from.
    pub cluster: String,
    /// The snapshot that is compared with.
    pub first: SnapshotId,
    /// The snapshot that is compared.
    pub second: SnapshotId,
    /// Database and collection; all are compared where absent.
    pub namespace: Option<(String, String)>,
    /// How to write the `_id`s of documents that differ; they are only counted where absent.
    pub written: Option<Written>,
    /// Whether the documents are written whole, too.
    pub whole: bool,
}

impl Peek<'_> {
    /// Streams the documents of a snapshot's collection that match a filter.
    ///
    /// Reads no more than their blocks where the filter pins `_id` and the snapshot has an index;
    /// the whole collection otherwise. Strings are compared by their bytes, whatever the
    /// collation of the collection. Of a time series the raw buckets are looked at.
    pub async fn find(
        &self,
        caller: &Caller,
        request: &FindRequest,
    ) -> Result<Pieces<Found>, Error> {
        let manifest = self
            .manifest(caller, request.project, &request.cluster, request.snapshot)
            .await?;
        let collection = peek::collection(&manifest, &request.database, &request.collection)?;
        let filter = Filter::parse_json(&request.filter).map_err(|error| {
            let reason = error.to_string();
            Error::InvalidAttribute {
                attribute: "filter",
                reason,
            }
        })?;
        // What is asked for can itself be personal: only where it was looked for is logged.
        tracing::info!(
            snapshot.id = %request.snapshot,
            namespace = %crate::namespace::namespace(collection),
            key.id = %caller.principal.key.id,
            "a snapshot is looked into"
        );
        let query = Query {
            filter,
            limit: request.limit.unwrap_or(u64::MAX),
            mode: request.written.map(JsonMode::from),
        };
        let repository = self.0.parts.repository.clone();
        let kept = repository.hold(&manifest);
        Ok(find::find(repository, kept, collection.clone(), query))
    }

    /// Streams what differs between two snapshots of a cluster, collection by collection.
    ///
    /// Fails with `NamespaceNotFound` where neither snapshot has the collection that is asked for.
    pub async fn diff(
        &self,
        caller: &Caller,
        request: &DiffRequest,
    ) -> Result<Pieces<Differs>, Error> {
        let (project, cluster) = (request.project, &request.cluster);
        let first = self
            .manifest(caller, project, cluster, request.first)
            .await?;
        let second = self
            .manifest(caller, project, cluster, request.second)
            .await?;
        if let Some((database, name)) = &request.namespace
            && let Err(missing @ Error::NamespaceNotFound { .. }) =
                peek::collection(&first, database, name)
            && let Err(Error::NamespaceNotFound { .. }) = peek::collection(&second, database, name)
        {
            return Err(missing);
        }
        tracing::info!(
            snapshot.id = %request.second,
            other.id = %request.first,
            key.id = %caller.principal.key.id,
            "two snapshots are compared"
        );
        let detail = match request.written {
            None => Detail::Counts,
            Some(written) if request.whole => Detail::Whole(written.into()),
            Some(written) => Detail::Ids(written.into()),
        };
        let repository = self.0.parts.repository.clone();
        let only = request.namespace.clone();
        Ok(diff::diff(repository, (first, second), only, detail))
    }

    /// Returns the manifest of a snapshot that the caller may look into.
    async fn manifest(
        &self,
        caller: &Caller,
        project: ProjectId,
        cluster: &str,
        snapshot: SnapshotId,
    ) -> Result<Manifest, Error> {
        let restores = self.0.restores();
        let found = restores.source(caller, project, cluster, None, Some(snapshot));
        let (_, snapshot) = found.await?;
        let id = vault::SnapshotId(snapshot.id.to_bytes());
        let manifest = self.0.parts.repository.manifest(id).await;
        manifest.map_err(Error::internal)
    }
}
