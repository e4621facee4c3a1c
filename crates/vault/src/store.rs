//! A thin layer on the object store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;

use crate::error::Error;

/// Where objects are kept.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
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

impl Store {
    /// Opens a directory of the local file system, which is made if it is not there.
    pub fn local(path: &Path) -> Result<Store, Error> {
        let _ = path;
        unimplemented!()
    }

    /// Uses any object store that can refuse to replace an existing object.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Store {
        Store {
            inner,
            retry: Retry::default(),
        }
    }

    /// Returns the same store with another way of repeating.
    pub fn with_retry(self, retry: Retry) -> Store {
        Store { retry, ..self }
    }
}
