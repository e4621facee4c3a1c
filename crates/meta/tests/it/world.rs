//! A store with one organization, one project and one key, and makers of what goes into it.

use std::path::PathBuf;

use meta::{Meta, SealKey};
use model::{
    Actor, ApiKey, Cluster, ClusterId, ClusterState, ClusterTime, Consistency, Delivery, Job,
    JobId, JobKind, KeyId, Lease, OrgId, Organization, Project, ProjectId, RestoreId, RestoreJob,
    Role, RoleAssignment, Snapshot, SnapshotCost, SnapshotId, SnapshotOutcome, SnapshotWay, Status,
    Tier, Timestamp, Trigger,
};
use secrecy::SecretString;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};

pub(crate) const ORG: OrgId = OrgId::from_bytes([1; 12]);
pub(crate) const PROJECT: ProjectId = ProjectId::from_bytes([2; 12]);
pub(crate) const KEY: KeyId = KeyId::from_bytes([3; 12]);
pub(crate) const LEASE_MS: i64 = 30_000;
pub(crate) const URI: &str =
    "mongodb://backup:tr0ub4dor-and-3@db.example.net:27017/?replicaSet=rs0";
pub(crate) const HA1: &str = "939e7552eb4fbd1ab0a1fd1b5f2b0a1c";

pub(crate) struct World {
    pub(crate) meta: Meta,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    /// Opens a fresh store and stores organization, project and key.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let meta = Meta::open(&directory.path().join("meta.db"), &seal_key())
            .await
            .unwrap();
        let world = Self { meta, directory };
        world
            .meta
            .bootstrap(&organization(), &project(), &key(), &HA1.into(), at(0))
            .await
            .unwrap();
        world
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("meta.db")
    }

    /// Closes the store and opens it again, as a restart does.
    pub(crate) async fn reopened(self) -> Self {
        self.meta.close().await;
        let meta = Meta::open(&self.path(), &seal_key()).await.unwrap();
        Self {
            meta,
            directory: self.directory,
        }
    }

    pub(crate) async fn attach(&self, number: u8) -> Cluster {
        let cluster = cluster(number);
        self.meta
            .cluster_insert(&cluster, &uri(), None, &actor())
            .await
            .unwrap();
        cluster
    }

    /// Asks for a snapshot and returns it.
    pub(crate) async fn ask_snapshot(&self, of: &Cluster, number: u8) -> Snapshot {
        let snapshot = snapshot(of, number, Trigger::Scheduled);
        let job = snapshot_job(&snapshot);
        self.meta
            .snapshot_request(&snapshot, &job, &Actor::Scheduler)
            .await
            .unwrap();
        snapshot
    }

    /// Asks for a snapshot and completes it.
    pub(crate) async fn take_snapshot(&self, of: &Cluster, number: u8) -> Snapshot {
        let snapshot = self.ask_snapshot(of, number).await;
        let lease = self.claim(at(1)).await;
        assert_eq!(lease.job.kind, JobKind::Snapshot(snapshot.id));
        self.meta
            .snapshot_completed(&lease, at(2), "7.0.1", &outcome())
            .await
            .unwrap();
        self.meta
            .snapshot_by_id(snapshot.id)
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn ask_restore(
        &self,
        snapshot: &Snapshot,
        from: &Cluster,
        onto: &Cluster,
        number: u8,
    ) -> Result<RestoreJob, model::Error> {
        let restore = restore(snapshot, from, onto, number);
        let job = restore_job(&restore);
        self.meta
            .restore_request(&restore, Some(&job), &actor())
            .await
            .map(|()| restore)
    }

    pub(crate) async fn claim(&self, now: Timestamp) -> Lease {
        self.try_claim(now).await.expect("a job to claim")
    }

    pub(crate) async fn try_claim(&self, now: Timestamp) -> Option<Lease> {
        self.meta
            .job_claim("worker-1", now, LEASE_MS)
            .await
            .unwrap()
    }

    /// Returns the actions recorded, the earliest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let rows = self.audit().await;
        rows.into_iter().map(|row| row.action).collect()
    }

    /// Returns what was recorded, the earliest first, as an operator reads it.
    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        let options = SqliteConnectOptions::new().filename(self.path());
        let mut file = SqliteConnection::connect_with(&options).await.unwrap();
        let rows = sqlx::query("SELECT * FROM audit ORDER BY sequence");
        let rows = rows.fetch_all(&mut file).await.unwrap();
        rows.into_iter()
            .map(|row| AuditRow {
                sequence: row.get("sequence"),
                actor: row.get("actor"),
                action: row.get("action"),
                subject: row.get("subject"),
                detail: serde_json::from_str(row.get("detail")).unwrap(),
            })
            .collect()
    }
}

#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) sequence: i64,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) detail: serde_json::Value,
}

