//! What one entry of the oplog says about documents, read from its bytes without decoding it.
//!
//! Whatever is not known to leave documents alone makes history [`HistoryLost::NotUnderstood`];
//! nothing is ever skipped because it looks unimportant. Entries that were seen on real servers,
//! and why each is taken as it is, stand beside their names below.
use super::changes::Ledger;
use crate::raw::{self, Elements, Malformed};
use crate::{ClusterTime, HistoryLost, UnknownReason};

/// How deep `applyOps` may be nested; a server allows three.
const DEPTH_MAX: u32 = 8;
/// What the server itself writes beside the operations of an `applyOps`.
const OF_APPLY_OPS: [&[u8]; 4] = [b"applyOps", b"partialTxn", b"count", b"prepare"];
/// The databases whose documents are no part of a snapshot.
const SERVER_DATABASES: [&[u8]; 3] = [b"admin", b"config", b"local"];
/// `multiOpType` of operations that share an entry but are no transaction (vectored inserts, 8.0).
const APPLIED_SEPARATELY: i64 = 1;

/// Why an entry cannot be taken in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its framing is broken.
    Malformed(Malformed),
    /// It says something that is not understood.
    Lost(HistoryLost),
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

fn not_understood<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Lost(HistoryLost::NotUnderstood(what.into())))
}

/// The parts of an entry, or of an operation within an `applyOps`, that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) time: Option<ClusterTime>,
    operation: &'a [u8],
    namespace: &'a [u8],
    uuid: Option<[u8; 16]>,
    body: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    /// The whole entry, which the projection adds for commands alone.
    whole: Option<&'a [u8]>,
    /// The entry before in the same transaction.
    previous: Option<ClusterTime>,
    /// Whether it is a part of a session's transaction.
    in_transaction: bool,
    multiple: Option<i64>,
}

impl<'a> Entry<'a> {
    pub(super) fn parse(document: &'a [u8]) -> Result<Self, Malformed> {
        let mut entry = Self::default();
        for element in Elements::of(document)? {
            let element = element?;
            let value = &document[element.value..element.end];
            match (element.name, element.kind) {
                (b"op", raw::STRING) => entry.operation = text(value),
                (b"ns", raw::STRING) => entry.namespace = text(value),
                (b"ui", raw::BINARY) => entry.uuid = uuid(value),
                (b"ts", raw::TIMESTAMP) => entry.time = Some(time(value)),
                (b"o", raw::DOCUMENT) => entry.body = Some(value),
                (b"o2", raw::DOCUMENT) => entry.key = Some(value),
                (WHOLE, raw::DOCUMENT) => entry.whole = Some(value),
                (b"prevOpTime", raw::DOCUMENT) => entry.previous = previous(value)?,
                (b"txnNumber", _) => entry.in_transaction = true,
                (b"multiOpType", raw::INT32 | raw::INT64) => entry.multiple = number(value),
                _ => {}
            }
        }
        Ok(entry)
    }

    fn database(&self) -> &'a [u8] {
        let end = self.namespace.iter().position(|byte| *byte == b'.');
        &self.namespace[..end.unwrap_or(self.namespace.len())]
    }
}

/// The name under which the projection of the oplog brings a command's whole entry.
const WHOLE: &[u8] = b"whole";

/// Returns the projection under which entries are read: only ids of what writes a document, and
/// commands whole. Twice as fast as naming what commands have of each (measured).
pub(super) fn projection() -> bson::RawDocumentBuf {
    bson::rawdoc! {
        "_id": 0, "ts": 1, "op": 1, "ns": 1, "ui": 1, "o._id": 1, "o2._id": 1,
        "whole": { "$cond": [{ "$eq": ["$op", "c"] }, "$$ROOT", "$$REMOVE"] },
    }
}

