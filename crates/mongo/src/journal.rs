//! What a restore loads under which names of its own, written down on the target itself.
//!
//! The journal is durable before the first collection that it names is made, so that a crash at
//! any point leaves nothing that it doesn't name. The names are ones that neither the target nor
//! the snapshot has: a collection that merely looks like ours is somebody's data.
use std::collections::HashSet;

use bson::spec::BinarySubtype;
use bson::{Binary, RawDocument, RawDocumentBuf, rawdoc};

use crate::catalog::STORED_FUNCTIONS;
use crate::guard::{MARKER_DATABASE, durable};
use crate::server::{Server, code};
use crate::{Catalog, Collection, Error};

/// A collection that is loaded under another name before it takes its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Position in the journal.
    pub(crate) number: i32,
    /// The database of both names.
    pub database: String,
    /// The name under which it is loaded.
    pub beside: String,
    /// The name that it takes.
    pub name: String,
    /// UUID of what was loaded; known once everything was proved.
    pub(crate) uuid: Option<[u8; 16]>,
}

impl Move {
    /// Tells whether `collection` is what takes its name by this.
    pub fn is_of(&self, collection: &Collection) -> bool {
        self.database == collection.database && self.name == collection.name
    }
}

/// What the name of every collection that is loaded beside begins with.
const PREFIX: &str = "__regrow_";
/// How much of a job's name goes into a collection's: namespaces have 255 bytes, before 4.4 120.
const JOB_CHARS: usize = 12;
/// How many entries are written by one command.
const ENTRIES_MAX: usize = 1000;

/// Returns the end of a job's name, which is its random part.
fn short(job: &str) -> &str {
    &job[job.len().saturating_sub(JOB_CHARS)..]
}

/// Returns the name under which a database's stored functions wait for being dropped.
pub(crate) fn aside(job: &str) -> String {
    format!("{PREFIX}{}_aside", short(job))
}

/// Picks a name for each collection that nothing else has.
pub(crate) fn plan(job: &str, wanted: &[Collection], present: &Catalog) -> Vec<Move> {
    let here = present.collections.iter().chain(wanted);
    let taken: HashSet<(&str, &str)> = here
        .map(|collection| (collection.database.as_str(), collection.name.as_str()))
        .collect();
    let short = short(job);
    let mut free = 0_u64;
    let mut moves = Vec::with_capacity(wanted.len());
    for (number, collection) in (0..).zip(wanted) {
        let beside = loop {
            let name = format!("{PREFIX}{short}_{free}");
            free += 1;
            if !taken.contains(&(collection.database.as_str(), name.as_str())) {
                break name;
            }
        };
        moves.push(Move {
            number,
            database: collection.database.clone(),
            beside,
            name: collection.name.clone(),
            uuid: None,
        });
    }
    moves
}

/// Writes the journal of `job`, durably, over what there was of it.
pub(crate) async fn write(server: &Server, job: &str, moves: &[Move]) -> Result<(), Error> {
    let doing = || "write the journal of a restore".to_owned();
    for part in moves.chunks(ENTRIES_MAX) {
        let mut updates = bson::RawArrayBuf::new();
        for one in part {
            let (query, entry) = (rawdoc! { "_id": one.number }, entry(one));
            updates.push(rawdoc! { "q": query, "u": entry, "upsert": true });
        }
        let command = rawdoc! { "update": job, "updates": updates, "writeConcern": durable() };
        let reply = server.run_retried(MARKER_DATABASE, &command, doing).await?;
        let written = reply
            .get_i32("n")
            .ok()
            .and_then(|n| usize::try_from(n).ok());
        if written != Some(part.len()) || reply.contains_key("writeErrors") {
            return Err(Error::InvalidReply {
                doing: doing(),
                what: "not every entry was written".to_owned(),
            });
        }
    }
    Ok(())
}

/// Returns the journal of `job` in its order; empty where there is none.
pub(crate) async fn read(server: &Server, job: &str) -> Result<Vec<Move>, Error> {
    let doing = || "read the journal of a restore".to_owned();
    let find = rawdoc! {
        "find": job,
        "filter": { "_id": { "$type": "int" } },
        "sort": { "_id": 1 },
    };
    let (entries, _) = server.collect(MARKER_DATABASE, find, doing).await?;
    let moves = entries.iter().map(|entry| parse(entry));
    moves
        .collect::<Option<_>>()
        .ok_or_else(|| Error::InvalidReply {
            doing: doing(),
            what: "an entry is not one of ours".to_owned(),
        })
}

