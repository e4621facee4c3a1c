//! Tells what differs between two snapshots: collections by the manifests alone, documents by what
//! the store has of them, and their bytes only if they are asked for.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use model::Error;
use mongo::JsonMode;
use vault::{CollectionManifest, DiffOptions, Difference, DifferenceCounts, Manifest, Repository};

use super::find::to_json;
use super::{Outlet, Pieces, Stopped, blocking, streamed};
use crate::namespace::namespace;

/// One piece of what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// Documents of one collection, before the collection itself.
    Documents(Vec<DocumentDifference>),
    /// A collection that differs.
    Collection(CollectionDifference),
    /// Sent when nothing else was for a while.
    Progress,
    /// How many collections differ; always the last piece.
    End(u64),
}

/// How a document differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the first snapshot has it.
    Removed,
    /// Only the second snapshot has it.
    Added,
    /// Both have it, with other bytes.
    Changed,
}

/// A document that differs; texts are extended JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentDifference {
    /// Database and collection.
    pub namespace: String,
    /// How it differs.
    pub change: Change,
    /// The value of its `_id`.
    pub id: String,
    /// The document in the first snapshot, where that was asked for.
    pub before: Option<String>,
    /// The document in the second snapshot, where that was asked for.
    pub after: Option<String>,
}

/// Which of two snapshots has a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Only the first.
    First,
    /// Only the second.
    Second,
    /// Both.
    Both,
}

/// How a collection differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionDifference {
    /// Its database.
    pub database: String,
    /// Its name in the database.
    pub collection: String,
    /// Which snapshot has it.
    pub presence: Presence,
    /// Whether it is another collection of the same name: dropped and made again.
    pub recreated: bool,
    /// Whether its kind or its options differ.
    pub options: bool,
    /// Whether its indexes differ.
    pub indexes: bool,
    /// Documents that differ; all of them where only one snapshot has the collection.
    pub documents: DifferenceCounts,
}

/// What is told of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Counts,
    Ids(JsonMode),
    Whole(JsonMode),
}

/// Which collection is compared; all where absent.
pub(crate) type Only = Option<(String, String)>;

/// Streams what differs, in the order of the names.
pub(crate) fn diff(
    repository: Repository,
    manifests: (Manifest, Manifest),
    only: Only,
    detail: Detail,
) -> Pieces<Differs> {
    // Packs stay, also when they are written anew meanwhile.
    let kept = [&manifests.0, &manifests.1].map(|manifest| repository.hold(manifest));
    streamed(|outlet| async move {
        let _kept = kept;
        run(repository, manifests, only, detail, outlet).await
    })
}

async fn run(
    repository: Repository,
    (first, second): (Manifest, Manifest),
    only: Only,
    detail: Detail,
    mut outlet: Outlet<Differs>,
) -> Result<(), Stopped> {
    let mut differing = 0;
    for (first, second) in pairs(&first, &second, &only) {
        let mut difference = described(first, second);
        if let (Some(first), Some(second)) = (first, second) {
            difference.documents = match detail {
                Detail::Counts => {
                    let options = DiffOptions::default();
                    repository
                        .count_differences(first, second, &options)
                        .await?
                }
                Detail::Ids(_) | Detail::Whole(_) => {
                    documents(&repository, first, second, detail, &mut outlet).await?
                }
            };
        }
        if difference.is_one() {
            differing += 1;
            outlet.send(Differs::Collection(difference)).await?;
        }
        outlet.keep_alive(|| Differs::Progress).await?;
    }
    outlet.send(Differs::End(differing)).await
}

/// A collection as both snapshots have it.
type Pair<'a> = (
    Option<&'a CollectionManifest>,
    Option<&'a CollectionManifest>,
);

/// Pairs collections by their names.
fn pairs<'a>(first: &'a Manifest, second: &'a Manifest, only: &Only) -> Vec<Pair<'a>> {
    let mut pairs: BTreeMap<(&str, &str), Pair<'a>> = BTreeMap::new();
    for collection in &first.collections {
        pairs.entry(name(collection)).or_default().0 = Some(collection);
    }
    for collection in &second.collections {
        pairs.entry(name(collection)).or_default().1 = Some(collection);
    }
    let is_wanted = |name: &(&str, &str)| match only {
        Some((database, collection)) => *name == (database, collection),
        None => true,
    };
    pairs.retain(|name, _| is_wanted(name));
    pairs.into_values().collect()
}

