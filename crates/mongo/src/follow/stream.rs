//! The way through a change stream over the whole deployment, for users who may not read the oplog.
//!
//! It must never end before the stream's own position has passed the time asked for, and never
//! begin at a time: a server believes any time that its oplog reaches back to, also that of another
//! history. So it begins after an event, which the server has to have. It shows neither time series
//! nor `system.*` nor capped collections' own deletions: those are not followed this way. Nor does
//! it show, before 6.1, what the command `applyOps` writes; docs/operations.md says so.
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use mongodb::raw_batch_cursor::RawBatch;

use super::changes::{ChangeLimits, Changes, Ledger};
use super::entry::{id_of, text, uuid};
use super::oplog::documents;
use super::point::{FollowWay, ResumePoint};
use crate::raw::{self, Elements, Malformed};
use crate::server::{Patience, Server, code};
use crate::{Cause, ClusterTime, Error, HistoryLost, UnknownReason};

/// Events in a reply: about 1 MB of projected ones.
const BATCH: i64 = 5_000;
/// How long the server waits for events before it answers with none.
const WAIT: Duration = Duration::from_millis(200);
/// How long the stream may stand still before the time that it is to reach.
const STANDSTILL: Duration = Duration::from_secs(60);
/// How far back an event is looked for that a later stream can begin after, in seconds; each step
/// only reads what the one before did not find an event in.
const LOOK_BACK_SECONDS: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// A longer token (it has the `_id` in it) is not kept: an earlier one does as well.
const TOKEN_BYTES_MAX: usize = 64 << 10;

fn doing() -> String {
    "read the change stream".to_owned()
}

fn malformed(what: &'static str) -> Error {
    Error::InvalidReply {
        doing: doing(),
        what: what.to_owned(),
    }
}

fn lost<T>(reason: HistoryLost) -> Result<T, Error> {
    Err(Error::HistoryLost { reason })
}

