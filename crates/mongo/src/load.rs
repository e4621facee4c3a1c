//! Writes raw documents into a collection of a target.
//!
//! A server moves and rewrites less than one thinks, but it does so silently: see `timestamp.rs`.
//! Documents go in unordered and without validation, because they were valid where they come from.
//! A document that is already there is compared: the same one (sent twice after a broken
//! connection, or by a resumed job) is fine, any other is an error.
use std::collections::HashSet;
use std::sync::Arc;

use bson::{Document, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use crate::catalog::STORED_FUNCTIONS;
use crate::raw::{Builder, Elements, Malformed};
use crate::server::{Server, code, shortened};
use crate::timestamp;
use crate::{Collection, Error};

/// A writer into one collection; clones may be used side by side unless [`Loader::ordered`].
#[derive(Clone)]
pub struct Loader {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) server: Server,
    pub(crate) database: String,
    /// The collection that holds the documents.
    pub(crate) name: String,
    ordered: bool,
    /// Not for stored functions: they have no validator, and few roles may bypass it there.
    pub(crate) bypass_validation: bool,
}

/// How many bytes of documents one command carries, unless a single document is longer.
const COMMAND_BYTES_MAX: usize = 4 << 20;
/// How many documents one command carries (`maxWriteBatchSize` of servers since 3.6).
const COMMAND_DOCUMENTS_MAX: usize = 100_000;

impl Loader {
    pub(crate) fn new(server: Server, collection: &Collection) -> Self {
        let inner = Inner {
            server,
            database: collection.database.clone(),
            name: collection.storage_name(),
            ordered: collection.is_capped(),
            bypass_validation: collection.name != STORED_FUNCTIONS,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Tells whether the order of documents matters (capped collections): then use one loader and
    /// await each insert before the next.
    pub fn ordered(&self) -> bool {
        self.inner.ordered
    }

    /// Stores whole raw BSON documents, any number of them, acknowledged by the primary but not yet
    /// durable (see [`crate::Target::barrier`]).
    ///
    /// Sending a document again is harmless. Every refusal is an error. Transient errors are
    /// retried a bounded number of times. If the future is dropped, some may be stored.
    pub async fn insert<D: AsRef<[u8]> + Sync>(&self, documents: &[D]) -> Result<(), Error> {
        let mut rest = documents;
        while !rest.is_empty() {
            let count = fitting(rest);
            let command: Vec<&[u8]> = rest[..count].iter().map(AsRef::as_ref).collect();
            self.inner.store(&command).await?;
            rest = &rest[count..];
        }
        Ok(())
    }
}

/// Returns how many documents, at least one, go into the next command.
pub(crate) fn fitting<D: AsRef<[u8]>>(documents: &[D]) -> usize {
    let mut bytes = 0;
    for (count, document) in documents.iter().enumerate() {
        bytes += document.as_ref().len();
        if count > 0 && (bytes > COMMAND_BYTES_MAX || count == COMMAND_DOCUMENTS_MAX) {
            return count;
        }
    }
    documents.len()
}

impl Inner {
    /// Stores the documents of one command and repairs those that the server rewrites.
    async fn store(&self, documents: &[&[u8]]) -> Result<(), Error> {
        let mut rewritten = Vec::new();
        for document in documents {
            if timestamp::is_rewritten(document).map_err(|what| self.invalid(what))? {
                rewritten.push(*document);
            }
        }
        self.send(documents).await?;
        if rewritten.is_empty() {
            return Ok(());
        }
        let repair =
            timestamp::replace_command(&self.name, &rewritten, self.bypass_validation, false)
                .map_err(|what| self.invalid(what))?;
        let reply = self.retried(&repair, "repair timestamps in").await?;
        self.refused(&reply, |_| true)?;
        match reply.get_i32("n") {
            Ok(n) if usize::try_from(n) == Ok(rewritten.len()) => Ok(()),
            _ => Err(self.malformed("not every timestamp was repaired")),
        }
    }

    async fn send(&self, documents: &[&[u8]]) -> Result<(), Error> {
        let mut pending = documents.to_vec();
        while !pending.is_empty() {
            let reply = self.retried(&self.command(&pending), "load").await?;
            self.refused(&reply, |code| code != code::DUPLICATE_KEY)?;
            let there: Vec<usize> = errors(&reply).map(|error| error.index).collect();
            let stored = reply
                .get_i32("n")
                .ok()
                .and_then(|n| usize::try_from(n).ok());
            if there.is_empty() {
                return match stored {
                    Some(stored) if stored == pending.len() => Ok(()),
                    _ => Err(self.malformed("fewer documents were stored than sent")),
                };
            }
            let doubtful: Vec<&[u8]> = if self.ordered {
                // The server stopped at the first; what came before it is stored.
                pending.split_off(there[0].min(pending.len()))
            } else {
                there
                    .iter()
                    .filter_map(|index| pending.get(*index).copied())
                    .collect()
            };
            let first = doubtful.first().copied();
            let absent = self.absent(doubtful).await?;
            if absent.first().copied() == first || !self.ordered && !absent.is_empty() {
                return Err(Error::Conflict {
                    namespace: self.namespace(),
                });
            }
            pending = absent;
        }
        Ok(())
    }

    fn command(&self, documents: &[&[u8]]) -> RawDocumentBuf {
        let head = rawdoc! {
            "insert": self.name.as_str(),
            "ordered": self.ordered,
            "bypassDocumentValidation": self.bypass_validation,
            "writeConcern": { "w": 1_i32, "j": false },
        };
        let bytes: usize = documents.iter().map(|document| document.len() + 8).sum();
        let mut builder = Builder::after(head, bytes + 64);
        builder.documents("documents", documents);
        builder.finish()
    }

    pub(crate) async fn retried(
        &self,
        command: &RawDocumentBuf,
        verb: &str,
    ) -> Result<Document, Error> {
        let doing = || format!("{verb} {}", self.namespace());
        self.server
            .run_retried(&self.database, command, doing)
            .await
    }

    /// Returns those documents that the target does not hold exactly like this.
    ///
    /// One that the server rewrites is taken as held under its `_id`: it is repaired afterwards.
    async fn absent<'a>(&self, documents: Vec<&'a [u8]>) -> Result<Vec<&'a [u8]>, Error> {
        let mut ids = RawArrayBuf::new();
        for document in &documents {
            ids.push(id_of(document).map_err(|what| self.invalid(what))?);
        }
        let find = rawdoc! { "find": self.name.as_str(), "filter": { "_id": { "$in": ids } } };
        let doing = || format!("compare documents of {}", self.namespace());
        let (held, _) = self.server.collect(&self.database, find, doing).await?;
        let whole: HashSet<&[u8]> = held.iter().map(|document| document.as_bytes()).collect();
        let ids: HashSet<&[u8]> = held
            .iter()
            .filter_map(|document| id_element(document.as_bytes()).ok())
            .collect();
        let is_held = |document: &[u8]| {
            whole.contains(document)
                || timestamp::is_rewritten(document) == Ok(true)
                    && id_element(document).is_ok_and(|id| ids.contains(id))
        };
        Ok(documents
            .into_iter()
            .filter(|document| !is_held(document))
            .collect())
    }

