//! Holds back what lets documents of a target expire, until they were compared.
//!
//! The index stays as it is: only its limit is moved out of reach, and back. What is created anew
//! gets its limit last instead, in `target.rs`.
use bson::{RawBson, RawDocument, RawDocumentBuf, cstr, rawdoc};

use crate::compare::{EXPIRY, index_name};
use crate::target::{Target, expires};
use crate::{Collection, CollectionKind, Error};

/// The longest time to expire that servers take for an index, in seconds: 68 years.
const OUT_OF_REACH: i32 = i32::MAX;

impl Collection {
    /// Tells whether a server deletes documents of it by their age.
    pub fn expires(&self) -> bool {
        self.kind != CollectionKind::View
            && (self.indexes.iter().any(|index| expires(index)) || expires(&self.options))
    }
}

impl Target {
    /// Lets nothing of the collection expire. Doing it twice is the same as once.
    pub async fn pause_expiry(&self, collection: &Collection) -> Result<(), Error> {
        for index in collection.indexes.iter().filter(|index| expires(index)) {
            self.limit_index(collection, index, RawBson::Int32(OUT_OF_REACH))
                .await?;
        }
        if expires(&collection.options) {
            let off = RawBson::String("off".to_owned());
            self.limit_collection(collection, off).await?;
        }
        Ok(())
    }

    /// Lets documents expire as `collection` says.
    pub async fn resume_expiry(&self, collection: &Collection) -> Result<(), Error> {
        for index in collection.indexes.iter().filter(|index| expires(index)) {
            if let Some(seconds) = limit(index) {
                self.limit_index(collection, index, seconds).await?;
            }
        }
        match limit(&collection.options) {
            Some(seconds) => self.limit_collection(collection, seconds).await,
            None => Ok(()),
        }
    }

    async fn limit_index(
        &self,
        collection: &Collection,
        index: &RawDocument,
        seconds: RawBson,
    ) -> Result<(), Error> {
        let mut changed = rawdoc! { "name": index_name(index) };
        changed.append(cstr!("expireAfterSeconds"), seconds);
        let command = rawdoc! { "collMod": collection.name.as_str(), "index": changed };
        self.change_expiry(collection, command).await
    }

    async fn limit_collection(
        &self,
        collection: &Collection,
        seconds: RawBson,
    ) -> Result<(), Error> {
        let mut command = rawdoc! { "collMod": collection.name.as_str() };
        command.append(cstr!("expireAfterSeconds"), seconds);
        self.change_expiry(collection, command).await
    }

    async fn change_expiry(
        &self,
        collection: &Collection,
        command: RawDocumentBuf,
    ) -> Result<(), Error> {
        let doing = || format!("change when documents of {} expire", collection.namespace());
        let changed = self
            .server
            .run_retried(&collection.database, &command, doing)
            .await;
        changed.map(drop)
    }
}

fn limit(document: &RawDocument) -> Option<RawBson> {
    let seconds = document.get(EXPIRY).ok().flatten()?;
    Some(RawBson::from(seconds))
}
