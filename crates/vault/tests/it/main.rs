//! What must hold at the boundary of the snapshot store, on real directories and in memory.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod checkpoints;
mod contract;
mod crash;
mod damage;
mod diff;
mod editing;
mod faulty;
mod finding;
mod golden;
mod identity;
mod matching;
mod model;
mod repacking;
mod strips;
mod support;
mod sweep;
