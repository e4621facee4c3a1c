//! `regrow download`: a snapshot as an archive in a file.
//!
//! The bytes go into `FILE.part`, which becomes `FILE` only when it is complete and on disk: a
//! download that broke off is never taken for a whole one.

use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use api::Id;
use api::regrow::{DownloadFormat as WireFormat, Restore, StartDownload};
use serde::Serialize;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncWrite, BufWriter};

use super::args::{Download, DownloadFormat};
use super::exit::{Exit, Failure};
use super::output::{Facts, size};
use super::session::Session;
use super::watch::{self, Bar};
use crate::client::ClientError;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 1 << 20;

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
    if command.to == Path::new("-") {
        if session.output.is_json() {
            return Err(Failure::usage("--to - leaves no place for --output json"));
        }
        return fetch(
            &command,
            session,
            &mut tokio::io::stdout(),
            "standard output",
        )
        .await
        .map(drop);
    }
    if !command.overwrite && fs::try_exists(&command.to).await.unwrap_or(false) {
        let failure = Failure::usage(format!("{} exists already", command.to.display()));
        return Err(failure.hint("choose another name, or add --overwrite"));
    }
    // Before anything is asked for: a path that cannot be written to is found out here.
    let mut part = Part::open(&command.to).await?;
    let name = part.path.display().to_string();
    match fetch(&command, session, &mut part.sink, &name).await {
        Ok(downloaded) => {
            part.finish(&command.to).await?;
            session.output.one(&downloaded, facts)
        }
        Err(failure) => {
            part.discard().await;
            Err(failure)
        }
    }
}

/// Asks for a download and streams it into `sink`, which is called `name` in messages.
async fn fetch(
    command: &Download,
    session: &Session,
    sink: &mut (impl AsyncWrite + Unpin),
    name: &str,
) -> Result<Downloaded, Failure> {
    let cluster = &command.cluster;
    let snapshot_id = session.snapshot(cluster, &command.snapshot).await?.id;
    let path = session.in_cluster(cluster, "/downloads").await?;
    let format = command.format.map(|format| match format {
        DownloadFormat::Dump => WireFormat::Dump,
        DownloadFormat::DataFiles => WireFormat::DataFiles,
    });
    let body = StartDownload {
        format,
        snapshot_id,
    };
    let job: Restore = session.client.post(&path, &body).await?;
    let job = built(cluster, job, session).await?;
    let link = job.snapshot_url.as_deref().ok_or_else(|| {
        Failure::new(Exit::Unexpected, format!("download {} has no link", job.id))
    })?;
    let bar = Bar::new(session.output, &format!("download of {snapshot_id}"));
    let written = |bytes| bar.bytes(bytes, None);
    let streamed = session.client.download(link, sink, written).await;
    let size_bytes = streamed.map_err(|error| match error {
        ClientError::Write(error) => Failure::of_output(name, &error),
        other => other.into(),
    })?;
    Ok(Downloaded {
        file: command.to.display().to_string(),
        restore_id: job.id,
        size_bytes,
        snapshot_id,
    })
}

/// Waits for an archive that has to be built before it can be had.
async fn built(cluster: &str, job: Restore, session: &Session) -> Result<Restore, Failure> {
    if job.snapshot_url.is_some() {
        return Ok(job);
    }
    let path = format!("/restores/{}", job.id);
    let path = session.in_cluster(cluster, &path).await?;
    let what = format!("archive {}", job.id);
    let again = format!("regrow restore watch {cluster} {}", job.id);
    let job: Restore = watch::until_ended(session, &path, &what, &again).await?;
    watch::require_success(&job, &what)?;
    Ok(job)
}

/// A file that is not whole yet; this process alone writes it.
struct Part {
    path: PathBuf,
    sink: BufWriter<File>,
}

impl Part {
    /// Opens `FILE.part`; what an earlier try left in it goes.
    async fn open(to: &Path) -> Result<Self, Failure> {
        let path = part_of(to)?;
        let shown = path.display();
        let failed = |error: std::io::Error| Failure::usage(format!("write {shown}: {error}"));
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let file = options.open(&path).await.map_err(failed)?;
        let file = file.into_std().await;
        let taken = || Failure::usage(format!("another download writes {shown}"));
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Another download may have finished between opening and locking: then this is its
        // whole file under its final name, and must not be emptied.
        let opened = file.metadata().map_err(failed)?.ino();
        let named = fs::metadata(&path).await.map(|metadata| metadata.ino());
        if named.ok() != Some(opened) {
            return Err(taken());
        }
        let file = File::from_std(file);
        file.set_len(0).await.map_err(failed)?;
        let sink = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { path, sink })
    }

    /// Gives the file its name, once all of it is on disk.
    async fn finish(self, to: &Path) -> Result<(), Failure> {
        let finish = async {
            self.sink.get_ref().sync_all().await?;
            fs::rename(&self.path, to).await?;
            let folder = to.parent().filter(|path| !path.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))
                .await?
                .sync_all()
                .await
        };
        let name = to.display().to_string();
        finish
            .await
            .map_err(|error| Failure::of_output(&name, &error))
    }

    async fn discard(self) {
        // What remains of it is emptied by the next try.
        let _ = fs::remove_file(&self.path).await;
    }
}

fn part_of(to: &Path) -> Result<PathBuf, Failure> {
    let name = to.file_name();
    let invalid = || Failure::usage(format!("{} is not the name of a file", to.display()));
    let mut name = name.ok_or_else(invalid)?.to_owned();
    name.push(".part");
    Ok(to.with_file_name(name))
}

fn facts(downloaded: &Downloaded) -> Facts {
    Facts::default()
        .fact("file", &downloaded.file)
        .fact("size", size(downloaded.size_bytes))
        .fact("snapshot", downloaded.snapshot_id)
        .fact("unpack", format!("tar -xzf {}", downloaded.file))
        .fact("restore", "see RESTORE.txt in it")
}
