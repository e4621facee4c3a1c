//! Restores and downloads of any cluster: how and of what one is asked for, and what became of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Progress;
use crate::body::{Body, required};
use crate::date::Date;
use crate::error::ApiError;
use crate::id::Id;
use crate::link::Link;
use crate::tenant::{DeliveryType, Status};

/// How a snapshot is put onto a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestoreMode {
    /// Beside what is there; takes its place once all of it was proved. Needs twice the room.
    Safe,
    /// What is there is removed first.
    InPlace,
    /// Only what was written since the snapshot is put back or deleted.
    Rewind,
}

const MODES: [(&str, RestoreMode); 3] = [
    ("SAFE", RestoreMode::Safe),
    ("IN_PLACE", RestoreMode::InPlace),
    ("REWIND", RestoreMode::Rewind),
];

/// What was done to one collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CollectionAction {
    /// Made anew and loaded whole.
    Loaded,
    /// Made anew and loaded whole after what was there had been dropped, since servers cannot
    /// rename time series.
    LoadedAtTheFlip,
    /// Some documents were written back or deleted.
    Rewound,
    /// Documents that match the query were put among those that are there.
    Merged,
    /// A view, made or found as it should be.
    View,
    /// Removed, since the snapshot does not have it.
    Dropped,
}

/// By what a collection was found to be what the snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Proof {
    /// All that it holds because of the snapshot was read back.
    ReadBack,
    /// What was written since the snapshot, as the server's history has it, was read back; all else
    /// is what the snapshot was taken of.
    History,
    /// Only the catalog was compared: there is no document.
    Catalog,
}

/// Another name for a collection, or for all of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rename {
    /// As the snapshot has it: `database.collection` or `database.*`.
    pub from: String,
    /// As it is to be, in the same form.
    pub to: String,
}

/// What of a snapshot is put back; without any member all of it is, and replaces everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// What of the included is left out: `database.collection` or `database.*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// What is put back: `database.collection` or `database.*`; everything when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// The database that takes everything that is not renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// A filter, as extended JSON in a text; only documents that match are put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Other names for what is put back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<Rename>,
}

impl Selection {
    /// Returns whether nothing is said, so that everything is meant.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    fn take(body: &mut Body) -> Result<Option<Self>, ApiError> {
        let known = ["exclude", "include", "into", "query", "rename"];
        let Some(mut body) = body.object("selection", &known)? else {
            return Ok(None);
        };
        let renames = body.objects("rename", &["from", "to"])?.unwrap_or_default();
        let rename = renames.into_iter().map(|mut one| {
            Ok(Rename {
                from: required(one.text("from")?, "from")?,
                to: required(one.text("to")?, "to")?,
            })
        });
        let selection = Self {
            exclude: body.texts("exclude")?.unwrap_or_default(),
            include: body.texts("include")?.unwrap_or_default(),
            into: body.filled_text("into")?,
            query: body.filled_text("query")?,
            rename: rename.collect::<Result<_, ApiError>>()?,
        };
        Ok(Some(selection).filter(|selection| !selection.is_everything()))
    }
}

/// The body of a request for a restore between clusters of any tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartRestore {
    /// How it is done; the way that costs least of those that are safe when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<RestoreMode>,
    /// Whether every collection is read back whole in the end, also where the history of a target
    /// that is rewound would prove that it is what the snapshot holds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_whole: bool,
    /// What of the snapshot is put back, while all else on the target stays; all of the snapshot
    /// in the place of everything when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// Name of the target cluster.
    pub target_cluster_name: String,
    /// Names the project of the target cluster; the source's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_id: Option<Id>,
}

impl StartRestore {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        const TARGET: &str = "targetClusterName";
        let known = [
            "mode",
            "readWhole",
            "selection",
            "snapshotId",
            TARGET,
            "targetGroupId",
        ];
        let mut body = Body::parse(bytes, &known)?;
        Ok(Self {
            mode: body.choice("mode", &MODES)?,
            read_whole: body.flag("readWhole")?.unwrap_or(false),
            selection: Selection::take(&mut body)?,
            snapshot_id: required(body.id("snapshotId")?, "snapshotId")?,
            target_cluster_name: required(body.filled_text(TARGET)?, TARGET)?,
            target_group_id: body.id("targetGroupId")?,
        })
    }
}

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DownloadFormat {
    /// BSON and metadata, as `mongorestore` reads them; there at once.
    Dump,
    /// The files of a `--dbpath`; they are built first, and the link is there when that is done.
    DataFiles,
}

const DOWNLOAD_FORMATS: [(&str, DownloadFormat); 2] = [
    ("dump", DownloadFormat::Dump),
    ("dataFiles", DownloadFormat::DataFiles),
];

