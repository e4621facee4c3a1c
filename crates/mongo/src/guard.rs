//! Keeps a target visibly unfinished until its restore is whole.
//!
//! The marker is a collection, named after the job, in a database of our own. A later job makes
//! its own marker before it removes an earlier one, so there is no moment without any; and a job
//! never removes or makes anew a marker but its own, so that one that was overtaken finds out.
//! One document of it says how far the job is; those of `journal.rs` stand beside it.
use bson::{Bson, RawDocumentBuf, rawdoc};

use crate::server::{Server, code};
use crate::{ClusterTime, Error, catalog};

/// The database that holds the marker of an unfinished restore: one collection, named after the
/// job. It exists only while a restore runs or after one was abandoned.
pub const MARKER_DATABASE: &str = "__regrow_restore";

/// How long a majority may take to confirm a write, in milliseconds.
const MAJORITY_LIMIT_MS: i32 = 600_000;

/// How far a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It loads under names of its own: what is there under any other name is untouched.
    Loading,
    /// All of it is loaded and proved; each collection is about to take its name.
    Flipping,
    /// It changes collections under their own names.
    Changing,
}

impl Phase {
    const ALL: [Phase; 3] = [Self::Loading, Self::Flipping, Self::Changing];

    const fn word(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Flipping => "flipping",
            Self::Changing => "changing",
        }
    }
}

/// What one marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) job: String,
    pub(crate) phase: Phase,
    /// Whether the target was whole when the job came, and the job has changed nothing since.
    pub(crate) whole: bool,
}

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

/// Returns what each marker says; one that says nothing counts as of a target in parts.
pub(crate) async fn marks(server: &Server) -> Result<Vec<Mark>, Error> {
    let mut marks = Vec::new();
    for job in markers(server).await? {
        let find = rawdoc! { "find": job.as_str(), "filter": { "_id": "restore" } };
        let doing = || "read how far a restore is".to_owned();
        let (found, _) = server.collect(MARKER_DATABASE, find, doing).await?;
        let said = found.first();
        let word = said.and_then(|mark| mark.get_str("phase").ok());
        let phase = Phase::ALL
            .into_iter()
            .find(|phase| Some(phase.word()) == word)
            .unwrap_or(Phase::Changing);
        let whole = said.and_then(|mark| mark.get_bool("whole").ok());
        marks.push(Mark {
            job,
            phase,
            whole: whole.unwrap_or(false) && phase == Phase::Loading,
        });
    }
    Ok(marks)
}

/// Makes the marker of `mark.job`, or changes it, durably.
pub(crate) async fn place(server: &Server, mark: &Mark) -> Result<(), Error> {
    let doing = || "mark the target as unfinished".to_owned();
    let create = rawdoc! { "create": mark.job.as_str(), "writeConcern": durable() };
    match server.run_retried(MARKER_DATABASE, &create, doing).await {
        Ok(_)
        | Err(Error::Command {
            code: code::NAMESPACE_EXISTS,
            ..
        }) => {}
        Err(error) => return Err(error),
    }
    let meaning = if mark.whole {
        "A restore loads beside the data, which is untouched."
    } else {
        "A restore into this deployment has not finished: its data is incomplete."
    };
    let said = rawdoc! {
        "meaning": meaning,
        "phase": mark.phase.word(),
        "whole": mark.whole,
    };
    write(server, &mark.job, said, doing).await
}

/// Changes the marker and waits until that is durable, and with it all that was written before;
/// fails where the marker is not there any more. Returns the time of that change, or a later one.
pub(crate) async fn confirm(server: &Server, job: &str) -> Result<Option<ClusterTime>, Error> {
    let command = rawdoc! {
        "update": job,
        "updates": [{ "q": { "_id": "restore" }, "u": { "$inc": { "barriers": 1_i64 } } }],
        "writeConcern": durable(),
    };
    let doing = || "wait until everything is durable".to_owned();
    let reply = server.run(MARKER_DATABASE, command, doing).await?;
    match reply.get_i32("n") {
        Ok(1) => Ok(reply.get_timestamp("operationTime").ok().map(Into::into)),
        _ => Err(Error::TargetTaken {
            job: job.to_owned(),
        }),
    }
}

async fn write(
    server: &Server,
    job: &str,
    said: RawDocumentBuf,
    doing: impl Fn() -> String,
) -> Result<(), Error> {
    let command = rawdoc! {
        "update": job,
        "updates": [{
            "q": { "_id": "restore" },
            "u": { "$set": said, "$inc": { "barriers": 1_i64 } },
            "upsert": true,
        }],
        "writeConcern": durable(),
    };
    let reply = server.run_retried(MARKER_DATABASE, &command, &doing);
    let reply = reply.await?;
    if reply.get("n") == Some(&Bson::Int32(1)) {
        return Ok(());
    }
    Err(Error::InvalidReply {
        doing: doing(),
        what: "the mark was not written".to_owned(),
    })
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
