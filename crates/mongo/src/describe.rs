//! What a deployment is: topology, version, hosts.
use std::fmt;

use bson::{Document, rawdoc};

use crate::server::Server;
use crate::{ClusterTime, Error};

/// What [`crate::Deployment::describe`] found.
#[derive(Clone, Debug)]
pub struct Description {
    /// How the deployment is put together.
    pub topology: Topology,
    /// The version of the server that answered.
    pub version: Version,
    /// `featureCompatibilityVersion`, for example `6.0`; none where the user may not read it.
    pub feature_compatibility_version: Option<String>,
    /// Host and port of each member, as the members call themselves.
    pub hosts: Vec<String>,
    /// Name of the storage engine; none where the user may not read it.
    pub storage_engine: Option<String>,
}

/// How a deployment is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server without an oplog: no snapshot reads, so no point in time.
    Standalone,
    /// A replica set of any size.
    ReplicaSet {
        /// Its name.
        name: String,
    },
    /// A `mongos`.
    Sharded,
}

/// A server version. Ordered by its numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
    /// As the server writes it, for example `6.0.5` or `7.0.0-rc1`.
    pub text: String,
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Asks the server what it is.
pub(crate) async fn describe(server: &Server) -> Result<Description, Error> {
    let hello = Hello::ask(server).await?;
    let doing = || "describe the deployment".to_owned();
    let build = server
        .run("admin", rawdoc! { "buildInfo": 1 }, doing)
        .await?;
    let version = version(&build).ok_or_else(|| Error::InvalidReply {
        doing: doing(),
        what: "no version".to_owned(),
    })?;
    let parameter = rawdoc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
    let compatibility = permitted(server.run("admin", parameter, doing).await)?;
    let only_engine =
        rawdoc! { "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0, "wiredTiger": 0 };
    let status = permitted(server.run("admin", only_engine, doing).await)?;
    let feature_compatibility_version = compatibility.and_then(|reply| {
        let value = reply.get_document("featureCompatibilityVersion").ok()?;
        value.get_str("version").ok().map(ToOwned::to_owned)
    });
    let storage_engine = status.and_then(|reply| {
        let engine = reply.get_document("storageEngine").ok()?;
        engine.get_str("name").ok().map(ToOwned::to_owned)
    });
    let hosts = if hello.hosts.is_empty() {
        server.hosts.split(',').map(ToOwned::to_owned).collect()
    } else {
        hello.hosts
    };
    Ok(Description {
        topology: hello.topology,
        version,
        feature_compatibility_version,
        hosts,
        storage_engine,
    })
}

/// Turns "not authorized" into nothing: some facts are worth having only where they may be read.
fn permitted(reply: Result<Document, Error>) -> Result<Option<Document>, Error> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        // Some servers that speak the protocol do not have the command.
        Err(Error::Command {
            transient: false, ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn version(build: &Document) -> Option<Version> {
    let text = build.get_str("version").ok()?.to_owned();
    let numbers = build.get_array("versionArray").ok()?;
    let number = |at: usize| u32::try_from(numbers.get(at)?.as_i32()?).ok();
    Some(Version {
        major: number(0)?,
        minor: number(1)?,
        patch: number(2)?,
        text,
    })
}

/// What a member says of itself at this moment.
pub(crate) struct Hello {
    pub(crate) topology: Topology,
    pub(crate) hosts: Vec<String>,
    /// The newest operation that a majority has; none for a standalone server.
    pub(crate) majority_time: Option<ClusterTime>,
    /// Whether it speaks a wire version of a server that has snapshot reads (13 is 5.0).
    pub(crate) has_snapshot_reads: bool,
    /// Whether its change streams can show the catalog and UUIDs (17 is 6.0).
    pub(crate) has_expanded_events: bool,
}

impl Hello {
    /// Asks the server; needs no privilege.
    pub(crate) async fn ask(server: &Server) -> Result<Self, Error> {
        let doing = || "ask the server what it is".to_owned();
        let reply = server.run("admin", rawdoc! { "hello": 1 }, doing).await?;
        Ok(Self::of_reply(&reply))
    }

    fn of_reply(reply: &Document) -> Self {
        let topology = if reply.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
            Topology::Sharded
        } else if let Ok(name) = reply.get_str("setName") {
            Topology::ReplicaSet {
                name: name.to_owned(),
            }
        } else {
            Topology::Standalone
        };
        let hosts = reply.get_array("hosts").map_or(Vec::new(), |hosts| {
            hosts
                .iter()
                .filter_map(|host| host.as_str().map(ToOwned::to_owned))
                .collect()
        });
        let majority_time = reply
            .get_document("lastWrite")
            .and_then(|write| write.get_document("majorityOpTime"))
            .and_then(|time| time.get_timestamp("ts"))
            .ok()
            .map(ClusterTime::from);
        let wire_version = reply.get_i32("maxWireVersion").unwrap_or_default();
        Self {
            topology,
            hosts,
            majority_time,
            has_snapshot_reads: wire_version >= 13,
            has_expanded_events: wire_version >= 17,
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn each_kind_of_deployment_is_told_from_its_hello() {
        let router = Hello::of_reply(&doc! { "msg": "isdbgrid", "maxWireVersion": 17 });
        assert_eq!(router.topology, Topology::Sharded);

        let member = Hello::of_reply(&doc! {
            "setName": "rs0", "hosts": ["a:1", "b:2"], "maxWireVersion": 17,
            "lastWrite": { "majorityOpTime": { "ts": bson::Timestamp { time: 7, increment: 2 } } },
        });
        assert_eq!(
            member.topology,
            Topology::ReplicaSet {
                name: "rs0".to_owned()
            }
        );
        assert_eq!(member.hosts, ["a:1", "b:2"]);
        assert_eq!(
            member.majority_time,
            Some(ClusterTime {
                seconds: 7,
                increment: 2
            })
        );
        assert!(member.has_snapshot_reads);

        let old = Hello::of_reply(&doc! { "setName": "rs0", "maxWireVersion": 9 });
        assert!(!old.has_snapshot_reads);
        let alone = Hello::of_reply(&doc! { "maxWireVersion": 17 });
        assert_eq!(alone.topology, Topology::Standalone);
    }
}
