//! Rules for the lock file: one crypto provider, one TLS, one BSON, one runtime.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;

use crate::shell;

/// Crates that must not come in, not even through others, each with the reason.
const FORBIDDEN: [(&str, &str); 5] = [
    ("aws-lc-rs", "a second crypto provider; ring is the one"),
    ("aws-lc-sys", "a second crypto provider; ring is the one"),
    (
        "openssl-sys",
        "needs a system library; rustls is the one TLS",
    ),
    ("native-tls", "a second TLS; rustls is the one"),
    (
        "chrono-tz",
        "a second source of time zones; jiff is the one",
    ),
];
/// Crates of which two versions mean that two halves of the program can't speak to each other.
const SINGLE: [&str; 9] = [
    "bson",
    "mongodb",
    "rustls",
    "ring",
    "tokio",
    "axum",
    "hyper",
    "object_store",
    "sqlx",
];

/// Returns a complaint for each crate that should not be there.
pub(super) fn check() -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(shell::root().join("Cargo.lock")).context("read Cargo.lock")?;
    Ok(check_text(&text))
}

fn check_text(text: &str) -> Vec<String> {
    let versions = versions(text);
    let forbidden = FORBIDDEN
        .iter()
        .filter(|(name, _)| versions.contains_key(name));
    let mut complaints: Vec<String> = forbidden
        .map(|(name, reason)| format!("Cargo.lock: {name} came in: {reason}"))
        .collect();
    for name in SINGLE {
        if let Some(several) = versions.get(name).filter(|versions| versions.len() > 1) {
            complaints.push(format!(
                "Cargo.lock: {name} is there in {}",
                several.join(" and ")
            ));
        }
    }
    complaints
}

/// Returns the versions of each crate of a lock file.
fn versions(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key))?;
            line.strip_prefix(" = \"")?.strip_suffix('"')
        };
        if let (Some(name), Some(version)) = (value("name"), value("version")) {
            versions.entry(name).or_default().push(version);
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let each = packages.iter().map(|(name, version)| {
            format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n")
        });
        each.collect()
    }

    #[test]
    fn forbidden_and_double_crates_are_found() {
        assert_eq!(
            check_text(&lock(&[("bson", "3.1.0"), ("syn", "1.0"), ("syn", "2.0")])).len(),
            0
        );
        assert_eq!(
            check_text(&lock(&[("bson", "2.15.0"), ("bson", "3.1.0")])).len(),
            1
        );
        assert_eq!(check_text(&lock(&[("aws-lc-rs", "1.0.0")])).len(), 1);
    }
}
