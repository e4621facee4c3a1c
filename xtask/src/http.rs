//! A small HTTP/1.1 client: one connection, kept alive, digest authentication. It is here so that
//! the benchmark measures the server and not a client library; it understands what this server
//! sends and nothing more.

use anyhow::{Context, bail, ensure};
use api::digest::{Challenge, Exchange};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An answer with its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) challenge: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
    exchange: Option<Exchange>,
    line: String,
}

impl Connection {
    /// Connects to `address`, such as `127.0.0.1:8080`.
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("set up a connection")?;
        let stream = BufReader::with_capacity(64 * 1024, stream);
        Ok(Self {
            stream,
            address: address.to_owned(),
            exchange: None,
            line: String::new(),
        })
    }

    /// Sends a GET with the next answer to the last challenge, and again if it was challenged.
    pub(crate) async fn get_as(
        &mut self,
        credentials: (&str, &str),
        target: &str,
    ) -> anyhow::Result<Answer> {
        let first = self.get_once(credentials, target).await?;
        let Some(challenge) = first.challenge.as_deref().filter(|_| first.status == 401) else {
            return Ok(first);
        };
        self.exchange = Some(Exchange::new(Challenge::parse(challenge)?));
        self.get_once(credentials, target).await
    }

    async fn get_once(
        &mut self,
        credentials: (&str, &str),
        target: &str,
    ) -> anyhow::Result<Answer> {
        let authorization = self.exchange.as_mut().map(|exchange| {
            // The server guarantees freshness with its nonce; ours need not be random here.
            exchange.authorize(credentials, "GET", target, "0a4f113b")
        });
        self.get(target, authorization.as_deref()).await
    }

    /// Sends a GET and reads the answer.
    pub(crate) async fn get(
        &mut self,
        target: &str,
        authorization: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if let Some(authorization) = authorization {
            request.push_str(&format!("Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        let stream = self.stream.get_mut();
        stream
            .write_all(request.as_bytes())
            .await
            .context("send a request")?;
        self.read_answer().await
    }

    async fn read_answer(&mut self) -> anyhow::Result<Answer> {
        let status = self.next_line().await?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("read the status line {:?}", self.line))?;
        let (mut length, mut chunked, mut challenge) = (0, false, None);
        loop {
            let line = self.next_line().await?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().context("read Content-Length")?,
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "www-authenticate" => challenge = Some(value.to_owned()),
                _ => {}
            }
        }
        let body = if chunked {
            self.read_chunks().await?
        } else {
            self.read_bytes(length).await?
        };
        Ok(Answer {
            status,
            challenge,
            body,
        })
    }

    async fn read_chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(self.next_line().await?, 16);
            let length = length.context("read the length of a chunk")?;
            body.extend(self.read_bytes(length).await?);
            ensure!(body.len() <= BODY_BYTES_MAX, "the body is too large");
            self.next_line().await?;
            if length == 0 {
                return Ok(body);
            }
        }
    }

    async fn read_bytes(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(length <= BODY_BYTES_MAX, "the body is too large");
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .await
            .context("read a body")?;
        Ok(bytes)
    }

    /// Returns the next line without its end.
    async fn next_line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        let read = self
            .stream
            .read_line(&mut self.line)
            .await
            .context("read an answer")?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        Ok(self.line.trim_end())
    }
}