/// Puts what an entry wrote into the ledger. Returns the entry before it in its transaction, which
/// may be from before the point that is followed from.
pub(super) fn note(entry: &Entry<'_>, ledger: &mut Ledger) -> Result<Option<ClusterTime>, Refusal> {
    let Some(whole) = entry.whole else {
        operation(entry, ledger, 0)?;
        return Ok(before(entry));
    };
    let whole = Entry::parse(whole)?;
    operation(&whole, ledger, 0)?;
    Ok(before(&whole))
}

/// Returns the entry that a transaction's entry continues. Retryable writes are chained as well,
/// but each is whole in itself.
fn before(entry: &Entry<'_>) -> Option<ClusterTime> {
    let is_command = entry.operation == b"c";
    let is_separate = entry.multiple == Some(APPLIED_SEPARATELY);
    entry.previous.filter(|_| is_command && !is_separate)
}

fn operation(entry: &Entry<'_>, ledger: &mut Ledger, depth: u32) -> Result<(), Refusal> {
    match entry.operation {
        // A note without effect: the set's heartbeat, an election, images of retried writes.
        b"n" => Ok(()),
        b"i" | b"u" | b"d" => write(entry, ledger),
        b"c" => command(entry, ledger, depth),
        other => not_understood(format!(
            "an entry of the unknown kind `{}`",
            other.escape_ascii()
        )),
    }
}

/// An insert (`o` is the document), an update (`o2` has the `_id` before it: a replacement may turn
/// `1` into `1.0`) or a delete (`o` has the `_id`).
fn write(entry: &Entry<'_>, ledger: &mut Ledger) -> Result<(), Refusal> {
    if SERVER_DATABASES.contains(&entry.database()) {
        return Ok(());
    }
    let Some(uuid) = entry.uuid else {
        return not_understood("a write that does not say to which collection");
    };
    let in_body = entry.body.map_or(Ok(None), id_of)?;
    let in_key = entry.key.map_or(Ok(None), id_of)?;
    let (needed, other) = match entry.operation {
        b"u" => (in_key, in_body),
        _ => (in_body, in_key),
    };
    let Some(needed) = needed else {
        ledger.unknown(uuid, UnknownReason::NotFollowed);
        return Ok(());
    };
    ledger.wrote(uuid, needed);
    if let Some(other) = other.filter(|other| *other != needed) {
        ledger.wrote(uuid, other);
    }
    Ok(())
}

fn command(entry: &Entry<'_>, ledger: &mut Ledger, depth: u32) -> Result<(), Refusal> {
    let body = entry.body.unwrap_or_default();
    let Some(first) = Elements::of(body)?.next() else {
        return not_understood("a command without a name");
    };
    let first = first?;
    if first.name == b"applyOps" {
        return apply_ops(entry, body, ledger, depth);
    }
    if matches!(entry.database(), b"config" | b"local") {
        return Ok(());
    }
    match first.name {
        // The catalog at the end shows what came and went. But a collection may be made anew under
        // a UUID that there was before (`mongorestore --preserveUUID`): then nothing is known.
        b"create" => match entry.uuid {
            Some(uuid) => ledger.unknown(uuid, UnknownReason::Remade),
            None => return not_understood("a collection made without a UUID"),
        },
        b"drop" => entry
            .uuid
            .into_iter()
            .for_each(|uuid| ledger.unknown(uuid, UnknownReason::Remade)),
        b"renameCollection" => renamed(entry, body, ledger)?,
        // Its collections were dropped one by one before.
        b"dropDatabase" => {}
        // Indexes and options; no document.
        b"createIndexes" | b"startIndexBuild" | b"commitIndexBuild" | b"abortIndexBuild"
        | b"dropIndexes" | b"collMod" => {}
        // Compares members with each other.
        b"dbCheck" => {}
        // Documents vanish without a word each; only of capped collections.
        b"emptycapped" | b"convertToCapped" => match entry.uuid {
            Some(uuid) => ledger.unknown(uuid, UnknownReason::NotFollowed),
            None => return not_understood("a collection emptied without its UUID"),
        },
        b"commitTransaction" | b"abortTransaction" => {
            return not_understood("a prepared transaction, which only sharded clusters have");
        }
        other => {
            return not_understood(format!("the unknown command `{}`", other.escape_ascii()));
        }
    }
    Ok(())
}

