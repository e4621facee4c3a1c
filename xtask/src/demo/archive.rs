//! Fetches an archive and checks it with what is not the product: `tar`, a loader that knows only
//! the documented layout, and `mongorestore` where there is one.
//!
//! A check that is left out is said out loud.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use testkit::{RealMongo, sample};

use super::folder::Folder;
use super::{Deployment, say};
use crate::service::Cli;
use crate::shell;

/// Downloads the snapshot of a deployment and checks the archive.
pub(super) async fn fetch(
    cli: &Cli,
    folder: &Folder,
    deployment: &Deployment,
) -> anyhow::Result<()> {
    say::step(&format!("Archive of {}", deployment.name));
    let archive = folder.path("snapshot.tar.gz");
    let file = archive.to_string_lossy();
    let snapshot = deployment.snapshot_id.as_str();
    cli.run(&[
        "download",
        deployment.name,
        "--snapshot",
        snapshot,
        "--to",
        &file,
    ])
    .await?;
    let size = std::fs::metadata(&archive)
        .context("look at the archive")?
        .len();

    let names = shell::output(Command::new("tar").arg("-tzf").arg(&archive))?;
    let has = |part: &str| names.lines().any(|name| name.contains(part));
    for part in [
        "dump/shop/orders.bson",
        "dump/shop/orders.metadata.json",
        "dump/library/",
    ] {
        ensure!(has(part), "the archive lacks {part}");
    }
    let count = names.lines().count();
    say::proved(&format!(
        "{file} is a tar.gz of {count} entries and {size} bytes"
    ));
    let unpacked = folder.path("unpacked");
    std::fs::create_dir(&unpacked).context("create a folder to unpack into")?;
    let mut tar = Command::new("tar");
    shell::run(tar.arg("-xzf").arg(&archive).arg("-C").arg(&unpacked))?;
    let dump = unpacked.join("dump");

    let empty = RealMongo::replica_set().start().await?;
    testkit::dump::load(&empty.client().await?, &dump).await?;
    expect_same(&empty, deployment).await?;
    say::proved("loaded into an empty server it is the same: dbHash and catalog");
    match mongorestore() {
        Some(tool) => restore_with(&tool, &dump, deployment).await?,
        None => say::line(
            "LEFT OUT: the same with mongorestore, which is not on the PATH (or name it in \
             REGROW_MONGORESTORE)",
        ),
    }
    std::fs::remove_dir_all(&unpacked).context("remove the unpacked archive")
}

/// Restores the archive into an empty server with the stock tool and compares.
async fn restore_with(tool: &Path, dump: &Path, deployment: &Deployment) -> anyhow::Result<()> {
    let empty = RealMongo::replica_set().start().await?;
    let mut restore = Command::new(tool);
    restore
        .args(["--quiet", "--uri", &empty.uri(), "--dir"])
        .arg(dump);
    shell::run(&mut restore)?;
    expect_same(&empty, deployment).await?;
    say::proved("mongorestore makes the same of it in an empty server: dbHash and catalog");
    Ok(())
}

async fn expect_same(server: &RealMongo, deployment: &Deployment) -> anyhow::Result<()> {
    let found = sample::state(&server.client().await?).await?;
    let differences = deployment.before.differences(&found);
    ensure!(
        differences.is_empty(),
        "the archive holds something else:\n{}",
        differences.join("\n")
    );
    Ok(())
}

/// Returns the stock tool, if it is on this machine.
fn mongorestore() -> Option<PathBuf> {
    let named = std::env::var_os("REGROW_MONGORESTORE").map(PathBuf::from);
    named
        .filter(|path| path.is_file())
        .or_else(|| testkit::on_path("mongorestore"))
}
