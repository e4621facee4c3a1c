//! An engine in a directory of its own, a clock that is set by hand, and one caller.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use engine::{AttachCluster, Caller, Checked, Config, DataDir, Engine, RestoreRequest, Running};
use model::{
    Clock, Cluster, Page, Principal, ProjectId, RestoreJob, Snapshot, SnapshotId, Status, Tier,
    Timestamp,
};
use mongodb::bson::doc;
use secrecy::{ExposeSecret, SecretString};
use testkit::{RealMongo, wait_for};

/// Longest that a job of the small sample may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Time passes only when told to, plus the real time since the world began, so that leases
/// are renewed as they are outside.
pub(crate) struct HandClock {
    began: std::time::Instant,
    offset_ms: AtomicI64,
}

impl HandClock {
    pub(crate) fn advance_hours(&self, hours: i64) {
        self.offset_ms
            .fetch_add(hours * 3_600_000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.began.elapsed().as_millis()).expect("a short test");
        Timestamp::from_millis(self.offset_ms.load(Ordering::SeqCst) + passed)
    }
}

pub(crate) fn config() -> Config {
    Config {
        slots: 2,
        cursors: 2,
        compression_level: 1,
        deployment_timeout_ms: 3_000,
        snapshot_way: None,
        scan_every_days: 7,
        checkpoint_bytes: 1 << 30,
        checkpoint_every: std::time::Duration::from_secs(300),
        repack: false,
        scratch: engine::ScratchConfig {
            mongod: None,
            directory: None,
            limit_bytes: 1 << 30,
        },
        download_format: engine::DownloadFormat::Dump,
        // Any function will do here: nobody authenticates by digest.
        digest_ha1: |public, private| SecretString::from(format!("{public}:{private}")),
    }
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) engine: Engine,
    pub(crate) caller: Caller,
    pub(crate) project: ProjectId,
    pub(crate) config: Config,
    running: Option<Running>,
}

impl World {
    /// Makes a data directory and opens it; no worker runs yet.
    pub(crate) async fn new() -> anyhow::Result<World> {
        World::configured(config()).await
    }

    /// The same with scratch servers, and with workers.
    pub(crate) async fn with_scratch_servers() -> anyhow::Result<World> {
        let mut config = config();
        config.scratch.mongod = Some(testkit::find_mongod()?.0);
        let mut world = Self::configured(config).await?;
        world.start();
        Ok(world)
    }

    /// As [`World::new`], with other settings.
    pub(crate) async fn configured(config: Config) -> anyhow::Result<World> {
        let dir = tempfile::tempdir()?;
        let clock = Arc::new(HandClock {
            began: std::time::Instant::now(),
            offset_ms: AtomicI64::new(1_700_000_000_000),
        });
        let made = DataDir::init(dir.path(), "org", "project", &*clock, &config).await?;
        let principal = Principal { key: made.key.key };
        let address = "127.0.0.1".parse()?;
        Ok(World {
            engine: open(dir.path(), &clock, &config).await?,
            dir,
            clock,
            caller: Caller { principal, address },
            project: made.project.id,
            config,
            running: None,
        })
    }

    pub(crate) async fn started() -> anyhow::Result<World> {
        let mut world = World::new().await?;
        world.start();
        Ok(world)
    }

    pub(crate) fn start(&mut self) {
        self.running = Some(self.engine.start());
    }

    /// Ends the workers as a shutdown does and opens the directory again, without workers.
    pub(crate) async fn reopen(self) -> anyhow::Result<World> {
        self.with_the_directory_free(async || Ok(()))
            .await
            .map(|(world, ())| world)
    }

    /// As [`World::reopen`], and checks the whole directory while it is free.
    pub(crate) async fn checked(self) -> anyhow::Result<(World, Checked)> {
        let path = self.dir.path().to_owned();
        let check = async || Ok(DataDir::open(&path)?.check(true).await?);
        self.with_the_directory_free(check).await
    }

