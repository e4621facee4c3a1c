//! The wire: types shaped like the Atlas Administration API, version 1.0, and like Regrow's own
//! additions in the same style.
//!
//! Pure: no input or output, no clock, no randomness, and no knowledge of the domain. Server and
//! command line share it, so that what one writes the other reads. Conversions to and from the
//! domain live in `regrow::http`. Members are declared in the alphabetical order of their wire
//! names, because that is the order in which live answers carry them.

pub mod access_list;
pub mod api_key;
pub mod body;
pub mod cluster;
pub mod date;
pub mod digest;
pub mod error;
pub mod group;
pub mod id;
pub mod link;
pub mod org;
pub mod page;
pub mod pretty;
pub mod query;
pub mod regrow;
pub mod restore_job;
pub mod root;
pub mod serverless;
pub mod snapshot;
pub mod tenant;

pub use date::Date;
pub use error::{ApiError, Code};
pub use id::Id;
pub use link::Link;
pub use page::List;
pub use query::Query;

/// The path below which the documented API, version 1.0, answers.
pub const ATLAS_V1: &str = "/api/atlas/v1.0";

/// The path below which Regrow's own additions answer.
pub const REGROW_V1: &str = "/api/regrow/v1";

/// The media type of every body in both.
pub const JSON: &str = "application/json";
