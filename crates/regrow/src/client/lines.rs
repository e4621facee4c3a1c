//! Answers that come in lines, read as they come.

use bytes::{Bytes, BytesMut};
use reqwest::{Method, Response};
use serde::Serialize;

use super::{Client, ClientError, written};

/// Most bytes of one line: a document of 16 MiB, where each byte may become several.
const LINE_BYTES_MAX: usize = 512 << 20;

/// The lines of an answer.
#[derive(Debug)]
pub(crate) struct Lines<'c> {
    client: &'c Client,
    answer: Response,
    buffer: BytesMut,
    /// Bytes at the buffer's beginning in which there is no line feed.
    searched: usize,
}

impl Client {
    /// Sends a body and returns the lines that come of it.
    pub(crate) async fn lines(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Lines<'_>, ClientError> {
        let answer = self.send(Method::POST, path, Some(written(body))).await?;
        Ok(Lines {
            client: self,
            answer,
            buffer: BytesMut::new(),
            searched: 0,
        })
    }
}

impl Lines<'_> {
    /// Returns the next line without its end; `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let rest = &self.buffer[self.searched..];
            if let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(self.searched + at + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                return Ok(Some(line.freeze()));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(self.client.strange("a line of its answer does not end"));
            }
            let piece = self.answer.chunk().await;
            match piece.map_err(|error| self.client.unreachable(&error))? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(self.client.strange("its answer ends within a line")),
            }
        }
    }
}
