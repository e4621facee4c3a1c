//! Capped collections that no `create` and no insert makes as they are.
//!
//! A server looks at the limits when a document is inserted, not when one grows or the limits are
//! changed (seen on 6.0.5), so such collections exist. Loaded again they would lose their oldest
//! documents: they get room before, and their limits back once everything is in.
//!
//! `convertToCapped` makes a clustered collection a capped one that stays clustered, which `create`
//! refuses ("only available with 'enableTestCommands'", seen on 6.0.5 and 6.0.27): so it is made as
//! it came to be.
use bson::{RawBson, RawBsonRef, RawDocumentBuf, cstr, rawdoc};

use crate::number::Number;
use crate::target::Target;
use crate::{Collection, Error};

/// Bytes by which a document may be larger for a moment while it is loaded (`rewrite.rs`).
const LARGER_FOR_A_MOMENT: u64 = 64;

impl Collection {
    /// Tells whether it is capped, and this many documents of so many bytes in all are more than
    /// an empty one with its limits would keep.
    pub fn overflows(&self, documents: u64, bytes: u64) -> bool {
        let exceeds = |name: &str, present: u64| {
            let limit = self.options.get(name).ok().flatten();
            let limit = limit.and_then(whole);
            limit.is_some_and(|limit| u64::try_from(limit).is_ok_and(|limit| present > limit))
        };
        self.is_capped() && (exceeds("size", bytes) || exceeds("max", documents))
    }
}

impl Collection {
    /// Tells whether it is clustered and capped, which it can only have become later.
    pub(crate) fn was_capped_later(&self) -> bool {
        self.is_capped() && self.is_clustered()
    }
}

impl Target {
    /// Makes a clustered collection that was created just now a capped one, with its own limits.
    pub(crate) async fn cap(&self, collection: &Collection) -> Result<(), Error> {
        let mut command = rawdoc! { "convertToCapped": collection.name.as_str() };
        if let Ok(Some(size)) = collection.options.get("size") {
            command.append(cstr!("size"), size);
        }
        let doing = || format!("make {} a capped collection", collection.namespace());
        self.server
            .run_retried(&collection.database, &command, doing)
            .await?;
        self.restore_limits(collection).await
    }

    /// Gives a capped collection that was created just now room for what overflows it; needs a
    /// server that can change such limits (6.0 and later).
    pub async fn lift_limits(
        &self,
        collection: &Collection,
        documents: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        let room = bytes + (documents + 1) * LARGER_FOR_A_MOMENT;
        let as_long = |number: u64| RawBson::Int64(i64::try_from(number).unwrap_or(i64::MAX));
        self.set_limits(collection, as_long(room), as_long(documents + 1))
            .await
    }

    /// Gives a capped collection its own limits; what is more than they allow stays until the next
    /// insert.
    pub async fn restore_limits(&self, collection: &Collection) -> Result<(), Error> {
        let own = |name: &str| collection.options.get(name).ok().flatten();
        let (Some(size), documents) = (own("size"), own("max")) else {
            return Ok(());
        };
        let unused = RawBsonRef::Int32(0);
        self.set_limits(collection, size.into(), documents.unwrap_or(unused).into())
            .await
    }

    /// Changes both limits, or that of the size alone where documents are not limited.
    async fn set_limits(
        &self,
        collection: &Collection,
        bytes: RawBson,
        documents: RawBson,
    ) -> Result<(), Error> {
        let mut command: RawDocumentBuf = rawdoc! { "collMod": collection.name.as_str() };
        command.append(cstr!("cappedSize"), bytes);
        if matches!(collection.options.get("max"), Ok(Some(_))) {
            command.append(cstr!("cappedMax"), documents);
        }
        let doing = || format!("change the limits of {}", collection.namespace());
        self.server
            .run_retried(&collection.database, &command, doing)
            .await
            .map(drop)
    }
}

fn whole(value: RawBsonRef<'_>) -> Option<i64> {
    let number = match value {
        RawBsonRef::Int32(number) => Number::Int(i64::from(number)),
        RawBsonRef::Int64(number) => Number::Int(number),
        RawBsonRef::Double(number) => Number::Double(number),
        _ => return None,
    };
    number.truncated()
}
