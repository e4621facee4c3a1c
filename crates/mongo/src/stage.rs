//! Loading beside what a target holds, and the flip by which it takes the names.
//!
//! Until [`Target::begin_flip`] nothing under a name that is not ours is touched, and
//! [`Target::undo`] leaves the target as it was. From then on there is only one way, forward:
//! every step of the flip may be done again. Nothing here relies on how a name looks; the journal
//! says what is ours. A server renames neither views nor time series, and takes nothing in place of
//! stored functions unless they were renamed away (seen on 6.0.5).
use std::collections::{BTreeMap, HashMap, HashSet};

use bson::rawdoc;

use crate::catalog::{self, STORED_FUNCTIONS};
use crate::guard::{self, Mark, Phase};
use crate::journal::{self, Move, drop_collection};
use crate::server::{Server, code};
use crate::target::Target;
use crate::{Catalog, Collection, CollectionKind, Error};

/// Where a restore that loads beside has to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With loading; nothing of an earlier attempt is left.
    Load,
    /// With the flip, which an earlier attempt of the same job had begun.
    Flip(Vec<Move>),
}

impl Collection {
    /// Returns the same collection under another name of its database.
    pub fn renamed(&self, name: &str) -> Collection {
        Collection {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// Tells whether a server can rename it: views and time series it cannot.
    pub fn can_be_renamed(&self) -> bool {
        self.kind == CollectionKind::Collection
    }
}

impl Target {
    /// Fails with [`Error::UnfinishedRestore`] where another restore left the target in parts, so
    /// that putting back less than everything would make it look whole.
    pub async fn require_whole(&self) -> Result<(), Error> {
        let marks = guard::marks(&self.server).await?;
        let in_parts = |mark: &&Mark| mark.job != *self.job && !mark.whole;
        match marks.iter().find(in_parts) {
            Some(mark) => Err(Error::UnfinishedRestore {
                job: mark.job.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Marks the target as one that is loaded beside, and takes it over from earlier restores.
    ///
    /// What they, or earlier attempts of this one, loaded beside is dropped; but where this one's
    /// flip had begun, nothing is touched and the flip is to be finished.
    pub async fn begin_beside(&self) -> Result<Beginning, Error> {
        let marks = guard::marks(&self.server).await?;
        let own = marks.iter().find(|mark| mark.job == *self.job);
        if own.is_some_and(|own| own.phase == Phase::Flipping) {
            let moves = journal::read(&self.server, &self.job).await?;
            self.end_others(&marks).await?;
            return Ok(Beginning::Flip(moves));
        }
        let mark = Mark {
            job: self.job.to_string(),
            phase: Phase::Loading,
            whole: marks.iter().all(|mark| mark.whole),
        };
        self.take_over(&marks, &mark).await?;
        Ok(Beginning::Load)
    }

    /// Places a marker, and drops what any job had loaded beside.
    pub(crate) async fn take_over(&self, marks: &[Mark], mark: &Mark) -> Result<(), Error> {
        guard::place(&self.server, mark).await?;
        journal::undo(&self.server, &self.job).await?;
        self.end_others(marks).await
    }

    async fn end_others(&self, marks: &[Mark]) -> Result<(), Error> {
        for other in marks.iter().filter(|mark| mark.job != *self.job) {
            journal::undo(&self.server, &other.job).await?;
            guard::remove(&self.server, &other.job).await?;
        }
        Ok(())
    }

    /// Picks names beside for `wanted`, which must all be ones that can be renamed, and writes them
    /// down durably. Fails where a database's name differs from one that is there by case only:
    /// a server takes just one of them.
    pub async fn stage(
        &self,
        wanted: &[Collection],
        present: &Catalog,
    ) -> Result<Vec<Move>, Error> {
        self.held().await?;
        present.require_no_clash(wanted)?;
        let moves = journal::plan(&self.job, wanted, present);
        journal::write(&self.server, &self.job, &moves).await?;
        Ok(moves)
    }

    /// Drops what was loaded beside, and still knows of it: for [`undo`](Self::undo) to do it
    /// again, once nothing is under way. Only while the restore holds the target and has not begun
    /// its flip.
    pub async fn drop_beside(&self) -> Result<(), Error> {
        self.held().await?;
        let marks = guard::marks(&self.server).await?;
        let own = marks.iter().find(|mark| mark.job == *self.job);
        if own.is_some_and(|own| own.phase == Phase::Loading) {
            journal::drop_named(&self.server, &self.job).await?;
        }
        Ok(())
    }

    /// Drops what was loaded beside and, where the target is whole without it, removes the marker.
    /// Returns whether the target is as it was before the restore, and whole.
    pub async fn undo(&self) -> Result<bool, Error> {
        let marks = guard::marks(&self.server).await?;
        let Some(own) = marks.iter().find(|mark| mark.job == *self.job) else {
            return Err(Error::TargetTaken {
                job: self.job.to_string(),
            });
        };
        if own.phase != Phase::Loading {
            return Ok(false);
        }
        journal::undo(&self.server, &self.job).await?;
        if own.whole && marks.len() == 1 {
            guard::remove(&self.server, &self.job).await?;
        }
        Ok(own.whole)
    }

    /// Drops what was loaded beside and removes the marker, although the restore did not end well:
    /// for one that leaves every document either as it was or as it should be.
    pub async fn give_up(&self) -> Result<(), Error> {
        self.held().await?;
        journal::undo(&self.server, &self.job).await?;
        guard::remove(&self.server, &self.job).await
    }

    /// Says that everything beside is whole and proved. There is no way back from here.
    pub async fn begin_flip(&self, moves: &mut [Move]) -> Result<(), Error> {
        self.held().await?;
        self.identify(moves).await?;
        journal::write(&self.server, &self.job, moves).await?;
        let mark = Mark {
            job: self.job.to_string(),
            phase: Phase::Flipping,
            whole: false,
        };
        guard::place(&self.server, &mark).await
    }

    /// Tells whether an earlier attempt of this job had begun its flip.
    pub async fn is_flipping(&self) -> Result<bool, Error> {
        let marks = guard::marks(&self.server).await?;
        let is_own = |mark: &&Mark| mark.job == *self.job;
        Ok(marks.iter().find(is_own).map(|own| own.phase) == Some(Phase::Flipping))
    }

    /// Notes what each collection beside is, so that it can be told once it has its name; fails
    /// where one is gone.
    pub async fn identify(&self, moves: &mut [Move]) -> Result<(), Error> {
        let mut by_database: BTreeMap<String, Vec<&mut Move>> = BTreeMap::new();
        for one in moves.iter_mut() {
            by_database
                .entry(one.database.clone())
                .or_default()
                .push(one);
        }
        for (database, moves) in by_database {
            let uuids = uuids(&self.server, &database).await?;
            for one in moves {
                one.uuid = uuids.get(&one.beside).copied();
                if one.uuid.is_none() {
                    return Err(Error::Displaced {
                        namespace: format!("{database}.{}", one.beside),
                    });
                }
            }
        }
        Ok(())
    }

    /// Lets a collection take its name from whatever has it. Doing it again is fine; not durable
    /// before [`Target::barrier`].
    pub async fn flip(&self, one: &Move) -> Result<(), Error> {
        let functions = one.name == STORED_FUNCTIONS;
        let found = entry_types(&self.server, &one.database, &[&one.beside, &one.name]).await?;
        if found.contains_key(&one.beside) {
            match found.get(&one.name).map(String::as_str) {
                Some(_) if functions => self.put_functions_aside(&one.database).await?,
                None | Some("collection") => {}
                Some(_) => drop_collection(&self.server, &one.database, &one.name).await?,
            }
            let onto = Onto::Whatever;
            rename(&self.server, &one.database, &one.beside, &one.name, onto).await?;
        }
        if functions {
            let aside = journal::aside(&self.job);
            drop_collection(&self.server, &one.database, &aside).await?;
        }
        Ok(())
    }

    /// Lets a collection take a name that nothing had when it was staged. Fails, and leaves both as
    /// they are, where something has it by now: that is somebody else's. Doing it again is fine;
    /// not durable before [`Target::barrier`].
    pub async fn take_free_name(&self, one: &Move) -> Result<(), Error> {
        let onto = Onto::Nothing;
        rename(&self.server, &one.database, &one.beside, &one.name, onto).await
    }

    /// Fails unless each collection that was loaded beside has its name now.
    pub async fn require_flipped(&self, moves: &[Move]) -> Result<(), Error> {
        let mut by_database: BTreeMap<&str, Vec<&Move>> = BTreeMap::new();
        for one in moves {
            by_database.entry(&one.database).or_default().push(one);
        }
        for (database, moves) in by_database {
            let uuids = uuids(&self.server, database).await?;
            for one in moves {
                if one.uuid.is_none() || uuids.get(&one.name) != one.uuid.as_ref() {
                    return Err(Error::Displaced {
                        namespace: format!("{database}.{}", one.name),
                    });
                }
            }
        }
        Ok(())
    }

    /// Drops everything that is not in `wanted`, but nothing that was loaded beside; returns what
    /// was dropped.
    pub async fn drop_others(
        &self,
        wanted: &Catalog,
        moves: &[Move],
    ) -> Result<Vec<String>, Error> {
        self.held().await?;
        let present = catalog::list(&self.server).await?.catalog;
        let kept: HashSet<&str> = wanted.databases().into_iter().collect();
        let mut dropped = Vec::new();
        for database in catalog::databases(&self.server).await? {
            if !kept.contains(database.as_str()) {
                self.drop_database(&database).await?;
            }
        }
        for collection in &present.collections {
            let is_beside = moves
                .iter()
                .any(|one| one.database == collection.database && one.beside == collection.name);
            let (database, name) = (&collection.database, &collection.name);
            if is_beside || wanted.find(database, name).is_some() {
                continue;
            }
            if kept.contains(database.as_str()) {
                self.remove(collection).await?;
            }
            dropped.push(collection.namespace());
        }
        Ok(dropped)
    }

    /// Drops a collection, view or time series under its own name; fine where there is none.
    pub async fn remove(&self, collection: &Collection) -> Result<(), Error> {
        let (database, name) = (&collection.database, &collection.name);
        if name != STORED_FUNCTIONS {
            return drop_collection(&self.server, database, name).await;
        }
        // No server drops these, unless they have another name.
        self.put_functions_aside(database).await?;
        drop_collection(&self.server, database, &journal::aside(&self.job)).await
    }

    /// Renames stored functions away; fine where there are none.
    async fn put_functions_aside(&self, database: &str) -> Result<(), Error> {
        let aside = journal::aside(&self.job);
        let onto = Onto::Whatever;
        rename(&self.server, database, STORED_FUNCTIONS, &aside, onto).await
    }
}

impl Catalog {
    /// Fails where a database of `wanted` would have to be beside one of these whose name differs
    /// by case only: a server takes just one of them.
    pub fn require_no_clash<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a Collection>,
    ) -> Result<(), Error> {
        let there: HashMap<String, &str> = self
            .databases()
            .into_iter()
            .map(|name| (name.to_ascii_lowercase(), name))
            .collect();
        for collection in wanted {
            let name = &collection.database;
            match there.get(&name.to_ascii_lowercase()) {
                Some(other) if other != name => {
                    return Err(Error::NameClash {
                        database: name.clone(),
                        other: (*other).to_owned(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What may have the name that a collection takes.
#[derive(Clone, Copy)]
enum Onto {
    /// Another collection, which is dropped.
    Whatever,
    Nothing,
}

/// Renames within a database; fine where there is nothing to rename.
async fn rename(
    server: &Server,
    database: &str,
    from: &str,
    to: &str,
    onto: Onto,
) -> Result<(), Error> {
    let command = rawdoc! {
        "renameCollection": format!("{database}.{from}"),
        "to": format!("{database}.{to}"),
        "dropTarget": matches!(onto, Onto::Whatever),
    };
    let doing = || format!("rename {database}.{from} to {to}");
    match server.run_retried("admin", &command, doing).await {
        Ok(_)
        | Err(Error::Command {
            code: code::NAMESPACE_NOT_FOUND,
            ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns the UUIDs of a database's collections by name.
async fn uuids(server: &Server, database: &str) -> Result<BTreeMap<String, [u8; 16]>, Error> {
    let (entries, _) = catalog::entries(server, database, rawdoc! {}).await?;
    let pair = |entry: &bson::RawDocumentBuf| {
        let name = entry.get_str("name").ok()?.to_owned();
        Some((name, catalog::uuid(entry)?))
    };
    Ok(entries.iter().filter_map(pair).collect())
}

/// Returns which of these names a database has, and what each is.
async fn entry_types(
    server: &Server,
    database: &str,
    names: &[&str],
) -> Result<BTreeMap<String, String>, Error> {
    let list: bson::RawArrayBuf = names.iter().copied().collect();
    let filter = rawdoc! { "name": { "$in": list } };
    let (entries, _) = catalog::entries(server, database, filter).await?;
    let pair = |entry: &bson::RawDocumentBuf| {
        let text = |member| entry.get_str(member).ok().map(ToOwned::to_owned);
        Some((text("name")?, text("type")?))
    };
    Ok(entries.iter().filter_map(pair).collect())
}
