//! Writes what a handler found: one entity, a list, or nothing, in the style that was asked for.

use std::io::Write as _;

use api::page::Envelope;
use api::{List, pretty};
use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use model::{Listed, Timestamp};
use serde::Serialize;

use super::error::{Answer, Failure};
use super::extract::Ask;

/// Bodies smaller than this are not worth compressing.
const GZIP_BYTES_MIN: usize = 1_024;

/// A body that may be kept and sent again.
#[derive(Clone)]
pub(crate) struct Written {
    /// The JSON text.
    pub(crate) bytes: Bytes,
    /// Whether the text is compressed.
    pub(crate) is_gzip: bool,
    /// When it would be written differently though nothing was changed.
    pub(crate) until: Option<Timestamp>,
}

impl Ask {
    /// Answers with one entity.
    pub(crate) fn one<T: Serialize>(&self, status: StatusCode, entity: &T) -> Answer {
        let style = self.query.style;
        let bytes = if style.envelope {
            let envelope = Envelope {
                status: status.as_u16(),
                content: entity,
            };
            pretty::to_bytes(&envelope, style.pretty)
        } else {
            pretty::to_bytes(entity, style.pretty)
        };
        Ok(json(status, bytes.into()))
    }

    /// Answers with one entity that was found.
    pub(crate) fn found<T: Serialize>(&self, entity: &T) -> Answer {
        self.one(StatusCode::OK, entity)
    }

    /// Writes a page of a list.
    pub(crate) fn page_of<T, U: Serialize>(
        &self,
        listed: Listed<T>,
        convert: impl FnMut(T) -> U,
    ) -> Written {
        let results = listed.items.into_iter().map(convert).collect();
        let list = List::new(&self.here(), &self.query, results, listed.total);
        let bytes = pretty::to_bytes(&list, self.query.style.pretty);
        Written {
            bytes: bytes.into(),
            is_gzip: false,
            until: None,
        }
    }

    /// Answers with a page of a list.
    pub(crate) fn list<T, U: Serialize>(
        &self,
        listed: Listed<T>,
        convert: impl FnMut(T) -> U,
    ) -> Answer {
        Ok(json(StatusCode::OK, self.page_of(listed, convert).bytes))
    }

    /// Answers with what was written before for the same caller and address, if nothing has
    /// changed since; otherwise with what `write` gives, which is then kept.
    pub(crate) async fn kept(
        &self,
        write: impl Future<Output = Result<Written, Failure>>,
    ) -> Answer {
        // Read before the queries: what is kept may be older than it claims, never newer.
        let generation = self.engine().generation();
        let generation = (generation.keys, generation.work);
        let accepts_gzip = self.target.accepts_gzip;
        let key = (
            self.caller().principal.key.id,
            self.here_with_query(),
            accepts_gzip,
        );
        let now = self.engine().now();
        if let Some(kept) = self.service.answers.find(&key, generation, now) {
            return Ok(kept.into_response());
        }
        let mut written = write.await?;
        if accepts_gzip {
            written.compress();
        }
        self.service.answers.keep(key, generation, written.clone());
        Ok(written.into_response())
    }

    fn here_with_query(&self) -> String {
        self.url(&self.target.uri)
    }
}

impl Written {
    /// Compresses once what may be sent many times.
    fn compress(&mut self) {
        if self.bytes.len() < GZIP_BYTES_MIN {
            return;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let compressed = encoder
            .write_all(&self.bytes)
            .and_then(|()| encoder.finish());
        self.bytes = compressed.expect("writing to memory succeeds").into();
        self.is_gzip = true;
    }

    fn into_response(self) -> Response {
        let mut response = json(StatusCode::OK, self.bytes);
        if self.is_gzip {
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}

/// Makes an answer of JSON text.
pub(crate) fn json(status: StatusCode, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(api::JSON));
    response
}

/// Makes an answer without body.
pub(crate) fn nothing() -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