async fn clear(server: &Server, job: &str) -> Result<(), Error> {
    let command = rawdoc! {
        "delete": job,
        "deletes": [{ "q": { "_id": { "$type": "int" } }, "limit": 0 }],
        "writeConcern": durable(),
    };
    let doing = || "clear the journal of a restore".to_owned();
    server.run(MARKER_DATABASE, command, doing).await.map(drop)
}

/// Drops everything that the journal of `job` names, as far as it is there, and forgets it.
pub(crate) async fn undo(server: &Server, job: &str) -> Result<(), Error> {
    match drop_named(server, job).await? {
        0 => Ok(()),
        _ => clear(server, job).await,
    }
}

/// Drops everything that the journal of `job` names, as far as it is there; returns how many names
/// it has.
pub(crate) async fn drop_named(server: &Server, job: &str) -> Result<usize, Error> {
    let moves = read(server, job).await?;
    for one in &moves {
        drop_collection(server, &one.database, &one.beside).await?;
        if one.name == STORED_FUNCTIONS {
            drop_collection(server, &one.database, &aside(job)).await?;
        }
    }
    Ok(moves.len())
}

/// Drops a collection, view or time series; fine where there is none.
pub(crate) async fn drop_collection(
    server: &Server,
    database: &str,
    name: &str,
) -> Result<(), Error> {
    let command = rawdoc! { "drop": name };
    let doing = || format!("drop {database}.{name}");
    match server.run_retried(database, &command, doing).await {
        Ok(_)
        | Err(Error::Command {
            code: code::NAMESPACE_NOT_FOUND,
            ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn entry(one: &Move) -> RawDocumentBuf {
    let mut entry = rawdoc! {
        "_id": one.number,
        "database": one.database.as_str(),
        "beside": one.beside.as_str(),
        "name": one.name.as_str(),
    };
    if let Some(uuid) = one.uuid {
        let uuid = Binary {
            subtype: BinarySubtype::Uuid,
            bytes: uuid.to_vec(),
        };
        entry.append(bson::cstr!("uuid"), uuid);
    }
    entry
}

fn parse(entry: &RawDocument) -> Option<Move> {
    let text = |name: &str| entry.get_str(name).ok().map(ToOwned::to_owned);
    Some(Move {
        number: entry.get_i32("_id").ok()?,
        database: text("database")?,
        beside: text("beside")?,
        name: text("name")?,
        uuid: entry
            .get_binary("uuid")
            .ok()
            .and_then(|uuid| uuid.bytes.try_into().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CollectionKind;

    fn named(name: &str) -> Collection {
        Collection {
            database: "d".to_owned(),
            name: name.to_owned(),
            kind: CollectionKind::Collection,
            uuid: None,
            options: rawdoc! {},
            id_index: None,
            indexes: vec![],
        }
    }

    #[test]
    fn no_name_is_one_that_the_target_or_the_snapshot_has() {
        let present = Catalog {
            collections: vec![named("__regrow_0123456789ab_1")],
        };
        let wanted = [named("a"), named("__regrow_0123456789ab_0"), named("b")];
        let moves = plan("ffff0123456789ab", &wanted, &present);
        let names: Vec<&str> = moves.iter().map(|one| one.beside.as_str()).collect();
        assert_eq!(
            names,
            [
                "__regrow_0123456789ab_2",
                "__regrow_0123456789ab_3",
                "__regrow_0123456789ab_4"
            ]
        );
        assert!(moves[1].is_of(&wanted[1]) && !moves[1].is_of(&wanted[0]));
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let mut one = plan("j", &[named("a")], &Catalog::default()).remove(0);
        assert_eq!(parse(&entry(&one)), Some(one.clone()));
        one.uuid = Some([7; 16]);
        assert_eq!(parse(&entry(&one)), Some(one));
        assert_eq!(parse(&rawdoc! { "_id": 1 }), None);
    }
}
