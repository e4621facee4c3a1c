//! Reads again the documents that have one of many ids.
//!
//! It must never scan: ordinary collections are asked by `$in` with the `_id` index as a hint, and
//! clustered ones by one equality after the other, because a server answers `$in` there by reading
//! the whole collection (seen on 6.0). Documents are returned whatever their `_id` looks like in
//! bytes: `1` finds `1.0`, and a collation finds `A` for `a`.
use std::sync::Arc;

use bson::{RawDocumentBuf, rawdoc};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use mongodb::raw_batch_cursor::RawBatchCursor;

use crate::raw::{self, Builder};
use crate::scan::{ReadAt, Scan, Selection};
use crate::server::Patience;
use crate::snapshot::Inner;
use crate::{Collection, Error, ScanBatch};

/// The ids asked for, and documents found. The documents of one chunk of ids may come in several
/// items, of which only the first has ids.
pub type RereadStream = BoxStream<'static, Result<(Vec<Bytes>, ScanBatch), Error>>;

/// How many ids are asked for at a time.
const IDS_MAX: usize = 2_000;
/// How many bytes of ids are asked for at a time; a longer one goes alone.
const ID_BYTES_MAX: usize = 1 << 20;
/// How many single reads of a clustered collection are under way at a time.
const AT_A_TIME: usize = 8;
/// How many single reads share an item.
const SINGLE_MAX: usize = 500;
/// At how many bytes of replies an item has enough.
const SINGLE_BYTES_MAX: usize = 2 << 20;
/// What stands before the value in an `_id` element after its type byte.
const ID_NAME: &[u8] = b"_id\0";
const UNDEFINED: u8 = 0x06;
const REGULAR_EXPRESSION: u8 = 0x0B;
/// The types that `$in` does not take as plain values: regular expressions and arrays would be
/// patterns, undefined is refused. A server stores none of them as `_id` today.
const NOT_IN: [u8; 3] = [UNDEFINED, REGULAR_EXPRESSION, raw::ARRAY];

/// Returns the documents of `collection` that have one of `ids`.
pub(crate) fn stream(
    snapshot: &Arc<Inner>,
    collection: &Collection,
    at: ReadAt,
    ids: Vec<Bytes>,
) -> RereadStream {
    if let Some(id) = ids.iter().find(|id| !is_id(id)) {
        let error = Error::InvalidInput {
            namespace: collection.namespace(),
            what: format!("{} bytes are not an `_id`", id.len()),
        };
        return stream::once(async { Err(error) }).boxed();
    }
    let scan = Arc::new(Scan::of_snapshot(Arc::clone(snapshot), collection, at));
    let items = if collection.is_clustered() {
        one_by_one(scan, ids)
    } else {
        stream::iter(chunks(ids))
            .flat_map(move |ids| chunk(Arc::clone(&scan), ids))
            .boxed()
    };
    let end = collection.uuid.map(|uuid| (Arc::clone(snapshot), uuid));
    stream::try_unfold((items, end), |(mut items, end)| async move {
        if let Some(item) = items.try_next().await? {
            return Ok(Some((item, (items, end))));
        }
        if let Some((snapshot, uuid)) = end {
            snapshot.has_read(uuid);
        }
        Ok(None)
    })
    .boxed()
}

/// Tells whether these bytes are a whole `_id` element.
fn is_id(id: &[u8]) -> bool {
    id.len() > ID_NAME.len() && id[1..].starts_with(ID_NAME)
}

/// Returns the type byte and the encoded value of an `_id` element.
fn value_of(id: &[u8]) -> (u8, &[u8]) {
    (id[0], &id[1 + ID_NAME.len()..])
}

/// Tells whether `$in` takes the id as the plain value that it is.
fn fits_in(id: &[u8]) -> bool {
    let (kind, value) = value_of(id);
    let begins_with_dollar = kind == raw::DOCUMENT && value.get(5) == Some(&b'$');
    !NOT_IN.contains(&kind) && !begins_with_dollar
}

