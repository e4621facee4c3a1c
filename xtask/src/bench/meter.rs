//! What a process has used, as the kernel counts it: processor time and the most memory. It must
//! never be asked about a process that has ended.

use anyhow::Context;

/// Ticks of the kernel's clock in a second, as `/proc` gives them on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the processor time that a process has used, in milliseconds.
pub(super) fn cpu_ms(pid: u32) -> anyhow::Result<f64> {
    time_ms(pid, 0)
}

/// Returns the processor time that the ended children of this process have used, in milliseconds.
pub(super) fn children_cpu_ms() -> anyhow::Result<f64> {
    time_ms(std::process::id(), 2)
}

/// Returns the sum of two neighbouring times, the first of them so many fields behind that of the
/// process' own.
fn time_ms(pid: u32, behind: usize) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    // The name in parentheses may have spaces in it; user and system time are the 12th and 13th
    // fields behind it, and those of ended children the two that follow (`proc(5)`).
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    let mut fields = fields
        .context("find the fields")?
        .split_whitespace()
        .skip(11 + behind);
    let mut ticks = || -> anyhow::Result<f64> {
        let field = fields.next().context("find a time")?;
        field.parse().context("read a time")
    };
    Ok((ticks()? + ticks()?) * 1_000.0 / TICKS_PER_SECOND)
}
