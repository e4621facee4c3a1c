//! What an unfinished snapshot has stored already, so that its next attempt need not store it
//! again. It is no snapshot: nothing lists or restores it. Must never be taken for more than a list
//! of documents that are there, except where it says that its resume point covers a collection.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::envelope::{self, Form};
use crate::error::{Error, ErrorKind};
use crate::frame::FrameKind;
use crate::id::{PackId, SnapshotId};
use crate::keys::SealingRoot;
use crate::manifest::{ClusterTime, CollectionManifest};
use crate::repository::{Held, Inner};

/// What an unfinished snapshot has stored so far. The next attempt is written upon it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Checkpoint {
    /// Name that the snapshot will have.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// Counts the checkpoints of the snapshot, from 1; the highest one present is valid.
    #[n(1)]
    pub number: u32,
    /// When it was made, milliseconds since 1970.
    #[n(2)]
    pub created_at_ms: u64,
    /// Since when everything that the resume point covers was read whole, by the caller's clock in
    /// milliseconds since 1970.
    #[n(3)]
    pub scanned_at_ms: Option<u64>,
    /// Collections that were read to their end. *Exact* means that the resume point tells what was
    /// written to the collection since.
    #[n(4)]
    pub collections: Vec<CollectionManifest>,
    /// Of collections that were still being read, what was stored anew by attempts at this
    /// snapshot.
    #[n(5)]
    pub partial: Vec<CollectionManifest>,
    /// Every pack that it refers to, sorted.
    #[n(6)]
    pub packs: Vec<PackId>,
    /// What attempts at this snapshot have stored of it.
    #[n(7)]
    pub stored: Stored,
    /// Where following the source can go on from, in the caller's own form.
    #[cbor(n(8), with = "crate::cbor::optional_bytes", has_nil)]
    pub resume_point: Option<Vec<u8>>,
    /// Nothing in it was read later in the source's time; `None` where that is not known.
    #[n(9)]
    pub read_until: Option<ClusterTime>,
}

/// What attempts at one snapshot have stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stored {
    /// Documents that were new.
    #[n(0)]
    pub documents: u64,
    /// Their bytes.
    #[n(1)]
    pub bytes: u64,
    /// Blocks written.
    #[n(2)]
    pub blocks: u64,
    /// Bytes of the packs written.
    #[n(3)]
    pub stored_bytes: u64,
}

impl Checkpoint {
    /// Returns the checkpoint as one whose resume point is of no use any more: its documents are
    /// compared with, and everything is read again.
    pub fn without_point(mut self) -> Checkpoint {
        self.resume_point = None;
        for collection in &mut self.collections {
            collection.exact = false;
        }
        self
    }

    fn seal(&self, root: &SealingRoot, level: i32) -> Result<Bytes, Error> {
        let content = minicbor::to_vec(self).expect("a vector takes any CBOR");
        let name = object_name(self.snapshot, self.number);
        envelope::seal(root, FORM, &name, &content, level)
    }

    fn open(
        root: &SealingRoot,
        snapshot: SnapshotId,
        number: u32,
        object: &[u8],
    ) -> Result<Checkpoint, Error> {
        let name = object_name(snapshot, number);
        let content = envelope::open(root, FORM, &name, object)?;
        let checkpoint: Checkpoint = minicbor::decode(&content)
            .map_err(|error| Error::corrupt(&name, format!("it does not parse: {error}")))?;
        if (checkpoint.snapshot, checkpoint.number) != (snapshot, number) {
            return Err(Error::corrupt(&name, "it is of another snapshot"));
        }
        let mut collections = checkpoint.collections.iter().chain(&checkpoint.partial);
        if !collections.all(CollectionManifest::adds_up) {
            let reason = "a collection is not what its pages add up to";
            return Err(Error::corrupt(&name, reason));
        }
        Ok(checkpoint)
    }
}

const FORM: Form = Form {
    magic: b"RGRWCKPT",
    kind: FrameKind::Checkpoint,
};

const FOLDER: &str = "checkpoints";

/// Returns the name of the object that holds a checkpoint.
pub(crate) fn object_name(snapshot: SnapshotId, number: u32) -> String {
    format!("{FOLDER}/{snapshot}.{number}")
}

