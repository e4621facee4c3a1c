//! Databases, collections, options, indexes and UUIDs, verbatim and in a stable order.
use bson::{RawDocument, RawDocumentBuf, rawdoc};
use futures::StreamExt;

use crate::guard::MARKER_DATABASE;
use crate::server::Server;
use crate::{ClusterTime, Error};

/// Every user collection of a deployment (`admin`, `config` and `local` are not among them), by
/// database and then by name, both in byte order.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The collections, views and time series.
    pub collections: Vec<Collection>,
}

/// A collection, view or time series as `listCollections` and `listIndexes` describe it.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Name of the database.
    pub database: String,
    /// Name of the collection, without the database; any characters, newlines and dots included.
    pub name: String,
    /// What it is.
    pub kind: CollectionKind,
    /// UUID of the collection that holds the documents: for a time series that of its
    /// `system.buckets` collection, for a view none.
    pub uuid: Option<[u8; 16]>,
    /// `options` of `listCollections`, verbatim.
    pub options: RawDocumentBuf,
    /// `idIndex` of `listCollections`, verbatim; none for views, time series and clustered ones.
    pub id_index: Option<RawDocumentBuf>,
    /// Documents of `listIndexes`, verbatim, the `_id` index among them; empty for views.
    pub indexes: Vec<RawDocumentBuf>,
}

/// What a catalog entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CollectionKind {
    /// Holds documents; capped and clustered collections are of this kind.
    Collection,
    /// Holds none: a pipeline over another namespace.
    View,
    /// A time series; what is read and written are the raw documents of its buckets.
    Timeseries,
}

impl Catalog {
    /// Returns the names of the databases, each once, in order.
    pub fn databases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .collections
            .iter()
            .map(|collection| collection.database.as_str())
            .collect();
        names.dedup();
        names
    }

    /// Returns the entry of a namespace, if there is one.
    pub fn find(&self, database: &str, name: &str) -> Option<&Collection> {
        self.collections
            .iter()
            .find(|collection| collection.database == database && collection.name == name)
    }
}

impl Collection {
    /// Returns database and name with a dot between them.
    pub fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Returns the name of the collection that holds the documents.
    pub fn storage_name(&self) -> String {
        match self.kind {
            CollectionKind::Timeseries => format!("{BUCKETS_PREFIX}{}", self.name),
            CollectionKind::Collection | CollectionKind::View => self.name.clone(),
        }
    }

    /// Tells whether the collection is capped: its documents have an order, and it refuses
    /// snapshot reads.
    pub fn is_capped(&self) -> bool {
        self.options.get_bool("capped").unwrap_or(false)
    }
}

impl Collection {
    /// Tells whether the documents are stored by their `_id`, without an index of it: clustered
    /// collections, and the buckets of time series. Reading one of them by its `_id` takes a
    /// command of its own.
    pub fn is_clustered(&self) -> bool {
        self.kind == CollectionKind::Timeseries
            || self.options.get_document("clusteredIndex").is_ok()
    }
}

/// Where the server keeps the documents of a time series.
const BUCKETS_PREFIX: &str = "system.buckets.";
/// The databases that belong to the server, not to its users.
const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];
/// The only collection of a user database whose name begins with `system.` and that users fill.
pub(crate) const STORED_FUNCTIONS: &str = "system.js";
/// How many `listIndexes` are under way at a time.
const LISTS_AT_A_TIME: usize = 8;

/// A catalog as read, and the operation time that the server had reached by the last reply.
pub(crate) struct Listing {
    pub(crate) catalog: Catalog,
    pub(crate) time: Option<ClusterTime>,
}