/// Splits ids into what one command asks for.
fn chunks(ids: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let (plain, odd): (Vec<Bytes>, Vec<Bytes>) = ids.into_iter().partition(|id| fits_in(id));
    let mut chunks: Vec<Vec<Bytes>> = odd.into_iter().map(|id| vec![id]).collect();
    let mut chunk = Vec::new();
    let mut bytes = 0;
    for id in plain {
        if !chunk.is_empty() && (chunk.len() >= IDS_MAX || bytes + id.len() > ID_BYTES_MAX) {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += id.len();
        chunk.push(id);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// Returns `{_id: {$eq: value}}` for one id and `{_id: {$in: [values]}}` for several.
fn filter(ids: &[Bytes]) -> RawDocumentBuf {
    let bytes: usize = ids.iter().map(|id| id.len() + 8).sum();
    let mut condition = Builder::after(rawdoc! {}, bytes + 16);
    match ids {
        [id] => match value_of(id) {
            // The server refuses to compare with undefined, and finds it where null is asked for.
            (UNDEFINED, _) => condition.element(b"\x0a$eq\0"),
            (kind, value) => {
                condition.element(&[kind]);
                condition.element(b"$eq\0");
                condition.element(value);
            }
        },
        _ => condition.values("$in", ids.iter().map(|id| value_of(id))),
    }
    rawdoc! { "_id": condition.finish() }
}

/// One command's worth of ids, and how far its documents were read.
struct Chunk {
    scan: Arc<Scan>,
    ids: Vec<Bytes>,
    cursor: Option<Box<RawBatchCursor>>,
    patience: Patience,
}

fn chunk(scan: Arc<Scan>, ids: Vec<Bytes>) -> RereadStream {
    let chunk = Chunk {
        scan,
        ids,
        cursor: None,
        patience: Patience::default(),
    };
    stream::try_unfold(chunk, |mut chunk| async move {
        loop {
            match chunk.next().await {
                Ok(Some(item)) => return Ok(Some((item, chunk))),
                Ok(None) => return Ok(None),
                // From the beginning: what was handed on already comes again, and may.
                Err(error) if error.is_interruption() => {
                    chunk.cursor = None;
                    chunk.patience.wait(error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    })
    .boxed()
}

impl Chunk {
    async fn next(&mut self) -> Result<Option<(Vec<Bytes>, ScanBatch)>, Error> {
        if let Some(cursor) = &mut self.cursor {
            let batch = self.scan.next(cursor).await?;
            return Ok(batch.map(|batch| (Vec::new(), batch)));
        }
        let selection = Selection {
            filter: filter(&self.ids),
            hint: Some(rawdoc! { "_id": 1_i32 }),
            is_single: false,
        };
        let (cursor, batch) = self.scan.open(&selection).await?;
        self.cursor = Some(Box::new(cursor));
        Ok(Some((self.ids.clone(), batch)))
    }
}

/// Reads the documents of a clustered collection, each by a command of its own.
fn one_by_one(scan: Arc<Scan>, ids: Vec<Bytes>) -> RereadStream {
    let reads = stream::iter(ids)
        .map(move |id| single(Arc::clone(&scan), id))
        .buffered(AT_A_TIME)
        .boxed();
    stream::try_unfold(reads, |mut reads| async move {
        let (mut ids, mut batches, mut bytes) = (Vec::new(), Vec::new(), 0);
        while ids.len() < SINGLE_MAX && bytes < SINGLE_BYTES_MAX {
            let Some((id, batch)) = reads.try_next().await? else {
                break;
            };
            bytes += batch.bytes.len();
            ids.push(id);
            batches.push(batch);
        }
        Ok(match ids.is_empty() {
            true => None,
            false => Some(((ids, ScanBatch::joined(&batches)), reads)),
        })
    })
    .boxed()
}

async fn single(scan: Arc<Scan>, id: Bytes) -> Result<(Bytes, ScanBatch), Error> {
    let selection = Selection {
        filter: filter(std::slice::from_ref(&id)),
        hint: None,
        is_single: true,
    };
    let mut patience = Patience::default();
    loop {
        match scan.open(&selection).await {
            Ok((_, batch)) => return Ok((id, batch)),
            Err(error) if error.is_interruption() => patience.wait(error).await?,
            Err(error) => return Err(error),
        }
    }
}