fn parse_object_name(name: &str) -> Option<(SnapshotId, u32)> {
    let rest = name.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let (snapshot, number) = rest.split_once('.')?;
    let parsed = (snapshot.parse().ok()?, number.parse().ok()?);
    (object_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// What lies among the checkpoints.
#[derive(Default)]
pub(crate) struct Present {
    /// The numbers of every snapshot's checkpoints, each sorted.
    pub(crate) numbers: BTreeMap<SnapshotId, Vec<u32>>,
    /// Names that this version gives to nothing.
    pub(crate) strange: Vec<String>,
}

/// Lists the checkpoints.
pub(crate) async fn list(repository: &Inner) -> Result<Present, Error> {
    let mut present = Present::default();
    for listed in repository.store.list(FOLDER).await? {
        match parse_object_name(&listed.name) {
            Some((id, number)) => present.numbers.entry(id).or_default().push(number),
            None => present.strange.push(listed.name),
        }
    }
    present
        .numbers
        .values_mut()
        .for_each(|numbers| numbers.sort_unstable());
    Ok(present)
}

/// How often another number is tried for a checkpoint whose number is taken.
const NUMBERS_TRIED: u32 = 8;

/// Numbers a checkpoint, makes it durable, and then deletes those before it. What cannot be deleted
/// goes with the next one. `_held` is what it refers to, which stays until that is done.
///
/// One whose writer was broken off may still appear: then this one gets the number behind it.
pub(crate) async fn put(
    repository: Arc<Inner>,
    _held: Held,
    mut checkpoint: Checkpoint,
    level: i32,
) -> Result<Checkpoint, Error> {
    let id = checkpoint.snapshot;
    for tried in 1.. {
        let before = list(&repository).await?.numbers.remove(&id);
        let before = before.unwrap_or_default();
        let number = before.last().copied().unwrap_or(0).checked_add(1);
        checkpoint.number = number.ok_or_else(|| Error::invalid("too many checkpoints"))?;
        let object = checkpoint.seal(&repository.sealing_root, level)?;
        let name = object_name(id, checkpoint.number);
        match repository.store.put_new(&name, vec![object]).await {
            Err(Error::Exists { .. }) if tried < NUMBERS_TRIED => continue,
            put => put?,
        }
        for number in before {
            delete(&repository, &object_name(id, number)).await;
        }
        break;
    }
    Ok(checkpoint)
}

/// Returns the newest checkpoint of a snapshot that can be read. Damaged ones cost a warning and
/// are left to [`put`] and [`discard`].
pub(crate) async fn newest(
    repository: &Inner,
    id: SnapshotId,
) -> Result<Option<Checkpoint>, Error> {
    let numbers = list(repository).await?.numbers.remove(&id);
    for number in numbers.unwrap_or_default().into_iter().rev() {
        match read(repository, id, number).await {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) if !is_unreadable(&error) => return Err(error),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a checkpoint cannot be read: what it says was stored is stored again"
            ),
        }
    }
    Ok(None)
}

/// Answers whether reading a checkpoint again would fail again.
fn is_unreadable(error: &Error) -> bool {
    error.is_damage() || error.kind() == ErrorKind::Unsupported
}

async fn read(repository: &Inner, id: SnapshotId, number: u32) -> Result<Checkpoint, Error> {
    let object = repository.store.get(&object_name(id, number)).await?;
    Checkpoint::open(&repository.sealing_root, id, number, &object)
}

/// Deletes all checkpoints of a snapshot, the oldest first: an interruption must not make an older
/// one the valid one.
pub(crate) async fn discard(repository: &Inner, id: SnapshotId) -> Result<(), Error> {
    let numbers = list(repository).await?.numbers.remove(&id);
    for number in numbers.unwrap_or_default() {
        repository.store.delete(&object_name(id, number)).await?;
    }
    Ok(())
}

async fn delete(repository: &Inner, name: &str) {
    if let Err(error) = repository.store.delete(name).await {
        tracing::warn!(
            object.name = name,
            error = &error as &dyn std::error::Error,
            "a checkpoint that is not needed any more stays for a while"
        );
    }
}

/// Reads all checkpoints; of one that cannot be read, why. Fails where the store does not answer.
pub(crate) async fn read_all(
    repository: &Inner,
) -> Result<Vec<(String, Result<Checkpoint, Error>)>, Error> {
    'again: loop {
        let present = list(repository).await?;
        let mut all = Vec::new();
        for (id, numbers) in present.numbers {
            for number in numbers {
                let found = read(repository, id, number).await;
                match &found {
                    // Replaced meanwhile, perhaps by one that refers to more.
                    Err(error) if error.kind() == ErrorKind::Missing => continue 'again,
                    Err(error) if !is_unreadable(error) => return Err(error.clone()),
                    _ => all.push((object_name(id, number), found)),
                }
            }
        }
        let strange = |name: String| {
            let error = Error::corrupt(&name, "this version gives no object such a name");
            (name, Err(error))
        };
        all.extend(present.strange.into_iter().map(strange));
        return Ok(all);
    }
}

/// Returns the packs that checkpoints refer to; `None` where one of them cannot be read, so that it
/// may be any.
pub(crate) async fn referenced(repository: &Inner) -> Result<Option<HashSet<PackId>>, Error> {
    let mut packs = HashSet::new();
    let mut known = true;
    for (name, found) in read_all(repository).await? {
        match found {
            Ok(checkpoint) => packs.extend(checkpoint.packs),
            Err(error) => {
                known = false;
                tracing::warn!(
                    object.name = name,
                    error = &error as &dyn std::error::Error,
                    "no pack is deleted while this checkpoint is there"
                );
            }
        }
    }
    Ok(known.then_some(packs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_format() {
        let id = SnapshotId([0xab; 12]);
        let name = object_name(id, 10);
        assert_eq!(name, "checkpoints/abababababababababababab.10");
        assert_eq!(parse_object_name(&name), Some((id, 10)));
        for other in [
            "checkpoints/abababababababababababab.01",
            "checkpoints/job",
            "snapshots/abababababababababababab.1",
        ] {
            assert_eq!(parse_object_name(other), None, "{other}");
        }
    }
}
