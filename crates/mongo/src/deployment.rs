//! A connection to a deployment that was really reached and authenticated to.
use std::time::Duration;

use secrecy::SecretString;

use crate::{Catalog, Description, Error, SourceSnapshot, Target};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How long to look for a server that answers, then and at every later command.
    pub server_selection_timeout: Duration,
    /// Name under which the connections appear in the server's log.
    pub app_name: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            server_selection_timeout: Duration::from_secs(10),
            app_name: "regrow".to_owned(),
        }
    }
}

/// A reachable `mongod` or replica set; cloning shares the connections.
#[derive(Clone)]
pub struct Deployment;

impl Deployment {
    /// Connects, authenticates and learns the topology.
    ///
    /// Fails with [`Error::InvalidUri`], [`Error::Unreachable`] or [`Error::AuthenticationFailed`].
    pub async fn connect(_uri: &SecretString, _options: ConnectOptions) -> Result<Self, Error> {
        unimplemented!()
    }

    /// Returns what the deployment is: topology, version, hosts.
    pub async fn describe(&self) -> Result<Description, Error> {
        unimplemented!()
    }

    /// Fails with [`Error::MissingPrivilege`] unless the user may read everything a snapshot needs.
    pub async fn require_source(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Fails with [`Error::MissingPrivilege`] unless the user may do everything a restore needs.
    pub async fn require_target(&self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Returns the catalog of all user databases, as it is now.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        unimplemented!()
    }

    /// Picks a cluster time at which the catalog is known and everything can be read.
    ///
    /// Fails with [`Error::UnfinishedRestore`] where a restore has not ended, with
    /// [`Error::CatalogChanged`] where the catalog will not stand still.
    pub async fn begin_snapshot(&self) -> Result<SourceSnapshot, Error> {
        unimplemented!()
    }

    /// Returns the deployment as the target of the restore `job` (letters, digits, `-` and `_`,
    /// at most 64); writes nothing yet.
    pub async fn target(&self, _job: &str) -> Result<Target, Error> {
        unimplemented!()
    }
}
