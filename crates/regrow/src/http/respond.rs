//! Writes what a handler found: one entity, a list, or nothing, in the style that was asked for.

use api::page::Envelope;
use api::{List, pretty};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use model::{Listed, Timestamp};
use serde::Serialize;

use super::error::{Answer, Failure};
use super::extract::Ask;

/// A body that may be kept and sent again.
pub(crate) struct Written {
    /// The JSON text.
    pub(crate) bytes: Bytes,
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
        let key = (self.caller().principal.key.id, self.here_with_query());
        let now = self.engine().now();
        if let Some(bytes) = self.service.answers.find(&key, generation, now) {
            return Ok(json(StatusCode::OK, bytes));
        }
        let written = write.await?;
        let bytes = written.bytes.clone();
        self.service.answers.keep(key, generation, written);
        Ok(json(StatusCode::OK, bytes))
    }

    fn here_with_query(&self) -> String {
        self.url(&self.target.uri)
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