/// A rename keeps the UUID and all documents, and may end another collection. While a pass reads by
/// name, a rename may have shown it the wrong collection.
fn renamed(entry: &Entry<'_>, body: &[u8], ledger: &mut Ledger) -> Result<(), Refusal> {
    for element in Elements::of(body)? {
        let element = element?;
        let value = &body[element.value..element.end];
        if element.name == b"dropTarget"
            && element.kind == raw::BINARY
            && let Some(target) = uuid(value)
        {
            ledger.unknown(target, UnknownReason::Remade);
        }
    }
    if let Some(uuid) = entry.uuid {
        ledger.renamed(uuid);
    }
    Ok(())
}

/// A transaction, deletes in a batch, inserts in a batch, or what a user gave the command
/// `applyOps`. All of it counts, whether it was committed or not.
fn apply_ops(
    entry: &Entry<'_>,
    body: &[u8],
    ledger: &mut Ledger,
    depth: u32,
) -> Result<(), Refusal> {
    if depth >= DEPTH_MAX {
        return not_understood("operations nested too deeply");
    }
    let mut operations = None;
    for element in Elements::of(body)? {
        let element = element?;
        match (element.name, element.kind) {
            (b"applyOps", raw::ARRAY) => operations = Some(&body[element.value..element.end]),
            // It may commit at a time before the entry that says so.
            (b"prepare", _) => {
                return not_understood("a prepared transaction, which only sharded clusters have");
            }
            _ => {}
        }
        // The command of a user is written down as it was given, with whatever was sent beside the
        // operations. Its ids need not be those of the documents: `1.0` deletes the document `1`.
        if !entry.in_transaction && !OF_APPLY_OPS.contains(&element.name) {
            return not_understood("the command applyOps, whose ids may be of another type");
        }
    }
    let Some(operations) = operations else {
        return not_understood("an applyOps without operations");
    };
    for element in Elements::of(operations)? {
        let element = element?;
        if element.kind != raw::DOCUMENT {
            return not_understood("an operation that is no document");
        }
        let mut inner = Entry::parse(&operations[element.value..element.end])?;
        inner.in_transaction = entry.in_transaction;
        operation(&inner, ledger, depth + 1)?;
    }
    Ok(())
}

/// Returns the whole `_id` element of a document.
pub(super) fn id_of(document: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    for element in Elements::of(document)? {
        let element = element?;
        if element.name == b"_id" {
            return Ok(Some(&document[element.start..element.end]));
        }
    }
    Ok(None)
}

/// Returns the bytes of a string, without its length and its zero.
pub(super) fn text(value: &[u8]) -> &[u8] {
    value
        .get(4..value.len().saturating_sub(1))
        .unwrap_or_default()
}

/// Returns a UUID out of a binary value: length, subtype, bytes.
pub(super) fn uuid(value: &[u8]) -> Option<[u8; 16]> {
    value.get(5..)?.try_into().ok()
}

/// Returns a timestamp: increment, then seconds, both with the low byte first.
pub(super) fn time(value: &[u8]) -> ClusterTime {
    let number =
        |at: usize| u32::from_le_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]);
    ClusterTime {
        seconds: number(4),
        increment: number(0),
    }
}

fn number(value: &[u8]) -> Option<i64> {
    match value.len() {
        4 => Some(i32::from_le_bytes(value.try_into().ok()?).into()),
        _ => Some(i64::from_le_bytes(value.try_into().ok()?)),
    }
}

