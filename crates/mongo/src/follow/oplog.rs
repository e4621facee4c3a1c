//! The way through `local.oplog.rs`.
//!
//! That nothing is missing is proven by the cursor itself: its first entry must be the one at the
//! point, a server fails a cursor whose place was overwritten, and the last entry must be the one
//! at the end. That it is the same history is proven by the whole entry at the point. Clocks play
//! no part: entries are ordered by the server's own timestamps alone.
use std::collections::BTreeSet;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use mongodb::raw_batch_cursor::RawBatch;

use super::changes::{ChangeLimits, Changes, Ledger};
use super::entry::{self, Entry, Refusal};
use super::point::{FollowWay, ResumePoint};
use crate::raw::Malformed;
use crate::server::{Patience, Server, code};
use crate::{ClusterTime, Error, HistoryLost};

const DATABASE: &str = "local";
const OPLOG: &str = "oplog.rs";
/// Entries in a reply: about 1 MB of projected ones.
const BATCH: u32 = 10_000;
/// How many entries of transactions from before the point are looked for; each is up to 16 MB.
const EARLIER_MAX: usize = 10_000;

fn doing() -> String {
    "read the oplog".to_owned()
}

fn lost<T>(reason: HistoryLost) -> Result<T, Error> {
    Err(Error::HistoryLost { reason })
}

