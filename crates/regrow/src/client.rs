//! The command line's way to the service: requests with digest authentication, lists page by
//! page, downloads as a stream.
//!
//! One challenge serves many requests, each with a higher count. A body is never sent before the
//! service has shown its challenge, so that a connection string is not sent in vain. Redirects
//! are not followed: credentials go to the address that was given and nowhere else.

mod lines;

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::digest::{Challenge, Exchange};
use api::error::ErrorDocument;
use futures::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;

pub(crate) use lines::Lines;

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long an answer may be silent; attaching a deployment waits for that deployment.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Most bytes of an answer that is not a download.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Most pages of a list that are asked for; with 500 items each that is five million.
const PAGES_MAX: u32 = 10_000;

/// Items asked for at a time.
const ITEMS_PER_PAGE: u32 = 500;

/// Why a request gave no answer, or another one than hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address is not one.
    #[error("`{0}` is not an http:// or https:// address")]
    InvalidUrl(String),
    /// The file with certificates cannot be used.
    #[error("read certificates from {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No connection could be set up at all.
    #[error("prepare for connections")]
    Setup(#[source] reqwest::Error),
    /// Nothing answered, or the answer broke off.
    #[error("no answer from the service at {url}: {reason}")]
    Unreachable {
        /// The service's address.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// No key was given, or the service does not know it.
    #[error("the service at {url} does not accept the API key")]
    Unauthenticated {
        /// The service's address.
        url: String,
        /// Whether a key was sent.
        has_credentials: bool,
    },
    /// The service answered with an error.
    #[error("{detail}")]
    Refused {
        /// The status.
        status: u16,
        /// The code for programs.
        code: String,
        /// The sentence for people.
        detail: String,
    },
    /// The answer is none that the service gives.
    #[error("what answers at {url} does not seem to be this service: {reason}")]
    Strange {
        /// The service's address.
        url: String,
        /// What is strange.
        reason: String,
    },
    /// The download could not be written.
    #[error("write the download")]
    Write(#[source] std::io::Error),
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// Public half of the API key.
    pub(crate) public_key: String,
    /// Private half.
    pub(crate) private_key: SecretString,
}

/// A connection to one service.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    base: String,
    credentials: Option<Credentials>,
    exchange: Mutex<Option<Exchange>>,
}

impl Client {
    /// Prepares for requests; connects to nothing yet.
    pub(crate) fn new(
        url: &str,
        credentials: Option<Credentials>,
        ca_file: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let invalid = || ClientError::InvalidUrl(url.to_owned());
        let parsed: Url = url.parse().map_err(|_| invalid())?;
        let has_credentials = !parsed.username().is_empty() || parsed.password().is_some();
        if !matches!(parsed.scheme(), "http" | "https") || has_credentials {
            return Err(invalid());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("regrow/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .read_timeout(SILENCE_MAX);
        if let Some(path) = ca_file {
            builder = builder.tls_certs_only(certificates(path)?);
        } else if parsed.scheme() == "http" {
            // The system may have no certificates at all, and here nobody needs any.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build().map_err(ClientError::Setup)?,
            base: url.trim_end_matches('/').to_owned(),
            credentials,
            exchange: Mutex::new(None),
        })
    }

    /// Asks for one thing; `path` begins with a slash and may have a query.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.send(Method::GET, path, None).await?).await
    }

    /// Asks for all items of a list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        for number in 1..=PAGES_MAX {
            let page = self.page(path, number).await?;
            let is_last = !page.has_next();
            items.extend(page.results);
            if is_last {
                return Ok(items);
            }
        }
        Err(self.strange(format!("{path} has more than {PAGES_MAX} pages")))
    }

    /// Asks for one page of a list; pages are counted from 1.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        number: u32,
    ) -> Result<api::List<T>, ClientError> {
        let page = format!("{path}?pageNum={number}&itemsPerPage={ITEMS_PER_PAGE}");
        self.get(&page).await
    }

    /// Sends a body and returns what came of it.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.read(self.send(Method::POST, path, Some(written(body))).await?)
            .await
    }

    /// Sends changes and returns the changed thing.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.read(self.send(Method::PATCH, path, Some(written(body))).await?)
            .await
    }

    /// Deletes something.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, path, None).await.map(drop)
    }

    /// Streams what is behind a download link into `sink`; returns how many bytes it was.
    ///
    /// The link is its own permission: no credentials are sent. `written` is told the count of
    /// bytes after each piece.
    pub(crate) async fn download(
        &self,
        link: &str,
        sink: &mut (impl AsyncWrite + Unpin),
        mut written: impl FnMut(u64),
    ) -> Result<u64, ClientError> {
        let answer = self
            .http
            .get(link)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(answer).await);
        }
        let mut pieces = answer.bytes_stream();
        let mut size_bytes = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.unreachable(&error))?;
            sink.write_all(&piece).await.map_err(ClientError::Write)?;
            size_bytes += piece.len() as u64;
            written(size_bytes);
        }
        sink.flush().await.map_err(ClientError::Write)?;
        Ok(size_bytes)
    }

    /// Sends a request until the service has either taken or refused the credentials.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Response, ClientError> {
        let mut exchange = self.exchange.lock().await;
        let is_new = exchange.is_none();
        if is_new {
            *exchange = Some(self.challenge().await?);
        }
        let mut answer = self
            .try_send(&method, path, body.as_ref(), &mut exchange)
            .await?;
        if let Some(challenge) = challenge_of(&answer) {
            // A challenge that was just given and is not accepted means that the key is wrong; one
            // that served before may be too old, or the service was started anew.
            if is_new && !challenge.stale {
                return Err(self.unauthenticated());
            }
            *exchange = Some(Exchange::new(challenge));
            answer = self
                .try_send(&method, path, body.as_ref(), &mut exchange)
                .await?;
            if challenge_of(&answer).is_some() {
                return Err(self.unauthenticated());
            }
        }
        drop(exchange);
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(self.refusal(answer).await)
        }
    }

    /// Asks for a challenge with a request that carries nothing.
    async fn challenge(&self) -> Result<Exchange, ClientError> {
        if self.credentials.is_none() {
            return Err(self.unauthenticated());
        }
        let url = format!("{}{}", self.base, api::ATLAS_V1);
        let answer = self
            .http
            .get(url)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        match challenge_of(&answer) {
            Some(challenge) => Ok(Exchange::new(challenge)),
            None if answer.status().is_success() => {
                Err(self.strange("it does not ask for credentials"))
            }
            None => Err(self.refusal(answer).await),
        }
    }

    async fn try_send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&String>,
        exchange: &mut Option<Exchange>,
    ) -> Result<Response, ClientError> {
        let url: Url = format!("{}{path}", self.base)
            .parse()
            .map_err(|_| ClientError::InvalidUrl(format!("{}{path}", self.base)))?;
        let mut request = self
            .http
            .request(method.clone(), url.clone())
            .header(ACCEPT, api::JSON);
        if let (Some(exchange), Some(credentials)) = (exchange, &self.credentials) {
            let pair = (
                credentials.public_key.as_str(),
                credentials.private_key.expose_secret(),
            );
            let uri = match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            let header = exchange.authorize(pair, method.as_str(), &uri, &client_nonce());
            request = request.header(AUTHORIZATION, header);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, api::JSON).body(body.clone());
        }
        request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ClientError> {
        let bytes = self.body(answer).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.strange(format!("its answer cannot be read, {error}")))
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(self.strange("its answer does not end"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Reads the error document of an answer that is no success.
    async fn refusal(&self, answer: Response) -> ClientError {
        let status = answer.status().as_u16();
        let bytes = match self.body(answer).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        match serde_json::from_slice::<ErrorDocument>(&bytes) {
            Ok(document) => ClientError::Refused {
                status,
                detail: document
                    .detail
                    .unwrap_or_else(|| format!("status {status}")),
                code: document.error_code,
            },
            Err(_) => self.strange(format!(
                "it answered with status {status} and no explanation"
            )),
        }
    }

    fn unauthenticated(&self) -> ClientError {
        let has_credentials = self.credentials.is_some();
        ClientError::Unauthenticated {
            url: self.base.clone(),
            has_credentials,
        }
    }

    fn strange(&self, reason: impl Into<String>) -> ClientError {
        ClientError::Strange {
            url: self.base.clone(),
            reason: reason.into(),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let mut innermost: &dyn StdError = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        let reason = if error.is_timeout() {
            "it took too long".to_owned()
        } else {
            innermost.to_string()
        };
        ClientError::Unreachable {
            url: self.base.clone(),
            reason,
        }
    }
}

/// Returns the challenge of an answer that refuses the credentials.
///
/// Answers that refuse an action for want of a role have the same status, but no challenge.
fn challenge_of(answer: &Response) -> Option<Challenge> {
    if answer.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let values = answer.headers().get_all(WWW_AUTHENTICATE);
    values
        .iter()
        .find_map(|value| Challenge::parse(value.to_str().ok()?).ok())
}

fn written(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("wire types have text keys and can be written")
}

/// Returns 16 random bytes in hexadecimal digits.
fn client_nonce() -> String {
    let random = ring::rand::generate::<[u8; 16]>(&ring::rand::SystemRandom::new())
        .expect("the operating system has random numbers");
    random
        .expose()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let failed = |source| ClientError::Certificates {
        path: path.to_owned(),
        source,
    };
    let pem = std::fs::read(path).map_err(|error| failed(Box::new(error)))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem);
    let found = found.map_err(|error| failed(Box::new(error)))?;
    if found.is_empty() {
        return Err(failed("there is no certificate in PEM in it".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
