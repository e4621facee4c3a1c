//! Keeps the C library's allocator from holding on to large pieces of memory.
//!
//! glibc maps large pieces one by one and gives them back when freed, but raises the size from
//! which it does so with every piece it sees, up to 32 MB: after a few blocks of megabytes it keeps
//! them all. The size can be fixed only before the program starts (`MALLOC_MMAP_THRESHOLD_`, see
//! mallopt(3)), so the program starts itself once more. Elsewhere the variable does nothing.

use std::os::unix::process::CommandExt;
use std::process::Command;

const VARIABLE: &str = "MALLOC_MMAP_THRESHOLD_";

/// Above the blocks of the store, which come and go all the time, and below single large
/// documents, in bytes.
const THRESHOLD: &str = "4194304";

/// Replaces the process by itself under the setting, unless it has one; returns where that is
/// done, or where it can't be.
pub(super) fn bound() {
    if std::env::var_os(VARIABLE).is_some() {
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
    let error = again.args(arguments).env(VARIABLE, THRESHOLD).exec();
    tracing::warn!(error = %error, "memory is not bounded as tightly as it could be");
}
