//! Keeps the C library's allocator from holding on to large pieces of memory.
//!
//! glibc maps large pieces one by one and gives them back when freed, but raises the size from
//! which it does so with every piece it sees, up to 32 MB: after a few blocks of megabytes it keeps
//! them all. Where that size is fixed, it gives back whatever is free at the end of a heap from
//! 128 KB on, only to ask for it again for the next block. Both can be set only before the program
//! starts (see mallopt(3)), so the program starts itself once more. Elsewhere they do nothing.

use std::os::unix::process::CommandExt;
use std::process::Command;

const MAP_FROM: &str = "MALLOC_MMAP_THRESHOLD_";
const TRIM_FROM: &str = "MALLOC_TRIM_THRESHOLD_";

/// Above the blocks of the store, which come and go all the time, and below single large
/// documents, in bytes.
const THRESHOLD: &str = "4194304";

/// Replaces the process by itself under these settings, unless it has the first; returns where that
/// is done, or where it can't be.
pub(super) fn bound() {
    if std::env::var_os(MAP_FROM).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments).env(MAP_FROM, THRESHOLD);
    if std::env::var_os(TRIM_FROM).is_none() {
        again.env(TRIM_FROM, THRESHOLD);
    }
    let error = again.exec();
    tracing::warn!(error = %error, "memory is not bounded as tightly as it could be");
}
