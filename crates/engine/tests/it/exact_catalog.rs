//! The catalog at any time, folded from the commands in the oplog of a server whose oplog still
//! has its beginning. It must never ask the server for its catalog: that is what it is to prove.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use futures::TryStreamExt;
use mongodb::Client;
use mongodb::bson::{Bson, Document, RawDocument, Timestamp, doc};
use mongodb::options::{CollectionOptions, ReadConcern};
use vault::CollectionManifest;

/// Databases that belong to the server itself.
const SERVER_DATABASES: [&str; 3] = ["admin", "config", "local"];
/// The database in which the product marks its targets.
const MARKER_DATABASE: &str = "__regrow_restore";

type Uuid = [u8; 16];

/// A collection as the oplog tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Database and name of what holds the documents.
    pub(crate) namespace: String,
    /// Names of the indexes that don't come with a collection.
    pub(crate) indexes: BTreeSet<String>,
}

impl Known {
    /// Returns what a snapshot tells of a collection.
    pub(crate) fn stored(entry: &CollectionManifest) -> Self {
        let prefix = match entry.kind.as_str() {
            "timeseries" => "system.buckets.",
            _ => "",
        };
        let indexes = entry.indexes.iter().filter_map(|index| {
            let index = RawDocument::from_bytes(index).ok()?;
            let is_own = index.get_bool("clustered").unwrap_or(false);
            let name = index.get_str("name").ok()?.to_owned();
            (!is_own && name != "_id_").then_some(name)
        });
        Self {
            namespace: format!("{}.{prefix}{}", entry.database, entry.name),
            indexes: indexes.collect(),
        }
    }
}

/// A change of the catalog.
#[derive(Clone, Debug)]
enum Event {
    Create {
        uuid: Uuid,
        namespace: String,
        is_temporary: bool,
    },
    Drop {
        uuid: Uuid,
    },
    Rename {
        uuid: Uuid,
        to: String,
        onto: Option<Uuid>,
        stays_temporary: bool,
    },
    IndexesBuilt {
        uuid: Uuid,
        names: Vec<String>,
    },
    IndexDropped {
        uuid: Uuid,
        name: String,
    },
}

/// All changes that were read so far.
#[derive(Default)]
pub(crate) struct CatalogLog {
    events: Vec<(Timestamp, Event)>,
    read_up_to: Option<Timestamp>,
    /// Changes of transactions whose last entry is still to come, by session and number.
    open: BTreeMap<String, Vec<Event>>,
}

/// The catalog at one time.
#[derive(Default)]
pub(crate) struct CatalogAt {
    collections: BTreeMap<Uuid, Known>,
    temporary: BTreeSet<Uuid>,
}

impl CatalogLog {
    /// Reads what the oplog has got since the last time.
    pub(crate) async fn read_on(&mut self, client: &Client) -> anyhow::Result<()> {
        // What a majority has not got may yet be rolled back.
        let options = CollectionOptions::builder().read_concern(ReadConcern::majority());
        let local = client.database("local");
        let oplog = local.collection_with_options::<Document>("oplog.rs", options.build());
        if self.read_up_to.is_none() {
            let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await?;
            let first = first.context("the oplog is empty")?;
            let begins = first.get_document("o")?.get_str("msg");
            ensure!(
                begins.is_ok_and(|begins| begins == "initiating set"),
                "the oplog has lost its beginning"
            );
            self.read_up_to = Some(Timestamp {
                time: 0,
                increment: 0,
            });
        }
        let last = oplog
            .find_one(doc! {})
            .sort(doc! { "$natural": -1 })
            .await?;
        let up_to = last.context("the oplog is empty")?.get_timestamp("ts")?;
        let after = self.read_up_to.context("it was set")?;
        let commands = doc! { "op": "c", "ts": { "$gt": after, "$lte": up_to } };
        let mut cursor = oplog.find(commands).await?;
        while let Some(entry) = cursor.try_next().await? {
            self.take(&entry).with_context(|| format!("{entry}"))?;
        }
        self.read_up_to = Some(up_to);
        Ok(())
    }

    fn take(&mut self, entry: &Document) -> anyhow::Result<()> {
        let time = entry.get_timestamp("ts")?;
        let command = entry.get_document("o")?;
        let Ok(operations) = command.get_array("applyOps") else {
            if let Some(event) = event(entry)? {
                self.events.push((time, event));
            }
            return Ok(());
        };
        // A transaction may be a chain of entries; all of it happens with the last one.
        let session = format!("{:?} {:?}", entry.get("lsid"), entry.get("txnNumber"));
        let mut events = self.open.remove(&session).unwrap_or_default();
        for operation in operations.iter().filter_map(Bson::as_document) {
            if operation.get_str("op").is_ok_and(|op| op == "c") {
                events.extend(event(operation)?);
            }
        }
        if command.get_bool("partialTxn").unwrap_or(false) {
            self.open.insert(session, events);
        } else {
            self.events
                .extend(events.into_iter().map(|event| (time, event)));
        }
        Ok(())
    }

