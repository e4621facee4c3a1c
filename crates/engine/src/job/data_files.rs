//! An archive of data files: a snapshot is put onto a scratch server, and what that server then
//! has on disk is packed.
//!
//! The server is ended in good order first, so that another starts on its files without any
//! recovery. The archive gets its name once it is whole and on disk, never before.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use model::{RestoreJob, RestoreReport, Snapshot};
use tokio_util::sync::CancellationToken;

use super::drill::{Error, SCRATCH_SERVER};
use super::restore;
use crate::Engine;
use crate::archive::data_files::{self, Contents};
use crate::pump::SharedCounter;
use crate::scratch;

/// Builds the archive of the job; returns a row per collection that was compared on the way.
pub(crate) async fn build(
    engine: &Engine,
    job: &RestoreJob,
    snapshot: &Snapshot,
    counter: &SharedCounter,
) -> Result<RestoreReport, Error> {
    let scratch = &engine.parts.scratch;
    // The space of archives that nobody can fetch any more comes first.
    scratch::sweep(engine).await;
    let server = scratch.start(snapshot).await?;
    let deployment = server.deployment();
    let put = restore::put_onto(
        engine,
        job.id,
        snapshot,
        SCRATCH_SERVER,
        deployment,
        counter,
    );
    let report = scratch.watched(put).await??;
    let files = server.shut_down().await?;
    let failed = scratch::Error::io("create the archive in", scratch.directory());
    let (part, whole) = scratch.new_archive(job.id).map_err(failed)?;
    let contents = Contents::of(snapshot, files.version());
    let pack = Pack {
        files,
        contents,
        part,
        whole,
    };
    scratch.watched(pack.write()).await??;
    Ok(report)
}

/// What is packed, and into which file.
struct Pack {
    files: scratch::Files,
    contents: Contents,
    part: PathBuf,
    whole: PathBuf,
}

impl Pack {
    async fn write(self) -> Result<(), scratch::Error> {
        let failed = scratch::Error::io("write the archive", &self.whole);
        // Where the job is given up, so is this, although a thread cannot be.
        let given_up = CancellationToken::new();
        let seen = given_up.clone();
        let _guard = given_up.drop_guard();
        let written = tokio::task::spawn_blocking(move || self.write_now(&seen)).await;
        written.map_err(io::Error::other).flatten().map_err(failed)
    }

    fn write_now(self, given_up: &CancellationToken) -> io::Result<()> {
        let packed = self.pack(given_up);
        if packed.is_err() {
            // The error that led here says more than one of this would.
            let _ = std::fs::remove_file(&self.part);
        }
        packed
    }

    fn pack(&self, given_up: &CancellationToken) -> io::Result<()> {
        let mut options = File::options();
        options.create(true).truncate(true).write(true).mode(0o600);
        let mut file = options.open(&self.part)?;
        data_files::pack(&self.files.data(), &self.contents, |piece| {
            if given_up.is_cancelled() {
                return Err(io::Error::other("given up"));
            }
            file.write_all(&piece)
        })?;
        file.sync_all()?;
        std::fs::rename(&self.part, &self.whole)?;
        match self.whole.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}