    /// As [`World::reopen`], and does `work` while the directory is free.
    pub(crate) async fn with_the_directory_free<T>(
        mut self,
        work: impl AsyncFnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(World, T)> {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        let World {
            dir,
            clock,
            engine,
            caller,
            project,
            config,
            ..
        } = self;
        engine.close().await;
        drop(engine);
        // A download or a request may hold the old engine a moment longer.
        wait_for(LIMIT, "the data directory to be free", || async {
            let opened = DataDir::open(dir.path());
            opened.map(drop).map_err(|error| error.to_string())
        })
        .await?;
        let done = work().await?;
        let engine = wait_for(LIMIT, "the data directory to be free", || async {
            open(dir.path(), &clock, &config)
                .await
                .map_err(|error| format!("{error:#}"))
        })
        .await?;
        let world = World {
            dir,
            clock,
            engine,
            caller,
            project,
            config,
            running: None,
        };
        Ok((world, done))
    }

    pub(crate) async fn attach(
        &self,
        name: &str,
        uri: &str,
        tier: Tier,
    ) -> anyhow::Result<Cluster> {
        let request = AttachCluster {
            name: name.to_owned(),
            uri: uri.to_owned().into(),
            tier,
            continuous_backup: false,
            termination_protection: false,
            take_snapshot: false,
        };
        Ok(self
            .engine
            .clusters()
            .attach(&self.caller, self.project, request)
            .await?)
    }

    /// Asks for a snapshot, which a worker takes if there is one.
    pub(crate) async fn ask_snapshot(&self, cluster: &str) -> anyhow::Result<Snapshot> {
        let snapshots = self.engine.snapshots();
        let asked = snapshots.take(&self.caller, self.project, cluster, None);
        Ok(asked.await?.1)
    }

    pub(crate) async fn snapshot(&self, cluster: &str) -> anyhow::Result<Snapshot> {
        let asked = self.ask_snapshot(cluster).await?;
        self.finished_snapshot(cluster, asked.id).await
    }

    pub(crate) async fn finished_snapshot(
        &self,
        cluster: &str,
        id: SnapshotId,
    ) -> anyhow::Result<Snapshot> {
        wait_for(LIMIT, "the snapshot to end", || async {
            let snapshots = self.engine.snapshots();
            let found = snapshots.get(&self.caller, self.project, cluster, None, id);
            if_ended(found.await, |snapshot| snapshot.status)
        })
        .await
    }

    pub(crate) fn request(&self, source: &str, id: SnapshotId, target: &str) -> RestoreRequest {
        RestoreRequest {
            project: self.project,
            cluster: source.to_owned(),
            family: None,
            snapshot: id,
            target_project: None,
            target: target.to_owned(),
            mode: None,
            selection: None,
            reads_whole: false,
        }
    }

    pub(crate) async fn restore(
        &self,
        source: &str,
        id: SnapshotId,
        target: &str,
    ) -> anyhow::Result<RestoreJob> {
        self.restored(&self.request(source, id, target)).await
    }

    pub(crate) async fn restored(&self, request: &RestoreRequest) -> anyhow::Result<RestoreJob> {
        let asked = self
            .engine
            .restores()
            .request(&self.caller, request)
            .await?
            .1;
        self.finished_restore(&request.cluster, asked.id).await
    }

    pub(crate) async fn finished_restore(
        &self,
        source: &str,
        id: model::RestoreId,
    ) -> anyhow::Result<RestoreJob> {
        wait_for(LIMIT, "the restore to end", || async {
            let restores = self.engine.restores();
            let found = restores.get(&self.caller, self.project, source, None, id);
            if_ended(found.await, |job| job.status)
        })
        .await
    }

    pub(crate) async fn snapshots(&self, cluster: &str) -> anyhow::Result<Vec<Snapshot>> {
        let order = meta::Order::OldestFirst;
        let snapshots = self.engine.snapshots();
        let listed = snapshots
            .list(
                &self.caller,
                self.project,
                cluster,
                None,
                order,
                Page::FIRST,
            )
            .await?;
        Ok(listed.1.items)
    }
}

/// Returns what was found once it has ended; otherwise says where it stands.
pub(crate) fn if_ended<T>(
    found: Result<(Cluster, T), model::Error>,
    status: impl FnOnce(&T) -> Status,
) -> Result<T, String> {
    let (_, found) = found.map_err(|error| format!("{error:?}"))?;
    match status(&found) {
        Status::Completed | Status::Failed => Ok(found),
        other => Err(other.to_string()),
    }
}

/// Starts a replica set with next to nothing in it.
pub(crate) async fn with_one_document() -> anyhow::Result<RealMongo> {
    let mongo = RealMongo::replica_set().start().await?;
    let things = mongo.client().await?.database("d").collection("things");
    things.insert_one(doc! { "_id": 1 }).await?;
    Ok(mongo)
}

async fn open(path: &Path, clock: &Arc<HandClock>, config: &Config) -> anyhow::Result<Engine> {
    let dir = DataDir::open(path)?;
    Engine::open(dir, clock.clone(), config.clone())
        .await
        .context("open the engine")
}

/// The snapshot store of a world, open beside its engine.
pub(crate) struct OpenStore {
    pub(crate) repository: vault::Repository,
    /// A data directory with the same key and the same store, since each is open only once.
    _mirror: tempfile::TempDir,
}

impl OpenStore {
    /// Returns what the store has of a snapshot.
    pub(crate) async fn manifest(&self, id: SnapshotId) -> anyhow::Result<vault::Manifest> {
        let id = vault::SnapshotId(id.to_bytes());
        Ok(self.repository.manifest(id).await?)
    }
}

impl World {
    /// Opens the snapshot store, whether the engine runs or not.
    pub(crate) async fn store(&self) -> anyhow::Result<OpenStore> {
        let (own, mirror) = (self.dir.path(), tempfile::tempdir()?);
        std::fs::copy(own.join("key"), mirror.path().join("key"))?;
        let link = mirror.path().join("snapshots");
        std::os::unix::fs::symlink(own.join("snapshots"), link)?;
        Ok(OpenStore {
            repository: DataDir::open(mirror.path())?.repository().await?,
            _mirror: mirror,
        })
    }
}

/// A key cannot be shown by accident.
#[test]
fn a_private_key_is_not_in_its_debug_form() {
    let secret = SecretString::from("private".to_owned());
    assert!(!format!("{secret:?}").contains(secret.expose_secret()));
}
