//! Who asks: HTTP Digest, then the key's access list.
//!
//! No credentials, an unknown key and a wrong secret get the same answer, in about the same time.
//! Keys are kept in memory and dropped with the first change to any key, so that a request costs
//! no query and a revoked key is refused at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use api::digest::{self, Algorithm, Authorization, Challenge, REALM};
use api::error::UNAUTHENTICATED;
use api::{ApiError, Code};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use engine::{Caller, Engine};
use model::{AccessEntry, ApiKey, Principal};
use secrecy::{ExposeSecret as _, SecretString};

use super::Service;
use super::error::Failure;
use super::extract::{Target, drain};

/// Most keys that are kept in memory; further ones are read anew each time.
const KEPT_MAX: usize = 10_000;

/// Whom a request comes from, found out once and carried along with it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The key and the address.
    pub(crate) caller: Caller,
    /// Whether the key may be used from listed addresses only.
    pub(crate) has_access_list: bool,
}

/// What a request without valid credentials is told.
pub(crate) enum Refusal {
    /// To authenticate, perhaps only with a newer nonce.
    Challenge { stale: bool },
    /// That it may not come from where it comes, or that finding out failed.
    Failure(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Lets a request pass that is authenticated, with its [`Identity`] beside it.
pub(crate) async fn authenticate(
    State(service): State<Service>,
    mut request: Request,
    next: Next,
) -> Response {
    match identify(&service, Credentials::of(&request)).await {
        Ok(identity) => {
            request.extensions_mut().insert(Arc::new(identity));
            next.run(request).await
        }
        Err(refusal) => {
            drain(request.into_body()).await;
            refuse(&service, refusal)
        }
    }
}

/// What of a request says whom it comes from.
pub(crate) struct Credentials {
    target: Arc<Target>,
    method: Method,
    header: Option<HeaderValue>,
}

impl Credentials {
    /// Takes them from a request.
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            target: Target::of(request.extensions()),
            method: request.method().clone(),
            header: request.headers().get(AUTHORIZATION).cloned(),
        }
    }
}

/// Finds out whom a request comes from.
pub(crate) async fn identify(
    service: &Service,
    Credentials {
        target,
        method,
        header,
    }: Credentials,
) -> Result<Identity, Refusal> {
    let header = header.as_ref().and_then(authorization).ok_or(CHALLENGE)?;
    let key = verified(service, &header, &method, &target.uri).await?;
    let now = service.engine.now();
    let nonce = service.nonces.check(&header.nonce, now).ok_or(STALE)?;
    if !service.nonces.spend(nonce, header.count(), now) {
        return Err(STALE);
    }
    if !key.admits(target.address, now) {
        let parameters = [target.address.to_string()];
        let error = ApiError::new(Code::IpAddressNotOnAccessList, parameters);
        return Err(Refusal::Failure(Failure(error)));
    }
    Ok(Identity {
        caller: Caller {
            principal: Principal {
                key: key.key.clone(),
            },
            address: target.address,
        },
        has_access_list: !key.access.is_empty(),
    })
}

const CHALLENGE: Refusal = Refusal::Challenge { stale: false };
const STALE: Refusal = Refusal::Challenge { stale: true };

/// Writes the refusal; challenges are those of Atlas to the byte.
pub(crate) fn refuse(service: &Service, refusal: Refusal) -> Response {
    let stale = match refusal {
        Refusal::Challenge { stale } => stale,
        Refusal::Failure(failure) => return failure.into_response(),
    };
    let nonce = service.nonces.issue(service.engine.now());
    let challenge = Challenge::new(nonce, stale).to_string();
    let challenge = HeaderValue::try_from(challenge).expect("a challenge is ASCII");
    let mut response = Response::new(Body::from(UNAUTHENTICATED));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(api::JSON));
    headers.insert(WWW_AUTHENTICATE, challenge);
    response
}

fn authorization(value: &HeaderValue) -> Option<Authorization<'_>> {
    let header = Authorization::parse(value.to_str().ok()?).ok()?;
    // Only hashes of the kind that was asked for are kept.
    (header.realm == REALM && header.algorithm == Algorithm::Md5).then_some(header)
}

/// Returns the key whose secret the header proves.
///
/// The nonce is not looked at yet: whether credentials with an old nonce are right decides
/// between a new nonce (`stale=true`) and a plain refusal.
async fn verified(
    service: &Service,
    header: &Authorization<'_>,
    method: &Method,
    uri: &str,
) -> Result<Arc<KnownKey>, Refusal> {
    let found = service.keys.find(&service.engine, &header.username).await;
    let found = found.map_err(Failure::from)?;
    let ha1 = found
        .as_ref()
        .map_or(UNKNOWN_HA1, |key| key.ha1.expose_secret());
    let proves = digest::verify(header, ha1, method.as_str());
    found
        .filter(|_| proves && header.uri == uri)
        .ok_or(CHALLENGE)
}

/// What an unknown user's response is compared with, so that it takes as long as a known one's.
const UNKNOWN_HA1: &str = "00000000000000000000000000000000";

/// A key and what it takes to check its use.
#[derive(Debug)]
pub(crate) struct KnownKey {
    key: ApiKey,
    ha1: SecretString,
    access: Vec<AccessEntry>,
}

impl KnownKey {
    fn admits(&self, address: IpAddr, now: model::Timestamp) -> bool {
        self.access.is_empty() || self.access.iter().any(|entry| entry.admits(address, now))
    }
}

/// The keys that were used since the last change to any key.
#[derive(Default)]
pub(crate) struct KnownKeys(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    by_public: HashMap<String, Arc<KnownKey>>,
}

impl KnownKeys {
    async fn find(
        &self,
        engine: &Engine,
        public_key: &str,
    ) -> Result<Option<Arc<KnownKey>>, model::Error> {
        // Read before the query: what is kept may be older than it claims, never newer.
        let generation = engine.generation().keys;
        if let Some(key) = self.kept(generation, public_key) {
            return Ok(Some(key));
        }
        let Some(stored) = engine.keys().by_public(public_key).await? else {
            return Ok(None);
        };
        let key = KnownKey {
            key: stored.key,
            ha1: stored.ha1,
            access: stored.access,
        };
        let key = Arc::new(key);
        self.keep(generation, public_key, &key);
        Ok(Some(key))
    }

    fn kept(&self, generation: u64, public_key: &str) -> Option<Arc<KnownKey>> {
        let kept = self.0.read().expect("no panic happens under this lock");
        let current = kept.generation == generation;
        kept.by_public.get(public_key).filter(|_| current).cloned()
    }

    fn keep(&self, generation: u64, public_key: &str, key: &Arc<KnownKey>) {
        let mut kept = self.0.write().expect("no panic happens under this lock");
        if kept.generation > generation {
            return;
        }
        if kept.generation < generation || kept.by_public.len() >= KEPT_MAX {
            kept.by_public.clear();
            kept.generation = generation;
        }
        kept.by_public
            .insert(public_key.to_owned(), Arc::clone(key));
    }
}