fn name(collection: &CollectionManifest) -> (&str, &str) {
    (&collection.database, &collection.name)
}

/// Compares all but the documents, of which those are counted that one snapshot has alone.
fn described(
    first: Option<&CollectionManifest>,
    second: Option<&CollectionManifest>,
) -> CollectionDifference {
    let counts = DifferenceCounts {
        removed: first
            .filter(|_| second.is_none())
            .map_or(0, |one| one.documents),
        added: second
            .filter(|_| first.is_none())
            .map_or(0, |one| one.documents),
        changed: 0,
    };
    let any = first.or(second).expect("a name comes from one of them");
    let mut difference = CollectionDifference {
        database: any.database.clone(),
        collection: any.name.clone(),
        presence: match (first, second) {
            (Some(_), Some(_)) => Presence::Both,
            (Some(_), None) => Presence::First,
            (None, _) => Presence::Second,
        },
        recreated: false,
        options: false,
        indexes: false,
        documents: counts,
    };
    if let (Some(first), Some(second)) = (first, second) {
        difference.recreated = first.uuid != second.uuid;
        difference.options = (&first.kind, &first.options) != (&second.kind, &second.options);
        difference.indexes =
            first.id_index != second.id_index || sorted(&first.indexes) != sorted(&second.indexes);
    }
    difference
}

/// The order in which indexes were made is no difference.
fn sorted(indexes: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    let mut sorted: Vec<_> = indexes.iter().collect();
    sorted.sort_unstable();
    sorted
}

impl CollectionDifference {
    fn is_one(&self) -> bool {
        self.presence != Presence::Both
            || self.recreated
            || self.options
            || self.indexes
            || self.documents != DifferenceCounts::default()
    }
}

/// Sends the documents that differ and counts them.
async fn documents(
    repository: &Repository,
    first: &CollectionManifest,
    second: &CollectionManifest,
    detail: Detail,
    outlet: &mut Outlet<Differs>,
) -> Result<DifferenceCounts, Stopped> {
    let mut counts = DifferenceCounts::default();
    let mut steps = repository.diff(first, second, &DiffOptions::default());
    while let Some(step) = steps.try_next().await? {
        for difference in &step {
            match difference {
                Difference::Removed(_) => counts.removed += 1,
                Difference::Added(_) => counts.added += 1,
                Difference::Changed { .. } => counts.changed += 1,
            }
        }
        let namespace = namespace(first);
        let written = blocking(move || {
            let written = step.into_iter().map(|one| written(&namespace, one, detail));
            written.collect::<Result<Vec<_>, _>>()
        });
        outlet.send(Differs::Documents(written.await?)).await?;
    }
    Ok(counts)
}

fn written(
    namespace: &str,
    difference: Difference,
    detail: Detail,
) -> Result<DocumentDifference, Error> {
    let (change, before, after) = match difference {
        Difference::Removed(one) => (Change::Removed, Some(one), None),
        Difference::Added(one) => (Change::Added, None, Some(one)),
        Difference::Changed { before, after } => (Change::Changed, Some(before), Some(after)),
    };
    let (mode, is_whole) = match detail {
        Detail::Whole(mode) => (mode, true),
        Detail::Ids(mode) => (mode, false),
        Detail::Counts => (JsonMode::Relaxed, false),
    };
    let whole = |document: &Option<Bytes>| {
        let document = document.as_ref().filter(|_| is_whole);
        document.map(|document| to_json(document, mode)).transpose()
    };
    let mut id = Vec::new();
    let any = before
        .as_ref()
        .or(after.as_ref())
        .expect("a difference has a document");
    mongo::id_to_json(any, mode, &mut id).map_err(Error::internal)?;
    Ok(DocumentDifference {
        namespace: namespace.to_owned(),
        change,
        id: String::from_utf8(id).map_err(Error::internal)?,
        before: whole(&before)?,
        after: whole(&after)?,
    })
}
