//! Sends commands through the driver and turns its errors into ours.
//!
//! A reply that carries a write concern error is an error here, although the server says `ok`. The
//! driver's error texts can quote documents, so only what is known to be safe is taken from them.
use std::sync::Arc;
use std::time::Duration;

use bson::{Document, RawDocumentBuf};
use futures::StreamExt;
use mongodb::Client;
use mongodb::error::{ErrorKind, RETRYABLE_WRITE_ERROR};
use mongodb::options::RunCursorCommandOptions;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use crate::error::{Cause, Error};
use crate::snapshot::ClusterTime;

/// A client and what messages call the deployment; cloning shares the connections.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) client: Client,
    /// Host and port of each seed, comma separated.
    pub(crate) hosts: Arc<str>,
    /// How long a cursor may take for one reply.
    pub(crate) reply_timeout: Duration,
}

/// The error codes that this room tells apart
/// (`src/mongo/base/error_codes.yml` of the server's source).
pub(crate) mod code {
    pub(crate) const UNAUTHORIZED: i32 = 13;
    pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
    pub(crate) const CURSOR_NOT_FOUND: i32 = 43;
    pub(crate) const NAMESPACE_EXISTS: i32 = 48;
    pub(crate) const CAPPED_POSITION_LOST: i32 = 136;
    pub(crate) const QUERY_PLAN_KILLED: i32 = 175;
    pub(crate) const CURSOR_KILLED: i32 = 237;
    pub(crate) const SNAPSHOT_TOO_OLD: i32 = 239;
    pub(crate) const SNAPSHOT_UNAVAILABLE: i32 = 246;
    pub(crate) const INVALID_RESUME_TOKEN: i32 = 260;
    pub(crate) const CHANGE_STREAM_FATAL: i32 = 280;
    pub(crate) const CHANGE_STREAM_HISTORY_LOST: i32 = 286;
    pub(crate) const OBJECT_TOO_LARGE: i32 = 10334;
    /// What a cursor that a server no longer has is answered with.
    pub(crate) const CURSORS_LOST: [i32; 2] = [CURSOR_NOT_FOUND, CURSOR_KILLED];
    pub(crate) const DUPLICATE_KEY: i32 = 11000;
    /// A member that steps down, recovers or shuts down, a network error between members, a
    /// deadline between members: the same command may succeed on the next primary.
    pub(crate) const TRANSIENT: [i32; 15] = [
        6, 7, 64, 89, 91, 134, 189, 234, 262, 9001, 10107, 11600, 11602, 13435, 13436,
    ];
}

/// How often a command is sent when the connection breaks or the primary steps down.
const TRIES_MAX: u32 = 6;
/// How long to wait before the second try; each later wait is twice as long: 6.2 s in all.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// How much of the server's own words an error carries, in characters.
const MESSAGE_CHARS_MAX: usize = 400;

impl Server {
    /// Runs a command and returns its reply, decoded: for small replies without user data.
    pub(crate) async fn run(
        &self,
        database: &str,
        command: RawDocumentBuf,
        doing: impl Fn() -> String,
    ) -> Result<Document, Error> {
        let reply = self
            .client
            .database(database)
            .run_raw_command(command)
            .await
            .map_err(|error| self.translate(doing(), &error))?;
        if let Ok(concern) = reply.get_document("writeConcernError") {
            let code = concern.get_i32("code").unwrap_or_default();
            return Err(Error::Command {
                doing: doing(),
                code,
                name: concern
                    .get_str("codeName")
                    .unwrap_or("WriteConcernError")
                    .to_owned(),
                message: shortened(concern.get_str("errmsg").unwrap_or_default()),
                transient: code::TRANSIENT.contains(&code),
            });
        }
        Ok(reply)
    }

    /// Sends a command that may be done twice until it is answered or the tries are used up.
    pub(crate) async fn run_retried(
        &self,
        database: &str,
        command: &RawDocumentBuf,
        doing: impl Fn() -> String,
    ) -> Result<Document, Error> {
        let mut patience = Patience::default();
        loop {
            match self.run(database, command.clone(), &doing).await {
                Err(error) if error.is_transient() => patience.wait(error).await?,
                answered => return answered,
            }
        }
    }

    /// Opens a cursor whose replies come undecoded.
    pub(crate) async fn open(
        &self,
        database: &str,
        command: RawDocumentBuf,
        batch_size: Option<u32>,
        doing: impl Fn() -> String,
    ) -> Result<RawBatchCursor, Error> {
        let mut options = RunCursorCommandOptions::default();
        options.batch_size = batch_size;
        self.open_with(database, command, options, doing).await
    }

    /// Opens a cursor that waits at its end for more, `wait` at a time; only its command's first
    /// reply comes at once.
    pub(crate) async fn open_waiting(
        &self,
        database: &str,
        command: RawDocumentBuf,
        wait: Duration,
        doing: impl Fn() -> String,
    ) -> Result<RawBatchCursor, Error> {
        let mut options = RunCursorCommandOptions::default();
        options.max_time = Some(wait);
        self.open_with(database, command, options, doing).await
    }