/// Returns the token of the last event not later than `time`; none where there is none within
/// some days, or where the user may not open a change stream.
pub(super) async fn proof(
    server: &Server,
    time: ClusterTime,
) -> Result<Option<RawDocumentBuf>, Error> {
    for seconds in LOOK_BACK_SECONDS {
        let from = ClusterTime {
            seconds: time.seconds.saturating_sub(seconds),
            increment: 1,
        };
        let mut reader = Reader::new(server, Start::Time(from), time, None);
        match reader.read_to_end().await {
            Ok(()) => {}
            Err(Error::HistoryLost { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        if let Start::After(token) = reader.start {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

/// Reads what was written after `since` and no later than `until`, which a majority has.
pub(super) async fn changes(
    server: &Server,
    since: &ResumePoint,
    token: &RawDocument,
    until: ClusterTime,
    limits: &ChangeLimits,
) -> Result<Changes, Error> {
    let ledger = Ledger::new(*limits, since.of_pass);
    let mut reader = Reader::new(server, Start::After(token.to_owned()), until, Some(ledger));
    reader.read_to_end().await?;
    let ledger = reader.ledger.expect("it was given above");
    let way = FollowWay::ChangeStream;
    Ok(Changes::new(
        way,
        ledger,
        reader.entries_read,
        reader.bytes_read,
    ))
}

/// Where a stream begins.
enum Start {
    Time(ClusterTime),
    /// After the event with this token.
    After(RawDocumentBuf),
}

struct Reader<'a> {
    server: &'a Server,
    /// Moves on with each event.
    start: Start,
    until: ClusterTime,
    /// None where only the last event's token is wanted.
    ledger: Option<Ledger>,
    entries_read: u64,
    bytes_read: u64,
}

impl<'a> Reader<'a> {
    fn new(server: &'a Server, start: Start, until: ClusterTime, ledger: Option<Ledger>) -> Self {
        Self {
            server,
            start,
            until,
            ledger,
            entries_read: 0,
            bytes_read: 0,
        }
    }

    async fn read_to_end(&mut self) -> Result<(), Error> {
        let mut patience = Patience::default();
        loop {
            match self.read().await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_interruption() => patience.wait(error).await?,
                Err(error) => return Err(or_lost(error)),
            }
        }
    }

    fn command(&self) -> RawDocumentBuf {
        let mut stage = rawdoc! { "allChangesForCluster": true, "showExpandedEvents": true };
        match &self.start {
            Start::Time(time) => stage.append(
                bson::cstr!("startAtOperationTime"),
                bson::Timestamp::from(*time),
            ),
            Start::After(token) => stage.append(bson::cstr!("startAfter"), token.clone()),
        }
        let projection = match self.ledger {
            None => rawdoc! { "_id": 1 },
            Some(_) => rawdoc! {
                "_id": 1, "operationType": 1, "documentKey._id": 1, "collectionUUID": 1,
                "operationDescription.dropTarget": 1,
            },
        };
        rawdoc! {
            "aggregate": 1,
            "pipeline": [{ "$changeStream": stage }, { "$project": projection }],
            "cursor": { "batchSize": BATCH },
            "readConcern": { "level": "majority" },
        }
    }

    /// Reads on until the stream has passed the end.
    async fn read(&mut self) -> Result<(), Error> {
        let opened = self
            .server
            .open_waiting("admin", self.command(), WAIT, doing);
        let mut cursor = opened.await?;
        let mut moved = tokio::time::Instant::now();
        let mut position = None;
        let mut is_first = true;
        while let Some(reply) = self.server.next(&mut cursor, doing).await? {
            self.bytes_read += reply.as_raw_document().as_bytes().len() as u64;
            let mut is_empty = true;
            for event in documents(&reply)? {
                is_empty = false;
                if !self.take_in(event?)? {
                    return Ok(());
                }
            }
            let now_at = position_of(&reply)?;
            if has_passed(now_at, self.until, is_empty && !is_first) {
                return Ok(());
            }
            is_first = false;
            if position != Some(now_at) {
                position = Some(now_at);
                moved = tokio::time::Instant::now();
            } else if moved.elapsed() > STANDSTILL {
                return Err(Error::Network {
                    doing: doing(),
                    source: Cause::from_text(format!("it stood still for {STANDSTILL:?}")),
                });
            }
        }
        lost(HistoryLost::NotUnderstood(
            "the change stream was ended by the server".to_owned(),
        ))
    }

    /// Takes one event in; false where it is later than the end.
    fn take_in(&mut self, event: &RawDocument) -> Result<bool, Error> {
        let found = Event::parse(event.as_bytes()).map_err(|what| malformed(what.0))?;
        let token = found
            .token
            .ok_or_else(|| malformed("an event without a token"))?;
        if time_of_token(token)? > self.until {
            return Ok(false);
        }
        if let Some(ledger) = &mut self.ledger {
            found.note(ledger)?;
        }
        if token.len() <= TOKEN_BYTES_MAX {
            let token = RawDocumentBuf::from_bytes(token.to_vec());
            self.start = Start::After(token.map_err(|_| malformed("a token is no document"))?);
        }
        self.entries_read += 1;
        Ok(true)
    }
}

/// Tells whether a stream at this position shows nothing more of `until` or before.
///
/// At `until` itself only where the reply has `waited` for events and there was none: with events
/// in it, a reply may end within a transaction of that moment, and the first one may only repeat
/// where the stream begins.
fn has_passed(position: ClusterTime, until: ClusterTime, waited: bool) -> bool {
    position > until || position == until && waited
}

/// Gives the errors that mean that history cannot be told their own variant.
fn or_lost(error: Error) -> Error {
    let Error::Command { code, message, .. } = &error else {
        return error;
    };
    let reason = match *code {
        code::CHANGE_STREAM_HISTORY_LOST | code::CAPPED_POSITION_LOST => HistoryLost::RolledOver,
        code::CHANGE_STREAM_FATAL | code::INVALID_RESUME_TOKEN => HistoryLost::Different,
        code::UNAUTHORIZED => HistoryLost::NotPermitted,
        // Whatever else a server has against a stream: a scan does not need one.
        other => HistoryLost::NotUnderstood(format!(
            "the server answered {other} to the change stream: {message}"
        )),
    };
    Error::HistoryLost { reason }
}

/// Returns how far the stream has got, as the server says with each reply.
fn position_of(reply: &RawBatch) -> Result<ClusterTime, Error> {
    let cursor = reply.as_raw_document().get_document("cursor");
    let token = cursor.and_then(|cursor| cursor.get_document("postBatchResumeToken"));
    let token = token.map_err(|_| malformed("a reply without a resume token"))?;
    time_of_token(token.as_bytes())
}

/// Returns the cluster time of a resume token: `_data` is a key string in hexadecimal digits, whose
/// first value is a timestamp (type byte 0x82, then 8 bytes with the high one first).
fn time_of_token(token: &[u8]) -> Result<ClusterTime, Error> {
    let wrong = || malformed("a resume token without a time");
    let token = RawDocument::from_bytes(token).map_err(|_| wrong())?;
    let data = token.get_str("_data").map_err(|_| wrong())?;
    let digits = data.strip_prefix("82").ok_or_else(wrong)?;
    let number = |from: usize| {
        let eight = digits.get(from..from + 8).ok_or_else(wrong)?;
        u32::from_str_radix(eight, 16).map_err(|_| wrong())
    };
    Ok(ClusterTime {
        seconds: number(0)?,
        increment: number(8)?,
    })
}

/// The parts of an event that matter here.
#[derive(Default)]
struct Event<'a> {
    token: Option<&'a [u8]>,
    kind: &'a [u8],
    id: Option<&'a [u8]>,
    uuid: Option<[u8; 16]>,
    drop_target: Option<[u8; 16]>,
}

impl<'a> Event<'a> {
    fn parse(document: &'a [u8]) -> Result<Self, Malformed> {
        let mut event = Self::default();
        for element in Elements::of(document)? {
            let element = element?;
            let value = &document[element.value..element.end];
            match (element.name, element.kind) {
                (b"_id", raw::DOCUMENT) => event.token = Some(value),
                (b"operationType", raw::STRING) => event.kind = text(value),
                (b"documentKey", raw::DOCUMENT) => event.id = id_of(value)?,
                (b"collectionUUID", raw::BINARY) => event.uuid = uuid(value),
                (b"operationDescription", raw::DOCUMENT) => {
                    for element in Elements::of(value)? {
                        let element = element?;
                        if element.name == b"dropTarget" && element.kind == raw::BINARY {
                            event.drop_target = uuid(&value[element.value..element.end]);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(event)
    }

    /// Puts what the event says into the ledger; the comments in `entry.rs` say why.
    fn note(&self, ledger: &mut Ledger) -> Result<(), Error> {
        let mut remade = |uuid: Option<[u8; 16]>| {
            uuid.into_iter()
                .for_each(|uuid| ledger.unknown(uuid, UnknownReason::Remade));
        };
        match self.kind {
            b"insert" | b"update" | b"replace" | b"delete" => match (self.uuid, self.id) {
                (Some(uuid), Some(id)) => ledger.wrote(uuid, id),
                (Some(uuid), None) => ledger.unknown(uuid, UnknownReason::NotFollowed),
                (None, _) => {
                    let what = "a write that does not say to which collection".to_owned();
                    return lost(HistoryLost::NotUnderstood(what));
                }
            },
            // A view has no UUID.
            b"create" | b"drop" => remade(self.uuid),
            b"rename" => {
                remade(self.drop_target);
                self.uuid.into_iter().for_each(|uuid| ledger.renamed(uuid));
            }
            b"dropDatabase" | b"createIndexes" | b"dropIndexes" | b"modify" => {}
            other => {
                let what = format!("the unknown event `{}`", other.escape_ascii());
                return lost(HistoryLost::NotUnderstood(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_passed_a_time_by_its_position_alone() {
        let at = |seconds, increment| ClusterTime { seconds, increment };
        let until = at(7, 3);
        for waited in [false, true] {
            for short in [at(7, 2), at(6, 9)] {
                assert!(!has_passed(short, until, waited), "{short}");
            }
            for past in [at(7, 4), at(8, 1)] {
                assert!(has_passed(past, until, waited), "{past}");
            }
        }
        assert!(has_passed(until, until, true));
        assert!(!has_passed(until, until, false));
    }

    #[test]
    fn a_position_is_read_out_of_its_token() {
        let token = rawdoc! { "_data": "826B02638400002EE12B0229296E04" };
        let time = time_of_token(token.as_bytes()).unwrap();
        assert_eq!((time.seconds, time.increment), (0x6B02_6384, 0x2EE1));
        for data in [
            "",
            "82",
            "816B02638400002EE12B",
            "826B0263840000",
            "82zz02638400002EE1",
        ] {
            let token = rawdoc! { "_data": data };
            assert!(time_of_token(token.as_bytes()).is_err(), "{data}");
        }
    }
}
