//! A collection as a stream of raw batches.
//!
//! Reading by name is dangerous: the name of a collection that was dropped or renamed answers `ok`
//! with no document, as an empty collection does. So a snapshot reads by UUID, and where the user
//! may not, the name is proven to have stood for the right UUID. Replies are handed on as they
//! came, without a copy; the cursors have no time limit, a slow reader must not lose one.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bson::spec::BinarySubtype;
use bson::{Bson, RawBson, RawDocumentBuf, cstr, rawdoc};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::sync::OnceCell;

use crate::catalog;
use crate::raw::{self, Elements, Malformed};
use crate::server::{Server, code};
use crate::snapshot::Inner;
use crate::{ClusterTime, Collection, Error, LostReason};

/// Batches of one collection, in natural order.
pub type ScanStream = BoxStream<'static, Result<ScanBatch, Error>>;

/// Documents of one server reply, not copied out of it.
#[derive(Clone, Debug)]
pub struct ScanBatch {
    /// The reply; only the spans below are documents, what is between them is framing.
    pub bytes: Bytes,
    /// Where the documents are, in the order of the server.
    pub documents: Vec<DocumentSpan>,
}

/// Where one document and its `_id` are in the bytes of a [`ScanBatch`].
///
/// `start..end` is the raw BSON document. `id_start..id_end` is its whole top-level `_id` element:
/// a type byte, the four bytes `_id\0`, then the value as BSON encodes it. A document without `_id`
/// (possible in old capped collections) has `start == id_start == id_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentSpan {
    /// Offset of the document's first byte.
    pub start: u32,
    /// Offset after its last byte.
    pub end: u32,
    /// Offset of the type byte of `_id`.
    pub id_start: u32,
    /// Offset after the last byte of the value of `_id`.
    pub id_end: u32,
}

impl ScanBatch {
    /// Returns the raw documents.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.documents
            .iter()
            .map(|span| &self.bytes[span.start as usize..span.end as usize])
    }

    /// Returns the bytes of the document at `span`.
    pub fn document(&self, span: &DocumentSpan) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// Returns the bytes of the `_id` element of the document at `span`.
    pub fn id(&self, span: &DocumentSpan) -> &[u8] {
        &self.bytes[span.id_start as usize..span.id_end as usize]
    }
}

/// At which state a collection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadAt {
    /// As it was at this time.
    Time(ClusterTime),
    /// As a majority of the members has it when the cursor is opened, or later.
    Majority,
    /// The same, but not earlier than this time, also after another member became primary.
    MajoritySince(ClusterTime),
    /// As it is while it is read.
    Now,
}

/// Which documents of a collection are read.
pub(crate) struct Selection {
    pub(crate) filter: RawDocumentBuf,
    /// The index to use, or `$natural`; the server's choice otherwise.
    pub(crate) hint: Option<RawDocumentBuf>,
    /// Whether there is one document at most.
    pub(crate) is_single: bool,
}

impl Selection {
    /// All documents in natural order.
    fn everything() -> Self {
        Self {
            filter: rawdoc! {},
            hint: Some(rawdoc! { "$natural": 1_i32 }),
            is_single: false,
        }
    }
}

/// One collection to be read, and how.
pub(crate) struct Scan {
    server: Server,
    database: String,
    /// The collection that holds the documents.
    name: String,
    uuid: Option<[u8; 16]>,
    at: ReadAt,
    /// The snapshot it belongs to; none when a target is read back.
    snapshot: Option<Arc<Inner>>,
    /// How many documents make a batch, once that was asked.
    batch_size: OnceCell<u32>,
}

impl Scan {
    /// Reads for a snapshot: by UUID where the user may, and with proof where not.
    pub(crate) fn of_snapshot(snapshot: Arc<Inner>, collection: &Collection, at: ReadAt) -> Self {
        Self {
            server: snapshot.server.clone(),
            database: collection.database.clone(),
            name: collection.storage_name(),
            uuid: collection.uuid,
            at,
            snapshot: Some(snapshot),
            batch_size: OnceCell::new(),
        }
    }

    /// Reads by name whatever the name stands for now.
    pub(crate) fn by_name(server: Server, collection: &Collection, at: ReadAt) -> Self {
        Self {
            server,
            database: collection.database.clone(),
            name: collection.storage_name(),
            uuid: None,
            at,
            snapshot: None,
            batch_size: OnceCell::new(),
        }
    }

    fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    fn doing(&self) -> String {
        format!("read {}", self.namespace())
    }

    /// Opens a cursor and returns it with its first batch.
    pub(crate) async fn open(
        &self,
        selection: &Selection,
    ) -> Result<(RawBatchCursor, ScanBatch), Error> {
        let size = match selection.is_single {
            true => 1,
            false => *self.batch_size.get_or_try_init(|| self.measure()).await?,
        };
        let Some(snapshot) = &self.snapshot else {
            let by_name = self.find(selection, self.name.as_str().into(), size);
            return self.first(by_name, size).await;
        };
        let uuid = self
            .uuid
            .ok_or_else(|| self.malformed(Malformed("it has no UUID")))?;
        if !snapshot.by_name.load(Ordering::Relaxed) {
            let target = bson::Binary {
                subtype: BinarySubtype::Uuid,
                bytes: uuid.to_vec(),
            };
            let by_uuid = self.find(selection, target.into(), size);
            match self.first(by_uuid, size).await {
                // Reading by UUID takes `useUUID`, which only `backup`, `restore` and `root` have.
                Err(Error::Command {
                    code: code::UNAUTHORIZED,
                    ..
                }) => {
                    snapshot.by_name.store(true, Ordering::Relaxed);
                }
                opened => return opened,
            }
        }
        self.open_with_proof(selection, uuid, size).await
    }

    /// Opens a cursor by name and proves that the name stood for the right collection.
    ///
    /// A name that stands for nothing answers `ok` with no document, so it is looked up after
    /// opening. A collection that was renamed away and back has no state at the time any more: the
    /// server refuses it. So a second empty answer after the look-up means empty. Where a pass
    /// reads at no one time, a rename makes the collection unknown to what follows (`entry.rs`).
    async fn open_with_proof(
        &self,
        selection: &Selection,
        uuid: [u8; 16],
        size: u32,
    ) -> Result<(RawBatchCursor, ScanBatch), Error> {
        let by_name = || self.find(selection, self.name.as_str().into(), size);
        let opened = self.first(by_name(), size).await;
        // Also after an error: a name that stands for a view now refuses what a collection allows.
        self.prove_name(uuid).await?;
        let opened = opened?;
        if !opened.1.documents.is_empty() {
            return Ok(opened);
        }
        let again = self.first(by_name(), size).await?;
        self.prove_name(uuid).await?;
        if !again.1.documents.is_empty() && matches!(self.at, ReadAt::Time(_)) {
            return Err(self.lost(LostReason::Unavailable));
        }
        Ok(again)
    }

    async fn prove_name(&self, uuid: [u8; 16]) -> Result<(), Error> {
        match catalog::uuid_of(&self.server, &self.database, &self.name).await? {
            Some(now) if now == uuid => Ok(()),
            _ => Err(self.lost(LostReason::Gone)),
        }
    }

    fn lost(&self, reason: LostReason) -> Error {
        Error::SnapshotLost {
            namespace: self.namespace(),
            reason,
        }
    }

    fn find(&self, selection: &Selection, target: RawBson, size: u32) -> RawDocumentBuf {
        let mut command = rawdoc! { "find": target, "filter": selection.filter.clone() };
        if let Some(hint) = &selection.hint {
            command.append(cstr!("hint"), hint.clone());
        }
        if selection.is_single {
            command.append(cstr!("limit"), 1_i64);
            command.append(cstr!("singleBatch"), true);
        } else {
            command.append(cstr!("batchSize"), i64::from(size));
            command.append(cstr!("noCursorTimeout"), true);
        }
        match self.at {
            ReadAt::Time(time) => command.append(
                cstr!("readConcern"),
                rawdoc! { "level": "snapshot", "atClusterTime": bson::Timestamp::from(time) },
            ),
            ReadAt::Majority => {
                command.append(cstr!("readConcern"), rawdoc! { "level": "majority" });
            }
            ReadAt::MajoritySince(time) => command.append(
                cstr!("readConcern"),
                rawdoc! { "level": "majority", "afterClusterTime": bson::Timestamp::from(time) },
            ),
            ReadAt::Now => {}
        }
        command
    }

