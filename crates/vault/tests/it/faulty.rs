//! An object store that goes wrong at a chosen write, and stays gone or comes back.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Semaphore;

/// What happens at the chosen write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and nothing after it, reads included.
    DiesBefore,
    /// It is done but its answer is lost, and nothing is done after it.
    DiesAfter,
    /// It is done but its answer is lost; then all is well.
    AnswerLost,
    /// It is refused for a passing reason; then all is well.
    Hiccup,
    /// The disk is full, now and later.
    Full,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<InMemory>,
    fault: Fault,
    good_writes_left: AtomicI64,
    pub(crate) writes: AtomicU64,
    /// Bytes that were asked for.
    pub(crate) bytes_read: AtomicU64,
    gate: Semaphore,
    /// Puts that were asked for, held up or not.
    pub(crate) puts_begun: AtomicU64,
    lists_nothing: AtomicBool,
    /// Which read of a manifest from now on finds nothing; below zero none does.
    manifest_lost: AtomicI64,
}

impl Faulty {
    /// Does so many writes, then the fault.
    pub(crate) fn new(inner: Arc<InMemory>, fault: Fault, good_writes: i64) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner,
            fault,
            good_writes_left: AtomicI64::new(good_writes),
            writes: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            puts_begun: AtomicU64::new(0),
            lists_nothing: AtomicBool::new(false),
            manifest_lost: AtomicI64::new(-1),
        })
    }

    /// Never answers a put until [`Faulty::release`] is called.
    pub(crate) fn hanging(inner: Arc<InMemory>) -> Arc<Faulty> {
        let mut faulty = Faulty::new(inner, Fault::Hiccup, i64::MAX);
        Arc::get_mut(&mut faulty).unwrap().gate = Semaphore::new(0);
        faulty
    }

    /// Answers so many puts more.
    pub(crate) fn allow(&self, puts: usize) {
        self.gate.add_permits(puts);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1 << 20);
    }

    /// Lists nothing the next time, as if all of it were put just after.
    pub(crate) fn list_nothing_once(&self) {
        self.lists_nothing.store(true, Ordering::SeqCst);
    }

    /// Finds nothing at one read of a manifest, after so many others, as if it had been replaced
    /// since it was listed.
    pub(crate) fn lose_a_manifest_after(&self, reads: i64) {
        self.manifest_lost.store(reads, Ordering::SeqCst);
    }

    pub(crate) fn has_lost_a_manifest(&self) -> bool {
        self.manifest_lost.load(Ordering::SeqCst) < 0
    }

    fn is_dead(&self) -> bool {
        let dies = matches!(self.fault, Fault::DiesBefore | Fault::DiesAfter);
        dies && self.good_writes_left.load(Ordering::SeqCst) < 0
    }

    fn alive(&self) -> Result<()> {
        if self.is_dead() {
            Err(failure(io::ErrorKind::BrokenPipe))
        } else {
            Ok(())
        }
    }

    /// Counts a write; answers the error to give before it is done, and the one to give after.
    fn count(&self) -> (Option<object_store::Error>, Option<object_store::Error>) {
        let dead = self.is_dead();
        let left = self.good_writes_left.fetch_sub(1, Ordering::SeqCst);
        let broken = || Some(failure(io::ErrorKind::BrokenPipe));
        match self.fault {
            _ if left > 0 => (None, None),
            _ if dead => (broken(), None),
            Fault::Full => (Some(failure(io::ErrorKind::StorageFull)), None),
            _ if left < 0 => (None, None),
            Fault::DiesBefore | Fault::Hiccup => (broken(), None),
            Fault::DiesAfter | Fault::AnswerLost => (None, broken()),
        }
    }
}

fn failure(kind: io::ErrorKind) -> object_store::Error {
    object_store::Error::Generic {
        store: "faulty",
        source: Box::new(io::Error::from(kind)),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?})", self.fault)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.puts_begun.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let (before, after) = self.count();
        if let Some(error) = before {
            return Err(error);
        }
        let result = self.inner.put_opts(location, payload, options).await?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        after.map_or(Ok(result), Err)
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        panic!("the store puts objects whole, so that their names appear at once");
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        let is_manifest = location.as_ref().starts_with("snapshots/");
        if is_manifest && self.manifest_lost.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(object_store::Error::NotFound {
                path: location.to_string(),
                source: "it was replaced".into(),
            });
        }
        let result = self.inner.get_opts(location, options).await?;
        let bytes = result.range.end - result.range.start;
        self.bytes_read.fetch_add(bytes, Ordering::SeqCst);
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.alive()?;
        let bytes = ranges.iter().map(|range| range.end - range.start).sum();
        self.bytes_read.fetch_add(bytes, Ordering::SeqCst);
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (before, after) = self.count();
        if let Some(error) = before {
            return futures::stream::once(async { Err(error) }).boxed();
        }
        let deleted = self.inner.delete_stream(locations);
        match after {
            None => deleted,
            Some(error) => {
                let lost = futures::stream::once(async { Err(error) });
                deleted
                    .filter(|_| std::future::ready(false))
                    .chain(lost)
                    .boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.alive() {
            Ok(()) if self.lists_nothing.swap(false, Ordering::SeqCst) => {
                futures::stream::empty().boxed()
            }
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.alive()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        panic!("the store copies nothing");
    }
}