pub(crate) fn seal_key() -> SealKey {
    SealKey::new([42; 32])
}

/// A point in time, seconds after a fixed one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

pub(crate) fn actor() -> Actor {
    Actor::Key {
        id: KEY,
        address: "192.0.2.7".to_owned(),
    }
}

pub(crate) fn uri() -> SecretString {
    URI.into()
}

pub(crate) fn organization() -> Organization {
    Organization {
        id: ORG,
        name: "Example".to_owned(),
        created_at: at(0),
    }
}

pub(crate) fn project() -> Project {
    Project {
        id: PROJECT,
        org_id: ORG,
        name: "Shop".to_owned(),
        created_at: at(0),
        cluster_count: 0,
    }
}

pub(crate) fn key() -> ApiKey {
    ApiKey {
        id: KEY,
        org_id: ORG,
        description: "first key".to_owned(),
        public_key: "abcdefgh".to_owned(),
        private_key_tail: "9f3a".to_owned(),
        roles: vec![
            RoleAssignment::Org(ORG, Role::OrgOwner),
            RoleAssignment::Project(PROJECT, Role::GroupOwner),
        ],
        created_at: at(0),
    }
}

pub(crate) fn cluster(number: u8) -> Cluster {
    Cluster {
        id: ClusterId::from_bytes([number; 12]),
        project_id: PROJECT,
        name: format!("cluster-{number}"),
        tier: Tier::M2,
        created_at: at(i64::from(number)),
        hosts: vec!["db.example.net:27017".to_owned()],
        replica_set: Some("rs0".to_owned()),
        mongodb_version: "7.0.1".to_owned(),
        continuous_backup: false,
        termination_protection: false,
        drill_every_days: None,
        state: ClusterState::Idle,
    }
}

/// A pending snapshot, due the later the higher its number.
pub(crate) fn snapshot(of: &Cluster, number: u8, trigger: Trigger) -> Snapshot {
    Snapshot {
        id: SnapshotId::from_bytes([number; 12]),
        cluster_id: of.id,
        project_id: of.project_id,
        status: Status::Pending,
        trigger,
        scheduled_at: at(i64::from(number)),
        started_at: None,
        finished_at: None,
        expires_at: at(1_000_000),
        mongodb_version: of.mongodb_version.clone(),
        outcome: None,
        failure: None,
    }
}

pub(crate) fn snapshot_job(snapshot: &Snapshot) -> Job {
    let id = JobId::from_bytes(snapshot.id.to_bytes());
    Job::of_snapshot(id, snapshot, snapshot.scheduled_at)
}

pub(crate) fn outcome() -> SnapshotOutcome {
    SnapshotOutcome {
        consistency: Consistency::Snapshot(ClusterTime {
            seconds: 1_700_000_001,
            increment: u32::MAX,
        }),
        documents: 200_000,
        size_bytes: 1 << 40,
        stored_bytes: 12_345,
        collections: 17,
        cost: Some(SnapshotCost {
            way: SnapshotWay::Follow,
            reason: None,
            documents_read: 12,
            size_bytes_read: 12_000,
            documents_stored: 11,
            documents_shared: 199_989,
            scanned_at: Some(at(3)),
        }),
    }
}

/// A pending restore, asked for the later the higher its number.
pub(crate) fn restore(
    snapshot: &Snapshot,
    from: &Cluster,
    onto: &Cluster,
    number: u8,
) -> RestoreJob {
    RestoreJob {
        id: RestoreId::from_bytes([number; 12]),
        delivery: Delivery::Restore,
        status: Status::Pending,
        cluster_id: from.id,
        cluster_name: from.name.clone(),
        project_id: from.project_id,
        snapshot_id: snapshot.id,
        snapshot_finished_at: at(2),
        target_cluster_id: onto.id,
        target_name: onto.name.clone(),
        target_project_id: onto.project_id,
        mode: None,
        chosen: None,
        selection: None,
        reads_whole: false,
        created_at: at(i64::from(number)),
        finished_at: None,
        expires_at: at(14_400),
        failure: None,
        report: None,
    }
}

pub(crate) fn restore_job(restore: &RestoreJob) -> Job {
    let mut id = restore.id.to_bytes();
    id[0] = 0xee;
    Job::of_restore(JobId::from_bytes(id), restore)
}

/// The same restore as a download: completed at once, without a job.
pub(crate) fn download(snapshot: &Snapshot, of: &Cluster, number: u8) -> RestoreJob {
    RestoreJob {
        delivery: Delivery::Download,
        status: Status::Completed,
        finished_at: Some(at(i64::from(number))),
        ..restore(snapshot, of, of, number)
    }
}

/// Fails unless `result` is the error that `pattern` names.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {{
        let result = $result;
        assert!(matches!(result, Err($pattern)), "{result:?}");
    }};
}
pub(crate) use assert_refused;
