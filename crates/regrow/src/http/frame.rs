//! Around every request: an id, a span, a limit of time, an end to panics, the form of errors,
//! the headers that every answer has, and the metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::page::Envelope;
use api::query::Style;
use api::{ApiError, Code, pretty};
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use tracing::Instrument as _;

use super::error::Failure;
use super::extract::Target;
use super::router::AsSent;
use super::tls::Peer;
use super::{Service, peer, respond};

/// How long a request may take until its answer begins.
const REQUEST_MAX: Duration = Duration::from_secs(60);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");
const SERVICE_VERSION: HeaderName = HeaderName::from_static("x-mongodb-service-version");
const CROSS_DOMAIN: HeaderName = HeaderName::from_static("x-permitted-cross-domain-policies");

/// Makes ids that differ within a process and, all but surely, between processes.
pub(crate) struct RequestIds {
    process: u32,
    counter: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(process: u32) -> Self {
        Self {
            process,
            counter: AtomicU64::new(1),
        }
    }

    fn next(&self) -> String {
        format!(
            "{:08x}-{:x}",
            self.process,
            self.counter.fetch_add(1, Ordering::Relaxed)
        )
    }
}

/// Wraps every route.
pub(crate) async fn frame(
    State(service): State<Service>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = service.request_ids.next();
    let target = target(&service, &request);
    let style = target.style;
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let span = tracing::info_span!(
        "request",
        request.id = id,
        http.method = method.as_str(),
        http.route = route.as_ref().map(MatchedPath::as_str),
        client.address = %target.address,
    );
    request.extensions_mut().insert(Arc::new(target));
    let mut response = guarded(request, next).instrument(span.clone()).await;
    if let Some(Failure(error)) = response.extensions_mut().remove::<Failure>() {
        response = write_failure(&error, style, response);
    }
    add_headers(&service, &id, response.headers_mut());
    let duration = begun.elapsed();
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    service
        .metrics
        .answered(method.as_str(), route, response.status().as_u16(), duration);
    tracing::debug!(
        parent: &span,
        http.status = response.status().as_u16(),
        duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
    response
}

/// Runs the handler within its time, and turns a panic into an answer.
async fn guarded(request: Request, next: Next) -> Response {
    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_MAX, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let message = panic.downcast_ref::<&str>().copied();
            let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let message = message.unwrap_or("no message");
            tracing::error!(panic = message, "a request panicked: {message}");
            Failure(ApiError::plain(Code::UnexpectedError)).into_response()
        }
        Err(_) => {
            let seconds = REQUEST_MAX.as_secs().to_string();
            tracing::error!("a request was given up after {seconds} seconds");
            Failure(ApiError::new(Code::RequestTimeout, [seconds])).into_response()
        }
    }
}

fn target(service: &Service, request: &Request) -> Target {
    let headers = request.headers();
    let peer = request.extensions().get::<ConnectInfo<Peer>>();
    let ConnectInfo(Peer(address)) = *peer.expect("the server tells the peer of each connection");
    let proxies = &service.config.trusted_proxies;
    let tls = service.config.tls.is_some() || peer::is_forwarded_tls(address, headers, proxies);
    let sent = request.extensions().get::<AsSent>();
    let uri = sent.map_or(request.uri(), |AsSent(sent)| sent);
    let uri_text = uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    Target {
        base: base(service, headers, uri, tls),
        style: Style::of(uri.query().unwrap_or_default()),
        uri: uri_text,
        address: peer::client(address, headers, proxies),
        accepts_gzip: accepts_gzip(headers),
    }
}

/// Returns the address by which the client knows this service: the configured one, or the one
/// that the request names, or the one that the service listens on.
fn base(service: &Service, headers: &HeaderMap, uri: &Uri, tls: bool) -> String {
    if let Some(url) = &service.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if tls { "https" } else { "http" };
    let named = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let named = named.or_else(|| uri.authority().map(|authority| authority.as_str()));
    match named.filter(|host| is_host(host)) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", service.address),
    }
}

/// Returns whether the client names gzip, and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse() != Ok(0.0)
    })
}

fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

fn write_failure(error: &ApiError, style: Style, bare: Response) -> Response {
    let document = error.document();
    let bytes = if style.envelope {
        let envelope = Envelope {
            status: error.status(),
            content: document,
        };
        pretty::to_bytes(&envelope, style.pretty)
    } else {
        pretty::to_bytes(&document, style.pretty)
    };
    let mut response = respond::json(bare.status(), bytes.into());
    let headers = response.headers_mut();
    headers.insert(ERROR_CODE, HeaderValue::from_static(error.code().as_str()));
    if let Some(allow) = bare.headers().get(header::ALLOW) {
        headers.insert(header::ALLOW, allow.clone());
    }
    response
}

fn add_headers(service: &Service, id: &str, headers: &mut HeaderMap) {
    let fixed = HeaderValue::from_static;
    headers.entry(CACHE_CONTROL).or_insert(fixed("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(X_FRAME_OPTIONS, fixed("DENY"));
    headers.insert(REFERRER_POLICY, fixed("strict-origin-when-cross-origin"));
    headers.insert(CROSS_DOMAIN, fixed("none"));
    headers.insert(SERVICE_VERSION, fixed(VERSION));
    if service.config.tls.is_some() {
        headers.insert(
            STRICT_TRANSPORT_SECURITY,
            fixed("max-age=31536000; includeSubdomains;"),
        );
    }
    let id = HeaderValue::from_str(id).expect("an id is hexadecimal digits and a dash");
    headers.insert(REQUEST_ID, id);
}

/// The form that clients of Atlas parse; there is no hash to tell.
const VERSION: &str = concat!("gitHash=regrow; versionString=v", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::{HeaderMap, HeaderValue, header};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::super::error::Failure;
    use super::{accepts_gzip, guarded, is_host};

    #[tokio::test]
    async fn a_panic_is_an_answer_that_tells_nothing() {
        async fn broken() -> &'static str {
            panic!("the secret of this test")
        }
        let app = Router::new()
            .route("/", get(broken))
            .layer(from_fn(guarded));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let mut response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        let Failure(error) = response.extensions_mut().remove::<Failure>().unwrap();
        assert_eq!(error.code().as_str(), "UNEXPECTED_ERROR");
        assert!(!error.detail().contains("secret"));
    }

    #[test]
    fn gzip_is_accepted_when_it_is_named_with_a_weight() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.1", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_host_is_a_name_or_address_and_nothing_else() {
        assert!(is_host("example.net:8080") && is_host("[::1]:8080"));
        for bad in ["", "a/b", "a b", "user@host", "a\"b", "<script>"] {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
