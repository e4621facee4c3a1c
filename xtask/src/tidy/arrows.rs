//! Who may know whom. The rooms of the workspace stay testable only while, for example, the
//! snapshot store has never heard of MongoDB; ARCHITECTURE.md has the picture.

use anyhow::Context;
use serde_json::Value;

use crate::shell;

/// A room, the rooms that it may use, and the outside crates that must stay out of it.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    must_not_use: &'static [&'static str],
}

/// Crates that do input, output or time; the pure rooms know none of them.
const EFFECTS: &[&str] = &[
    "tokio",
    "mongodb",
    "sqlx",
    "object_store",
    "axum",
    "hyper-util",
    "reqwest",
    "tempfile",
];

/// Every room. Development dependencies are free: tests may know everything below them.
const ROOMS: [Room; 9] = [
    Room {
        name: "api",
        may_use: &[],
        must_not_use: EFFECTS,
    },
    Room {
        name: "model",
        may_use: &[],
        must_not_use: EFFECTS,
    },
    Room {
        name: "vault",
        may_use: &[],
        must_not_use: &["mongodb", "sqlx", "axum", "clap"],
    },
    Room {
        name: "mongo",
        may_use: &[],
        must_not_use: &["object_store", "sqlx", "axum", "clap"],
    },
    Room {
        name: "meta",
        may_use: &["model"],
        must_not_use: &["mongodb", "object_store", "axum"],
    },
    Room {
        name: "engine",
        may_use: &["vault", "mongo", "meta", "model"],
        must_not_use: &["axum", "reqwest", "clap", "sqlx", "mongodb"],
    },
    Room {
        name: "regrow",
        may_use: &["engine", "api", "model", "vault", "mongo", "meta"],
        must_not_use: &["sqlx"],
    },
    Room {
        name: "testkit",
        may_use: &[],
        must_not_use: &["sqlx", "axum", "clap"],
    },
    Room {
        name: "xtask",
        may_use: &["testkit", "api"],
        must_not_use: &["sqlx", "axum"],
    },
];

/// Returns a complaint for each dependency that goes the wrong way.
pub(super) fn check() -> anyhow::Result<Vec<String>> {
    let mut cargo = shell::cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&shell::output(&mut cargo)?)
        .context("read the answer of cargo metadata")?;
    let packages = metadata["packages"]
        .as_array()
        .context("read the packages of the workspace")?;
    Ok(packages.iter().flat_map(check_package).collect())
}

fn check_package(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!("crate {name}: has no place in the list of rooms")];
    };
    let mut complaints = Vec::new();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let used = dependency["name"].as_str().unwrap_or_default();
        // The kind is null for a plain dependency.
        if dependency["kind"] == "dev" {
            continue;
        }
        let is_room = dependency["path"].is_string();
        if is_room && !room.may_use.contains(&used) {
            complaints.push(format!("crate {name}: must not know the room {used}"));
        }
        if !is_room && room.must_not_use.contains(&used) {
            complaints.push(format!("crate {name}: must not use {used}"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_arrow_against_the_grain_is_found_unless_it_is_for_tests() {
        let package = |kind: Value, used: &str, path: Value| {
            let dependency = json!({ "name": used, "kind": kind, "path": path });
            check_package(&json!({ "name": "vault", "dependencies": [dependency] }))
        };
        assert_eq!(package(Value::Null, "mongodb", Value::Null).len(), 1);
        assert_eq!(
            package(Value::Null, "mongo", json!("crates/mongo")).len(),
            1
        );
        assert_eq!(
            package(json!("dev"), "testkit", json!("crates/testkit")).len(),
            0
        );
        assert_eq!(package(Value::Null, "object_store", Value::Null).len(), 0);
    }

    #[test]
    fn a_crate_that_nobody_placed_is_found() {
        assert_eq!(
            check_package(&json!({ "name": "common", "dependencies": [] })).len(),
            1
        );
    }
}
