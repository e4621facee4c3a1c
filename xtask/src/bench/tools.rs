//! The stock tools on the same data in the same run, where they are on the machine. Where they
//! are not, that is said, and no figure of another day stands in for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use serde_json::json;
use testkit::RealMongo;

use super::{DATABASE, report};
use crate::shell;

/// Measures `mongodump`, `mongodump --gzip` and `mongorestore --drop`.
pub(super) async fn measure(
    mongo: &RealMongo,
    scratch: &Path,
    size_bytes: u64,
) -> anyhow::Result<()> {
    let (dump, restore) = (
        find("REGROW_MONGODUMP", "mongodump"),
        find("REGROW_MONGORESTORE", "mongorestore"),
    );
    let (Some(dump), Some(restore)) = (dump, restore) else {
        eprintln!(
            "left out: mongodump and mongorestore, which are not on the PATH (or name them in \
             REGROW_MONGODUMP and REGROW_MONGORESTORE)"
        );
        return Ok(());
    };
    let uri = mongo.uri();
    let plain = scratch.join("plain");
    for (figure, folder, gzip) in [
        ("mongodump", &plain, None),
        ("mongodump_gzip", &scratch.join("gzip"), Some("--gzip")),
    ] {
        let mut command = Command::new(&dump);
        command
            .args(["--quiet", "--uri", &uri, "--db", DATABASE, "--out"])
            .arg(folder);
        time(figure, command.args(gzip), size_bytes)?;
    }
    let mut command = Command::new(&restore);
    command.args([
        "--quiet",
        "--uri",
        &uri,
        "--drop",
        "--numInsertionWorkersPerCollection",
        "4",
    ]);
    time("mongorestore", command.arg(&plain), size_bytes)?;
    for folder in ["plain", "gzip"] {
        std::fs::remove_dir_all(scratch.join(folder)).context("remove a dump")?;
    }
    Ok(())
}

fn time(figure: &str, command: &mut Command, size_bytes: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    shell::run(command)?;
    report(
        figure,
        size_bytes,
        started.elapsed().as_secs_f64(),
        json!({}),
    );
    Ok(())
}

fn find(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    named.or_else(|| testkit::on_path(name))
}
