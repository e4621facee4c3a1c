//! A connection to a deployment that was really reached and authenticated to.
//!
//! The connection string is a secret: it is never kept, logged or repeated in an error.
use std::time::Duration;

use bson::rawdoc;
use bytes::Bytes;
use mongodb::Client;
use mongodb::error::ErrorKind;
use mongodb::options::ClientOptions;
use secrecy::{ExposeSecret, SecretString};

use crate::error::Cause;
use crate::server::Server;
use crate::{
    Catalog, ChangeLimits, ClusterTime, Collection, Description, Error, Followed, RereadStream,
    ResumePoint, SourceSnapshot, Target,
};
use crate::{catalog, describe, privilege, snapshot, target};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How long to look for a server that answers, then and at every later command.
    pub server_selection_timeout: Duration,
    /// How long a cursor may take for one reply. The driver has no limit of its own, and the system
    /// notices a dead server only after a quarter of an hour; a slow disk must not look like one.
    pub reply_timeout: Duration,
    /// Name under which the connections appear in the server's log.
    pub app_name: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            server_selection_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_secs(300),
            app_name: "regrow".to_owned(),
        }
    }
}

/// A reachable `mongod` or replica set; cloning shares the connections.
#[derive(Clone)]
pub struct Deployment {
    server: Server,
}

impl std::fmt::Debug for Deployment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Deployment({})", self.server.hosts)
    }
}

impl Deployment {
    /// Connects, authenticates and learns the topology.
    ///
    /// Fails with [`Error::InvalidUri`], [`Error::Unreachable`] or [`Error::AuthenticationFailed`].
    pub async fn connect(uri: &SecretString, options: ConnectOptions) -> Result<Self, Error> {
        let mut client_options = parse(uri.expose_secret()).await?;
        client_options.app_name = Some(options.app_name);
        client_options.server_selection_timeout = Some(options.server_selection_timeout);
        client_options.connect_timeout = Some(options.server_selection_timeout);
        let hosts: Vec<String> = client_options
            .hosts
            .iter()
            .map(ToString::to_string)
            .collect();
        let hosts = hosts.join(",");
        let client = Client::with_options(client_options).map_err(|_| Error::InvalidUri {
            reason: "its options contradict each other",
        })?;
        // `ping` needs no privilege, but the connection that carries it must authenticate.
        let ping = client
            .database("admin")
            .run_raw_command(rawdoc! { "ping": 1 })
            .await;
        if let Err(error) = ping {
            return Err(match error.kind.as_ref() {
                ErrorKind::Authentication { .. } => Error::AuthenticationFailed { hosts },
                _ => Error::Unreachable {
                    hosts,
                    source: Cause::of(&error),
                },
            });
        }
        Ok(Self {
            server: Server {
                client,
                hosts: hosts.into(),
                reply_timeout: options.reply_timeout,
            },
        })
    }

    /// Returns what the deployment is: topology, version, hosts.
    pub async fn describe(&self) -> Result<Description, Error> {
        describe::describe(&self.server).await
    }

    /// Fails with [`Error::MissingPrivilege`] unless the user may read everything a snapshot needs.
    pub async fn require_source(&self) -> Result<(), Error> {
        privilege::require_source(&self.server).await
    }

    /// Fails with [`Error::MissingPrivilege`] unless the user may do everything a restore needs.
    pub async fn require_target(&self) -> Result<(), Error> {
        privilege::require_target(&self.server).await
    }

