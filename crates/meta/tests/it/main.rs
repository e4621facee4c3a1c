//! The metadata store at its boundary, on a real file each.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests do; the lint knows only test functions"
)]

mod clusters;
mod drills;
mod jobs;
mod keys;
mod opening;
mod restores;
mod secrets;
mod snapshots;
mod world;
