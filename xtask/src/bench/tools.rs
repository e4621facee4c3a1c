//! Others on the same data in the same run: the stock tools where they are on the machine, and a
//! reference that is there on any machine. Where the tools are not, that is said; no figure of
//! another day stands in for them, and the reference never goes by their names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::json;
use testkit::RealMongo;
use testkit::reference::{self, ReferenceFormat};

use super::meter::{children_cpu_ms, cpu_ms};
use super::{DATABASE, in_mb, per_mb, report};
use crate::shell;

/// Folders below the scratch folder, of dumps that are restored later.
const STOCK: &str = "plain";
const REFERENCE: &str = "reference";

/// What others took in this run: the figure's name, and seconds.
pub(super) type Taken = Vec<(&'static str, f64)>;

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
}

/// What others are measured with.
pub(super) struct Others<'a> {
    pub(super) stock: Option<&'a Stock>,
    pub(super) mongo: &'a RealMongo,
    pub(super) scratch: &'a Path,
    /// What tells the data set from others in the figures.
    pub(super) label: &'a str,
    pub(super) size_bytes: u64,
    pub(super) documents: u64,
}

impl Others<'_> {
    /// Measures dumps, plain and through gzip; keeps the plain ones.
    pub(super) async fn dump(&self) -> anyhow::Result<Taken> {
        let mut taken = Taken::new();
        if let Some(stock) = self.stock {
            let uri = self.mongo.uri();
            for (figure, folder, gzip) in [
                ("mongodump", STOCK, None),
                ("mongodump_gzip", "gzip", Some("--gzip")),
            ] {
                let mut command = Command::new(&stock.dump);
                command
                    .args(["--quiet", "--uri", &uri, "--db", DATABASE, "--out"])
                    .arg(self.scratch.join(folder));
                taken.push((figure, self.tool(figure, command.args(gzip)).await?));
            }
            std::fs::remove_dir_all(self.scratch.join("gzip")).context("remove a dump")?;
        }
        let client = self.mongo.client().await?;
        for (figure, folder, format) in [
            ("reference_dump", REFERENCE, ReferenceFormat::Plain),
            ("reference_dump_gzip", "gzip", ReferenceFormat::Gzip),
        ] {
            let folder = self.scratch.join(folder);
            let dump = reference::dump(&client, DATABASE, &folder, format);
            taken.push((figure, self.own(figure, dump).await?.1));
        }
        std::fs::remove_dir_all(self.scratch.join("gzip")).context("remove a dump")?;
        Ok(taken)
    }

    /// Measures loads of the plain dumps over what is there, and removes these.
    pub(super) async fn load(&self) -> anyhow::Result<Taken> {
        let mut taken = Taken::new();
        if let Some(stock) = self.stock {
            let uri = self.mongo.uri();
            let mut command = Command::new(&stock.restore);
            command.args(["--quiet", "--uri", &uri, "--drop"]);
            command.args(["--numInsertionWorkersPerCollection", "4"]);
            let plain = self.scratch.join(STOCK);
            let figure = "mongorestore_drop";
            taken.push((figure, self.tool(figure, command.arg(&plain)).await?));
            std::fs::remove_dir_all(plain).context("remove a dump")?;
        }
        let client = self.mongo.client().await?;
        let folder = self.scratch.join(REFERENCE);
        let load = reference::load(&client, DATABASE, &folder);
        let (documents, seconds) = self.own("reference_load", load).await?;
        ensure!(documents == self.documents, "{documents} were loaded");
        taken.push(("reference_load", seconds));
        std::fs::remove_dir_all(folder).context("remove a dump")?;
        Ok(taken)
    }

    /// Runs a tool to its end; returns the seconds.
    async fn tool(&self, figure: &str, command: &mut Command) -> anyhow::Result<f64> {
        self.mongo.settle().await?;
        let server = self.mongo.pid().context("the server runs")?;
        let before = (children_cpu_ms()?, cpu_ms(server)?);
        let started = Instant::now();
        shell::run(command)?;
        let seconds = started.elapsed().as_secs_f64();
        let spent = children_cpu_ms()? - before.0;
        self.report(figure, seconds, spent, cpu_ms(server)? - before.1);
        Ok(seconds)
    }

    /// As [`Others::tool`], of what this process does itself.
    async fn own<T>(
        &self,
        figure: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(T, f64)> {
        self.mongo.settle().await?;
        let server = self.mongo.pid().context("the server runs")?;
        let own = std::process::id();
        let before = (cpu_ms(own)?, cpu_ms(server)?);
        let started = Instant::now();
        let done = work.await.with_context(|| figure.to_owned())?;
        let seconds = started.elapsed().as_secs_f64();
        let spent = cpu_ms(own)? - before.0;
        self.report(figure, seconds, spent, cpu_ms(server)? - before.1);
        Ok((done, seconds))
    }

    fn report(&self, figure: &str, seconds: f64, spent_ms: f64, server_ms: f64) {
        let megabytes = in_mb(self.size_bytes);
        let more = json!({
            "data": self.label,
            "own_cpu_ms_per_mb": per_mb(spent_ms, megabytes),
            "mongod_cpu_ms_per_mb": per_mb(server_ms, megabytes),
        });
        report(figure, self.size_bytes, seconds, more);
    }
}

fn find(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    named.or_else(|| testkit::on_path(name))
}
