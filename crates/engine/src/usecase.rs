//! What can be asked of the engine: authorise, validate, one transition, notify.

pub(crate) mod clusters;
pub(crate) mod downloads;
pub(crate) mod drills;
pub(crate) mod keys;
pub(crate) mod peek;
pub(crate) mod projects;
pub(crate) mod restores;
mod retention;
pub(crate) mod snapshots;