    async fn first(
        &self,
        command: RawDocumentBuf,
        size: u32,
    ) -> Result<(RawBatchCursor, ScanBatch), Error> {
        let opened = self
            .server
            .open(&self.database, command, Some(size), || self.doing())
            .await;
        let mut cursor = opened.map_err(|error| self.or_lost(error))?;
        match self.next(&mut cursor).await? {
            Some(batch) => Ok((cursor, batch)),
            None => Err(self.malformed(Malformed("no first batch"))),
        }
    }

    pub(crate) async fn next(
        &self,
        cursor: &mut RawBatchCursor,
    ) -> Result<Option<ScanBatch>, Error> {
        let reply = self.server.next(cursor, || self.doing()).await;
        match reply.map_err(|error| self.or_lost(error))? {
            None => Ok(None),
            Some(reply) => ScanBatch::of_reply(reply)
                .map(Some)
                .map_err(|what| self.malformed(what)),
        }
    }

    fn malformed(&self, what: Malformed) -> Error {
        Error::InvalidReply {
            doing: self.doing(),
            what: what.0.to_owned(),
        }
    }

    /// Gives the errors that mean "not at this time any more" their own variant.
    fn or_lost(&self, error: Error) -> Error {
        let Error::Command { code, .. } = &error else {
            return error;
        };
        match *code {
            code::NAMESPACE_NOT_FOUND | code::QUERY_PLAN_KILLED => self.lost(LostReason::Gone),
            code::SNAPSHOT_UNAVAILABLE => self.lost(LostReason::Unavailable),
            code::SNAPSHOT_TOO_OLD => self.lost(LostReason::TooOld),
            code::CAPPED_POSITION_LOST => self.lost(LostReason::Overwritten),
            code::CURSOR_NOT_FOUND | code::CURSOR_KILLED => self.lost(LostReason::CursorLost),
            _ => error,
        }
    }

    /// Asks how many documents make a batch of about 2 MB.
    async fn measure(&self) -> Result<u32, Error> {
        let command = rawdoc! { "collStats": self.name.as_str() };
        let doing = || format!("measure the documents of {}", self.namespace());
        let average = match self.server.run(&self.database, command, doing).await {
            Ok(stats) => ["avgObjSize"]
                .into_iter()
                .find_map(|name| match stats.get(name) {
                    Some(Bson::Int32(size)) => u32::try_from(*size).ok(),
                    Some(Bson::Int64(size)) => u32::try_from(*size).ok(),
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a size of at most 16 MB; the conversion saturates"
                    )]
                    Some(Bson::Double(size)) => Some(*size as u32),
                    _ => None,
                }),
            // Not permitted, or gone: reading it will tell.
            Err(Error::Command { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(BATCH_BYTES
            / average
                .unwrap_or(DOCUMENT_BYTES_GUESS)
                .clamp(16, BATCH_BYTES))
    }
}

/// What a batch should hold: measured, 1 to 4 MB are read fastest.
const BATCH_BYTES: u32 = 2 << 20;
/// The size of a document where the server does not tell.
const DOCUMENT_BYTES_GUESS: u32 = 1024;

/// Returns the batches of one collection.
pub(crate) fn stream(scan: Scan) -> ScanStream {
    stream::try_unfold(Stage::Begin(scan), step).boxed()
}

/// Returns a stream without any batch: what a view holds.
pub(crate) fn nothing() -> ScanStream {
    stream::empty().boxed()
}

enum Stage {
    Begin(Scan),
    Reading(Scan, Box<RawBatchCursor>),
}

async fn step(stage: Stage) -> Result<Option<(ScanBatch, Stage)>, Error> {
    let (scan, mut cursor) = match stage {
        Stage::Begin(scan) => {
            let (cursor, batch) = scan.open(&Selection::everything()).await?;
            let cursor = Box::new(cursor);
            if !batch.documents.is_empty() {
                return Ok(Some((batch, Stage::Reading(scan, cursor))));
            }
            (scan, cursor)
        }
        Stage::Reading(scan, cursor) => (scan, cursor),
    };
    while let Some(batch) = scan.next(&mut cursor).await? {
        if !batch.documents.is_empty() {
            return Ok(Some((batch, Stage::Reading(scan, cursor))));
        }
    }
    if let (Some(snapshot), Some(uuid)) = (&scan.snapshot, scan.uuid) {
        snapshot.has_read(uuid);
    }
    Ok(None)
}

/// Lets a reply be shared as bytes without copying it.
struct Reply(RawBatch);

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        self.0.as_raw_document().as_bytes()
    }
}

