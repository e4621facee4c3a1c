//! What a deployment is: topology, version, hosts.
use std::fmt;

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
