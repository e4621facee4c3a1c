//! The work: use cases, jobs and reconcilers over the store, the servers and the metadata.
//!
//! Here `vault` (which has never heard of MongoDB) and `mongo` (which has never heard of the
//! store) meet, in `pump` and nowhere else. No HTTP and no SQL. Everything that the API or
//! the command line can do is one method of a use case here: one code path per thing.

mod archive;
mod caller;
mod check;
mod data_dir;
mod deployment;
mod entropy;
mod job;
mod lanes;
mod metrics;
mod namespace;
mod peek;
mod pump;
mod reconcile;
mod scratch;
#[cfg(test)]
#[path = "../tests/it/world.rs"]
#[expect(dead_code, reason = "the tests beside the code need a part of it")]
mod test_world;
mod under_way;
mod usecase;
mod worker;

/// So that what integration tests share can be used by those beside the code.
#[cfg(test)]
extern crate self as engine;

use std::sync::Arc;

use meta::Meta;
use model::Clock;
use tokio::sync::Notify;
use vault::Repository;

use crate::scratch::Scratch;

pub use archive::Archive;
pub use caller::Caller;
pub use check::{Checked, Harmed, Problem};
pub use data_dir::{DataDir, InitError, Initialised, OpenError};
pub use meta::Order;
pub use metrics::Metrics;
pub use model::DownloadFormat;
pub use peek::Pieces;
pub use peek::diff::{Change, CollectionDifference, Differs, DocumentDifference, Presence};
pub use peek::find::Found;
pub use reconcile::retention::Planned;
pub use scratch::ScratchConfig;
pub use usecase::clusters::{AttachCluster, ChangeCluster, Clusters};
pub use usecase::downloads::Downloads;
pub use usecase::drills::{DrillRequest, Drills};
pub use usecase::keys::{Keys, NewKey};
pub use usecase::peek::{DiffRequest, FindRequest, Peek, Written};
pub use usecase::projects::Projects;
pub use usecase::restores::{RestoreRequest, Restores};
pub use usecase::snapshots::Snapshots;
pub use vault::DifferenceCounts;
pub use worker::Running;

/// What a running service is made of; cloning shares it.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
}

struct Parts {
    meta: Meta,
    repository: Repository,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    config: Config,
    scratch: Scratch,
    download_key: ring::hmac::Key,
    /// Told when there is, or may be, work.
    work: Notify,
    /// Told when a snapshot has completed, so that an older one may be given up.
    retention_due: Notify,
    _data_dir: DataDir,
}

/// What can be set about the work.
#[derive(Debug, Clone)]
pub struct Config {
    /// Jobs at a time.
    pub slots: usize,
    /// Collections read side by side by one snapshot, and written by one restore.
    pub cursors: usize,
    /// Level of zstd; 1 is fastest.
    pub compression_level: i32,
    /// How long a deployment may take to answer, in milliseconds.
    pub deployment_timeout_ms: u64,
    /// The one way in which snapshots are taken; what costs least where absent.
    pub snapshot_way: Option<model::SnapshotWay>,
    /// Days after which a snapshot reads everything again, although following would do.
    pub scan_every_days: u32,
    /// Bytes a snapshot puts into the store between two checkpoints at most.
    pub checkpoint_bytes: u64,
    /// How long a snapshot reads between two checkpoints at most.
    pub checkpoint_every: std::time::Duration,
    /// Whether packs of which little is live are written anew once a day.
    pub repack: bool,
    /// Servers of our own, for drills and archives of data files.
    pub scratch: ScratchConfig,
    /// What is in an archive where the request doesn't say.
    pub download_format: DownloadFormat,
    /// How the secret half of digest authentication is made of a public and a private key.
    pub digest_ha1: fn(public: &str, private: &str) -> secrecy::SecretString,
}

impl Engine {
    /// Opens the data directory for exclusive use.
    ///
    /// Fails where it is not initialised, in use by another process, or its key is wrong.
    pub async fn open(
        data_dir: DataDir,
        clock: Arc<dyn Clock>,
        config: Config,
    ) -> Result<Engine, OpenError> {
        let secrets = data_dir.secrets()?;
        let meta = Meta::open(&data_dir.database(), &secrets.seal_key()).await?;
        let repository = data_dir.open_repository(&secrets).await?;
        let revoked = meta
            .leases_revoke_all(clock.now())
            .await
            .map_err(OpenError::Leases)?;
        if revoked > 0 {
            tracing::info!(
                jobs = revoked,
                "going on with jobs that the last process left"
            );
        }
        let scratch = Scratch::open(&config.scratch, data_dir.path()).await?;
        let parts = Parts {
            meta,
            repository,
            clock,
            metrics: Metrics::default(),
            scratch,
            config,
            download_key: secrets.download_key(),
            work: Notify::new(),
            retention_due: Notify::new(),
            _data_dir: data_dir,
        };
        Ok(Engine {
            parts: Arc::new(parts),
        })
    }

    /// Returns the use cases about organizations, projects and their access lists.
    pub fn projects(&self) -> Projects<'_> {
        Projects(self)
    }

    /// Returns the use cases about API keys.
    pub fn keys(&self) -> Keys<'_> {
        Keys(self)
    }

    /// Returns the use cases about clusters and serverless instances.
    pub fn clusters(&self) -> Clusters<'_> {
        Clusters(self)
    }

    /// Returns the use cases about snapshots.
    pub fn snapshots(&self) -> Snapshots<'_> {
        Snapshots(self)
    }

    /// Returns the use cases about restore jobs.
    pub fn restores(&self) -> Restores<'_> {
        Restores(self)
    }

    /// Returns the use cases about drills.
    pub fn drills(&self) -> Drills<'_> {
        Drills(self)
    }

    /// Returns the use cases about download links and what is behind them.
    pub fn downloads(&self) -> Downloads<'_> {
        Downloads(self)
    }

    /// Returns the use cases about what is in snapshots.
    pub fn peek(&self) -> Peek<'_> {
        Peek(self)
    }

    /// Returns numbers that change whenever an answer of the API could.
    pub fn generation(&self) -> meta::Generation {
        self.parts.meta.generation()
    }

    /// Returns what is counted and timed.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Returns the present time by the engine's clock.
    pub fn now(&self) -> model::Timestamp {
        self.parts.clock.now()
    }

    /// Returns whether the metadata can be read; for health checks.
    pub async fn is_healthy(&self) -> bool {
        self.parts.meta.organizations().await.is_ok()
    }

    /// Closes the metadata's file, so that it is whole by itself; later calls fail.
    pub async fn close(&self) {
        self.parts.meta.close().await;
    }

    /// Starts the workers and reconcilers; they end when what is returned is stopped.
    pub fn start(&self) -> Running {
        worker::start(self.clone())
    }
}
