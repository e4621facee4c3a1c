//! Checks what compilers don't, so that nobody has to say it in a review. It must never change a
//! file. Everything wrong is told at once.

mod arrows;
mod files;
mod lock;

use anyhow::bail;

/// Runs all checks and fails with a line for each thing found.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut complaints = files::check()?;
    complaints.extend(arrows::check()?);
    complaints.extend(lock::check()?);
    if complaints.is_empty() {
        eprintln!("tidy: nothing to complain about");
        return Ok(());
    }
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    bail!("tidy found {} things", complaints.len())
}
