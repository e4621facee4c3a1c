//! `regrow download`: a snapshot as an archive in a file.
//!
//! The bytes go into `FILE.part`, which becomes `FILE` only when it is complete and on disk: a
//! download that broke off is never taken for a whole one.

use std::path::{Path, PathBuf};

use api::Id;
use api::regrow::{Restore, StartDownload};
use serde::Serialize;
use tokio::fs::{self, File, OpenOptions};

use super::args::Download;
use super::exit::{Exit, Failure};
use super::output::{Facts, size};
use super::session::{Session, shown};
use super::watch::Bar;
use crate::client::ClientError;

/// What was downloaded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Downloaded {
    file: String,
    restore_id: Id,
    size_bytes: u64,
    snapshot_id: Id,
}

pub(super) async fn run(command: Download, session: &Session) -> Result<(), Failure> {
    let to_stdout = command.to == Path::new("-");
    if to_stdout && session.output.is_json() {
        return Err(Failure::usage("--to - leaves no place for --output json"));
    }
    if !to_stdout && !command.overwrite && fs::try_exists(&command.to).await.unwrap_or(false) {
        return Err(
            Failure::usage(format!("{} exists already", shown(&command.to)))
                .hint("choose another name, or add --overwrite"),
        );
    }
    let snapshot = session
        .snapshot(&command.cluster, &command.snapshot)
        .await?;
    let path = session.in_cluster(&command.cluster, "/downloads").await?;
    let body = StartDownload {
        snapshot_id: snapshot.id,
    };
    let job: Restore = session.client.post(&path, &body).await?;
    let link = job.snapshot_url.as_deref().ok_or_else(|| {
        Failure::new(Exit::Unexpected, format!("download {} has no link", job.id))
    })?;
    let bar = Bar::new(session.output, &format!("download of {}", snapshot.id));
    let written = |bytes| bar.bytes(bytes, None);
    if to_stdout {
        let mut stdout = tokio::io::stdout();
        let streamed = session.client.download(link, &mut stdout, written).await;
        return streamed.map(drop).map_err(|error| match error {
            ClientError::Write(error) => Failure::of_output(&error),
            other => other.into(),
        });
    }
    let size_bytes = save(session, link, &command.to, written).await?;
    drop(bar);
    let downloaded = Downloaded {
        file: shown(&command.to),
        restore_id: job.id,
        size_bytes,
        snapshot_id: snapshot.id,
    };
    session.output.one(&downloaded, facts)
}

async fn save(
    session: &Session,
    link: &str,
    to: &Path,
    written: impl FnMut(u64),
) -> Result<u64, Failure> {
    let part = part_of(to)?;
    let failed = |error: &std::io::Error| {
        Failure::new(Exit::Unexpected, format!("write {}: {error}", shown(&part)))
    };
    let file = open(&part).await?;
    let mut sink = tokio::io::BufWriter::with_capacity(1 << 20, file);
    let streamed = session.client.download(link, &mut sink, written).await;
    let size_bytes = match streamed {
        Ok(size_bytes) => size_bytes,
        Err(error) => {
            // It is locked by this process, so nobody else's file goes.
            let _ = fs::remove_file(&part).await;
            return Err(match error {
                ClientError::Write(error) => failed(&error),
                other => other.into(),
            });
        }
    };
    let file = sink.into_inner();
    file.sync_all().await.map_err(|error| failed(&error))?;
    fs::rename(&part, to)
        .await
        .map_err(|error| failed(&error))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).await;
    match folder {
        Ok(folder) => folder.sync_all().await.map_err(|error| failed(&error))?,
        Err(error) => return Err(failed(&error)),
    }
    Ok(size_bytes)
}

fn part_of(to: &Path) -> Result<PathBuf, Failure> {
    let mut name = to
        .file_name()
        .ok_or_else(|| Failure::usage(format!("{} is not the name of a file", to.display())))?
        .to_owned();
    name.push(".part");
    Ok(to.with_file_name(name))
}

/// Opens the unfinished file for this process alone; what an earlier try left in it goes.
async fn open(part: &PathBuf) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("write {}: {error}", shown(part)));
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false).mode(0o600);
    let file = options.open(part).await.map_err(failed)?.into_std().await;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(Failure::usage(format!(
                "another download writes {}",
                shown(part)
            )));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
    }
    let file = File::from_std(file);
    file.set_len(0).await.map_err(failed)?;
    Ok(file)
}

fn facts(downloaded: &Downloaded) -> Facts {
    Facts::default()
        .fact("file", &downloaded.file)
        .fact("size", size(downloaded.size_bytes))
        .fact("snapshot", downloaded.snapshot_id)
        .fact("unpack", format!("tar -xzf {}", downloaded.file))
        .fact("restore", "mongorestore dump/")
}
