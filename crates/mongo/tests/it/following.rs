//! A snapshot that follows another must hold what a scan at the same time finds: by the oplog, by a
//! change stream, over passes, while writers are at work.
use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use bson::{Document, doc};
use futures::TryStreamExt;
use mongo::{
    Change, ChangeLimits, Changes, ClusterTime, Collection, CollectionKind, Deployment, Error,
    FollowWay, HistoryLost, ResumePoint, SourceSnapshot,
};
use testkit::RealMongo;
use testkit::workload::{Workload, WorkloadOptions};

use crate::support::connect_to;

/// No limits that a test could reach by accident.
pub(crate) const WIDE: ChangeLimits = ChangeLimits {
    ids_per_collection: 1_000_000,
    bytes: 1 << 30,
};

/// Raw documents of one collection, by their raw `_id` elements.
pub(crate) type Documents = BTreeMap<Vec<u8>, Vec<u8>>;
/// All documents that were read, by the UUIDs of their collections.
pub(crate) type State = BTreeMap<[u8; 16], Documents>;

/// How the collections of a snapshot were learned.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) unchanged: usize,
    pub(crate) reread: usize,
    pub(crate) scanned: usize,
}

/// Returns what is stored, views left out.
pub(crate) fn stored(snapshot: &SourceSnapshot) -> impl Iterator<Item = (&Collection, [u8; 16])> {
    let collections = snapshot.catalog().collections.iter();
    collections
        .filter(|collection| collection.kind != CollectionKind::View)
        .map(|collection| {
            (
                collection,
                collection.uuid.expect("a stored one has a UUID"),
            )
        })
}

pub(crate) async fn scan(
    snapshot: &SourceSnapshot,
    collection: &Collection,
) -> Result<Documents, Error> {
    let mut found = Documents::new();
    let mut batches = snapshot.scan(collection);
    while let Some(batch) = batches.try_next().await? {
        for span in &batch.documents {
            found.insert(batch.id(span).to_vec(), batch.document(span).to_vec());
        }
    }
    Ok(found)
}

/// Reads everything by scan.
pub(crate) async fn scan_all(snapshot: &SourceSnapshot) -> Result<State, Error> {
    let mut state = State::new();
    for (collection, uuid) in stored(snapshot) {
        state.insert(uuid, scan(snapshot, collection).await?);
    }
    Ok(state)
}

/// Turns the state at a point into that of a later snapshot, as the engine would.
pub(crate) async fn follow(
    mut base: State,
    snapshot: &SourceSnapshot,
    changes: &mut Changes,
) -> Result<(State, Tally), Error> {
    let (mut state, mut tally) = (State::new(), Tally::default());
    for (collection, uuid) in stored(snapshot) {
        let before = base.remove(&uuid);
        let now = match (before, changes.take(collection)) {
            (Some(before), Change::Unchanged) => {
                snapshot.unchanged(collection);
                tally.unchanged += 1;
                before
            }
            (Some(mut before), Change::Documents(ids)) => {
                tally.reread += 1;
                let mut items = snapshot.reread(collection, ids);
                while let Some((asked, found)) = items.try_next().await? {
                    for id in asked {
                        before.remove(id.as_ref());
                    }
                    for span in &found.documents {
                        let id = found.id(span).to_vec();
                        before.insert(id, found.document(span).to_vec());
                    }
                }
                before
            }
            (None, _) | (_, Change::Unknown(_)) => {
                tally.scanned += 1;
                scan(snapshot, collection).await?
            }
        };
        state.insert(uuid, now);
    }
    snapshot.finish().await?;
    Ok((state, tally))
}

/// Fails unless both hold the same documents; capped collections are at no time, so they are left
/// out.
pub(crate) fn same(
    snapshot: &SourceSnapshot,
    followed: &State,
    scanned: &State,
) -> anyhow::Result<()> {
    for (collection, uuid) in stored(snapshot) {
        if collection.is_capped() {
            continue;
        }
        let namespace = collection.namespace();
        let (followed, scanned) = (&followed[&uuid], &scanned[&uuid]);
        for (id, document) in scanned {
            let found = followed.get(id);
            ensure!(found.is_some(), "{namespace} lacks {id:?}");
            ensure!(
                found == Some(document),
                "{namespace}: {id:?} is of another time"
            );
        }
        for id in followed.keys() {
            ensure!(scanned.contains_key(id), "{namespace}: {id:?} was deleted");
        }
    }
    Ok(())
}

/// Returns the point of a snapshot, which must have one.
pub(crate) async fn point(snapshot: &SourceSnapshot) -> anyhow::Result<ResumePoint> {
    let point = snapshot.resume_point().await?.context("a point")?;
    Ok(ResumePoint::from_bytes(&point.to_bytes())?)
}

/// How often the long mode looks; a few times otherwise.
fn rounds() -> usize {
    let rounds = std::env::var("REGROW_FOLLOW_ROUNDS");
    rounds.map_or(3, |text| text.parse().expect("a number"))
}

