//! Learns which documents were written between two points of a replica set's history.
//!
//! Everything found is an over-approximation: an id too many costs one read, an id too few would
//! lose a document. Whatever cannot be told for sure makes a collection [`Change::Unknown`], and a
//! history that cannot be proven to be unbroken is [`Error::HistoryLost`]: the caller scans then.
//! Nothing here may ever guess.
mod changes;
mod entry;
mod oplog;
mod point;
mod stream;

use bson::rawdoc;

pub use changes::{Change, ChangeLimits, Changes, UnknownReason};
pub use point::{FollowWay, ResumePoint};

use self::point::Proof;
use crate::describe::Hello;
use crate::server::Server;
use crate::{ClusterTime, Error, HistoryLost};

/// Returns the point at a time that a majority has; none where nothing can be followed from it.
pub(crate) async fn point(
    server: &Server,
    time: ClusterTime,
    of_pass: bool,
) -> Result<Option<ResumePoint>, Error> {
    if is_shard(server).await? {
        tracing::warn!("a member of a sharded cluster cannot be followed");
        return Ok(None);
    }
    let point = |proof| ResumePoint {
        time,
        proof,
        of_pass,
    };
    if let Some(hash) = oplog::proof(server, time).await? {
        return Ok(Some(point(Proof::Oplog(hash))));
    }
    if !Hello::ask(server).await?.has_expanded_events {
        return Ok(None);
    }
    let token = stream::proof(server, time).await?;
    Ok(token.map(|token| point(Proof::ChangeStream(token))))
}

/// Reads what was written after `since` and no later than `until`, which a majority has.
pub(crate) async fn changes(
    server: &Server,
    since: &ResumePoint,
    until: ClusterTime,
    limits: &ChangeLimits,
) -> Result<Changes, Error> {
    if since.time > until {
        // The server had a later time once: it lost some of its history.
        return Err(Error::HistoryLost {
            reason: HistoryLost::Different,
        });
    }
    match &since.proof {
        Proof::Oplog(hash) => oplog::changes(server, since, *hash, until, limits).await,
        Proof::ChangeStream(token) => stream::changes(server, since, token, until, limits).await,
    }
}

/// Tells whether the server belongs to a sharded cluster, whose transactions may become visible
/// before the oplog says so.
async fn is_shard(server: &Server) -> Result<bool, Error> {
    let command = rawdoc! {
        "find": "system.version", "filter": { "_id": "shardIdentity" }, "limit": 1,
        "singleBatch": true,
    };
    let doing = || "look for the identity of a shard".to_owned();
    match server.collect("admin", command, doing).await {
        Ok((found, _)) => Ok(!found.is_empty()),
        // Not permitted: then a prepared transaction will show it.
        Err(Error::Command {
            transient: false, ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}
