//! Connections: accepting them, TLS where it is configured, and an end to silent ones.
//!
//! Handshakes run each in a task of its own, so that a silent peer stalls nobody. The number of
//! connections and of unfinished handshakes is limited. TLS is rustls on ring.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Most connections at a time; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 1_000;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long a connection may be silent in both directions.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// How long to wait when the system gives no connection, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where certificate chain and private key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// File with the certificate and those that lead to its root.
    pub certificate: PathBuf,
    /// File with the private key.
    pub key: PathBuf,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds something else.
    #[error("read {what} from {path}")]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate does not fit the key.
    #[error("use the certificate with its key")]
    Pair(#[source] rustls::Error),
}

/// Reads the files and makes an acceptor of them.
pub(super) fn acceptor(files: &Tls) -> Result<TlsAcceptor, TlsError> {
    let chain = read_chain(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| unreadable("a private key", &files.key, source))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => {
            let source = rustls_pki_types::pem::Error::NoItemsFound;
            Err(unreadable("a certificate", path, source))
        }
        Err(source) => Err(unreadable("a certificate", path, source)),
    }
}

fn unreadable(what: &'static str, path: &Path, source: rustls_pki_types::pem::Error) -> TlsError {
    TlsError::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// The far end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        *stream.remote_addr()
    }
}

/// Yields connections that are ready for requests.
pub(super) struct Listener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Stream, Peer)>,
    task: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Begins to accept connections, with TLS where there is an acceptor.
    pub(super) fn start(listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(16);
        let task = tokio::spawn(accept(listener, tls, sender));
        Ok(Self {
            address,
            ready,
            task,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Stream, Peer) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The task ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer(self.address))
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    ready: mpsc::Sender<(Stream, Peer)>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("nobody closes this semaphore");
        let (tcp, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are written whole: waiting for more to send only delays them.
        drop(tcp.set_nodelay(true));
        let peer = Peer(address);
        let Some(acceptor) = tls.clone() else {
            if ready
                .send((Stream::new(Io::Plain(tcp), place), peer))
                .await
                .is_err()
            {
                return;
            }
            continue;
        };
        let ready = ready.clone();
        tokio::spawn(async move {
            match timeout(HANDSHAKE_MAX, acceptor.accept(tcp)).await {
                Ok(Ok(stream)) => {
                    let stream = Stream::new(Io::Tls(Box::new(stream)), place);
                    drop(ready.send((stream, peer)).await);
                }
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed: {error}"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        });
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that fails when it is silent for too long.
pub(super) struct Stream {
    io: Io,
    idle: Pin<Box<Sleep>>,
    last: Instant,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    fn new(io: Io, place: OwnedSemaphorePermit) -> Self {
        Self {
            io,
            idle: Box::pin(sleep(IDLE_MAX)),
            last: Instant::now(),
            _place: place,
        }
    }

    /// Notes progress, or finds out that there was none for too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.last = Instant::now();
            return outcome;
        }
        while self.idle.as_mut().poll(context).is_ready() {
            let until = self.last + IDLE_MAX;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.idle.as_mut().reset(until);
        }
        outcome
    }
}

macro_rules! delegate {
    ($self:ident.$method:ident($context:ident $(, $argument:expr)*)) => {{
        let this = $self.get_mut();
        let outcome = match &mut this.io {
            Io::Plain(io) => Pin::new(io).$method($context $(, $argument)*),
            Io::Tls(io) => Pin::new(io).$method($context $(, $argument)*),
        };
        this.watched($context, outcome)
    }};
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self.poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write_vectored(context, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_shutdown(context))
    }
}
