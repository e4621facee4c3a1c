//! A deployment that a snapshot is being restored into.
//!
//! Nothing may expire a restored document before it was verified, so whatever lets documents
//! expire (TTL indexes, `expireAfterSeconds`) comes last, in [`Target::finish_collection`].
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};

use crate::catalog;
use crate::compare::{self, EXPIRY, index_name};
use crate::describe::{Hello, Topology};
use crate::guard::{self, Mark, Phase};
use crate::raw::{Builder, Elements};
use crate::scan::{self, ReadAt, Scan};
use crate::server::{Server, code};
use crate::{
    Catalog, ClusterTime, Collection, CollectionKind, Difference, Error, Loader, ScanStream,
};

/// One restore's hold of a target deployment; cloning shares it.
///
/// In place: [`begin`](Self::begin), [`wipe`](Self::wipe), per collection
/// [`create`](Self::create), [`loader`](Self::loader), [`build_indexes`](Self::build_indexes); then
/// [`barrier`](Self::barrier), [`read_back`](Self::read_back) to verify,
/// [`finish_collection`](Self::finish_collection), [`create_view`](Self::create_view),
/// [`compare_catalog`](Self::compare_catalog), and [`release`](Self::release) last.
///
/// Beside: [`begin_beside`](Self::begin_beside), [`stage`](Self::stage), the same for each
/// collection under the name beside, [`begin_flip`](Self::begin_flip), [`flip`](Self::flip),
/// [`drop_others`](Self::drop_others), [`require_flipped`](Self::require_flipped); until the flip
/// begins, [`undo`](Self::undo) ends it.
#[derive(Clone)]
pub struct Target {
    pub(crate) server: Server,
    pub(crate) job: Arc<str>,
    /// A standalone server has no majority to read from.
    standalone: bool,
}

/// The option, of an index or a collection, that says how text compares.
const COLLATION: &str = "collation";
/// The name that servers reserve for the index on `_id` that every collection has.
const ID_INDEX: &str = "_id_";
/// How long the name of a job may be.
const JOB_CHARS_MAX: usize = 64;

/// Looks at the deployment; writes nothing.
pub(crate) async fn open(server: &Server, job: &str) -> Result<Target, Error> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if job.is_empty() || job.len() > JOB_CHARS_MAX || !job.chars().all(allowed) {
        return Err(Error::InvalidInput {
            namespace: guard::MARKER_DATABASE.to_owned(),
            what: "the job's name has other characters than letters, digits, - and _".to_owned(),
        });
    }
    let topology = Hello::ask(server).await?.topology;
    if topology == Topology::Sharded {
        let what = "restores into sharded clusters; use a replica set or a standalone server";
        return Err(Error::Unsupported {
            what: what.to_owned(),
        });
    }
    let standalone = topology == Topology::Standalone;
    Ok(Target {
        server: server.clone(),
        job: job.into(),
        standalone,
    })
}

impl Target {
    /// Marks the target as unfinished and takes it over from any earlier restore: collections are
    /// going to be changed under their own names.
    pub async fn begin(&self) -> Result<(), Error> {
        let marks = guard::marks(&self.server).await?;
        let mark = Mark {
            job: self.job.to_string(),
            phase: Phase::Changing,
            whole: false,
        };
        self.take_over(&marks, &mark).await
    }

    /// Drops every user database; `admin`, `config`, `local` and the marker stay.
    pub async fn wipe(&self) -> Result<(), Error> {
        self.held().await?;
        for database in catalog::databases(&self.server).await? {
            self.drop_database(&database).await?;
        }
        Ok(())
    }

    pub(crate) async fn drop_database(&self, database: &str) -> Result<(), Error> {
        let command = rawdoc! { "dropDatabase": 1, "writeConcern": guard::durable() };
        let doing = || format!("drop database {database}");
        let dropped = self.server.run_retried(database, &command, doing).await;
        dropped.map(drop)
    }

