//! Writing back only what was written to the source since the snapshot.
//!
//! What changed is read from the source's own history and is an over-approximation. In the end each
//! collection is proved, and what is found to differ is loaded whole. Nothing is deleted before the
//! store was found to hold what takes its place.

use std::time::Instant;

use futures::FutureExt;
use model::RestoreReport;
use mongo::{Change, Collection, CollectionKind, Deployment, ResumePoint};

use super::Error;
use super::history::History;
use super::items::Item;
use super::put::Put;
use super::write_back::{self, Prepared, Written};
use super::{choose, proof};
use crate::pump;

/// How much dearer it is to put one document back than to load it among its neighbours.
const DEARER: u64 = 4;

/// What a rewind comes to.
pub(super) struct Cost {
    /// Documents of the collections that are rewound.
    pub(super) changed: u64,
    /// Collections that are loaded whole.
    pub(super) whole: u64,
    /// Whether it is a good deal cheaper than loading everything.
    pub(super) is_small: bool,
}

/// A reason why the target cannot be rewound.
type NotPossible = String;

/// An item, and the collection of the target that is the very one the snapshot has.
type Here<'a> = (&'a Item, Option<Collection>);

/// Follows the target's history from the snapshot up to now; changes nothing.
pub(super) async fn follow(
    put: &Put<'_>,
    deployment: &Deployment,
) -> Result<Result<History, NotPossible>, Error> {
    let Some(point) = put.resume_point() else {
        let reason = "the snapshot does not say from where to follow its source";
        return Ok(Err(reason.to_owned()));
    };
    let followed = History::begin(deployment, ResumePoint::from_bytes(point)?).await;
    or_not_possible(followed)
}

fn or_not_possible<T>(followed: Result<T, mongo::Error>) -> Result<Result<T, NotPossible>, Error> {
    match followed {
        Ok(followed) => Ok(Ok(followed)),
        Err(mongo::Error::HistoryLost { reason }) => {
            let reason = format!("the source's history cannot be followed: {reason}");
            Ok(Err(reason))
        }
        // A member that now runs alone.
        Err(error @ mongo::Error::Unsupported { .. }) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Finds out what a rewind would have to do; changes nothing.
pub(super) async fn cost(put: &Put<'_>, history: &History) -> Result<Cost, Error> {
    let mut cost = Cost {
        changed: 0,
        whole: 0,
        is_small: false,
    };
    let mut bytes = 0;
    for (item, found) in here(put).await? {
        let stored = put.stored(item);
        let changed = found.and_then(|found| history.count(&found));
        match changed.filter(|changed| *changed == 0 || can_be_rewound(put, item)) {
            Some(changed) => {
                let mean = stored.bytes / stored.documents.max(1);
                cost.changed += changed;
                bytes += changed * mean * DEARER;
            }
            None => {
                cost.whole += 1;
                bytes += stored.bytes;
            }
        }
    }
    cost.is_small = bytes <= put.totals().1 / 2;
    Ok(cost)
}

/// Looks for the snapshot's collections: same name, UUID, options and indexes.
async fn here<'a>(put: &'a Put<'_>) -> Result<Vec<Here<'a>>, Error> {
    let present = put.target.catalog().await?;
    let found = |item: &Item| {
        let wanted = &item.wanted;
        let found = present.find(&wanted.database, &wanted.name)?;
        let is_same = found.uuid.is_some() && found.uuid == wanted.uuid;
        (is_same && wanted.difference(found).is_none()).then(|| found.clone())
    };
    let items = put.items.holding();
    Ok(items.map(|item| (item, found(item))).collect())
}

/// Parts the collections into those of which documents are put back, and those that are loaded
/// anew.
fn part<'a>(
    put: &Put<'_>,
    history: &mut History,
    here: Vec<Here<'a>>,
) -> (Vec<Written<'a>>, Vec<&'a Item>) {
    let (mut written, mut whole) = (Vec::new(), Vec::new());
    for (item, found) in here {
        let Some(found) = found else {
            whole.push(item);
            continue;
        };
        let ids = match history.take(&found) {
            Change::Unchanged => Vec::new(),
            Change::Documents(ids) if can_be_rewound(put, item) => ids,
            Change::Documents(_) | Change::Unknown(_) => {
                whole.push(item);
                continue;
            }
        };
        written.push(Written { item, found, ids });
    }
    (written, whole)
}

/// Servers keep open buckets of time series in memory and go on writing to them: they are loaded
/// anew. Documents of a collection that the store has no index of can't be looked up.
pub(super) fn can_be_rewound(put: &Put<'_>, item: &Item) -> bool {
    item.wanted.kind == CollectionKind::Collection && put.stored(item).can_be_edited()
}

/// Rewinds the target to the snapshot, going on from what was followed already.
pub(super) async fn put(put: &Put<'_>, history: History) -> Result<RestoreReport, Error> {
    put.target.begin().await?;
    let rewound = async {
        let work = find(put, history).await?;
        write(put, &work).await?;
        finish(put, work).await
    };
    match rewound.await {
        Ok(report) => Ok(report),
        Err(error) => Err(put.incomplete(&error).await),
    }
}

/// What a rewind has to do, with what the store holds for it.
pub(super) struct Work<'a> {
    history: History,
    pub(super) rewound: Vec<Prepared<'a>>,
    /// What is to be loaded anew.
    whole: Vec<&'a Item>,
}

