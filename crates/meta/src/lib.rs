//! The metadata store: organizations, keys, clusters, snapshots, restores, jobs, audit.
//!
//! One public method is one transaction is one transition: either all of it is durable when
//! the method returns, its audit row included, or none of it happened. Secrets are sealed
//! before they reach a row. Time and ids come from the caller. This room knows neither HTTP
//! nor the snapshot store nor MongoDB, decides nothing by roles, and never writes a secret
//! into an error, a log line or an audit row.

mod access;
mod audit;
mod change;
mod clusters;
mod engine;
mod error;
mod generation;
mod jobs;
mod keys;
mod organizations;
mod projects;
mod restores;
mod row;
mod seal;
mod snapshots;

pub use clusters::{ClusterChange, Connection};
pub use error::Error;
pub use generation::Generation;
pub use keys::StoredKey;
pub use restores::DrillsEnded;
pub use seal::SealKey;
pub use snapshots::Order;

use std::path::Path;
use std::sync::Arc;

use model::{ClusterId, Error as ModelError, Listed, Page};

use crate::change::Change;
use crate::engine::{Pools, Row, Transaction, classify, query};
use crate::generation::Counters;
use crate::row::{Columns, During, all, offset};
use crate::seal::{Place, Sealer};

/// The metadata store; clones share it.
#[derive(Clone)]
pub struct Meta {
    shared: Arc<Shared>,
}

struct Shared {
    pools: Pools,
    sealer: Sealer,
    generation: Counters,
}

impl Meta {
    /// Opens the store in the file at `path`, made with mode 0600 where it is missing, and
    /// brings its schema up to date.
    ///
    /// Fails with [`Error::WrongKey`] when the file was made under another key, and changes
    /// nothing then.
    pub async fn open(path: &Path, key: &SealKey) -> Result<Meta, Error> {
        let pools = Pools::open(path).await?;
        let sealer = Sealer::new(key);
        let outcome = prepare(path, &pools, &sealer).await;
        if outcome.is_err() {
            pools.close().await;
        }
        outcome?;
        Ok(Meta {
            shared: Arc::new(Shared {
                pools,
                sealer,
                generation: Counters::default(),
            }),
        })
    }

    /// Returns counters that differ whenever a committed change may have altered an answer.
    ///
    /// Read them before the query whose answer is kept: an answer kept under an older value
    /// is then never newer than it claims.
    pub fn generation(&self) -> Generation {
        self.shared.generation.read()
    }

    /// Waits for running statements and closes the file; later calls fail.
    pub async fn close(&self) {
        self.shared.pools.close().await;
    }

    async fn change(&self) -> Result<Change, ModelError> {
        Change::begin(&self.shared).await
    }

    /// One state of the store for several statements.
    async fn view(&self) -> Result<Transaction, ModelError> {
        self.shared.pools.begin_read().await.during("begin reading")
    }

    /// Returns a page of what a cluster has, and how much there is in all: `count` gives `total`
    /// for the cluster `$1` (nothing is 0), `rows` takes its page by `$2` and `$3` as well.
    async fn page_of<T>(
        &self,
        cluster: ClusterId,
        page: Page,
        count: &'static str,
        rows: &'static str,
        convert: impl Fn(&Row) -> Result<T, ModelError>,
    ) -> Result<Listed<T>, ModelError> {
        let mut view = self.view().await?;
        let counted = query(count)
            .bind(cluster.to_string())
            .fetch_optional(&mut *view)
            .await
            .during("count what a cluster has")?;
        let rows = query(rows)
            .bind(cluster.to_string())
            .bind(i64::from(page.size))
            .bind(offset(page))
            .fetch_all(&mut *view)
            .await
            .during("read what a cluster has")?;
        Ok(Listed {
            items: all(&rows, convert)?,
            total: counted.map_or(Ok(0), |row| row.number("total"))?,
        })
    }
}

/// A known value under the key, by which a wrong key is noticed before anything is done.
const SEAL_CHECK: &str = "regrow";
const SEAL_CHECK_PLACE: Place<'static> = Place {
    table: "seal_check",
    column: "value_sealed",
    row: "key",
};

async fn prepare(path: &Path, pools: &Pools, sealer: &Sealer) -> Result<(), Error> {
    let sql_error = |error| classify(path, error);
    if pools.has_schema().await.map_err(sql_error)? {
        check_key(path, pools, sealer).await?;
    }
    pools.migrate(path).await?;
    let value_sealed = sealer
        .seal(SEAL_CHECK_PLACE, SEAL_CHECK)
        .map_err(|error| Error::Other(Box::new(error)))?;
    let mut transaction = pools.begin_write().await.map_err(sql_error)?;
    query("INSERT INTO seal_check (id, value_sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(SEAL_CHECK_PLACE.row)
        .bind(value_sealed)
        .execute(&mut *transaction)
        .await
        .map_err(sql_error)?;
    transaction.commit().await.map_err(sql_error)?;
    check_key(path, pools, sealer).await
}

/// A store without the row has no secrets yet: it was left between its first two steps.
async fn check_key(path: &Path, pools: &Pools, sealer: &Sealer) -> Result<(), Error> {
    let row = query("SELECT value_sealed FROM seal_check WHERE id = $1")
        .bind(SEAL_CHECK_PLACE.row)
        .fetch_optional(&pools.read)
        .await
        .map_err(|error| classify(path, error))?;
    let Some(row) = row else { return Ok(()) };
    let stored = row
        .text("value_sealed")
        .map_err(|error| Error::Other(Box::new(error)))?;
    match sealer.open(SEAL_CHECK_PLACE, stored) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::WrongKey {
            path: path.to_owned(),
        }),
    }
}