    /// Creates the collection or time series with its options verbatim, except that nothing
    /// expires before [`Target::finish_collection`]. Doing it twice is the same as once.
    pub async fn create(&self, collection: &Collection) -> Result<(), Error> {
        let head = rawdoc! { "create": collection.name.as_str() };
        let mut builder = Builder::after(head, collection.options.as_bytes().len());
        let left_out: &[&str] = match collection.was_capped_later() {
            true => &[EXPIRY, "capped", "size", "max"],
            false => &[EXPIRY],
        };
        append_without(&mut builder, &collection.options, left_out)
            .map_err(|what| invalid(collection, what))?;
        if let Some(id_index) = &collection.id_index {
            // Written by servers before 4.4, refused by later ones.
            let without_ns =
                without(id_index, &["ns"]).map_err(|what| invalid(collection, what))?;
            let id_index = rawdoc! { "idIndex": without_ns };
            append_without(&mut builder, &id_index, &[])
                .map_err(|what| invalid(collection, what))?;
        }
        self.create_or_equal(collection, builder.finish(), left_out)
            .await?;
        match collection.was_capped_later() {
            true => self.cap(collection).await,
            false => Ok(()),
        }
    }

    /// Creates a view with its options verbatim. Doing it twice is the same as once.
    pub async fn create_view(&self, view: &Collection) -> Result<(), Error> {
        let head = rawdoc! { "create": view.name.as_str() };
        let mut builder = Builder::after(head, view.options.as_bytes().len());
        append_without(&mut builder, &view.options, &[]).map_err(|what| invalid(view, what))?;
        self.create_or_equal(view, builder.finish(), &[]).await
    }

    async fn create_or_equal(
        &self,
        collection: &Collection,
        command: RawDocumentBuf,
        left_out: &[&str],
    ) -> Result<(), Error> {
        let doing = || format!("create {}", collection.namespace());
        let error = match self.server.run(&collection.database, command, doing).await {
            Ok(_) => return Ok(()),
            Err(
                error @ Error::Command {
                    code: code::NAMESPACE_EXISTS,
                    ..
                },
            ) => error,
            Err(error) => return Err(error),
        };
        let name = rawdoc! { "name": collection.name.as_str() };
        let (entries, _) = catalog::entries(&self.server, &collection.database, name).await?;
        let present = entries
            .first()
            .and_then(|entry| entry.get_document("options").ok());
        let is_equal = present.is_some_and(|present| {
            compare::differing_member(&collection.options, present, left_out).is_none()
        });
        if is_equal { Ok(()) } else { Err(error) }
    }

    /// Returns a writer into a created collection or time series.
    pub fn loader(&self, collection: &Collection) -> Loader {
        Loader::new(self.server.clone(), collection)
    }

    /// Builds all secondary indexes but those that expire documents, in one command.
    pub async fn build_indexes(&self, collection: &Collection) -> Result<(), Error> {
        self.create_indexes(collection, |index| !expires(index))
            .await
    }

    /// Lets documents expire, after verification: builds TTL indexes, sets `expireAfterSeconds`.
    pub async fn finish_collection(&self, collection: &Collection) -> Result<(), Error> {
        if collection.kind == CollectionKind::View {
            return Ok(());
        }
        self.create_indexes(collection, expires).await?;
        let Ok(Some(seconds)) = collection.options.get(EXPIRY) else {
            return Ok(());
        };
        let mut command = rawdoc! { "collMod": collection.name.as_str() };
        command.append(cstr!("expireAfterSeconds"), seconds);
        let doing = || format!("let documents of {} expire", collection.namespace());
        self.server
            .run(&collection.database, command, doing)
            .await
            .map(drop)
    }

