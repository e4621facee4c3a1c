//! Proves that a catalog is the one at a time at which documents can be read.
//!
//! Servers up to 6.0 cannot list their catalog at a past time. So: list it, wait until a majority
//! has everything that the list could have shown, take that majority time as T, list again. Equal
//! lists (UUIDs, options and indexes included) show that no change in between has lasted, and the
//! oplog, where it may be read, that there was none at all: something made before T and removed
//! after it, or the other way round, is in neither list. A change after the second list cannot
//! harm: a collection that was dropped or renamed since then makes its own scan fail, never come
//! out short (`scan.rs`).
use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};

use crate::catalog::{self, Listing};
use crate::compare::first_change;
use crate::describe::Hello;
use crate::guard;
use crate::server::{Server, code};
use crate::{Catalog, ClusterTime, Error};

/// How often a time is tried before a catalog that keeps changing becomes an error.
pub(crate) const TRIES_MAX: u32 = 10;
/// How long the majority may lag behind what was listed.
const MAJORITY_WAIT: Duration = Duration::from_secs(30);
/// How long to wait between two looks at the majority time.
const MAJORITY_POLL: Duration = Duration::from_millis(10);

/// Picks a time, not earlier than `at_least`, and proves the catalog at it; `newest` is the last
/// time that a majority is known to have.
pub(crate) async fn prove(
    server: &Server,
    newest: Option<ClusterTime>,
    at_least: Option<ClusterTime>,
) -> Result<(ClusterTime, Catalog), Error> {
    let mut since = match newest {
        Some(time) => time,
        None => majority_time(server, None).await?,
    };
    let mut what = String::new();
    for _ in 0..TRIES_MAX {
        match once(server, since, at_least).await? {
            Bracket::Proven(time, catalog) => return Ok((time, catalog)),
            Bracket::Changed(change) => what = change,
        }
        tracing::debug!(change = %what, "the catalog changed while it was listed");
        since = majority_time(server, None).await?;
    }
    Err(Error::CatalogChanged { what })
}

/// What one try of listing, waiting and listing again gave.
enum Bracket {
    Proven(ClusterTime, Catalog),
    Changed(String),
}

/// Tries once; a majority has `since`, so that the first list shows everything up to it.
async fn once(
    server: &Server,
    since: ClusterTime,
    at_least: Option<ClusterTime>,
) -> Result<Bracket, Error> {
    let before = match listing(server).await? {
        Ok(listing) => listing,
        Err(change) => return Ok(Bracket::Changed(change)),
    };
    // Here, not earlier: a restore that begins after this look wipes the catalog before it writes,
    // so either the time is before that or the second list differs.
    refuse_unfinished(server).await?;
    let time = majority_time(server, before.time.max(at_least)).await?;
    let after = match listing(server).await? {
        Ok(listing) => listing,
        Err(change) => return Ok(Bracket::Changed(change)),
    };
    let change = match first_change(&before.catalog, &after.catalog) {
        None => logged_change(server, since).await?,
        found => found,
    };
    Ok(match change {
        Some(change) => Bracket::Changed(change),
        None => Bracket::Proven(time, after.catalog),
    })
}

/// Fails where a restore has not ended: what is there is a part of a snapshot.
pub(crate) async fn refuse_unfinished(server: &Server) -> Result<(), Error> {
    match guard::holder(server).await? {
        None => Ok(()),
        Some(job) => Err(Error::UnfinishedRestore { job }),
    }
}

/// Lists the catalog; a collection that vanishes meanwhile is a change, not an error.
pub(crate) async fn listing(server: &Server) -> Result<Result<Listing, String>, Error> {
    match catalog::list(server).await {
        Ok(listing) => Ok(Ok(listing)),
        Err(Error::Command {
            code: code::NAMESPACE_NOT_FOUND,
            doing,
            ..
        }) => Ok(Err(format!("{doing}: it is gone"))),
        Err(error) => Err(error),
    }
}

/// Returns the newest time that a majority has, once that is not earlier than `at_least`.
pub(crate) async fn majority_time(
    server: &Server,
    at_least: Option<ClusterTime>,
) -> Result<ClusterTime, Error> {
    let wait = async {
        loop {
            if let Some(time) = Hello::ask(server).await?.majority_time
                && Some(time) >= at_least
            {
                return Ok(time);
            }
            tokio::time::sleep(MAJORITY_POLL).await;
        }
    };
    tokio::time::timeout(MAJORITY_WAIT, wait)
        .await
        .unwrap_or_else(|_| {
            Err(Error::Network {
                doing: "wait for the majority to have what was listed".to_owned(),
                source: crate::Cause::from_text(format!("not within {MAJORITY_WAIT:?}")),
            })
        })
}

/// Returns the first entry of the oplog after `since` that changes the catalog of a user database,
/// in words; none as well where the oplog may not be read.
///
/// Read last of all, and forwards: then a server first waits until every earlier write can be seen
/// (`shouldWaitForOplogVisibility` in its source), so that nothing is missed that a list has shown.
async fn logged_change(server: &Server, since: ClusterTime) -> Result<Option<String>, Error> {
    let doing = || "look for changes of the catalog in the oplog".to_owned();
    let entries = match server.collect("local", find_changes(since), doing).await {
        Ok((entries, _)) => entries,
        Err(Error::Command {
            code: code::CAPPED_POSITION_LOST,
            ..
        }) => Vec::new(),
        Err(Error::Command {
            transient: false,
            message,
            ..
        }) => {
            tracing::debug!("the catalog is proven without the oplog: {message}");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let time_of = |entry: &RawDocumentBuf| entry.get_timestamp("ts").ok().map(ClusterTime::from);
    let mut entries = entries.into_iter();
    if entries.next().and_then(|entry| time_of(&entry)) != Some(since) {
        return Ok(Some("the oplog no longer has what happened".to_owned()));
    }
    Ok(entries.next().map(|entry| {
        let text = |name| entry.get_str(name).unwrap_or("?");
        format!("{}: {}", text("ns"), text("what"))
    }))
}

/// Returns the command that finds the entry at `since`, which proves that nothing later is missing,
/// and then the first one that changes a catalog.
fn find_changes(since: ClusterTime) -> RawDocumentBuf {
    let since = bson::Timestamp::from(since);
    // Views are documents.
    let of_views = bson::Regex {
        pattern: bson::cstr!(r"^[^.]*\.system\.views$").to_owned(),
        options: bson::cstr!("").to_owned(),
    };
    let of_the_server = bson::Regex {
        pattern: bson::cstr!(r"^(admin|config|local)\.").to_owned(),
        options: bson::cstr!("").to_owned(),
    };
    rawdoc! {
        "find": "oplog.rs",
        "filter": {
            "ts": { "$gte": since },
            "$or": [
                { "ts": since },
                // Compares members with each other, for hours.
                {
                    "op": "c", "ns": { "$not": of_the_server }, "o.dbCheck": { "$exists": false },
                },
                // Transactions, which may make collections and indexes, are of `admin`.
                { "o.applyOps.op": "c" },
                { "ns": of_views.clone() },
                { "o.applyOps.ns": of_views },
            ],
        },
        "projection": {
            "_id": 0, "ts": 1, "ns": 1,
            "what": {
                "$first": { "$map": { "input": { "$objectToArray": "$o" }, "in": "$$this.k" } },
            },
        },
        "limit": 2,
        "singleBatch": true,
    }
}
