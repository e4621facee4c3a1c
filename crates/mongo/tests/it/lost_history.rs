//! Every way to lose a server's history, by both ways: it is told, never read short.
use std::time::Duration;

use anyhow::ensure;
use bson::{doc, rawdoc};
use mongo::{Change, Changes, Error, HistoryLost};
use testkit::{RealMongo, wait_for};

use crate::following::{WIDE, point};
use crate::history::{Stage, ids};
use crate::support::{connect, connect_to, entry, insert, numbered};

const LIMIT: Duration = Duration::from_secs(60);

fn reason(lost: Result<Changes, Error>) -> HistoryLost {
    match lost {
        Err(Error::HistoryLost { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_user_gave_to_apply_ops_is_not_followed() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", numbered(0..10)).await?;
    let source = connect(&server).await?;
    let since = point(&source.begin_snapshot().await?).await?;
    // It deletes the document `1`, and the oplog says `1.0`.
    let delete = doc! { "op": "d", "ns": "shop.orders", "o": { "_id": 1.0 } };
    let admin = client.database("admin");
    admin.run_command(doc! { "applyOps": [delete] }).await?;
    let snapshot = source.begin_snapshot().await?;
    let lost = reason(snapshot.changes_since(&since, &WIDE).await);
    assert!(matches!(&lost, HistoryLost::NotUnderstood(what) if what.contains("applyOps")));
    Ok(())
}

/// What docs/operations.md warns of; a later server shows it, and then it is followed.
#[tokio::test]
async fn a_change_stream_of_6_0_does_not_show_what_apply_ops_writes() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    insert(&stage.client, "shop", "orders", numbered(0..10)).await?;
    let source = &stage.sources[1];
    let since = point(&source.begin_snapshot().await?).await?;
    let delete = doc! { "op": "d", "ns": "shop.orders", "o": { "_id": 1 } };
    stage.run("admin", doc! { "applyOps": [delete] }).await?;
    let snapshot = source.begin_snapshot().await?;
    let mut changes = snapshot.changes_since(&since, &WIDE).await?;
    let change = stage.change(&mut changes, "orders").await?;
    let version = source.describe().await?.version;
    let is_shown = (version.major, version.minor) > (6, 0);
    assert_eq!(change != Change::Unchanged, is_shown, "{version}");
    Ok(())
}

#[tokio::test]
async fn the_history_of_another_server_is_told_from_this_ones() -> anyhow::Result<()> {
    // The older server's oplog reaches back over the newer one's points, the newer's does not.
    let older = Stage::start().await?;
    let newer = Stage::start().await?;
    for stage in [&older, &newer] {
        insert(&stage.client, "shop", "orders", numbered(0..10)).await?;
    }
    for way in 0..2 {
        let theirs = point(&newer.sources[way].begin_snapshot().await?).await?;
        insert(&older.client, "shop", "later", numbered(0..1)).await?;
        let snapshot = wait_for(LIMIT, "the older server to be later", || async {
            let note = older.run("admin", doc! { "appendOplogNote": 1, "data": {} });
            note.await.map_err(|error| error.to_string())?;
            let begun = older.sources[way].begin_snapshot().await;
            let snapshot = begun.map_err(|error| error.to_string())?;
            match snapshot.time() > Some(theirs.time()) {
                true => Ok(snapshot),
                false => Err("not yet".to_owned()),
            }
        })
        .await?;
        let lost = reason(snapshot.changes_since(&theirs, &WIDE).await);
        assert_eq!(lost, HistoryLost::Different, "{:?}", theirs.way());
        older.collection("later").drop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn history_from_before_the_oplog_or_after_its_end_is_lost() -> anyhow::Result<()> {
    let early = RealMongo::replica_set().start().await?;
    let client = early.client().await?;
    insert(&client, "shop", "orders", numbered(0..10)).await?;
    let early = connect(&early).await?.begin_snapshot().await?;
    let since = point(&early).await?;
    let late = RealMongo::replica_set().start().await?;
    let client = late.client().await?;
    let begun = wait_for(LIMIT, "the set to be later", || async {
        let written = insert(&client, "shop", "orders", vec![rawdoc! {}]).await;
        written.map_err(|error| error.to_string())?;
        let connected = connect(&late).await.map_err(|error| error.to_string())?;
        let begun = connected.begin_snapshot().await;
        begun.map_err(|error| error.to_string())
    });
    let late = begun.await?;
    let lost = reason(late.changes_since(&since, &WIDE).await);
    assert_eq!(lost, HistoryLost::RolledOver);
    // The other way round: a point that this history has not reached.
    let lost = reason(early.changes_since(&point(&late).await?, &WIDE).await);
    assert_eq!(lost, HistoryLost::Different);
    Ok(())
}

#[tokio::test]
async fn who_may_no_longer_read_history_is_told() -> anyhow::Result<()> {
    let stage = Stage::start().await?;
    insert(&stage.client, "shop", "orders", numbered(0..10)).await?;
    for (way, other) in [(0, 1), (1, 0)] {
        let since = point(&stage.sources[way].begin_snapshot().await?).await?;
        let snapshot = stage.sources[other].begin_snapshot().await?;
        let lost = reason(snapshot.changes_since(&since, &WIDE).await);
        assert_eq!(lost, HistoryLost::NotPermitted);
    }
    let alone = RealMongo::standalone().start().await?;
    let alone = connect(&alone).await?;
    assert_eq!(alone.begin_snapshot().await?.resume_point().await?, None);
    assert!(matches!(
        alone.begin_pass().await,
        Err(Error::Unsupported { .. })
    ));
    drop(stage.server);
    Ok(())
}

#[tokio::test]
async fn an_oplog_smaller_than_a_burst_is_lost_and_never_read_short() -> anyhow::Result<()> {
    // The server only takes away what a checkpoint has made superfluous.
    let how = RealMongo::replica_set()
        .oplog_mb(2)
        .args(["--syncdelay", "1"]);
    let server = how.with_auth().start().await?;
    let client = server.client().await?;
    let mut sources = Vec::new();
    for role in ["backup", "readAnyDatabase"] {
        server.create_user(role, "p", &[(role, "admin")]).await?;
        sources.push(connect_to(&server.uri_as(role, "p")).await?);
    }
    insert(&client, "shop", "orders", numbered(0..10)).await?;
    let mut since = Vec::new();
    for source in &sources {
        since.push(point(&source.begin_snapshot().await?).await?);
    }
    let text = "x".repeat(10_000);
    let mut next: i32 = 10;
    let mut lost = [false; 2];
    while lost != [true; 2] {
        ensure!(next < 50_000, "nothing was lost after {next} documents");
        let more = (next..next + 100).map(|n| rawdoc! { "_id": n, "text": text.as_str() });
        insert(&client, "shop", "orders", more.collect()).await?;
        next += 100;
        for (way, source) in sources.iter().enumerate() {
            let snapshot = source.begin_snapshot().await?;
            match snapshot.changes_since(&since[way], &WIDE).await {
                Ok(mut changes) => {
                    ensure!(!lost[way], "history came back");
                    let orders = entry(snapshot.catalog(), "shop", "orders")?;
                    let found = ids(&changes.take(&orders)).len();
                    ensure!(found == usize::try_from(next - 10)?, "{found} of {next}");
                }
                Err(Error::HistoryLost { reason }) => {
                    assert_eq!(reason, HistoryLost::RolledOver);
                    lost[way] = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
