//! Keeps a target visibly unfinished until its restore is whole.
//!
//! The marker is a collection, named after the job, in a database of our own. A later job makes
//! its own marker before it removes an earlier one, so there is no moment without any; and a job
//! never removes or makes anew a marker but its own, so that one that was overtaken finds out.
use bson::{RawDocumentBuf, rawdoc};

use crate::server::{Server, code};
use crate::{Error, catalog};

/// The database that holds the marker of an unfinished restore: one collection, named after the
/// job. It exists only while a restore runs or after one was abandoned.
pub const MARKER_DATABASE: &str = "__regrow_restore";

/// How long a majority may take to confirm a write, in milliseconds.
const MAJORITY_LIMIT_MS: i32 = 600_000;

/// The write concern of everything that must survive the loss of a server.
pub(crate) fn durable() -> RawDocumentBuf {
    rawdoc! { "w": "majority", "j": true, "wtimeout": MAJORITY_LIMIT_MS }
}

/// Returns the job whose marker the deployment carries, if there is one.
pub(crate) async fn holder(server: &Server) -> Result<Option<String>, Error> {
    Ok(markers(server).await?.into_iter().next())
}

async fn markers(server: &Server) -> Result<Vec<String>, Error> {
    let (entries, _) = catalog::entries(server, MARKER_DATABASE, rawdoc! {}).await?;
    let names = entries
        .iter()
        .filter_map(|entry| entry.get_str("name").ok());
    Ok(names.map(ToOwned::to_owned).collect())
}

/// Places the marker of `job`, durably, and then removes those of earlier jobs.
pub(crate) async fn place(server: &Server, job: &str) -> Result<(), Error> {
    let doing = || "mark the target as unfinished".to_owned();
    let create = rawdoc! { "create": job, "writeConcern": durable() };
    match server.run(MARKER_DATABASE, create, doing).await {
        Ok(_)
        | Err(Error::Command {
            code: code::NAMESPACE_EXISTS,
            ..
        }) => {}
        Err(error) => return Err(error),
    }
    let text = "A restore into this deployment has not finished: its data is incomplete.";
    let marker = rawdoc! {
        "update": job,
        "updates": [{
            "q": { "_id": "restore" },
            "u": { "$set": { "meaning": text }, "$inc": { "barriers": 1_i64 } },
            "upsert": true,
        }],
        "writeConcern": durable(),
    };
    let reply = server.run(MARKER_DATABASE, marker, doing).await?;
    if reply.get_i32("n").unwrap_or_default() != 1 {
        let what = "the mark was not written".to_owned();
        return Err(Error::InvalidReply {
            doing: doing(),
            what,
        });
    }
    for other in markers(server).await? {
        if other != job {
            remove(server, &other).await?;
        }
    }
    Ok(())
}

/// Changes the marker and waits until that is durable, and with it all that was written before;
/// fails where the marker is not there any more.
pub(crate) async fn confirm(server: &Server, job: &str) -> Result<(), Error> {
    let command = rawdoc! {
        "update": job,
        "updates": [{ "q": { "_id": "restore" }, "u": { "$inc": { "barriers": 1_i64 } } }],
        "writeConcern": durable(),
    };
    let doing = || "wait until everything is durable".to_owned();
    let reply = server.run(MARKER_DATABASE, command, doing).await?;
    match reply.get_i32("n") {
        Ok(1) => Ok(()),
        _ => Err(Error::TargetTaken {
            job: job.to_owned(),
        }),
    }
}

/// Fails unless the marker of `job`, and no other, is there.
pub(crate) async fn check(server: &Server, job: &str) -> Result<(), Error> {
    if markers(server).await? == [job] {
        Ok(())
    } else {
        Err(Error::TargetTaken {
            job: job.to_owned(),
        })
    }
}

/// Removes the marker of `job`, durably; with the last one its database is gone.
pub(crate) async fn remove(server: &Server, job: &str) -> Result<(), Error> {
    let command = rawdoc! { "drop": job, "writeConcern": durable() };
    let doing = || "remove the mark of an unfinished restore".to_owned();
    match server.run_retried(MARKER_DATABASE, &command, doing).await {
        Ok(_)
        | Err(Error::Command {
            code: code::NAMESPACE_NOT_FOUND,
            ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}
