//! Keeps a target visibly unfinished until its restore is whole.

/// The database that holds the marker of an unfinished restore: one collection, named after the
/// job. It exists only while a restore runs or after one was abandoned.
pub const MARKER_DATABASE: &str = "__regrow_restore";
