//! Puts single documents among those of a collection, and tells whether it holds them.
//!
//! Each is put there by one update, which replaces it whole or adds it: a document that is refused
//! leaves what was there.
use std::collections::HashSet;

use bson::{RawArrayBuf, RawBsonRef, RawDocumentBuf, rawdoc};

use crate::load::{Loader, fitting, id_of};
use crate::{Collection, CollectionKind, Error, timestamp};

impl Collection {
    /// Tells whether single documents may be put in the place of others in any order: not where
    /// one could be in the way of another (unique indexes), nor where ids that are not the same
    /// count as equal (collations).
    pub fn takes_replacements(&self) -> bool {
        let is_unique = |index: &RawDocumentBuf| {
            let is_off = |name| {
                let value = index.get(name);
                matches!(value, Ok(None | Some(RawBsonRef::Boolean(false))))
            };
            !is_off("unique") || !is_off("prepareUnique")
        };
        let has_collation = matches!(self.options.get("collation"), Ok(Some(_)));
        self.kind == CollectionKind::Collection
            && !has_collation
            && !self.is_clustered()
            && !self.indexes.iter().any(is_unique)
    }
}

impl Loader {
    /// Puts each document in the place of the one with its `_id`, or adds it; all others stay.
    /// Doing it twice is the same as once.
    pub async fn replace<D: AsRef<[u8]> + Sync>(&self, documents: &[D]) -> Result<(), Error> {
        let inner = &self.inner;
        let mut rest = documents;
        while !rest.is_empty() {
            let count = fitting(rest);
            let part: Vec<&[u8]> = rest[..count].iter().map(AsRef::as_ref).collect();
            let command =
                timestamp::replace_command(&inner.name, &part, inner.bypass_validation, true)
                    .map_err(|what| inner.invalid(what))?;
            let reply = inner.retried(&command, "put documents into").await?;
            inner.refused(&reply, |_| true)?;
            let done = reply
                .get_i32("n")
                .ok()
                .and_then(|n| usize::try_from(n).ok());
            if done != Some(part.len()) {
                return Err(inner.malformed("not every document was put there"));
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Tells whether the collection holds each of these documents, byte by byte.
    pub async fn holds<D: AsRef<[u8]> + Sync>(&self, documents: &[D]) -> Result<bool, Error> {
        let inner = &self.inner;
        let mut rest = documents;
        while !rest.is_empty() {
            let count = fitting(rest);
            let part = &rest[..count];
            let mut ids = RawArrayBuf::new();
            for document in part {
                ids.push(id_of(document.as_ref()).map_err(|what| inner.invalid(what))?);
            }
            let find = rawdoc! { "find": inner.name.as_str(), "filter": { "_id": { "$in": ids } } };
            let doing = || format!("compare documents of {}", inner.namespace());
            let (held, _) = inner.server.collect(&inner.database, find, doing).await?;
            let held: HashSet<&[u8]> = held.iter().map(|document| document.as_bytes()).collect();
            if !part.iter().all(|document| held.contains(document.as_ref())) {
                return Ok(false);
            }
            rest = &rest[count..];
        }
        Ok(true)
    }
}
