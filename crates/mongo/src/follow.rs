//! Learns which documents were written between two points of a replica set's history.
//!
//! Everything found is an over-approximation: an id too many costs one read, an id too few would
//! lose a document. Whatever cannot be told for sure makes a collection [`Change::Unknown`], and a
//! history that cannot be proven to be unbroken is [`Error::HistoryLost`]: the caller scans then.
//! Nothing here may ever guess.
mod changes;
mod point;

pub use changes::{Change, ChangeLimits, Changes, UnknownReason};
pub use point::{FollowWay, ResumePoint};
