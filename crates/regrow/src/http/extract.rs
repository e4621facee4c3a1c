//! What a handler is given: who asks, what for, and how the answer is to be written.
//!
//! Everything that is wrong with a request's form ends here, with the code that Atlas gives it.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use api::query::Style;
use api::{ApiError, Code, Query};
use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use bytes::{Bytes, BytesMut};
use engine::{Caller, Engine};
use futures::StreamExt as _;
use model::{Cidr, KeyId, OrgId, Page, ProjectId, RestoreId, SnapshotId};
use serde::de::DeserializeOwned;

use super::Service;
use super::auth::Identity;
use super::error::Failure;

/// Most bytes that the body of a request may have.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most bytes of a refused request that are read and thrown away, so that the client gets to
/// read the answer instead of finding its connection cut.
const DRAINED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What was asked for, as it came in.
#[derive(Debug)]
pub(crate) struct Target {
    /// Scheme, host and port by which the client knows this service.
    pub(crate) base: String,
    /// Path and query, exactly as on the request line.
    pub(crate) uri: String,
    /// The client's address.
    pub(crate) address: IpAddr,
    /// How the answer is to be written.
    pub(crate) style: Style,
    /// Whether the answer may be compressed with gzip.
    pub(crate) accepts_gzip: bool,
}

impl Target {
    /// Returns what `frame` put beside the request.
    pub(crate) fn of(extensions: &Extensions) -> Arc<Self> {
        let target = extensions.get::<Arc<Self>>();
        Arc::clone(target.expect("every route is inside the frame"))
    }

    /// Returns the path as it came, without the query.
    pub(crate) fn path(&self) -> &str {
        self.uri
            .split_once('?')
            .map_or(self.uri.as_str(), |(path, _)| path)
    }

    fn query(&self) -> &str {
        self.uri.split_once('?').map_or("", |(_, query)| query)
    }
}

/// The names that one route's query may have beside the common ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filters(pub(crate) &'static [&'static str]);

/// An authenticated request whose query was read.
pub(crate) struct Ask {
    pub(crate) service: Service,
    pub(crate) query: Query,
    pub(crate) target: Arc<Target>,
    identity: Arc<Identity>,
}

impl FromRequestParts<Service> for Ask {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        let target = Target::of(&parts.extensions);
        let identity = parts.extensions.get::<Arc<Identity>>();
        let identity = Arc::clone(identity.expect("every route with an `Ask` is authenticated"));
        let filters = parts
            .extensions
            .get::<Filters>()
            .map_or(&[][..], |filters| filters.0);
        let query = Query::parse(target.query(), filters)?;
        Ok(Self {
            service: service.clone(),
            query,
            target,
            identity,
        })
    }
}

impl Ask {
    /// Returns the engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.service.engine
    }

    /// Returns who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.identity.caller
    }

    /// Returns the page that is asked for.
    pub(crate) fn page(&self) -> Page {
        Page {
            number: self.query.page_num,
            size: self.query.items_per_page,
        }
    }

    /// Returns the address of a path of this service.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.target.base)
    }

    /// Returns the address of what is asked for, without query.
    pub(crate) fn here(&self) -> String {
        self.url(self.target.path())
    }

    /// Refuses a key without access list what only listed addresses may do.
    ///
    /// A request from the service's own machine passes, since the first entry of the first list
    /// has to come from somewhere.
    pub(crate) fn require_access_list(&self) -> Result<(), Failure> {
        let address = self.caller().address;
        if self.identity.has_access_list || address.is_loopback() {
            return Ok(());
        }
        let parameters = [address.to_string()];
        Err(Failure(ApiError::new(
            Code::ResourceRequiresAccessList,
            parameters,
        )))
    }
}

/// The variable parts of a path, percent-decoded.
pub(crate) struct Place<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Service> for Place<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Failure> {
        match Path::<T>::from_request_parts(parts, service).await {
            Ok(Path(place)) => Ok(Self(place)),
            Err(_) => {
                let target = Target::of(&parts.extensions);
                Err(Failure(ApiError::new(
                    Code::InvalidPathParameter,
                    [target.path()],
                )))
            }
        }
    }
}

fn id<T: FromStr>(text: &str, code: Code) -> Result<T, Failure> {
    text.parse()
        .map_err(|_| Failure(ApiError::new(code, [text])))
}

/// Reads the id of an organization.
pub(crate) fn org_id(text: &str) -> Result<OrgId, Failure> {
    id(text, Code::InvalidOrgId)
}

/// Reads the id of a project.
pub(crate) fn project_id(text: &str) -> Result<ProjectId, Failure> {
    id(text, Code::InvalidGroupId)
}

/// Reads the id of a snapshot.
pub(crate) fn snapshot_id(text: &str) -> Result<SnapshotId, Failure> {
    id(text, Code::InvalidSnapshotId)
}

/// Reads the id of a restore job.
pub(crate) fn restore_id(text: &str) -> Result<RestoreId, Failure> {
    id(text, Code::InvalidJobId)
}

/// Reads the id of an API key.
pub(crate) fn key_id(text: &str) -> Result<KeyId, Failure> {
    id(text, Code::InvalidKeyId)
}

/// Reads an address or a block of addresses.
pub(crate) fn block(text: &str) -> Result<Cidr, Failure> {
    id(text, Code::InvalidIpAddressOrCidrNotation)
}

/// The body of a request, whole.
pub(crate) struct Payload(pub(crate) Bytes);

impl FromRequest<Service> for Payload {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Service) -> Result<Self, Failure> {
        let declared = declared_length(request.headers());
        let kind = unsupported_kind(request.headers());
        let body = request.into_body();
        if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
            drain(body).await;
            return Err(too_large());
        }
        let bytes = read(body).await?;
        match kind {
            Some(kind) if !bytes.is_empty() => {
                Err(Failure(ApiError::new(Code::UnsupportedMediaType, [kind])))
            }
            _ => Ok(Self(bytes)),
        }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the type of a body that says it is no JSON.
fn unsupported_kind(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("?");
    let kind = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let json = kind == api::JSON || kind.starts_with("application/") && kind.ends_with("+json");
    (!json).then_some(kind)
}

async fn read(body: Body) -> Result<Bytes, Failure> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| {
            let detail = "The body broke off before its end.";
            Failure(ApiError::plain(Code::MalformedJson).with_detail(detail))
        })?;
        if bytes.len() + piece.len() > BODY_BYTES_MAX {
            drain(Body::from_stream(stream)).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn too_large() -> Failure {
    Failure(ApiError::new(
        Code::PayloadTooLarge,
        [BODY_BYTES_MAX.to_string()],
    ))
}

/// Reads and throws away the body of a request that is refused, as far as that is reasonable.
pub(crate) async fn drain(body: Body) {
    if body.is_end_stream() {
        return;
    }
    let mut stream = body.into_data_stream();
    let mut drained = 0;
    while let Some(Ok(piece)) = stream.next().await {
        drained += piece.len();
        if drained > DRAINED_BYTES_MAX {
            return;
        }
    }
}