/// The body of a request for a download of any cluster's snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartDownload {
    /// What the archive is to have; what the service is configured for when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<DownloadFormat>,
    /// Names the snapshot.
    pub snapshot_id: Id,
}

impl StartDownload {
    /// Reads the body.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let mut body = Body::parse(bytes, &["format", "snapshotId"])?;
        Ok(Self {
            format: body.choice("format", &DOWNLOAD_FORMATS)?,
            snapshot_id: required(body.id("snapshotId")?, "snapshotId")?,
        })
    }
}

/// What a restore put into one collection of the target, and what it found when it compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectionReport {
    /// What was done to it.
    pub action: CollectionAction,
    /// Bytes of documents that are there because of the snapshot.
    pub bytes: u64,
    /// Documents that were written or deleted.
    pub changed: u64,
    /// Documents that are there because of the snapshot.
    pub documents: u64,
    /// Database and collection.
    pub namespace: String,
    /// By what it was found equal.
    pub proof: Proof,
    /// Whether count, fingerprint, options and indexes were found equal to the snapshot's.
    pub verified: bool,
}

/// A restore or download of any cluster, with what the documented shapes have no room for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RegrowRestore)]
pub struct Restore {
    /// Name of the cluster that the snapshot was taken from.
    pub cluster_name: String,
    /// When the job was asked for.
    pub created_at: Date,
    /// What the job delivers.
    pub delivery_type: DeliveryType,
    /// When the job or its link expires.
    pub expires_at: Date,
    /// Why the job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Date>,
    /// Names the project of the source cluster.
    pub group_id: Id,
    /// Names the job.
    pub id: Id,
    /// The job itself and its snapshot.
    #[serde(default)]
    pub links: Vec<Link>,
    /// How it is done, once that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<RestoreMode>,
    /// Why it is done so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// How far the job is, while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// One row for each collection that was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Vec<CollectionReport>>,
    /// How it was asked to be done; absent where that was left open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_mode: Option<RestoreMode>,
    /// What of the snapshot is put back; absent where all of it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Names the snapshot.
    pub snapshot_id: Id,
    /// Where the archive is to be had; downloads only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_url: Option<String>,
    /// Where the job stands.
    pub status: Status,
    /// Name of the target cluster.
    pub target_cluster_name: String,
    /// Names the project of the target cluster.
    pub target_group_id: Id,
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"snapshotId":"0123456789abcdef01234567","targetClusterName":"t""#;

    fn read(rest: &str) -> Result<StartRestore, ApiError> {
        StartRestore::parse(format!("{START}{rest}}}").as_bytes())
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let plain = read("").unwrap();
        assert_eq!((plain.mode, &plain.selection), (None, &None));
        assert!(!plain.read_whole);
        let selection = Selection {
            exclude: vec!["a.b".to_owned()],
            include: vec!["a.*".to_owned()],
            into: Some("c".to_owned()),
            query: Some(r#"{"a":1}"#.to_owned()),
            rename: vec![Rename {
                from: "a.x".to_owned(),
                to: "b.y".to_owned(),
            }],
        };
        let whole = StartRestore {
            mode: Some(RestoreMode::InPlace),
            read_whole: true,
            selection: Some(selection),
            ..plain
        };
        let text = serde_json::to_vec(&whole).unwrap();
        assert_eq!(StartRestore::parse(&text).unwrap(), whole);
    }

    #[test]
    fn a_selection_of_nothing_in_particular_is_none() {
        assert_eq!(read(r#","selection":{}"#).unwrap().selection, None);
        assert_eq!(
            read(r#","selection":{"include":[]}"#).unwrap().selection,
            None
        );
    }

    #[test]
    fn each_fault_has_its_code() {
        for (rest, code) in [
            (r#","mode":"FAST""#, "INVALID_ENUM_VALUE"),
            (r#","readWhole":1"#, "INVALID_JSON_ATTRIBUTE"),
            (r#","selection":[]"#, "INVALID_JSON_ATTRIBUTE"),
            (r#","selection":{"only":1}"#, "INVALID_ATTRIBUTE"),
            (
                r#","selection":{"include":"a.b"}"#,
                "INVALID_JSON_ATTRIBUTE",
            ),
            (
                r#","selection":{"rename":["a=b"]}"#,
                "INVALID_JSON_ATTRIBUTE",
            ),
            (
                r#","selection":{"rename":[{"from":"a.b"}]}"#,
                "MISSING_ATTRIBUTE",
            ),
        ] {
            let refused = read(rest).expect_err(rest).document();
            assert_eq!(refused.error_code, code, "{rest}");
        }
    }
}
