//! Why a filter was refused, or could not be decided. Written for whoever typed the filter; nothing
//! of a document is repeated.

use crate::raw::Malformed;

/// Why a filter was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The operator is not one of the match language, or not one of those understood here.
    #[error("the operator {name} is not known")]
    Unknown {
        /// The operator as written, with its `$`.
        name: String,
    },
    /// The operator exists, but can't be decided without a server.
    #[error("the operator {name} is not supported: {reason}")]
    Unsupported {
        /// The operator as written, with its `$`.
        name: String,
        /// What it would need.
        reason: &'static str,
    },
    /// The operator's argument is not one it takes.
    #[error("{name} {fault}")]
    Argument {
        /// The operator as written, with its `$`.
        name: String,
        /// What it takes, as the rest of the sentence.
        fault: String,
    },
    /// The filter is nested too deep.
    #[error("the filter is nested deeper than {limit} levels")]
    TooDeep {
        /// How deep a filter may be nested.
        limit: usize,
    },
    /// The text of the filter is not a document in extended JSON.
    #[error("the filter is not a document in extended JSON: {fault}")]
    Json {
        /// What is wrong with it.
        fault: String,
    },
    /// The filter is not valid BSON.
    #[error("the filter is not valid BSON: {fault}")]
    Invalid {
        /// What is wrong with it.
        fault: String,
    },
}

impl FilterError {
    pub(super) fn argument(name: &str, fault: &str) -> Self {
        FilterError::Argument {
            name: name.to_owned(),
            fault: fault.to_owned(),
        }
    }
}

impl From<Malformed> for FilterError {
    fn from(malformed: Malformed) -> Self {
        FilterError::Invalid {
            fault: malformed.0.to_owned(),
        }
    }
}

/// Why it can't be said whether a document matches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// The document is not valid BSON.
    #[error("a document is not valid BSON: {fault}")]
    Document {
        /// What is wrong with it.
        fault: String,
    },
    /// A regular expression gave up on a string of the document.
    #[error("the regular expression gave up on a value: {fault}")]
    Regex {
        /// Which limit it reached.
        fault: String,
    },
}

impl From<Malformed> for MatchError {
    fn from(malformed: Malformed) -> Self {
        MatchError::Document {
            fault: malformed.0.to_owned(),
        }
    }
}