/// Returns the hash of the entry at this time; none where the oplog has none, or may not be read.
pub(super) async fn proof(server: &Server, time: ClusterTime) -> Result<Option<[u8; 32]>, Error> {
    match whole_entry(server, time).await {
        Ok(entry) => Ok(entry.map(|bytes| *blake3::hash(&bytes).as_bytes())),
        Err(Error::Command {
            code,
            transient: false,
            ..
        }) if code != code::CURSOR_NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

async fn whole_entry(server: &Server, time: ClusterTime) -> Result<Option<Vec<u8>>, Error> {
    let command = rawdoc! {
        "find": OPLOG,
        "filter": { "ts": bson::Timestamp::from(time) },
        "limit": 1,
        "singleBatch": true,
    };
    let (entries, _) = server.collect(DATABASE, command, doing).await?;
    Ok(entries.into_iter().next().map(RawDocumentBuf::into_bytes))
}

/// Reads what was written after `since` and no later than `until`, which a majority has.
pub(super) async fn changes(
    server: &Server,
    since: &ResumePoint,
    hash: [u8; 32],
    until: ClusterTime,
    limits: &ChangeLimits,
) -> Result<Changes, Error> {
    let mut reader = Reader {
        server,
        since: since.time,
        hash,
        until,
        position: since.time,
        ledger: Ledger::new(*limits, since.of_pass),
        earlier: BTreeSet::new(),
        entries_read: 0,
        bytes_read: 0,
    };
    let mut patience = Patience::default();
    loop {
        match reader.read().await {
            Ok(()) => break,
            Err(error) if error.is_interruption() => patience.wait(error).await?,
            Err(error) => return Err(or_lost(error)),
        }
    }
    Ok(Changes::new(
        FollowWay::Oplog,
        reader.ledger,
        reader.entries_read,
        reader.bytes_read,
    ))
}

/// Gives the errors that mean that history cannot be told their own variant.
fn or_lost(error: Error) -> Error {
    let Error::Command { code, .. } = &error else {
        return error;
    };
    let reason = match *code {
        code::CAPPED_POSITION_LOST => HistoryLost::RolledOver,
        code::UNAUTHORIZED => HistoryLost::NotPermitted,
        code::OBJECT_TOO_LARGE => {
            HistoryLost::NotUnderstood("an entry is too large to be read".to_owned())
        }
        _ => return error,
    };
    Error::HistoryLost { reason }
}

struct Reader<'a> {
    server: &'a Server,
    since: ClusterTime,
    hash: [u8; 32],
    until: ClusterTime,
    /// The last entry that was taken in: where reading goes on after an interruption.
    position: ClusterTime,
    ledger: Ledger,
    /// Entries of transactions from before `since` that are still to be read.
    earlier: BTreeSet<ClusterTime>,
    entries_read: u64,
    bytes_read: u64,
}

impl Reader<'_> {
    /// Reads from the position to the end, then the earlier entries of transactions.
    async fn read(&mut self) -> Result<(), Error> {
        let command = self.find(rawdoc! {
            "$gte": bson::Timestamp::from(self.position),
            "$lte": bson::Timestamp::from(self.until),
        });
        let opened = self.server.open(DATABASE, command, Some(BATCH), doing);
        let mut cursor = opened.await?;
        let mut is_first = true;
        while let Some(reply) = self.server.next(&mut cursor, doing).await? {
            self.bytes_read += reply.as_raw_document().as_bytes().len() as u64;
            for document in documents(&reply)? {
                let entry = Entry::parse(document?.as_bytes()).map_err(malformed)?;
                if is_first {
                    self.prove_position(entry.time).await?;
                    is_first = false;
                } else {
                    self.take_in(&entry)?;
                }
            }
        }
        if is_first {
            self.prove_position(None).await?;
        }
        if self.position != self.until {
            // A member that became primary a moment ago may still lack what a majority has.
            return Err(Error::Network {
                doing: doing(),
                source: crate::Cause::from_text("it does not reach far enough yet".to_owned()),
            });
        }
        self.read_earlier().await
    }

    fn find(&self, time: RawDocumentBuf) -> RawDocumentBuf {
        rawdoc! {
            "find": OPLOG,
            "filter": { "ts": time },
            "projection": entry::projection(),
            "batchSize": i64::from(BATCH),
        }
    }

    /// Checks the entry that the cursor begins with: it must be the last one that was seen before.
    async fn prove_position(&self, first: Option<ClusterTime>) -> Result<(), Error> {
        if first != Some(self.position) {
            return lost(self.why_gone().await?);
        }
        if self.position != self.since {
            return Ok(());
        }
        match whole_entry(self.server, self.since).await? {
            None => lost(self.why_gone().await?),
            Some(entry) if *blake3::hash(&entry).as_bytes() == self.hash => Ok(()),
            Some(_) => lost(HistoryLost::Different),
        }
    }

    /// Tells an oplog that no longer has an entry from one that never had it.
    async fn why_gone(&self) -> Result<HistoryLost, Error> {
        let command = rawdoc! {
            "find": OPLOG, "sort": { "$natural": 1 }, "limit": 1, "singleBatch": true,
            "projection": { "ts": 1, "_id": 0 },
        };
        let (oldest, _) = self.server.collect(DATABASE, command, doing).await?;
        let oldest = oldest
            .first()
            .and_then(|entry| entry.get_timestamp("ts").ok());
        Ok(match oldest {
            Some(oldest) if ClusterTime::from(oldest) > self.position => HistoryLost::RolledOver,
            _ => HistoryLost::Different,
        })
    }

    fn take_in(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let time = entry.time.filter(|time| *time > self.position);
        let time = time.ok_or_else(|| malformed(Malformed("entries are not in order")))?;
        self.note(entry)?;
        self.position = time;
        self.entries_read += 1;
        Ok(())
    }

    fn note(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        match entry::note(entry, &mut self.ledger) {
            Ok(Some(before)) if before <= self.since => {
                self.earlier.insert(before);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(Refusal::Malformed(what)) => Err(malformed(what)),
            Err(Refusal::Lost(reason)) => lost(reason),
        }
    }

    /// Reads what a transaction that ended after `since` wrote down before it.
    async fn read_earlier(&mut self) -> Result<(), Error> {
        let mut read = 0;
        while let Some(time) = self.earlier.last().copied() {
            read += 1;
            if read > EARLIER_MAX {
                let what = "transactions that began too long ago".to_owned();
                return lost(HistoryLost::NotUnderstood(what));
            }
            let command = self.find(rawdoc! { "$eq": bson::Timestamp::from(time) });
            let (entries, _) = self.server.collect(DATABASE, command, doing).await?;
            let Some(document) = entries.first() else {
                return lost(HistoryLost::RolledOver);
            };
            self.bytes_read += document.as_bytes().len() as u64;
            self.entries_read += 1;
            let entry = Entry::parse(document.as_bytes()).map_err(malformed)?;
            self.note(&entry)?;
            self.earlier.remove(&time);
        }
        Ok(())
    }
}

fn malformed(what: Malformed) -> Error {
    Error::InvalidReply {
        doing: doing(),
        what: what.0.to_owned(),
    }
}

/// Returns the documents of a cursor's reply.
pub(super) fn documents(
    reply: &RawBatch,
) -> Result<impl Iterator<Item = Result<&RawDocument, Error>>, Error> {
    let no_batch = |_| malformed(Malformed("no batch"));
    let no_document = || malformed(Malformed("not a document"));
    let slices = reply.doc_slices().map_err(no_batch)?;
    Ok(slices.into_iter().map(move |slice| {
        slice
            .ok()
            .and_then(|value| value.as_document())
            .ok_or_else(no_document)
    }))
}