    /// Fails with the first write error whose code `counts`.
    pub(crate) fn refused(
        &self,
        reply: &Document,
        counts: impl Fn(i32) -> bool,
    ) -> Result<(), Error> {
        let mut counted = errors(reply).filter(|error| counts(error.code));
        let Some(first) = counted.next() else {
            return Ok(());
        };
        let quotes_a_value = first.code == code::DUPLICATE_KEY;
        Err(Error::WriteRefused {
            namespace: self.namespace(),
            count: 1 + counted.count(),
            code: first.code,
            message: if quotes_a_value {
                String::new()
            } else {
                format!(": {}", first.message)
            },
        })
    }

    pub(crate) fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    pub(crate) fn invalid(&self, what: Malformed) -> Error {
        Error::InvalidInput {
            namespace: self.namespace(),
            what: what.0.to_owned(),
        }
    }

    pub(crate) fn malformed(&self, what: &str) -> Error {
        Error::InvalidReply {
            doing: format!("load {}", self.namespace()),
            what: what.to_owned(),
        }
    }
}

/// One of the `writeErrors` of a reply.
struct WriteError {
    index: usize,
    code: i32,
    message: String,
}

fn errors(reply: &Document) -> impl Iterator<Item = WriteError> {
    let list = reply
        .get_array("writeErrors")
        .map_or(&[][..], Vec::as_slice);
    list.iter().map(|entry| {
        let entry = entry.as_document();
        let number = |name| entry.and_then(|entry| entry.get_i32(name).ok());
        WriteError {
            index: number("index")
                .and_then(|at| usize::try_from(at).ok())
                .unwrap_or_default(),
            code: number("code").unwrap_or_default(),
            message: shortened(
                entry
                    .and_then(|e| e.get_str("errmsg").ok())
                    .unwrap_or_default(),
            ),
        }
    })
}

/// Returns the whole `_id` element of a document.
pub(crate) fn id_element(document: &[u8]) -> Result<&[u8], Malformed> {
    for element in Elements::of(document)? {
        let element = element?;
        if element.name == b"_id" {
            return Ok(&document[element.start..element.end]);
        }
    }
    Err(Malformed("a document has no `_id`"))
}

/// Returns the value of `_id` of a document.
pub(crate) fn id_of(document: &[u8]) -> Result<RawBsonRef<'_>, Malformed> {
    let id = RawDocument::from_bytes(document).and_then(|document| document.get("_id"));
    id.ok()
        .flatten()
        .ok_or(Malformed("a document has no `_id`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_filled_up_to_their_limits() {
        let small = vec![vec![0_u8; 10]; COMMAND_DOCUMENTS_MAX + 1];
        assert_eq!(fitting(&small), COMMAND_DOCUMENTS_MAX);
        let half = vec![vec![0_u8; COMMAND_BYTES_MAX / 2]; 3];
        assert_eq!(fitting(&half), 2);
        let big = vec![vec![0_u8; COMMAND_BYTES_MAX + 1]; 2];
        assert_eq!(fitting(&big), 1);
        assert_eq!(fitting(&small[..1]), 1);
    }
}
