//! A restore job: a snapshot put onto a target, or offered for download.

use crate::Status;
use crate::error::UnknownWord;
use crate::id::{ClusterId, ProjectId, RestoreId, SnapshotId};
use crate::selection::Selection;
use crate::time::Timestamp;

/// How long a restore job, and so a download link, lives: 4 hours, the documented figure.
pub const LIFETIME_MS: i64 = 4 * 60 * 60 * 1000;

/// How the snapshot reaches whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Put onto the target cluster.
    Restore,
    /// Offered as an archive behind a link, in the layout of a dump.
    Download,
    /// Offered as an archive behind a link, which is there once it was built: data files.
    DataFiles,
    /// Put onto a scratch target, compared, and thrown away: a proof that it can be restored.
    Drill,
}

impl Delivery {
    /// Returns whether an archive is what comes of it.
    pub fn is_download(self) -> bool {
        matches!(self, Delivery::Download | Delivery::DataFiles)
    }
}

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DownloadFormat {
    /// BSON and metadata, as `mongorestore` reads them.
    #[default]
    Dump,
    /// The files of a `--dbpath`.
    DataFiles,
}

impl DownloadFormat {
    /// Returns the word used in the configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            DownloadFormat::Dump => "dump",
            DownloadFormat::DataFiles => "data-files",
        }
    }
}

impl std::str::FromStr for DownloadFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [DownloadFormat::Dump, DownloadFormat::DataFiles]
            .into_iter()
            .find(|format| format.as_str() == word)
            .ok_or_else(|| UnknownWord::new("format of downloads", word))
    }
}

/// How a snapshot is put onto a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestoreMode {
    /// Beside what is there; takes its place only once all of it was proved. Needs twice the room.
    Safe,
    /// What is there is removed first: for targets without the room.
    InPlace,
    /// Only what was written since the snapshot is put back or deleted.
    Rewind,
}

impl RestoreMode {
    /// Every mode.
    pub const ALL: [RestoreMode; 3] = [Self::Safe, Self::InPlace, Self::Rewind];

    /// Returns the word used in storage, on the wire and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "SAFE",
            Self::InPlace => "IN_PLACE",
            Self::Rewind => "REWIND",
        }
    }
}

impl std::fmt::Display for RestoreMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for RestoreMode {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let mut modes = Self::ALL.into_iter();
        modes
            .find(|mode| mode.as_str() == word)
            .ok_or_else(|| UnknownWord::new("restore mode", word))
    }
}

/// The mode that a restore took, and why that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenMode {
    /// The mode.
    pub mode: RestoreMode,
    /// The reason, as the end of a sentence that begins with "because".
    pub because: String,
}

/// A restore job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreJob {
    /// Its id.
    pub id: RestoreId,
    /// How it is delivered.
    pub delivery: Delivery,
    /// How far it is.
    pub status: Status,
    /// The cluster the snapshot is of.
    pub cluster_id: ClusterId,
    /// That cluster's name.
    pub cluster_name: String,
    /// That cluster's project.
    pub project_id: ProjectId,
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// When that snapshot was completed.
    pub snapshot_finished_at: Timestamp,
    /// The cluster it goes to; its source for a download and for a drill on a scratch server.
    pub target_cluster_id: ClusterId,
    /// That cluster's name.
    pub target_name: String,
    /// That cluster's project.
    pub target_project_id: ProjectId,
    /// The mode that was asked for; none where the best is to be chosen.
    pub mode: Option<RestoreMode>,
    /// The mode that was taken; once a worker has decided it.
    pub chosen: Option<ChosenMode>,
    /// What of the snapshot is put back; none for all of it.
    pub selection: Option<Selection>,
    /// Whether everything is read back in the end, also where history would prove it.
    pub reads_whole: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it completed or failed.
    pub finished_at: Option<Timestamp>,
    /// When the job, and so its link, expires.
    pub expires_at: Timestamp,
    /// Why it failed.
    pub failure: Option<String>,
    /// What was put where and proved; only once verified.
    pub report: Option<RestoreReport>,
}

impl RestoreJob {
    /// Returns whether its link is no longer good at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// Returns whether it is put onto a scratch server rather than onto an attached cluster.
    pub fn is_on_scratch_server(&self) -> bool {
        match self.delivery {
            Delivery::DataFiles => true,
            Delivery::Drill => self.target_cluster_id == self.cluster_id,
            Delivery::Restore | Delivery::Download => false,
        }
    }
}

/// What a restore put back, a row per collection.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct RestoreReport {
    /// One row per collection.
    pub collections: Vec<CollectionReport>,
}

/// One collection of a restore's report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CollectionReport {
    /// `database.collection` on the target.
    pub namespace: String,
    /// What was done to it.
    #[serde(default)]
    pub action: CollectionAction,
    /// Documents that are there now because of the snapshot; of a rewound one all, not only those
    /// that were written.
    pub documents: u64,
    /// Their bytes as BSON.
    pub size_bytes: u64,
    /// Documents written or deleted.
    #[serde(default)]
    pub changed: u64,
    /// Whether count, fingerprint, options and indexes were found equal on the target.
    pub verified: bool,
    /// What that was found by.
    #[serde(default)]
    pub proof: Proof,
}

/// By what a collection was found to be what the snapshot holds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Proof {
    /// All that it holds because of the snapshot was read back.
    #[default]
    ReadBack,
    /// What the server's history says was written since the snapshot was read back, up to a time
    /// after the restore's last write; all else is what the snapshot was taken of.
    History,
    /// Only the catalog was compared: there is no document.
    Catalog,
}

/// What a restore did to one collection.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CollectionAction {
    /// Made anew and loaded whole.
    #[default]
    Loaded,
    /// Made anew and loaded whole, but only after what was there had been dropped: servers cannot
    /// rename time series and stored functions.
    LoadedAtTheFlip,
    /// Some documents were written back or deleted.
    Rewound,
    /// Documents that match a query were put among those that are there.
    Merged,
    /// A view, made or found as it should be.
    View,
    /// Removed, since the snapshot does not have it.
    Dropped,
}
