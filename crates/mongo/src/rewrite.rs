//! Takes single documents of a target out, by their ids as a server stores them.
//!
//! An id is compared as the collection's own index compares: numbers by value, text by the
//! collation. That takes out whatever would be in the way of the document that is to come.
use bson::spec::ElementType;
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};

use crate::raw::{Builder, Elements, Malformed};
use crate::target::Target;
use crate::{Collection, Error};

/// How many documents one command deletes.
const DELETES_MAX: usize = 10_000;
/// How many bytes of ids one command carries, unless a single id is longer.
const COMMAND_BYTES_MAX: usize = 4 << 20;

impl Target {
    /// Deletes the documents that have one of `ids`, each a whole raw `_id` element: type byte,
    /// `_id`, zero, value. Returns how many there were; one that is not there is fine.
    pub async fn delete_ids<I: AsRef<[u8]> + Sync>(
        &self,
        collection: &Collection,
        ids: &[I],
    ) -> Result<u64, Error> {
        let mut deleted = 0;
        let mut rest = ids;
        while !rest.is_empty() {
            let count = fitting(rest);
            deleted += self.delete_some(collection, &rest[..count]).await?;
            rest = &rest[count..];
        }
        Ok(deleted)
    }

    async fn delete_some<I: AsRef<[u8]>>(
        &self,
        collection: &Collection,
        ids: &[I],
    ) -> Result<u64, Error> {
        let invalid = |what: Malformed| Error::InvalidInput {
            namespace: collection.namespace(),
            what: what.0.to_owned(),
        };
        let mut deletes = RawArrayBuf::new();
        for id in ids {
            let query = query(id.as_ref()).map_err(invalid)?;
            deletes.push(rawdoc! { "q": query, "limit": 1 });
        }
        let command = rawdoc! {
            "delete": collection.storage_name(),
            "deletes": deletes,
            "ordered": false,
            "writeConcern": { "w": 1_i32, "j": false },
        };
        let doing = || format!("delete documents of {}", collection.namespace());
        let reply = self
            .server
            .run_retried(&collection.database, &command, doing)
            .await?;
        let refused = reply.get_array("writeErrors").map_or(0, Vec::len);
        let deleted = reply.get_i32("n").ok().and_then(|n| u64::try_from(n).ok());
        match deleted {
            Some(deleted) if refused == 0 => Ok(deleted),
            _ => Err(Error::InvalidReply {
                doing: doing(),
                what: format!("{refused} deletions were refused"),
            }),
        }
    }
}

/// Returns how many ids, at least one, go into the next command.
fn fitting<I: AsRef<[u8]>>(ids: &[I]) -> usize {
    let mut bytes = 0;
    for (count, id) in ids.iter().enumerate() {
        bytes += id.as_ref().len();
        if count > 0 && (bytes > COMMAND_BYTES_MAX || count == DELETES_MAX) {
            return count;
        }
    }
    ids.len()
}

/// Returns the filter that matches the document with this `_id` element only.
fn query(id: &[u8]) -> Result<RawDocumentBuf, Malformed> {
    let mut whole = Builder::after(rawdoc! {}, id.len());
    whole.element(id);
    let whole: RawDocumentBuf = whole.finish();
    let bytes = whole.as_bytes();
    let mut elements = Elements::of(bytes)?;
    match (elements.next(), elements.next()) {
        (Some(Ok(element)), None) if element.name == b"_id" => {}
        _ => return Err(Malformed("an id is not one whole `_id` element")),
    }
    let value = RawDocument::from_bytes(bytes)
        .and_then(|document| document.get("_id"))
        .ok()
        .flatten()
        .ok_or(Malformed("an id is not valid BSON"))?;
    // A server finds the plain value by a shorter way than the operator (a third of the time of a
    // delete, measured on 6.0.5); but what it could take for a condition needs the operator.
    if matches!(
        value.element_type(),
        ElementType::EmbeddedDocument | ElementType::Array | ElementType::RegularExpression
    ) {
        let mut equal = RawDocumentBuf::new();
        equal.append(bson::cstr!("$eq"), value);
        return Ok(rawdoc! { "_id": equal });
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_id_element_is_taken() {
        let whole = |document: RawDocumentBuf| {
            let bytes = document.as_bytes();
            bytes[4..bytes.len() - 1].to_vec()
        };
        let good = query(&whole(rawdoc! { "_id": { "$gt": 1 } }));
        assert_eq!(good, Ok(rawdoc! { "_id": { "$eq": { "$gt": 1 } } }));
        assert_eq!(
            query(&whole(rawdoc! { "_id": 7 })),
            Ok(rawdoc! { "_id": 7 })
        );
        for wrong in [
            whole(rawdoc! { "other": 1 }),
            whole(rawdoc! { "_id": 1, "a": 1 }),
            vec![],
            b"\x10_id\0\x01".to_vec(),
        ] {
            assert!(query(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn commands_are_filled_up_to_their_limits() {
        assert_eq!(fitting(&vec![vec![0_u8; 20]; DELETES_MAX + 1]), DELETES_MAX);
        assert_eq!(fitting(&vec![vec![0_u8; COMMAND_BYTES_MAX]; 2]), 1);
        assert_eq!(fitting(&[vec![0_u8; 20]]), 1);
    }
}