/// Finds what was written since the snapshot, and what takes its place; the target must be marked.
pub(super) async fn find<'a>(put: &'a Put<'_>, mut history: History) -> Result<Work<'a>, Error> {
    let mut steps = Steps::begin();
    let here = here(put).await?;
    for (item, found) in &here {
        if found.is_some() && item.wanted.expires() {
            put.target.pause_expiry(&item.wanted).await?;
        }
    }
    // Only now is it known that nothing expires between looking and comparing.
    let followed = or_not_possible(history.go_on(None).await)?;
    followed.map_err(choose::impossible)?;
    let (written, whole) = part(put, &mut history, here);
    steps.done("follow");
    let rewound = write_back::prepare(put, written).await?;
    steps.done("find");
    Ok(Work {
        history,
        rewound,
        whole,
    })
}

/// Puts back what was found.
pub(super) async fn write(put: &Put<'_>, work: &Work<'_>) -> Result<(), Error> {
    let mut steps = Steps::begin();
    let all = work.rewound.iter();
    let all = all.map(|one| write_back::write_back(put, one).boxed());
    pump::side_by_side(all.collect(), put.engine.parts.config.cursors).await?;
    steps.done("write");
    Ok(())
}

/// Proves what was rewound, loads what is not equal or was not rewound, and ends the restore.
pub(super) async fn finish(put: &Put<'_>, work: Work<'_>) -> Result<RestoreReport, Error> {
    let mut steps = Steps::begin();
    let written_at = put.target.barrier().await?;
    steps.done("wait until it is durable");
    let proved = proof::all(put, work.history, written_at, &work.rewound).await?;
    let (mut rows, different) = proved;
    steps.done("prove");
    let whole = work.whole.into_iter().chain(different);
    let (movable, others): (Vec<&Item>, Vec<&Item>) =
        whole.partition(|item| item.wanted.can_be_renamed());
    put.read_through(&others).await?;
    rows.extend(put.load_and_flip(&movable).await?);
    let dropped = put.target.drop_others(&put.items.catalog(), &[]).await?;
    rows.extend(Put::dropped(dropped));
    rows.extend(put.load_at_the_flip(&others).await?);
    rows.extend(put.put_views().await?);
    let report = put.end(rows).await;
    steps.done("end");
    report
}

/// Says in the log how long each step took.
struct Steps(Instant);

impl Steps {
    fn begin() -> Self {
        Self(Instant::now())
    }

    fn done(&mut self, step: &'static str) {
        let elapsed_ms = self.0.elapsed().as_millis();
        tracing::debug!(step, %elapsed_ms, "rewinding");
        self.0 = Instant::now();
    }
}
