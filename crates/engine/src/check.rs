//! Verifies a data directory as a whole: the snapshot store, and that the metadata and the store
//! agree on which snapshots there are.
//!
//! Needs no running service, changes nothing, and goes on after the first problem.

use std::collections::{HashMap, HashSet};

use meta::Meta;
use model::{Cluster, Snapshot, SnapshotId, Status, Timestamp};
use vault::CheckOptions;

use crate::data_dir::{DataDir, OpenError, Secrets};
use crate::worker::in_words;

/// What was looked at, and what was wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Snapshots in the store.
    pub snapshots: u64,
    /// Packs that they refer to.
    pub packs: u64,
    /// Documents over all snapshots.
    pub documents: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Packs that no snapshot refers to, which the service sweeps, and snapshots that the metadata
    /// does not list: no problem for any other.
    pub unreferenced: u64,
    /// What was wrong; empty when everything is sound.
    pub problems: Vec<Problem>,
}

/// Something wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which object.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
    /// The snapshots that cannot be fully restored because of it.
    pub snapshots: Vec<Harmed>,
}

/// A snapshot that cannot be fully restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harmed {
    /// Its id.
    pub id: SnapshotId,
    /// Name of its cluster, where the metadata knows it.
    pub cluster: Option<String>,
    /// When it was complete, where the metadata knows it.
    pub finished_at: Option<Timestamp>,
}

/// What the metadata knows of snapshots.
type Rows = HashMap<SnapshotId, (Cluster, Snapshot)>;

impl DataDir {
    /// Verifies everything; `read_data` reads every byte instead of the structure only.
    ///
    /// Fails where the store cannot be opened at all; what is wrong inside is in the result.
    pub async fn check(&self, read_data: bool) -> Result<Checked, OpenError> {
        let secrets = self.secrets()?;
        let repository = self.open_repository(&secrets).await?;
        let mut problems = Vec::new();
        let rows = match self.rows(&secrets).await {
            Ok(rows) => rows,
            Err(reason) => {
                let object = self.database().display().to_string();
                problems.push(Problem {
                    object,
                    reason,
                    snapshots: Vec::new(),
                });
                Rows::new()
            }
        };
        let present: HashSet<SnapshotId> = repository
            .snapshots()
            .await?
            .into_iter()
            .map(|id| SnapshotId::from_bytes(id.0))
            .collect();
        let report = repository.check(CheckOptions { read_data }).await?;
        for problem in report.problems {
            let ids = problem
                .snapshots
                .iter()
                .map(|id| SnapshotId::from_bytes(id.0));
            problems.push(Problem {
                object: problem.object,
                reason: problem.reason,
                snapshots: ids.map(|id| harmed(&rows, id)).collect(),
            });
        }
        problems.extend(missing(&rows, &present));
        let unlisted = present.iter().filter(|id| !rows.contains_key(id)).count() as u64;
        Ok(Checked {
            snapshots: report.snapshots,
            packs: report.packs,
            documents: report.documents,
            bytes_read: report.bytes_read,
            unreferenced: report.packs_unreferenced + unlisted,
            problems,
        })
    }

    /// Reads which snapshots the metadata lists; an error is told in words.
    async fn rows(&self, secrets: &Secrets) -> Result<Rows, String> {
        if !self.database().is_file() {
            return Err("it is missing: clusters, keys, jobs and the list of snapshots".to_owned());
        }
        let opened = Meta::open(&self.database(), &secrets.seal_key()).await;
        let meta = opened.map_err(|error| in_words(&error))?;
        let rows = read_rows(&meta).await;
        meta.close().await;
        rows.map_err(|error| in_words(&error))
    }
}

async fn read_rows(meta: &Meta) -> Result<Rows, model::Error> {
    let mut rows = Rows::new();
    for cluster in meta.all_clusters().await? {
        for snapshot in meta.all_snapshots(cluster.id).await? {
            rows.insert(snapshot.id, (cluster.clone(), snapshot));
        }
    }
    Ok(rows)
}

fn harmed(rows: &Rows, id: SnapshotId) -> Harmed {
    let row = rows.get(&id);
    Harmed {
        id,
        cluster: row.map(|(cluster, _)| cluster.name.clone()),
        finished_at: row.and_then(|(_, snapshot)| snapshot.finished_at),
    }
}

/// Returns a problem for each snapshot that the metadata calls complete and the store lacks.
fn missing(rows: &Rows, present: &HashSet<SnapshotId>) -> Vec<Problem> {
    let mut absent: Vec<SnapshotId> = rows
        .values()
        .map(|(_, snapshot)| snapshot)
        .filter(|snapshot| snapshot.status == Status::Completed && !present.contains(&snapshot.id))
        .map(|snapshot| snapshot.id)
        .collect();
    absent.sort_unstable();
    let problem = |id| Problem {
        object: format!("manifest of snapshot {id}"),
        reason: "it is missing, although the snapshot was complete".to_owned(),
        snapshots: vec![harmed(rows, id)],
    };
    absent.into_iter().map(problem).collect()
}