    /// Returns the catalog of all user databases, as it is now.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        Ok(catalog::list(&self.server).await?.catalog)
    }

    /// Picks a cluster time at which the catalog is known and everything can be read.
    ///
    /// Fails with [`Error::UnfinishedRestore`] where a restore has not ended, with
    /// [`Error::CatalogChanged`] where the catalog will not stand still.
    pub async fn begin_snapshot(&self) -> Result<SourceSnapshot, Error> {
        self.begin_snapshot_not_before(None).await
    }

    /// As [`Deployment::begin_snapshot`], at a time not earlier than `at_least`: a member may be
    /// behind another one that was read before. Waits for it for half a minute; a transient error
    /// then.
    pub async fn begin_snapshot_not_before(
        &self,
        at_least: Option<ClusterTime>,
    ) -> Result<SourceSnapshot, Error> {
        snapshot::begin(&self.server, at_least).await
    }

    /// Begins a pass that is at no one time, for what takes longer than a snapshot can be read.
    ///
    /// Its [`SourceSnapshot::time`] is none; its resume point is from before the first read, and
    /// everything is read as a majority has it then or later. A snapshot that follows from that
    /// point makes it exact.
    pub async fn begin_pass(&self) -> Result<SourceSnapshot, Error> {
        self.begin_pass_not_before(None).await
    }

    /// As [`Deployment::begin_pass`], from a time on that is not earlier than `at_least`.
    pub async fn begin_pass_not_before(
        &self,
        at_least: Option<ClusterTime>,
    ) -> Result<SourceSnapshot, Error> {
        snapshot::begin_pass(&self.server, at_least).await
    }

    /// Returns which documents were written after `since` up to now, which is a time not earlier
    /// than `at_least`, and from where to follow on.
    pub async fn changes_until_now(
        &self,
        since: &ResumePoint,
        limits: &ChangeLimits,
        at_least: Option<ClusterTime>,
    ) -> Result<Followed, Error> {
        snapshot::changes_until_now(&self.server, since, limits, at_least).await
    }

    /// Reads the documents of a collection that have one of `ids` (raw `_id` elements) as they were
    /// at `time`, which a majority must have; see [`SourceSnapshot::reread`]. A restore's marker is
    /// no hindrance.
    pub fn reread_at(
        &self,
        time: ClusterTime,
        collection: &Collection,
        ids: Vec<Bytes>,
    ) -> RereadStream {
        snapshot::reread_at(&self.server, time, collection, ids)
    }

    /// Ends the server in good order; its process is still there when this returns.
    pub async fn shut_down(&self) -> Result<(), Error> {
        let doing = || "end the server".to_owned();
        let asked = self.server.run("admin", rawdoc! { "shutdown": 1 }, doing);
        match asked.await {
            // The connection goes with the server, often before the answer.
            Ok(_) | Err(Error::Network { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the deployment as the target of the restore `job` (letters, digits, `-` and `_`,
    /// at most 64); writes nothing yet.
    pub async fn target(&self, job: &str) -> Result<Target, Error> {
        target::open(&self.server, job).await
    }
}

/// Parses a connection string; the driver's own message may quote it, so it is dropped.
async fn parse(uri: &str) -> Result<ClientOptions, Error> {
    let invalid = |reason| Err(Error::InvalidUri { reason });
    let scheme = ["mongodb://", "mongodb+srv://"]
        .into_iter()
        .find_map(|s| uri.strip_prefix(s));
    let Some(rest) = scheme else {
        return invalid("it does not begin with mongodb:// or mongodb+srv://");
    };
    // A password with an unescaped `/` or `?` would be read as host and port, and then be shown as
    // such in messages: refuse whatever has an `@` after the hosts.
    let after_hosts = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    if after_hosts.contains('@') {
        return invalid("special characters in the user name or password must be percent-encoded");
    }
    match ClientOptions::parse(uri).await {
        Ok(options) => Ok(options),
        Err(error) => match error.kind.as_ref() {
            ErrorKind::DnsResolve { .. } => Err(Error::Unreachable {
                hosts: "the name of the connection string".to_owned(),
                source: Cause::of(&error),
            }),
            ErrorKind::InvalidArgument { message, .. } if message.contains("URL encoded") => {
                invalid("special characters in the user name or password must be percent-encoded")
            }
            ErrorKind::InvalidArgument { message, .. } if message.contains("server address") => {
                invalid("a host or a port is not valid")
            }
            ErrorKind::InvalidTlsConfig { .. } => invalid("its TLS options are not valid"),
            _ => invalid("its user, hosts or options cannot be read"),
        },
    }
}
