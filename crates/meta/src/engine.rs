//! The SQL engine: the only file that names one.
//!
//! SQLite in WAL mode: one connection writes, each transaction taking the write lock at its
//! beginning, and several read. `synchronous=FULL` syncs the log at every commit, so that
//! what was answered for survives a power cut.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::error::Error;

pub(crate) type Engine = sqlx::Sqlite;
pub(crate) type Connection = sqlx::SqliteConnection;
pub(crate) type Row = sqlx::sqlite::SqliteRow;
pub(crate) type Transaction = sqlx::Transaction<'static, Engine>;
pub(crate) type Query = sqlx::query::Query<'static, Engine, sqlx::sqlite::SqliteArguments>;

const READERS_MAX: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

static MIGRATIONS: Migrator = sqlx::migrate!();

pub(crate) struct Pools {
    pub(crate) read: SqlitePool,
    write: SqlitePool,
}

pub(crate) fn query(sql: &'static str) -> Query {
    sqlx::query(sql)
}

impl Pools {
    /// Connects to the file, made where it is missing, without touching its schema.
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        make_private_file(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => Error::DiskFull {
                path: path.to_owned(),
            },
            _ => unreadable(path, error),
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        // A ping before each use would cost more than the query, and a file does not hang up.
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        let write = pool()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(|error| classify(path, error))?;
        let read = pool()
            .max_connections(READERS_MAX)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        let pools = Pools { read, write };
        pools.check_structure(path).await?;
        Ok(pools)
    }

    /// Begins a transaction that may write; nobody else writes until it ends.
    pub(crate) async fn begin_write(&self) -> Result<Transaction, sqlx::Error> {
        self.write.begin_with("BEGIN IMMEDIATE").await
    }

    /// Begins a transaction that sees one state of the store, whatever is written meanwhile.
    pub(crate) async fn begin_read(&self) -> Result<Transaction, sqlx::Error> {
        self.read.begin().await
    }

    /// Returns whether the store has ever been migrated.
    pub(crate) async fn has_schema(&self) -> Result<bool, sqlx::Error> {
        query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seal_check'")
            .fetch_optional(&self.write)
            .await
            .map(|row| row.is_some())
    }

    pub(crate) async fn migrate(&self, path: &Path) -> Result<(), Error> {
        MIGRATIONS
            .run(&self.write)
            .await
            .map_err(|error| match error {
                MigrateError::VersionMissing(version) => Error::NewerSchema {
                    path: path.to_owned(),
                    version,
                },
                MigrateError::VersionMismatch(version) => Error::Corrupt {
                    path: path.to_owned(),
                    reason: format!("migration {version} was altered after it was applied"),
                },
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                    classify(path, error)
                }
                other => Error::Other(Box::new(other)),
            })
    }

    /// Reads every page once: damage is to be found now and not in the middle of a restore.
    async fn check_structure(&self, path: &Path) -> Result<(), Error> {
        let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
            .fetch_one(&self.write)
            .await
            .map_err(|error| classify(path, error))?;
        if found == "ok" {
            return Ok(());
        }
        Err(Error::Corrupt {
            path: path.to_owned(),
            reason: found,
        })
    }

    pub(crate) async fn close(&self) {
        // Readers first: the last connection to close folds the log into the file.
        self.read.close().await;
        self.write.close().await;
    }
}

/// SQLite gives its log and index files the mode of the main one.
fn make_private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn unreadable(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Turns SQLite's primary result code (<https://www.sqlite.org/rescode.html>) into words.
pub(crate) fn classify(path: &Path, error: sqlx::Error) -> Error {
    const PERM: i32 = 3;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    let path_buf = path.to_owned();
    match primary_code(&error) {
        Some(CORRUPT | NOTADB) => Error::Corrupt {
            path: path_buf,
            reason: error
                .as_database_error()
                .map_or_else(String::new, |error| error.message().to_owned()),
        },
        Some(FULL) => Error::DiskFull { path: path_buf },
        Some(PERM | READONLY | IOERR | CANTOPEN) => unreadable(path, error),
        _ => Error::Other(Box::new(error)),
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// A constraint whose violation means something to callers; the migrations name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constraint {
    ProjectsName,
    ClustersName,
    KeyAccess,
    ProjectAccess,
    SnapshotsOpenOnDemand,
    RestoresOpenTarget,
}

/// Returns which of them `error` is about. SQLite names a unique index by its columns.
pub(crate) fn violated(error: &sqlx::Error) -> Option<Constraint> {
    let error = error.as_database_error()?;
    if !error.is_unique_violation() {
        return None;
    }
    let (_, columns) = error.message().split_once(": ")?;
    Some(match columns {
        "projects.org_id, projects.name" => Constraint::ProjectsName,
        "clusters.project_id, clusters.name" => Constraint::ClustersName,
        "key_access.owner_id, key_access.block" => Constraint::KeyAccess,
        "project_access.owner_id, project_access.block" => Constraint::ProjectAccess,
        "snapshots.cluster_id" => Constraint::SnapshotsOpenOnDemand,
        "restores.target_cluster_id" => Constraint::RestoresOpenTarget,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
