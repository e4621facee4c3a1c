//! Why the store cannot be opened or set up, in words that a person can act on.

use std::path::PathBuf;

/// Why the store cannot be opened or set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store was made under another key.
    #[error("the key does not fit the metadata in {}", path.display())]
    WrongKey {
        /// The store's file.
        path: PathBuf,
    },
    /// A newer Regrow has changed the schema.
    #[error(
        "{} has schema {version}, which this version of regrow does not know",
        path.display()
    )]
    NewerSchema {
        /// The store's file.
        path: PathBuf,
        /// The first migration that is unknown here.
        version: i64,
    },
    /// The file is damaged, or something else altogether.
    #[error("{} is damaged or is not a metadata store: {reason}", path.display())]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// There is no room to write.
    #[error("no space is left on the disk that holds {}", path.display())]
    DiskFull {
        /// The store's file.
        path: PathBuf,
    },
    /// The file cannot be made, read or written.
    #[error("cannot open {}", path.display())]
    Unreadable {
        /// The store's file.
        path: PathBuf,
        /// Why, in the system's words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is an organization already.
    #[error("the metadata store is already initialised")]
    AlreadyInitialised,
    /// Anything else.
    #[error("the metadata store failed")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}
