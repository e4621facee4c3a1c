//! The HTTP server: the Atlas Administration API, Regrow's own additions, downloads, metrics.
//!
//! A handler reads the request, calls one use case of the engine, and writes what it returned.
//! No rule of the domain is decided here, and nothing here knows a store.

mod auth;
mod cache;
mod error;
mod extract;
mod frame;
mod nonce;
mod openapi;
mod peer;
mod respond;
mod router;
mod routes;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt as _;
use engine::Engine;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::telemetry::HttpMetrics;

pub use openapi::document as openapi;
pub use tls::{Tls, TlsError};

/// How long answers in progress may go on after the shutdown was asked for.
const GRACE: Duration = Duration::from_secs(10);

/// How to serve.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Certificate and key, when answers are to be encrypted.
    pub tls: Option<Tls>,
    /// The address by which clients know this service, when it differs from what they ask for:
    /// scheme, host, port, and a path where a proxy adds one.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether a tenant restore, too, needs a key with an access list, as one page of Atlas'
    /// documentation says and others don't.
    pub tenant_restores_need_access_list: bool,
}

impl Config {
    /// Returns a configuration that serves plain HTTP at one address.
    pub fn plain(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            public_url: None,
            trusted_proxies: Vec::new(),
            tenant_restores_need_access_list: false,
        }
    }
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Certificate or key are no use.
    #[error("set up TLS")]
    Tls(#[from] TlsError),
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shutdown: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Begins to serve, until `shutdown` is cancelled.
    ///
    /// # Errors
    /// When the address is taken or TLS cannot be set up; then nothing was started.
    pub async fn start(
        config: Config,
        engine: Engine,
        shutdown: CancellationToken,
    ) -> Result<Self, StartError> {
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let failed = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let listener = tls::Listener::start(listener, acceptor).map_err(failed)?;
        let tls::Peer(address) = axum::serve::Listener::local_addr(&listener).map_err(failed)?;
        let service = Service::new(config, engine, address);
        let app = tower::util::MapRequest::new(router::router(service), router::without_last_slash);
        let app = app.into_make_service_with_connect_info::<tls::Peer>();
        let signal = shutdown.clone().cancelled_owned();
        let serving = axum::serve(listener, app).with_graceful_shutdown(signal);
        let task = tokio::spawn(serving.into_future());
        Ok(Self {
            address,
            scheme,
            shutdown,
            task,
        })
    }

    /// Returns where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address for clients on this machine.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Waits for the shutdown, and then for answers in progress, but no more than ten seconds.
    pub async fn ended(self) {
        self.shutdown.cancelled().await;
        let abort = self.task.abort_handle();
        if tokio::time::timeout(GRACE, self.task).await.is_err() {
            tracing::warn!(
                "connections were cut that did not end in {} seconds",
                GRACE.as_secs()
            );
            abort.abort();
        }
    }
}

/// What every handler works with; cloning shares it.
#[derive(Clone)]
pub(crate) struct Service(Arc<Parts>);

/// The parts of the service.
pub(crate) struct Parts {
    engine: Engine,
    config: Config,
    address: SocketAddr,
    keys: auth::KnownKeys,
    nonces: nonce::Nonces,
    answers: cache::Answers,
    metrics: HttpMetrics,
    request_ids: frame::RequestIds,
}

impl Service {
    fn new(config: Config, engine: Engine, address: SocketAddr) -> Self {
        let metrics = HttpMetrics::new(engine.metrics());
        Self(Arc::new(Parts {
            engine,
            config,
            address,
            keys: auth::KnownKeys::default(),
            nonces: nonce::Nonces::new(),
            answers: cache::Answers::default(),
            metrics,
            request_ids: frame::RequestIds::new(random()),
        }))
    }
}

impl Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

fn random() -> u32 {
    let random = ring::rand::generate::<[u8; 4]>(&ring::rand::SystemRandom::new());
    u32::from_be_bytes(
        random
            .expect("the operating system has random numbers")
            .expose(),
    )
}
