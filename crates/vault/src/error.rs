//! What can go wrong in the store. Callers branch on [`Error::kind`]; people read the message,
//! which always names the object concerned. It must never carry keys or the content of documents.

use std::error::Error as StdError;
use std::sync::Arc;

/// A failure of the store.
///
/// Cheap to clone, because one failed put ends every collection writer of its snapshot.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object is not there.
    #[error("{object} is missing")]
    Missing {
        /// Full name of the object.
        object: String,
    },
    /// The object's bytes are not what was written.
    #[error("{object} is corrupt: {reason}")]
    Corrupt {
        /// Full name of the object.
        object: String,
        /// What did not agree.
        reason: String,
    },
    /// The object store did not answer, or not usefully; trying again later may help.
    #[error("{object} cannot be reached")]
    Unavailable {
        /// Full name of the object.
        object: String,
        /// What the object store said.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The key is wrong, or the object store refuses access.
    #[error("access to {object} is denied: {reason}")]
    Denied {
        /// Full name of the object.
        object: String,
        /// Who denied it and why.
        reason: String,
    },
    /// The object is there already and may not be replaced.
    #[error("{object} exists already")]
    Exists {
        /// Full name of the object.
        object: String,
    },
    /// There is no room left for the object; nothing of it was left under its name.
    #[error("no space left for {object}")]
    Full {
        /// Full name of the object.
        object: String,
        /// What the object store said.
        #[source]
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The object was written by a later version of this program.
    #[error("{object} has format version {version}, this program reads up to {supported}")]
    Unsupported {
        /// Full name of the object.
        object: String,
        /// Version found.
        version: u32,
        /// Highest version this program reads.
        supported: u32,
    },
    /// The caller broke a rule of the interface.
    #[error("invalid use of the store: {reason}")]
    Invalid {
        /// Which rule.
        reason: String,
    },
}

/// What callers branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An object is not there.
    Missing,
    /// An object's bytes are not what was written.
    Corrupt,
    /// The object store did not answer usefully.
    Unavailable,
    /// Wrong key, or access refused.
    Denied,
    /// The object is there already.
    Exists,
    /// No room left.
    Full,
    /// Written by a later version of this program.
    Unsupported,
    /// The caller broke a rule of the interface.
    Invalid,
}

impl Error {
    /// Returns what a caller can branch on.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Missing { .. } => ErrorKind::Missing,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Unavailable { .. } => ErrorKind::Unavailable,
            Error::Denied { .. } => ErrorKind::Denied,
            Error::Exists { .. } => ErrorKind::Exists,
            Error::Full { .. } => ErrorKind::Full,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Invalid { .. } => ErrorKind::Invalid,
        }
    }

    /// Returns the full name of the object concerned, if one is.
    pub fn object(&self) -> Option<&str> {
        match self {
            Error::Missing { object }
            | Error::Corrupt { object, .. }
            | Error::Unavailable { object, .. }
            | Error::Denied { object, .. }
            | Error::Exists { object }
            | Error::Full { object, .. }
            | Error::Unsupported { object, .. } => Some(object),
            Error::Invalid { .. } => None,
        }
    }

    /// Answers whether the object store does not have what was written: an object is missing or its
    /// bytes are others. Asking again does not help; storing the documents anew does.
    pub fn is_damage(&self) -> bool {
        matches!(self.kind(), ErrorKind::Corrupt | ErrorKind::Missing)
    }

    pub(crate) fn corrupt(object: impl Into<String>, reason: impl Into<String>) -> Error {
        Error::Corrupt {
            object: object.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn invalid(reason: impl Into<String>) -> Error {
        Error::Invalid {
            reason: reason.into(),
        }
    }
}
