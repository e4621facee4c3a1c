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

/// The folder, below the scratch folder, of the dump that is restored later.
const PLAIN: &str = "plain";

/// `mongodump` and `mongorestore`.
pub(super) struct Stock {
    dump: PathBuf,
    restore: PathBuf,
}

impl Stock {
    /// Finds both, by the environment or on the `PATH`; says so where one is missing.
    pub(super) fn find() -> Option<Self> {
        let dump = find("REGROW_MONGODUMP", "mongodump");
        let restore = find("REGROW_MONGORESTORE", "mongorestore");
        if let (Some(dump), Some(restore)) = (dump, restore) {
            return Some(Self { dump, restore });
        }
        eprintln!(
            "left out: mongodump and mongorestore, which are not on the PATH (or name them in \
             REGROW_MONGODUMP and REGROW_MONGORESTORE)"
        );
        None
    }

    /// Measures `mongodump` and `mongodump --gzip`; keeps the plain dump. Returns the seconds.
    pub(super) fn dump(
        &self,
        mongo: &RealMongo,
        scratch: &Path,
        size_bytes: u64,
    ) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let uri = mongo.uri();
        let mut taken = Vec::new();
        for (figure, folder, gzip) in [
            ("mongodump", PLAIN, None),
            ("mongodump_gzip", "gzip", Some("--gzip")),
        ] {
            let mut command = Command::new(&self.dump);
            command
                .args(["--quiet", "--uri", &uri, "--db", DATABASE, "--out"])
                .arg(scratch.join(folder));
            taken.push((figure, time(figure, command.args(gzip), size_bytes)?));
        }
        std::fs::remove_dir_all(scratch.join("gzip")).context("remove a dump")?;
        Ok(taken)
    }

    /// Measures `mongorestore --drop` of the plain dump, and removes that. Returns the seconds.
    pub(super) fn restore(
        &self,
        mongo: &RealMongo,
        scratch: &Path,
        size_bytes: u64,
    ) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let uri = mongo.uri();
        let mut command = Command::new(&self.restore);
        command.args(["--quiet", "--uri", &uri, "--drop"]);
        command.args(["--numInsertionWorkersPerCollection", "4"]);
        let plain = scratch.join(PLAIN);
        let seconds = time("mongorestore_drop", command.arg(&plain), size_bytes)?;
        std::fs::remove_dir_all(plain).context("remove a dump")?;
        Ok(vec![("mongorestore_drop", seconds)])
    }
}

fn time(figure: &str, command: &mut Command, size_bytes: u64) -> anyhow::Result<f64> {
    let started = Instant::now();
    shell::run(command)?;
    let seconds = started.elapsed().as_secs_f64();
    report(figure, size_bytes, seconds, json!({}));
    Ok(seconds)
}

fn find(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    named.or_else(|| testkit::on_path(name))
}