impl ScanBatch {
    /// Puts the documents of several batches into one, copying them.
    pub(crate) fn joined(batches: &[ScanBatch]) -> Self {
        let mut bytes = Vec::new();
        let mut documents = Vec::new();
        for batch in batches {
            for span in &batch.documents {
                let start = u32::try_from(bytes.len()).expect("a few documents are below 4 GiB");
                bytes.extend_from_slice(batch.document(span));
                let moved = |offset: u32| offset - span.start + start;
                documents.push(DocumentSpan {
                    start,
                    end: moved(span.end),
                    id_start: moved(span.id_start),
                    id_end: moved(span.id_end),
                });
            }
        }
        let bytes = bytes.into();
        Self { bytes, documents }
    }

    fn of_reply(reply: RawBatch) -> Result<Self, Malformed> {
        let bytes = Bytes::from_owner(Reply(reply));
        let documents = spans(&bytes)?;
        Ok(Self { bytes, documents })
    }
}

/// Finds the documents of a cursor's reply: `cursor.firstBatch` or `cursor.nextBatch`.
fn spans(reply: &[u8]) -> Result<Vec<DocumentSpan>, Malformed> {
    let cursor = element(reply, 0, reply.len(), &["cursor"], raw::DOCUMENT)?;
    let batch = element(
        reply,
        cursor.0,
        cursor.1,
        &["firstBatch", "nextBatch"],
        raw::ARRAY,
    )?;
    let mut documents = Vec::new();
    for item in Elements::of(&reply[batch.0..batch.1])? {
        let item = item?;
        if item.kind != raw::DOCUMENT {
            return Err(Malformed("a batch holds something that is not a document"));
        }
        documents.push(span(reply, batch.0 + item.value, batch.0 + item.end)?);
    }
    Ok(documents)
}

/// Finds an element by one of its names in the document at `start..end`; returns where its value
/// is.
fn element(
    reply: &[u8],
    start: usize,
    end: usize,
    names: &[&str],
    kind: u8,
) -> Result<(usize, usize), Malformed> {
    for element in Elements::of(&reply[start..end])? {
        let element = element?;
        if element.kind == kind && names.iter().any(|name| name.as_bytes() == element.name) {
            return Ok((start + element.value, start + element.end));
        }
    }
    Err(Malformed("a cursor's reply has no batch"))
}

/// Finds the `_id` of the document at `start..end`; nearly always its first element.
fn span(reply: &[u8], start: usize, end: usize) -> Result<DocumentSpan, Malformed> {
    let offset = |at: usize| u32::try_from(at).map_err(|_| Malformed("a reply is too long"));
    let mut found = DocumentSpan {
        start: offset(start)?,
        end: offset(end)?,
        // Without an `_id` the span is empty and still lies within the document.
        id_start: offset(start)?,
        id_end: offset(start)?,
    };
    for element in Elements::of(&reply[start..end])? {
        let element = element?;
        if element.name == b"_id" {
            found.id_start = offset(start + element.start)?;
            found.id_end = offset(start + element.end)?;
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn documents_and_ids_are_found_where_they_are() {
        let first = rawdoc! { "_id": 7, "a": "b" };
        let second = rawdoc! { "a": { "_id": 1 }, "_id": "second" };
        let third = rawdoc! { "no": "id" };
        let reply = rawdoc! {
            "cursor": {
                "id": 5_i64, "ns": "d.c",
                "nextBatch": [first.clone(), second.clone(), third.clone()],
            },
            "ok": 1.0,
        };
        let bytes = Bytes::from(reply.into_bytes());
        let batch = ScanBatch {
            documents: spans(&bytes).unwrap(),
            bytes,
        };
        let documents: Vec<&[u8]> = batch.iter().collect();
        assert_eq!(
            documents,
            [first.as_bytes(), second.as_bytes(), third.as_bytes()]
        );
        let ids: Vec<&[u8]> = batch.documents.iter().map(|span| batch.id(span)).collect();
        assert_eq!(
            ids,
            [
                b"\x10_id\0\x07\0\0\0".as_slice(),
                b"\x02_id\0\x07\0\0\0second\0",
                b""
            ]
        );
    }

    #[test]
    fn a_reply_without_a_batch_is_refused() {
        for reply in [
            rawdoc! { "ok": 1 },
            rawdoc! { "cursor": { "firstBatch": [1] } },
        ] {
            assert!(spans(reply.as_bytes()).is_err());
        }
    }
}
