//! What must hold at the boundary of the snapshot store, on real directories and in memory.

mod identity;
mod support;
