//! A thin layer on the object store: conditional puts, ranged gets, repetition of what failed for a
//! passing reason, and errors that name the object. Knows nothing of what the objects hold.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use crate::error::Error;
use crate::local;

/// Where objects are kept.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
    retry: Retry,
}

/// How often and how fast a request that failed for a passing reason is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Repetitions after the first attempt.
    pub retries_max: u32,
    /// Pause before the first repetition; doubled for each further one.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            retries_max: 4,
            pause: Duration::from_millis(100),
        }
    }
}

/// One line of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
}

impl Store {
    /// Opens a directory of the local file system, which is made if it is not there.
    pub fn local(path: &FilePath) -> Result<Store, Error> {
        let (inner, folder) = local::open(path)?;
        Ok(Store {
            folder: Some(folder),
            ..Store::new(inner)
        })
    }

    /// Uses any object store that can refuse to replace an existing object.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Store {
        Store {
            inner,
            folder: None,
            retry: Retry::default(),
        }
    }

    /// Returns the same store with another way of repeating.
    pub fn with_retry(self, retry: Retry) -> Store {
        Store { retry, ..self }
    }

    /// Creates an object; durable when this returns. Fails with `Exists` and changes nothing if
    /// there is one of this name with other content.
    pub(crate) async fn put_new(&self, name: &str, chunks: Vec<Bytes>) -> Result<(), Error> {
        let payload = PutPayload::from_iter(chunks);
        let mut attempt = 0;
        loop {
            let options = PutOptions::from(PutMode::Create);
            let put = self
                .inner
                .put_opts(&Path::from(name), payload.clone(), options)
                .await;
            let error = match put {
                Ok(_) => return self.sync_folders(name).await,
                Err(error) => error_of(name, error),
            };
            // An earlier attempt may have succeeded although its answer was lost.
            if attempt > 0 && matches!(error, Error::Exists { .. }) {
                let present = self.get(name).await?;
                let same = payload.iter().flatten().eq(present.iter());
                return if same {
                    self.sync_folders(name).await
                } else {
                    Err(error)
                };
            }
            self.pause_or_fail(error, &mut attempt).await?;
        }
    }

    /// Reads a whole object.
    pub(crate) async fn get(&self, name: &str) -> Result<Bytes, Error> {
        let mut attempt = 0;
        loop {
            let read = async { self.inner.get(&Path::from(name)).await?.bytes().await };
            match read.await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => {
                    self.pause_or_fail(error_of(name, error), &mut attempt)
                        .await?
                }
            }
        }
    }

    /// Reads a part of an object. An object that ends before the part does is corrupt.
    pub(crate) async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let mut attempt = 0;
        loop {
            let error = match self.inner.get_range(&Path::from(name), range.clone()).await {
                Ok(bytes) if bytes.len() as u64 == range.end - range.start => return Ok(bytes),
                Ok(_) => None,
                Err(error) => Some(error_of(name, error)),
            };
            let error = self.explain(name, range.end, error).await?;
            self.pause_or_fail(error, &mut attempt).await?;
        }
    }

    /// Reads some parts of an object, at once where the object store can. An object that ends
    /// before one of them does is corrupt.
    pub(crate) async fn get_ranges(
        &self,
        name: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let are_whole = |parts: &[Bytes]| {
            let mut pairs = parts.iter().zip(ranges);
            parts.len() == ranges.len()
                && pairs.all(|(part, range)| part.len() as u64 == range.end - range.start)
        };
        let mut attempt = 0;
        loop {
            let error = match self.inner.get_ranges(&Path::from(name), ranges).await {
                Ok(parts) if are_whole(&parts) => return Ok(parts),
                Ok(_) => None,
                Err(error) => Some(error_of(name, error)),
            };
            let error = self.explain(name, end, error).await?;
            self.pause_or_fail(error, &mut attempt).await?;
        }
    }

    /// Returns why a read that was to end at `end` failed, or came short where there is no error.
    async fn explain(&self, name: &str, end: u64, error: Option<Error>) -> Result<Error, Error> {
        if error.as_ref().is_none_or(is_passing) {
            let length = self.length(name).await?;
            if length < end {
                let reason = format!("it has {length} bytes, needs {end}");
                return Err(Error::corrupt(name, reason));
            }
        }
        Ok(error.unwrap_or_else(|| Error::corrupt(name, "a read ended early")))
    }

    /// Answers whether several parts of an object may be read with what lies between them.
    pub(crate) fn reads_between(&self) -> bool {
        self.folder.is_none()
    }

    /// Returns the length of an object in bytes.
    pub(crate) async fn length(&self, name: &str) -> Result<u64, Error> {
        let mut attempt = 0;
        loop {
            match self.inner.head(&Path::from(name)).await {
                Ok(meta) => return Ok(meta.size),
                Err(error) => {
                    self.pause_or_fail(error_of(name, error), &mut attempt)
                        .await?
                }
            }
        }
    }

    /// Lists all objects in a folder and below, sorted by name.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<Listed>, Error> {
        let mut attempt = 0;
        loop {
            let listing = self.inner.list(Some(&Path::from(folder)));
            let listing = listing.map_ok(|meta| Listed {
                name: meta.location.to_string(),
                bytes: meta.size,
                modified: meta.last_modified.into(),
            });
            match listing.try_collect::<Vec<_>>().await {
                Ok(mut all) => {
                    all.sort_by(|a, b| a.name.cmp(&b.name));
                    return Ok(all);
                }
                Err(error) => {
                    self.pause_or_fail(error_of(folder, error), &mut attempt)
                        .await?
                }
            }
        }
    }

    /// Deletes an object; it is no error if it is not there. Durable when this returns.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            match self
                .inner
                .delete(&Path::from(name))
                .await
                .map_err(|e| error_of(name, e))
            {
                Ok(()) | Err(Error::Missing { .. }) => break,
                Err(error) => self.pause_or_fail(error, &mut attempt).await?,
            }
        }
        self.sync_folders(name).await
    }

    async fn sync_folders(&self, name: &str) -> Result<(), Error> {
        match &self.folder {
            Some(folder) => local::sync_folders_of(folder, name).await,
            None => Ok(()),
        }
    }

    /// Removes what interrupted puts left behind and is older than the grace period.
    pub(crate) async fn remove_leftovers(
        &self,
        grace: Duration,
        now: SystemTime,
    ) -> Result<u64, Error> {
        match &self.folder {
            Some(folder) => local::remove_leftovers(folder, grace, now).await,
            None => Ok(0),
        }
    }

    /// Waits before the next attempt, or gives the error back where another one cannot help.
    async fn pause_or_fail(&self, error: Error, attempt: &mut u32) -> Result<(), Error> {
        if !is_passing(&error) || *attempt >= self.retry.retries_max {
            return Err(error);
        }
        tracing::warn!(
            object.name = error.object(),
            attempt = *attempt,
            error = &error as &dyn std::error::Error,
            "repeat a request to the object store"
        );
        tokio::time::sleep(self.retry.pause * 2_u32.saturating_pow(*attempt)).await;
        *attempt += 1;
        Ok(())
    }
}

fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. })
}

/// Turns what the object store says into one of our kinds, by the system's error where there is
/// one.
fn error_of(name: &str, error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let object = name.to_owned();
    match error {
        Store::NotFound { .. } => Error::Missing { object },
        Store::AlreadyExists { .. } | Store::Precondition { .. } => Error::Exists { object },
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => Error::Denied {
            object,
            reason: "the object store refuses access".to_owned(),
        },
        other => local::error_of(object, Arc::new(other)),
    }
}