/// Returns the time in an optime, unless it is the null one, which says that there is none.
fn previous(optime: &[u8]) -> Result<Option<ClusterTime>, Malformed> {
    for element in Elements::of(optime)? {
        let element = element?;
        if element.name == b"ts" && element.kind == raw::TIMESTAMP {
            let found = time(&optime[element.value..element.end]);
            return Ok(Some(found).filter(|time| time.seconds != 0));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::super::changes::ChangeLimits;
    use super::*;

    const WIDE: ChangeLimits = ChangeLimits {
        ids_per_collection: 1000,
        bytes: 1 << 20,
    };

    fn uuid_of(byte: u8) -> bson::Binary {
        bson::Binary {
            subtype: bson::spec::BinarySubtype::Uuid,
            bytes: vec![byte; 16],
        }
    }

    fn noted(entry: &RawDocumentBuf, ledger: &mut Ledger) -> Result<Option<ClusterTime>, Refusal> {
        note(&Entry::parse(entry.as_bytes())?, ledger)
    }

    /// Notes a command as the projection brings it.
    fn noted_command(o: RawDocumentBuf) -> Result<Ledger, Refusal> {
        let mut ledger = Ledger::new(WIDE, false);
        let whole = rawdoc! { "op": "c", "ns": "shop.$cmd", "ui": uuid_of(1), "o": o };
        let entry = rawdoc! { "op": "c", "ns": "shop.$cmd", "whole": whole };
        noted(&entry, &mut ledger).map(|_| ledger)
    }

    fn is_not_understood<T>(noted: Result<T, Refusal>) -> bool {
        matches!(noted, Err(Refusal::Lost(HistoryLost::NotUnderstood(_))))
    }

    #[test]
    fn whatever_is_unknown_is_not_understood() {
        let delete = rawdoc! { "op": "d", "ns": "shop.c", "ui": uuid_of(1), "o": { "_id": 1 } };
        for o in [
            rawdoc! {},
            rawdoc! { "importCollection": "shop.c" },
            rawdoc! { "upgradeDowngradeViewlessTimeseries": "c" },
            rawdoc! { "commitTransaction": 1 },
            rawdoc! { "abortTransaction": 1 },
            rawdoc! { "applyOps": [delete.clone()], "prepare": true },
            rawdoc! { "applyOps": [delete.clone()], "$db": "admin" },
            rawdoc! { "applyOps": 1 },
            rawdoc! { "applyOps": [1] },
            rawdoc! { "applyOps": [{ "op": "d", "ns": "shop.c", "o": { "_id": 1 } }] },
            rawdoc! { "applyOps": [{ "op": "c", "ns": "shop.$cmd", "o": { "unknown": 1 } }] },
        ] {
            assert!(is_not_understood(noted_command(o.clone())), "{o:?}");
        }
        for entry in [
            rawdoc! { "op": "xi", "ns": "shop.c", "ui": uuid_of(1), "o": { "_id": 1 } },
            rawdoc! { "op": "i", "ns": "shop.c", "o": { "_id": 1 } },
            rawdoc! { "ns": "shop.c" },
        ] {
            let noted = noted(&entry, &mut Ledger::new(WIDE, false));
            assert!(is_not_understood(noted), "{entry:?}");
        }
        let mut nested = rawdoc! { "applyOps": [delete] };
        for _ in 0..20 {
            nested = rawdoc! { "applyOps": [{ "op": "c", "ns": "admin.$cmd", "o": nested }] };
        }
        assert!(is_not_understood(noted_command(nested)));
    }

    #[test]
    fn what_leaves_documents_alone_changes_nothing() {
        for o in [
            rawdoc! { "dropDatabase": 1 },
            rawdoc! { "createIndexes": "c", "key": { "a": 1 } },
            rawdoc! { "collMod": "c" },
            rawdoc! { "dbCheck": "shop.c" },
            rawdoc! { "renameCollection": "shop.c", "to": "shop.d", "dropTarget": false },
        ] {
            assert!(noted_command(o).unwrap().known().is_empty());
        }
        let mut ledger = Ledger::new(WIDE, false);
        for entry in [
            rawdoc! { "op": "n", "ns": "", "o": { "msg": "periodic noop" } },
            rawdoc! { "op": "u", "ns": "config.transactions", "o2": { "_id": 1 } },
            rawdoc! { "op": "i", "ns": "admin.system.users", "o": { "_id": 1 } },
        ] {
            noted(&entry, &mut ledger).unwrap();
        }
        assert!(ledger.known().is_empty());
    }

    #[test]
    fn whole_collections_become_unknown_under_the_right_uuid() {
        use UnknownReason::{NotFollowed, Remade};
        for (o, byte, reason) in [
            (rawdoc! { "create": "c" }, 1, Remade),
            (rawdoc! { "drop": "c" }, 1, Remade),
            (
                rawdoc! { "renameCollection": "shop.c", "to": "shop.d", "dropTarget": uuid_of(2) },
                2,
                Remade,
            ),
            (rawdoc! { "emptycapped": "c" }, 1, NotFollowed),
            (rawdoc! { "convertToCapped": "c" }, 1, NotFollowed),
        ] {
            let ledger = noted_command(o).unwrap();
            assert_eq!(ledger.known(), [([byte; 16], Err(reason))]);
        }
        let mut ledger = Ledger::new(WIDE, true);
        let o = rawdoc! { "renameCollection": "shop.c", "to": "shop.d" };
        let rename = rawdoc! { "op": "c", "ns": "shop.$cmd", "ui": uuid_of(3), "o": o };
        noted(&rename, &mut ledger).unwrap();
        assert_eq!(ledger.known(), [([3; 16], Err(Remade))]);
    }

    #[test]
    fn ids_are_those_before_and_after_a_write() {
        let mut ledger = Ledger::new(WIDE, false);
        for entry in [
            rawdoc! { "op": "i", "ns": "shop.c", "ui": uuid_of(1), "o": { "_id": 1 } },
            rawdoc! {
                "op": "u", "ns": "shop.c", "ui": uuid_of(1), "o2": { "_id": 2 },
                "o": { "_id": 2.0 },
            },
            rawdoc! { "op": "d", "ns": "shop.c", "ui": uuid_of(1), "o": { "_id": 1 } },
            rawdoc! { "op": "u", "ns": "shop.d", "ui": uuid_of(2), "o": { "_id": 2.0 } },
        ] {
            noted(&entry, &mut ledger).unwrap();
        }
        let known = ledger.known();
        assert_eq!(known[0], ([1; 16], Ok(3)));
        assert_eq!(known[1], ([2; 16], Err(UnknownReason::NotFollowed)));
    }

    #[test]
    fn only_transactions_are_followed_back() {
        let previous = rawdoc! { "ts": bson::Timestamp { time: 7, increment: 2 }, "t": 1_i64 };
        let none = rawdoc! { "ts": bson::Timestamp { time: 0, increment: 0 }, "t": -1_i64 };
        let entry = |previous: &RawDocumentBuf, kind: i32| {
            rawdoc! {
                "op": "c", "ns": "admin.$cmd", "txnNumber": 1_i64, "multiOpType": kind,
                "prevOpTime": previous.clone(), "o": { "applyOps": [] },
            }
        };
        let retried = rawdoc! {
            "op": "i", "ns": "shop.c", "ui": uuid_of(1), "o": { "_id": 1 }, "txnNumber": 1_i64,
            "prevOpTime": previous.clone(),
        };
        let ledger = &mut Ledger::new(WIDE, false);
        let seven = ClusterTime {
            seconds: 7,
            increment: 2,
        };
        assert_eq!(noted(&entry(&previous, 0), ledger), Ok(Some(seven)));
        assert_eq!(noted(&entry(&previous, 1), ledger), Ok(None));
        assert_eq!(noted(&entry(&none, 0), ledger), Ok(None));
        assert_eq!(noted(&retried, ledger), Ok(None));
    }
}