    async fn create_indexes(
        &self,
        collection: &Collection,
        wanted: fn(&RawDocument) -> bool,
    ) -> Result<(), Error> {
        let has_collation = matches!(collection.options.get(COLLATION), Ok(Some(_)));
        let mut indexes = Vec::new();
        for index in &collection.indexes {
            if index_name(index) != ID_INDEX && wanted(index) {
                let mut index =
                    without(index, &["ns"]).map_err(|what| invalid(collection, what))?;
                // `listIndexes` shows no collation for the simple one, and an index that is made
                // without any takes its collection's (seen on 6.0.5).
                if has_collation && !matches!(index.get(COLLATION), Ok(Some(_))) {
                    index.append(cstr!("collation"), rawdoc! { "locale": "simple" });
                }
                indexes.push(index);
            }
        }
        if indexes.is_empty() {
            return Ok(());
        }
        let head = rawdoc! { "createIndexes": collection.name.as_str() };
        let mut builder = Builder::after(head, 256 * indexes.len());
        let raw: Vec<&[u8]> = indexes.iter().map(|index| index.as_bytes()).collect();
        builder.documents("indexes", &raw);
        let doing = || format!("build the indexes of {}", collection.namespace());
        let built = self
            .server
            .run(&collection.database, builder.finish(), doing)
            .await;
        match built {
            // The server's words quote the value that is there twice.
            Err(Error::Command {
                doing,
                code: code @ code::DUPLICATE_KEY,
                name,
                ..
            }) => {
                let message = "a unique index finds a value twice".to_owned();
                Err(Error::Command {
                    doing,
                    code,
                    name,
                    message,
                    transient: false,
                })
            }
            other => other.map(drop),
        }
    }

    /// Reads a restored collection back for verification, with read concern `majority`: call
    /// [`Target::barrier`] before, or the last writes may not be seen.
    pub fn read_back(&self, collection: &Collection) -> ScanStream {
        if collection.kind == CollectionKind::View {
            return scan::nothing();
        }
        let at = if self.standalone {
            ReadAt::Now
        } else {
            ReadAt::Majority
        };
        scan::stream(Scan::by_name(self.server.clone(), collection, at))
    }

    /// Compares the target's catalog with `expected`; empty means equal.
    pub async fn compare_catalog(&self, expected: &Catalog) -> Result<Vec<Difference>, Error> {
        Ok(expected.differences(&self.catalog().await?))
    }

    /// Returns the catalog of all user databases of the target, as it is now.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        Ok(catalog::list(&self.server).await?.catalog)
    }

    /// Waits until everything written so far is on a majority of the members and journaled.
    /// Returns a time that is not earlier than any of it; a standalone server has none.
    pub async fn barrier(&self) -> Result<Option<ClusterTime>, Error> {
        guard::confirm(&self.server, &self.job).await
    }

    /// Fails with [`Error::TargetTaken`] unless this restore, and no other, holds the target.
    pub async fn held(&self) -> Result<(), Error> {
        guard::check(&self.server, &self.job).await
    }

    /// Removes the marker: the target is whole. Call it last.
    pub async fn release(&self) -> Result<(), Error> {
        self.barrier().await?;
        self.held().await?;
        guard::remove(&self.server, &self.job).await
    }
}

fn invalid(collection: &Collection, what: crate::raw::Malformed) -> Error {
    Error::InvalidInput {
        namespace: collection.namespace(),
        what: what.0.to_owned(),
    }
}

/// Tells whether an index, or the options of a collection, let documents expire.
pub(crate) fn expires(index: &RawDocument) -> bool {
    matches!(index.get(EXPIRY), Ok(Some(_)))
}

/// Appends the elements of `document` byte by byte, but those named in `left_out`.
fn append_without(
    builder: &mut Builder,
    document: &RawDocument,
    left_out: &[&str],
) -> Result<(), crate::raw::Malformed> {
    let bytes = document.as_bytes();
    for element in Elements::of(bytes)? {
        let element = element?;
        if !left_out.iter().any(|name| name.as_bytes() == element.name) {
            builder.element(&bytes[element.start..element.end]);
        }
    }
    Ok(())
}

fn without(
    document: &RawDocument,
    left_out: &[&str],
) -> Result<RawDocumentBuf, crate::raw::Malformed> {
    let mut builder = Builder::after(rawdoc! {}, document.as_bytes().len());
    append_without(&mut builder, document, left_out)?;
    Ok(builder.finish())
}
