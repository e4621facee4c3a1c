//! SOURCE AND TARGET: talks to `mongod` through the official driver; yields and takes raw BSON.
//!
//! It reads a deployment's catalog and documents at one cluster time, and writes a snapshot's
//! catalog and documents back. It has never heard of the snapshot store, SQL or HTTP, and it never
//! decodes a document into typed values on the way from or to a server.
//!
//! * [`Deployment`]: a connection that was really made, what it is and what its user may do.
//! * [`SourceSnapshot`]: one catalog, and every collection as a stream of raw batches, at one time.
//! * [`Filter`]: which documents a query would return, decided without a server.
//! * [`Target`]: the other direction; visibly unfinished until [`Target::release`].
//!
//! The traps of the servers (what they drop, rewrite or answer wrongly without an error) are
//! described where they are met: `bracket.rs`, `scan.rs`, `load.rs`, `timestamp.rs`.
mod bracket;
mod capped;
mod catalog;
mod compare;
mod deployment;
mod describe;
mod error;
mod expiry;
mod extended_json;
mod filter;
mod follow;
mod guard;
mod journal;
mod load;
mod number;
mod privilege;
mod raw;
mod replace;
mod reread;
mod rewrite;
mod scan;
mod server;
mod snapshot;
mod stage;
mod target;
mod timestamp;
mod value;

pub use catalog::{Catalog, Collection, CollectionKind};
pub use compare::Difference;
pub use deployment::{ConnectOptions, Deployment};
pub use describe::{Description, Topology, Version};
pub use error::{Cause, Error, HistoryLost, LostReason};
pub use extended_json::{InvalidBson, JsonMode, document_to_json, id_to_json};
pub use filter::{Filter, FilterError, MatchError};
pub use follow::{Change, ChangeLimits, Changes, FollowWay, ResumePoint, UnknownReason};
pub use guard::MARKER_DATABASE;
pub use journal::Move;
pub use load::Loader;
pub use reread::RereadStream;
pub use scan::{DocumentSpan, ScanBatch, ScanStream};
pub use snapshot::{ClusterTime, Followed, SourceSnapshot};
pub use stage::Beginning;
pub use target::Target;
