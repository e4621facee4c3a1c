//! What can go wrong between us and a server, as variants that callers branch on.
//!
//! No message holds a connection string, a password or a part of a document: the driver's own
//! errors can, so they are never chained, only the parts that are safe ([`Cause`]).
use std::fmt;

use crate::server::code;

/// Everything this room can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be used; its text is not repeated.
    #[error("the connection string is not valid: {reason}")]
    InvalidUri {
        /// What is wrong with it, in words that hold nothing of it.
        reason: &'static str,
    },
    /// No server answered within the server selection timeout.
    #[error("no server answers at {hosts}")]
    Unreachable {
        /// Host and port of each seed, comma separated.
        hosts: String,
        /// What the driver saw last.
        source: Cause,
    },
    /// The server refused the credentials of the connection string, or wants some and has none.
    #[error("the server at {hosts} refused the user name or password")]
    AuthenticationFailed {
        /// Host and port of each seed, comma separated.
        hosts: String,
    },
    /// The user lacks a privilege without which the work cannot be done.
    #[error("the user lacks {action} on {resource}; hint: grant the built-in role `{hint}`")]
    MissingPrivilege {
        /// Action names, comma separated, as MongoDB spells them.
        action: String,
        /// What they are missing on, in words.
        resource: String,
        /// The built-in role of the `admin` database that has them.
        hint: &'static str,
    },
    /// The deployment is of a kind or a version that this room cannot handle.
    #[error("not supported: {what}")]
    Unsupported {
        /// The kind or version, and what is needed instead.
        what: String,
    },
    /// The deployment carries the marker of a restore that has not finished.
    #[error("an unfinished restore ({job}) left this deployment incomplete")]
    UnfinishedRestore {
        /// The job that placed the marker.
        job: String,
    },
    /// A collection can no longer be read at the snapshot's time: begin again with a new one.
    #[error("{namespace} can no longer be read at the snapshot's time: {reason}")]
    SnapshotLost {
        /// Database and collection.
        namespace: String,
        /// What the server said.
        reason: LostReason,
    },
    /// What happened since a resume point cannot be told for sure: scan instead.
    #[error("what changed since the last snapshot cannot be followed: {reason}")]
    HistoryLost {
        /// What is missing, different or unknown.
        reason: HistoryLost,
    },
    /// The catalog kept changing, so that none could be proven to hold at one time.
    #[error("the catalog changed while it was read: {what}")]
    CatalogChanged {
        /// The first difference, with its namespace.
        what: String,
    },
    /// A snapshot was to be declared complete before this collection was read to its end.
    #[error("{namespace} was not read to its end")]
    NotRead {
        /// Database and collection.
        namespace: String,
    },
    /// Another restore has taken the target over: this one must not write to it any more.
    #[error("the target no longer carries the marker of restore {job}")]
    TargetTaken {
        /// The job that held it.
        job: String,
    },
    /// A database would differ from another of the target by the case of letters only.
    #[error(
        "the target has the database {other}, and no server takes {database} beside it; \
         hint: drop {other} first, or restore all of the snapshot in place"
    )]
    NameClash {
        /// The database to be made.
        database: String,
        /// The one that is there.
        other: String,
    },
    /// Somebody else dropped, renamed or made a collection of the restore.
    #[error("{namespace} is not what was put there: somebody else has changed it meanwhile")]
    Displaced {
        /// Database and collection.
        namespace: String,
    },
    /// The target holds another document under the `_id` of one to be loaded.
    #[error("{namespace} already holds a different document under an `_id` of the snapshot")]
    Conflict {
        /// Database and collection.
        namespace: String,
    },
    /// The server did not store a document.
    #[error("{namespace} refused {count} documents (code {code}{message})")]
    WriteRefused {
        /// Database and collection.
        namespace: String,
        /// How many documents of the batch.
        count: usize,
        /// The server's code for the first of them.
        code: i32,
        /// The server's words with a leading colon, or nothing where they would quote a document.
        message: String,
    },
    /// The server answered a command with an error.
    #[error("{doing}: the server answered {code} {name}: {message}")]
    Command {
        /// What was being done, in the present tense, with its namespace.
        doing: String,
        /// The server's error code.
        code: i32,
        /// The server's name for the code.
        name: String,
        /// The server's words.
        message: String,
        /// Whether the same command may succeed when it is sent again.
        transient: bool,
    },
    /// The connection broke, or no server could be selected, in the middle of the work.
    #[error("{doing}: the connection failed")]
    Network {
        /// What was being done, in the present tense, with its namespace.
        doing: String,
        /// What the driver saw.
        source: Cause,
    },
    /// A reply that is not what the server's documentation promises.
    #[error("{doing}: the reply is malformed: {what}")]
    InvalidReply {
        /// What was being done, in the present tense, with its namespace.
        doing: String,
        /// What is wrong with it.
        what: String,
    },
    /// Something handed in cannot be sent to a server.
    #[error("{namespace}: {what}")]
    InvalidInput {
        /// Database and collection.
        namespace: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Why history since a resume point cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryLost {
    /// The server no longer has everything since the point.
    RolledOver,
    /// What the server has at the point is not what was there: another history.
    Different,
    /// The user may no longer read it in the way of the point.
    NotPermitted,
    /// Something happened that is not known to leave documents alone; says what.
    NotUnderstood(String),
}

impl fmt::Display for HistoryLost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledOver => formatter.write_str("the server no longer keeps all of it"),
            Self::Different => formatter.write_str("the server has another history"),
            Self::NotPermitted => formatter.write_str("the user may no longer read it"),
            Self::NotUnderstood(what) => formatter.write_str(what),
        }
    }
}

/// Why a collection can no longer be read at a snapshot's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostReason {
    /// It was dropped or renamed (26 `NamespaceNotFound`, 175 `QueryPlanKilled`).
    Gone,
    /// It changed in a way that hides its older state (246 `SnapshotUnavailable`).
    Unavailable,
    /// The server's snapshot history window has passed (239 `SnapshotTooOld`).
    TooOld,
    /// A capped collection overwrote the place that the cursor was at (136 `CappedPositionLost`).
    Overwritten,
    /// The server closed the cursor (43 `CursorNotFound`, 237 `CursorKilled`).
    CursorLost,
}

impl fmt::Display for LostReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gone => "it was dropped or renamed",
            Self::Unavailable => "its older state is not available",
            Self::TooOld => "the server's snapshot history window has passed",
            Self::Overwritten => "the capped collection overwrote what was being read",
            Self::CursorLost => "the server closed the cursor",
        })
    }
}

/// The safe part of a driver's error: its kind and, where it cannot quote data, its words.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    pub(crate) fn from_text(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl Error {
    /// Tells whether the same work may succeed when it is done again without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Network { .. }
            | Self::SnapshotLost { .. }
            | Self::CatalogChanged { .. } => true,
            Self::Command { transient, .. } => *transient,
            _ => false,
        }
    }

    /// Tells whether the way to the server broke, so that asking for the same again may do.
    pub(crate) fn is_interruption(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Network { .. } => true,
            Self::SnapshotLost { reason, .. } => *reason == LostReason::CursorLost,
            Self::Command {
                transient, code, ..
            } => *transient || code::CURSORS_LOST.contains(code),
            _ => false,
        }
    }
}
