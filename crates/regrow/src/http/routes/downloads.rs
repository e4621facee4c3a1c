//! What is behind a download's link. The link is the only credential, and it expires.
//!
//! A dump is made while it is sent, so its length is not known and parts of it cannot be
//! asked for; the answer says so. Its entity tag is true: the same snapshot gives the same bytes.

use std::convert::Infallible;

use api::{ApiError, Code};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use model::Error;

use super::super::Service;
use super::super::error::{Answer, Failure, serverless};
use super::super::extract::{Place, Target};

/// Sends the archive; nothing but its headers for `HEAD`.
pub(crate) async fn fetch(
    State(service): State<Service>,
    Place((token, _file)): Place<(String, String)>,
    request: Request,
) -> Answer {
    let target = Target::of(request.extensions());
    let opened = service
        .engine
        .downloads()
        .open(&token, target.address)
        .await;
    let archive = opened.map_err(|error| refusal(error, &target))?;
    let entity_tag = archive.entity_tag();
    let unchanged = is_known(request.headers(), &entity_tag);
    let size_bytes = archive.size_bytes();
    let disposition = format!("attachment; filename=\"{}\"", archive.file_name());
    let body = match *request.method() {
        // A body of unknown length, as GET has: an empty one would claim a length of 0.
        Method::HEAD => Body::from_stream(stream::empty::<Result<Bytes, Infallible>>()),
        _ if unchanged => Body::empty(),
        _ => Body::from_stream(archive.stream()),
    };
    let mut response = Response::new(body);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(CONTENT_DISPOSITION, ascii(disposition));
    if let Some(size_bytes) = size_bytes.filter(|_| !unchanged) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
    headers.insert(ETAG, ascii(entity_tag));
    Ok(response)
}

fn refusal(error: Error, target: &Target) -> Failure {
    match error {
        Error::Denied => {
            let detail = "The address is not in the access list of the project.";
            let parameters = [target.address.to_string()];
            let error = ApiError::new(Code::IpAddressNotOnAccessList, parameters);
            Failure(error.with_detail(detail))
        }
        // The link itself is a secret and is not repeated.
        Error::DownloadNotFound => Failure(ApiError::new(Code::ResourceNotFound, ["this link"])),
        other => serverless(other),
    }
}

/// Returns whether the client has these very bytes.
fn is_known(headers: &HeaderMap, entity_tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).into_iter();
    let tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tags.map(|tag| tag.trim())
        .any(|tag| tag.trim_start_matches("W/") == entity_tag || tag == "*")
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids and versions are ASCII")
}
