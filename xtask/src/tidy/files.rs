//! Rules for single files: length, width, a charter at the top, no notes to oneself.

use std::fs;
use std::process::Command;

use anyhow::Context;

use crate::shell;

/// A file has one subject; past this many lines it has two.
const LINES_MAX: usize = 1_000;
/// Longer lines don't fit beside another file on a screen.
const COLUMNS_MAX: usize = 100;
/// What is done is done and what isn't is an issue. Split, so that this file doesn't hold them.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Returns a complaint for each broken rule.
pub(super) fn check() -> anyhow::Result<Vec<String>> {
    let mut complaints = Vec::new();
    for name in tracked_files()? {
        let is_rust = name.ends_with(".rs");
        let is_text = is_rust
            || [".md", ".toml", ".sql", ".yml"]
                .iter()
                .any(|e| name.ends_with(e));
        if !is_text {
            continue;
        }
        let Ok(text) = fs::read_to_string(shell::root().join(&name)) else {
            continue;
        };
        if is_rust {
            check_rust(&name, &text, &mut complaints);
        }
        for (number, line) in text.lines().enumerate() {
            if let Some(note) = NOTES.iter().find(|note| line.contains(**note)) {
                complaints.push(format!("{name}:{}: a {note}; do it or file it", number + 1));
            }
        }
    }
    Ok(complaints)
}

fn check_rust(name: &str, text: &str, complaints: &mut Vec<String>) {
    let count = text.lines().count();
    if count > LINES_MAX {
        complaints.push(format!(
            "{name}: {count} lines, at most {LINES_MAX} are allowed; split it"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            complaints.push(format!(
                "{name}:{}: {columns} columns of {COLUMNS_MAX}",
                number + 1
            ));
        }
    }
    if !text.starts_with("//! ") && !name.contains("/fixtures/") {
        complaints.push(format!(
            "{name}: does not start with `//!`, which says what it is for"
        ));
    }
}

/// Returns the files that git knows or would add.
fn tracked_files() -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(shell::root());
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let listed = shell::output(&mut git).context("list the project's files")?;
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_about(text: &str) -> usize {
        let mut complaints = Vec::new();
        check_rust("some.rs", text, &mut complaints);
        complaints.len()
    }

    #[test]
    fn a_file_needs_a_charter_and_must_not_be_long_or_wide() {
        assert_eq!(complaints_about("//! What it is for.\n"), 0);
        assert_eq!(complaints_about("fn main() {}\n"), 1);
        assert_eq!(complaints_about(&"//! long\n".repeat(LINES_MAX + 1)), 1);
        assert_eq!(
            complaints_about(&format!("//! {}\n", "ä".repeat(COLUMNS_MAX - 4))),
            0
        );
        assert_eq!(
            complaints_about(&format!("//! {}\n", "ä".repeat(COLUMNS_MAX - 3))),
            1
        );
    }
}