    async fn open_with(
        &self,
        database: &str,
        command: RawDocumentBuf,
        options: RunCursorCommandOptions,
        doing: impl Fn() -> String,
    ) -> Result<RawBatchCursor, Error> {
        let database = self.client.database(database);
        let opening = database
            .run_raw_cursor_command(command)
            .with_options(options)
            .batch();
        let opened = tokio::time::timeout(self.reply_timeout, opening).await;
        opened
            .map_err(|_| self.too_late(&doing))?
            .map_err(|error| self.translate(doing(), &error))
    }

    /// Returns the next reply of a cursor; none at its end.
    pub(crate) async fn next(
        &self,
        cursor: &mut RawBatchCursor,
        doing: impl Fn() -> String,
    ) -> Result<Option<RawBatch>, Error> {
        match tokio::time::timeout(self.reply_timeout, cursor.next()).await {
            Err(_) => Err(self.too_late(&doing)),
            Ok(None) => Ok(None),
            Ok(Some(reply)) => reply
                .map(Some)
                .map_err(|error| self.translate(doing(), &error)),
        }
    }

    /// Runs a cursor command to its end and returns all documents, with the operation time of the
    /// last reply; for catalogs, which are small.
    pub(crate) async fn collect(
        &self,
        database: &str,
        command: RawDocumentBuf,
        doing: impl Fn() -> String,
    ) -> Result<(Vec<RawDocumentBuf>, Option<ClusterTime>), Error> {
        let mut cursor = self.open(database, command, None, &doing).await?;
        let mut documents = Vec::new();
        let mut time = None;
        while let Some(batch) = self.next(&mut cursor, &doing).await? {
            let malformed = |what: String| Error::InvalidReply {
                doing: doing(),
                what,
            };
            let slices = batch
                .doc_slices()
                .map_err(|_| malformed("no batch".to_owned()))?;
            for slice in slices {
                let document = slice
                    .ok()
                    .and_then(|value| value.as_document().map(|d| d.to_owned()));
                documents.push(document.ok_or_else(|| malformed("not a document".to_owned()))?);
            }
            if let Ok(timestamp) = batch.as_raw_document().get_timestamp("operationTime") {
                time = Some(timestamp.into());
            }
        }
        Ok((documents, time))
    }

    fn too_late(&self, doing: impl Fn() -> String) -> Error {
        let limit = self.reply_timeout;
        Error::Network {
            doing: doing(),
            source: Cause::from_text(format!("no answer within {limit:?}")),
        }
    }

    /// Turns an error of the driver into one of ours without anything that could be a secret or a
    /// part of a document.
    pub(crate) fn translate(&self, doing: String, error: &mongodb::error::Error) -> Error {
        match error.kind.as_ref() {
            ErrorKind::Command(command) => Error::Command {
                doing,
                code: command.code,
                name: command.code_name.clone(),
                message: shortened(&command.message),
                transient: code::TRANSIENT.contains(&command.code)
                    || error.contains_label(RETRYABLE_WRITE_ERROR),
            },
            ErrorKind::Authentication { .. } => Error::AuthenticationFailed {
                hosts: self.hosts.to_string(),
            },
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. } => Error::Network {
                doing,
                source: Cause::of(error),
            },
            ErrorKind::InvalidResponse { message, .. } => Error::InvalidReply {
                doing,
                what: shortened(message),
            },
            _ => Error::InvalidReply {
                doing,
                what: Cause::of(error).to_string(),
            },
        }
    }
}

/// Counts how often something was interrupted, and waits longer each time.
pub(crate) struct Patience {
    tries_left: u32,
    wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries_left: TRIES_MAX - 1,
            wait: RETRY_WAIT,
        }
    }
}

impl Patience {
    /// Waits before the next try; gives the error back where there have been enough.
    pub(crate) async fn wait(&mut self, error: Error) -> Result<(), Error> {
        let Some(left) = self.tries_left.checked_sub(1) else {
            return Err(error);
        };
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(tries_left = left, %error, source, "interrupted; trying again");
        tokio::time::sleep(self.wait).await;
        self.tries_left = left;
        self.wait *= 2;
        Ok(())
    }
}

/// Cuts the server's words where they become too long for a message.
pub(crate) fn shortened(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}

impl Cause {
    /// Takes from a driver's error what tells an operator where to look.
    pub(crate) fn of(error: &mongodb::error::Error) -> Self {
        Self::from_text(match error.kind.as_ref() {
            ErrorKind::Io(io) => io.to_string(),
            ErrorKind::ServerSelection { message, .. }
            | ErrorKind::ConnectionPoolCleared { message, .. }
            | ErrorKind::DnsResolve { message, .. }
            | ErrorKind::InvalidTlsConfig { message, .. }
            | ErrorKind::IncompatibleServer { message, .. }
            | ErrorKind::Internal { message, .. } => shortened(message),
            ErrorKind::Bson(_) => "the reply is not valid BSON".to_owned(),
            ErrorKind::InvalidArgument { .. } => "the driver refused the command".to_owned(),
            _ => "the driver reports an unexpected kind of error".to_owned(),
        })
    }
}