    /// Returns the catalog at a time that the oplog was read up to.
    pub(crate) fn at(&self, time: Timestamp) -> anyhow::Result<CatalogAt> {
        ensure!(
            Some(time) <= self.read_up_to,
            "the oplog was not read up to {time:?}"
        );
        let mut catalog = CatalogAt::default();
        let until = self.events.iter().take_while(|(at, _)| *at <= time);
        until.for_each(|(_, event)| catalog.apply(event.clone()));
        Ok(catalog)
    }
}

impl CatalogAt {
    /// Returns the users' collections, by UUID.
    pub(crate) fn collections(&self) -> BTreeMap<Uuid, Known> {
        let all = self.collections.iter();
        let users = all.filter(|(uuid, known)| {
            let (database, name) = split(&known.namespace);
            let is_internal = name.starts_with("system.")
                && name != "system.js"
                && !name.starts_with("system.buckets.");
            !is_internal && is_users(database) && !self.temporary.contains(*uuid)
        });
        users.map(|(uuid, known)| (*uuid, known.clone())).collect()
    }

    /// Returns, by database, the collection in which its views are described.
    pub(crate) fn holders_of_views(&self) -> Vec<(String, Uuid)> {
        let all = self.collections.iter();
        let holders = all.filter_map(|(uuid, known)| {
            let (database, name) = split(&known.namespace);
            let is_holder = name == "system.views" && is_users(database);
            is_holder.then(|| (database.to_owned(), *uuid))
        });
        holders.collect()
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Create {
                uuid,
                namespace,
                is_temporary,
            } => {
                let indexes = BTreeSet::new();
                self.collections.insert(uuid, Known { namespace, indexes });
                self.set_temporary(uuid, is_temporary);
            }
            Event::Drop { uuid } => {
                self.collections.remove(&uuid);
            }
            Event::Rename {
                uuid,
                to,
                onto,
                stays_temporary,
            } => {
                if let Some(onto) = onto {
                    self.collections.remove(&onto);
                }
                if let Some(known) = self.collections.get_mut(&uuid) {
                    known.namespace = to;
                }
                self.set_temporary(uuid, stays_temporary);
            }
            Event::IndexesBuilt { uuid, names } => {
                if let Some(known) = self.collections.get_mut(&uuid) {
                    known.indexes.extend(names);
                }
            }
            Event::IndexDropped { uuid, name } => {
                if let Some(known) = self.collections.get_mut(&uuid) {
                    known.indexes.remove(&name);
                }
            }
        }
    }

    fn set_temporary(&mut self, uuid: Uuid, is_temporary: bool) {
        if is_temporary {
            self.temporary.insert(uuid);
        } else {
            self.temporary.remove(&uuid);
        }
    }
}

/// Reads one command of the oplog; none where it changes nothing that is told here.
fn event(entry: &Document) -> anyhow::Result<Option<Event>> {
    let command = entry.get_document("o")?;
    let uuid = || uuid(entry.get("ui")).context("it has no UUID");
    let (name, value) = command.iter().next().context("an empty command")?;
    let database = split(entry.get_str("ns")?).0;
    let event = match name.as_str() {
        "create" => Event::Create {
            uuid: uuid()?,
            namespace: format!("{database}.{}", value.as_str().context("a name")?),
            is_temporary: command.get_bool("temp").unwrap_or(false),
        },
        "drop" => Event::Drop { uuid: uuid()? },
        "renameCollection" => Event::Rename {
            uuid: uuid()?,
            to: command.get_str("to")?.to_owned(),
            onto: self::uuid(command.get("dropTarget")),
            stays_temporary: command.get_bool("stayTemp").unwrap_or(false),
        },
        "createIndexes" => Event::IndexesBuilt {
            uuid: uuid()?,
            names: vec![command.get_str("name")?.to_owned()],
        },
        "commitIndexBuild" => {
            let indexes = command.get_array("indexes")?.iter();
            let names = indexes.filter_map(|index| index.as_document()?.get_str("name").ok());
            Event::IndexesBuilt {
                uuid: uuid()?,
                names: names.map(str::to_owned).collect(),
            }
        }
        "dropIndexes" | "deleteIndexes" | "dropIndex" => Event::IndexDropped {
            uuid: uuid()?,
            name: command.get_str("index")?.to_owned(),
        },
        // The collections of a database are dropped one by one before.
        "dropDatabase" | "collMod" | "startIndexBuild" | "abortIndexBuild"
        | "commitTransaction" | "abortTransaction" => return Ok(None),
        other => anyhow::bail!("{other} is not known here"),
    };
    Ok(Some(event))
}

fn uuid(value: Option<&Bson>) -> Option<Uuid> {
    match value? {
        Bson::Binary(binary) => binary.bytes.clone().try_into().ok(),
        _ => None,
    }
}

fn split(namespace: &str) -> (&str, &str) {
    namespace.split_once('.').unwrap_or((namespace, ""))
}

fn is_users(database: &str) -> bool {
    !SERVER_DATABASES.contains(&database) && database != MARKER_DATABASE
}
