//! Scratch servers: a `mongod` of our own for as long as one job needs it.
//!
//! Each is a standalone server in a directory of its own, mode 0700, and is reached by a socket
//! in there and by no port. It must never outlive its job unnoticed: what a crash leaves is ended
//! and removed by the next start, and nothing is ever ended or removed that isn't provably ours.

use std::path::PathBuf;

use model::Error;

/// What can be set about scratch servers.
#[derive(Debug, Clone)]
pub struct ScratchConfig {
    /// The `mongod` to start; without one there are no scratch servers.
    pub mongod: Option<PathBuf>,
    /// Where servers and built archives are kept; `scratch` in the data directory where absent.
    pub directory: Option<PathBuf>,
    /// Most bytes that servers and archives may take together.
    pub limit_bytes: u64,
}

/// The directory of scratch servers and of the archives built with them.
#[derive(Debug)]
pub(crate) struct Scratch {
    config: ScratchConfig,
}

impl Scratch {
    pub(crate) fn new(config: ScratchConfig) -> Self {
        Self { config }
    }

    /// Fails with `ScratchUnavailable` where no `mongod` is configured.
    pub(crate) fn require_configured(&self) -> Result<(), Error> {
        match self.config.mongod {
            Some(_) => Ok(()),
            None => Err(Error::ScratchUnavailable(
                "no mongod is configured for scratch servers; hint: set scratch.mongod in the \
                 configuration of the service"
                    .to_owned(),
            )),
        }
    }
}
