//! Reads again the documents that have one of many ids.
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Error, ScanBatch};

/// The ids asked for, and documents found; documents of one chunk may come in several items, of
/// which only the first has ids.
pub type RereadStream = BoxStream<'static, Result<(Vec<Bytes>, ScanBatch), Error>>;