/// Takes snapshots one after the other while writers are at work; each must hold what a scan at its
/// time finds.
async fn check_rounds(
    source: &Deployment,
    root: &mongodb::Client,
    way: FollowWay,
    writers: &Workload,
) -> anyhow::Result<Tally> {
    let mut sum = Tally::default();
    let mut last: Option<(ResumePoint, State)> = None;
    let mut round = 0;
    let mut lost = 0;
    while round < rounds() {
        writers.advance(100).await?;
        let snapshot = source.begin_snapshot().await?;
        let tried = check_round(&snapshot, way, last.as_ref()).await;
        match tried {
            Ok((tally, next)) => {
                sum.unchanged += tally.unchanged;
                sum.reread += tally.reread;
                sum.scanned += tally.scanned;
                last = Some(next);
                round += 1;
            }
            // A collection was dropped after the time: a new snapshot is begun then.
            Err(error) if matches!(error.downcast_ref(), Some(Error::SnapshotLost { .. })) => {
                lost += 1;
                ensure!(lost < 200, "{error:#}");
            }
            // In the long mode the writers may come round the oplog; then it has to be true.
            Err(error) if is_rolled_over(&error) => {
                let (since, _) = last.take().context("there was a point")?;
                let oldest = oldest_entry(root).await?;
                ensure!(oldest > since.time(), "{error:#}, but {oldest} is there");
            }
            Err(error) => return Err(error.context(format!("round {round}, {way:?}"))),
        }
    }
    Ok(sum)
}

fn is_rolled_over(error: &anyhow::Error) -> bool {
    let reason = HistoryLost::RolledOver;
    matches!(error.downcast_ref(), Some(Error::HistoryLost { reason: found }) if *found == reason)
}

async fn oldest_entry(root: &mongodb::Client) -> anyhow::Result<ClusterTime> {
    let oplog = root.database("local").collection::<Document>("oplog.rs");
    let oldest = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).await?;
    let oldest = oldest.context("the oplog has entries")?;
    Ok(oldest.get_timestamp("ts")?.into())
}

async fn check_round(
    snapshot: &SourceSnapshot,
    way: FollowWay,
    last: Option<&(ResumePoint, State)>,
) -> anyhow::Result<(Tally, (ResumePoint, State))> {
    let next = point(snapshot).await?;
    assert_eq!(next.way(), way);
    assert_eq!(Some(next.time()), snapshot.time());
    let scanned = scan_all(snapshot).await?;
    let mut tally = Tally::default();
    if let Some((since, base)) = last {
        let mut changes = snapshot.changes_since(since, &WIDE).await?;
        assert_eq!(changes.way(), way);
        let (followed, found) = follow(base.clone(), snapshot, &mut changes).await?;
        same(snapshot, &followed, &scanned)?;
        tally = found;
    }
    Ok((tally, (next, scanned)))
}

async fn check_way(role: &str, way: FollowWay, seed: u64) -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().for_workload();
    let server = server.start().await?;
    server
        .create_user("source", "p", &[(role, "admin")])
        .await?;
    let source = connect_to(&server.uri_as("source", "p")).await?;
    let writers = Workload::start(&server.uri(), WorkloadOptions::new(seed)).await?;
    let tally = check_rounds(&source, &server.client().await?, way, &writers).await?;
    let report = writers.stop().await?;
    ensure!(
        tally.reread > rounds(),
        "seed {seed}: {tally:?}; {report:?}"
    );
    Ok(())
}

#[tokio::test]
async fn following_the_oplog_gives_what_a_scan_finds() -> anyhow::Result<()> {
    check_way("backup", FollowWay::Oplog, 11).await
}

#[tokio::test]
async fn following_a_change_stream_gives_what_a_scan_finds() -> anyhow::Result<()> {
    check_way("readAnyDatabase", FollowWay::ChangeStream, 12).await
}

#[tokio::test]
async fn a_pass_is_made_exact_by_what_follows_it() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().for_workload();
    let server = server.start().await?;
    for (role, seed) in [("backup", 13), ("readAnyDatabase", 14)] {
        server.create_user(role, "p", &[(role, "admin")]).await?;
        let source = connect_to(&server.uri_as(role, "p")).await?;
        let writers = Workload::start(&server.uri(), WorkloadOptions::new(seed)).await?;
        let mut exact = 0;
        for _ in 0..20 * rounds() {
            match converge(&source, &writers).await {
                Ok(()) => exact += 1,
                Err(error) if matches!(error.downcast_ref(), Some(Error::SnapshotLost { .. })) => {}
                Err(error) => return Err(error.context(role)),
            }
            if exact == rounds() {
                break;
            }
        }
        writers.stop().await?;
        ensure!(exact == rounds(), "{exact} were exact");
    }
    Ok(())
}

/// One pass by scan, one by following, then the snapshot.
async fn converge(source: &Deployment, writers: &Workload) -> anyhow::Result<()> {
    let pass = source.begin_pass().await?;
    assert_eq!(pass.time(), None);
    writers.advance(20).await?;
    let mut state = State::new();
    for (collection, uuid) in stored(&pass) {
        match scan(&pass, collection).await {
            Ok(documents) => drop(state.insert(uuid, documents)),
            // Dropped: the next pass will not ask for it.
            Err(Error::SnapshotLost { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        writers.advance(5).await?;
    }
    let second = source.begin_pass().await?;
    let mut changes = second.changes_since(&point(&pass).await?, &WIDE).await?;
    writers.advance(20).await?;
    let (state, _) = follow(state, &second, &mut changes).await?;
    let snapshot = source.begin_snapshot().await?;
    let mut changes = snapshot
        .changes_since(&point(&second).await?, &WIDE)
        .await?;
    let (followed, _) = follow(state, &snapshot, &mut changes).await?;
    same(&snapshot, &followed, &scan_all(&snapshot).await?)
}
