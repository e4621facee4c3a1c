//! Download links: unguessable, good until the job expires, and what is behind them.

use std::net::IpAddr;

use model::{Delivery, Error, RestoreId, RestoreJob, Status};
use ring::hmac;

use crate::{Archive, Engine};

/// Use cases about downloads.
pub struct Downloads<'a>(pub(crate) &'a Engine);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() {
        return None;
    }
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

impl Downloads<'_> {
    fn tag(&self, id: RestoreId) -> String {
        hex(hmac::sign(&self.0.parts.download_key, &id.to_bytes()).as_ref())
    }

    /// Returns the two secret-bearing last parts of a download's link, `token/file`; none while
    /// its archive is being built.
    ///
    /// The token is the job's id and a keyed tag over it: nothing of it is stored, and it
    /// cannot be made up without the data directory's key.
    pub fn link(&self, job: &RestoreJob) -> Option<String> {
        is_offered(job).then(|| {
            format!(
                "{}{}/restore-{}.tar.gz",
                job.id,
                self.tag(job.id),
                job.snapshot_id
            )
        })
    }

    /// Opens what is behind a link's token for someone at `address`.
    ///
    /// Fails with `DownloadNotFound` for a token that was never given out (or whose job is
    /// gone), with `DownloadExpired` after the job's expiry, and with `Denied` where the
    /// project's access list does not admit the address.
    pub async fn open(&self, token: &str, address: IpAddr) -> Result<Archive, Error> {
        let job = self.job(token).await?;
        if job.is_expired(self.0.now()) {
            return Err(Error::DownloadExpired);
        }
        let access = self.0.parts.meta.project_access(job.project_id).await?;
        let now = self.0.now();
        if !access.is_empty() && !access.iter().any(|entry| entry.admits(address, now)) {
            return Err(Error::Denied);
        }
        if job.delivery == Delivery::DataFiles {
            let built = self.0.parts.scratch.archive(job.id);
            // One that somebody removed by hand can be asked for again, as after its time.
            let built = built.map_err(Error::internal)?;
            let built = built.ok_or(Error::DownloadExpired)?;
            return Ok(Archive::built(job.snapshot_id, built));
        }
        let id = vault::SnapshotId(job.snapshot_id.to_bytes());
        let manifest = self
            .0
            .parts
            .repository
            .manifest(id)
            .await
            .map_err(Error::internal)?;
        Archive::of(self.0.parts.repository.clone(), manifest)
    }

    async fn job(&self, token: &str) -> Result<RestoreJob, Error> {
        let (id, tag) = token.split_at_checked(24).ok_or(Error::DownloadNotFound)?;
        let id: RestoreId = id.parse().map_err(|_| Error::DownloadNotFound)?;
        let tag = unhex(tag).ok_or(Error::DownloadNotFound)?;
        hmac::verify(&self.0.parts.download_key, &id.to_bytes(), &tag)
            .map_err(|_| Error::DownloadNotFound)?;
        let job = self.0.parts.meta.restore_by_id(id).await?;
        job.filter(is_offered).ok_or(Error::DownloadNotFound)
    }
}

/// Returns whether there is an archive behind the job.
fn is_offered(job: &RestoreJob) -> bool {
    job.delivery.is_download() && job.status == Status::Completed
}
