//! What needs no credentials: whether the service works, its metrics, its version.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;

use super::super::Service;
use super::super::error::Answer;
use super::super::respond::{self, nothing};

/// Answers 200 when requests can be answered, 503 when not.
pub(crate) async fn health(State(service): State<Service>) -> Response {
    if service.engine.is_healthy().await {
        return respond::json(StatusCode::OK, Bytes::from_static(br#"{"status":"ok"}"#));
    }
    let failing = Bytes::from_static(br#"{"status":"failing"}"#);
    respond::json(StatusCode::SERVICE_UNAVAILABLE, failing)
}

/// Answers with all metrics in the text format of `OpenMetrics`.
pub(crate) async fn metrics(State(service): State<Service>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut response = service.metrics.write().into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Answers with headers only, one of which has the version: clients look for it there.
pub(crate) async fn version() -> Answer {
    nothing()
}