/// Returns the names of the user databases in byte order, ours not among them.
pub(crate) async fn databases(server: &Server) -> Result<Vec<String>, Error> {
    // With `authorizedDatabases: false` a user who may not see all of them gets an error instead
    // of a silent selection.
    let command = rawdoc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": false };
    let doing = || "list the databases".to_owned();
    let reply = server.run("admin", command, doing).await?;
    let listed = reply
        .get_array("databases")
        .map_err(|_| Error::InvalidReply {
            doing: doing(),
            what: "no databases".to_owned(),
        })?;
    let mut names: Vec<String> = listed
        .iter()
        .filter_map(|entry| entry.as_document()?.get_str("name").ok())
        .filter(|name| !SERVER_DATABASES.contains(name) && *name != MARKER_DATABASE)
        .map(ToOwned::to_owned)
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Returns the catalog as the server has it now, which may change between two replies.
pub(crate) async fn list(server: &Server) -> Result<Listing, Error> {
    let mut collections = Vec::new();
    let mut time = None;
    for database in databases(server).await? {
        let (entries, at) = entries(server, &database, rawdoc! {}).await?;
        time = time.max(at);
        let mut found = from_entries(&database, &entries)?;
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        collections.append(&mut found);
    }
    let mut listed = futures::stream::iter(collections)
        .map(|collection| with_indexes(server, collection))
        .buffered(LISTS_AT_A_TIME);
    let mut catalog = Catalog::default();
    while let Some(next) = listed.next().await {
        let (collection, at) = next?;
        time = time.max(at);
        catalog.collections.push(collection);
    }
    Ok(Listing { catalog, time })
}

/// Returns the raw entries of `listCollections` that match `filter`.
pub(crate) async fn entries(
    server: &Server,
    database: &str,
    filter: RawDocumentBuf,
) -> Result<(Vec<RawDocumentBuf>, Option<ClusterTime>), Error> {
    let command = rawdoc! { "listCollections": 1, "filter": filter };
    server
        .collect(database, command, || {
            format!("list the collections of {database}")
        })
        .await
}

/// Returns the UUID that a name stands for now, or none where it stands for nothing.
pub(crate) async fn uuid_of(
    server: &Server,
    database: &str,
    name: &str,
) -> Result<Option<[u8; 16]>, Error> {
    let (entries, _) = entries(server, database, rawdoc! { "name": name }).await?;
    Ok(entries.first().and_then(|entry| uuid(entry)))
}

/// Makes catalog entries out of those of `listCollections`, still without indexes.
fn from_entries(database: &str, entries: &[RawDocumentBuf]) -> Result<Vec<Collection>, Error> {
    let invalid = |what: &str| Error::InvalidReply {
        doing: format!("list the collections of {database}"),
        what: what.to_owned(),
    };
    let mut collections = Vec::new();
    for entry in entries {
        let name = entry
            .get_str("name")
            .map_err(|_| invalid("an entry has no name"))?;
        if name.starts_with("system.") && name != STORED_FUNCTIONS {
            continue;
        }
        let options = entry
            .get_document("options")
            .map_or_else(|_| rawdoc! {}, ToOwned::to_owned);
        if options.get_bool("temp").unwrap_or(false) {
            // What `$out` fills before it renames it: a server drops these itself when it starts,
            // and refuses to create one.
            continue;
        }
        let kind = match entry.get_str("type") {
            Ok("view") => CollectionKind::View,
            Ok("timeseries") => CollectionKind::Timeseries,
            Ok("collection") => CollectionKind::Collection,
            _ => return Err(invalid("an entry has an unknown type")),
        };
        let mut collection = Collection {
            database: database.to_owned(),
            name: name.to_owned(),
            kind,
            uuid: uuid(entry),
            options,
            id_index: entry.get_document("idIndex").ok().map(ToOwned::to_owned),
            indexes: Vec::new(),
        };
        if kind == CollectionKind::Timeseries {
            let buckets = collection.storage_name();
            let holder = entries
                .iter()
                .find(|entry| entry.get_str("name").is_ok_and(|name| name == buckets));
            collection.uuid = holder.and_then(|entry| uuid(entry));
        }
        collections.push(collection);
    }
    Ok(collections)
}

/// Returns the UUID of an entry of `listCollections`.
pub(crate) fn uuid(entry: &RawDocument) -> Option<[u8; 16]> {
    entry
        .get_document("info")
        .ok()?
        .get_binary("uuid")
        .ok()?
        .bytes
        .try_into()
        .ok()
}

/// Adds the raw index specifications; a view has none and refuses to list them.
///
/// Without being asked for the UUIDs of builds, a server lists an index that is still being built
/// as if it were there (seen on 6.0.5). It may never come to be: a unique one fails on duplicates,
/// and a snapshot with it could not be restored.
async fn with_indexes(
    server: &Server,
    mut collection: Collection,
) -> Result<(Collection, Option<ClusterTime>), Error> {
    if collection.kind == CollectionKind::View {
        return Ok((collection, None));
    }
    let command = rawdoc! { "listIndexes": collection.name.as_str(), "includeBuildUUIDs": true };
    let doing = || format!("list the indexes of {}", collection.namespace());
    let (indexes, time) = server.collect(&collection.database, command, doing).await?;
    let is_built = |index: &RawDocumentBuf| !matches!(index.get("buildUUID"), Ok(Some(_)));
    collection.indexes = indexes.into_iter().filter(is_built).collect();
    Ok((collection, time))
}
