//! How a restore is to be done, and of what: modes, and selections of a snapshot.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::error::ApiError;
use crate::id::Id;

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
        let known = ["mode", "selection", "snapshotId", TARGET, "targetGroupId"];
        let mut body = Body::parse(bytes, &known)?;
        Ok(Self {
            mode: body.choice("mode", &MODES)?,
            selection: Selection::take(&mut body)?,
            snapshot_id: required(body.id("snapshotId")?, "snapshotId")?,
            target_cluster_name: required(body.filled_text(TARGET)?, TARGET)?,
            target_group_id: body.id("targetGroupId")?,
        })
    }
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
