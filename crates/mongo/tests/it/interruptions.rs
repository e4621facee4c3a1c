//! A primary that steps down, a member that dies, a server that is started again, in the middle of
//! a scan, of following and of reading again: the right result or an error that says to try again.
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bson::{Document, RawDocumentBuf, doc, rawdoc};
use bytes::Bytes;
use futures::TryStreamExt;
use mongo::{Change, ConnectOptions, Deployment, Error, SourceSnapshot, UnknownReason};
use testkit::{RealMongo, RealSet};

use crate::following::{WIDE, point};
use crate::support::{connect, entry, insert};

/// Large enough that a collection of them takes many batches.
const TEXT_BYTES: usize = 50_000;
const DOCUMENTS: i32 = 400;

fn large(range: std::ops::Range<i32>) -> Vec<RawDocumentBuf> {
    let text = "x".repeat(TEXT_BYTES);
    range
        .map(|n| rawdoc! { "_id": n, "text": text.as_str() })
        .collect()
}

fn ids(range: std::ops::Range<i32>) -> Vec<Bytes> {
    range
        .map(|n| Bytes::from([b"\x10_id\0", &n.to_le_bytes()[..]].concat()))
        .collect()
}

/// Fails on an error that does not say that the same may succeed later.
fn transient<T>(tried: Result<T, Error>) -> Option<T> {
    match tried {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(error.is_transient(), "{error}");
            None
        }
    }
}

/// How many ids each round changes.
const CHANGED: i32 = 3_000;

async fn connect_to_set(set: &RealSet) -> anyhow::Result<Deployment> {
    Ok(Deployment::connect(&set.uri().into(), ConnectOptions::default()).await?)
}

/// What interrupts.
#[derive(Clone, Copy, Debug)]
enum Blow {
    StepDown,
    Kill,
}

async fn strike(set: &mut RealSet, blow: Blow) -> anyhow::Result<()> {
    match blow {
        Blow::StepDown => set.step_down().await,
        Blow::Kill => {
            let primary = set.primary().await?;
            set.kill(primary);
            set.restart(primary).await
        }
    }
}

/// Reads on until the end or an error; returns how many documents there were in all.
async fn rest<T>(
    mut stream: futures::stream::BoxStream<'static, Result<T, Error>>,
    count: impl Fn(&T) -> usize,
    mut sum: usize,
) -> Result<usize, Error> {
    while let Some(item) = stream.try_next().await? {
        sum += count(&item);
    }
    Ok(sum)
}

async fn scan_and_reread(set: &mut RealSet, snapshot: &SourceSnapshot) -> anyhow::Result<()> {
    let orders = entry(snapshot.catalog(), "shop", "orders")?;
    let count = usize::try_from(DOCUMENTS)?;

    let mut scan = snapshot.scan(&orders);
    let first = scan
        .try_next()
        .await?
        .map_or(0, |batch| batch.documents.len());
    assert!(first > 0 && first < count);
    strike(set, Blow::StepDown).await?;
    let scanned = rest(scan, |batch| batch.documents.len(), first).await;
    if let Some(sum) = transient(scanned) {
        assert_eq!(sum, count);
    }

    let mut reread = snapshot.reread(&orders, ids(0..2 * DOCUMENTS));
    let first = reread
        .try_next()
        .await?
        .map_or(0, |item| item.1.documents.len());
    assert!(first > 0 && first < count);
    strike(set, Blow::Kill).await?;
    let found = rest(reread, |(_, batch)| batch.documents.len(), first).await;
    // What was handed on before an interruption may come again.
    if let Some(sum) = transient(found) {
        assert!(sum >= count, "{sum}");
    }
    Ok(())
}

#[tokio::test]
async fn a_set_that_loses_its_primary_is_read_right_or_not_at_all() -> anyhow::Result<()> {
    let mut set = RealMongo::replica_set().start_three().await?;
    let client = set.client().await?;
    insert(&client, "shop", "orders", large(0..DOCUMENTS)).await?;
    let source = connect_to_set(&set).await?;
    let snapshot = source.begin_snapshot().await?;
    let since = point(&snapshot).await?;
    scan_and_reread(&mut set, &snapshot).await?;

    let many = (0..CHANGED).map(|n| rawdoc! { "_id": n });
    let collection = client.database("shop").collection::<RawDocumentBuf>("new");
    let majority = mongodb::options::WriteConcern::majority();
    let inserted = collection.insert_many(many).write_concern(majority);
    inserted.await?;
    let later = source.begin_snapshot().await?;
    let created = entry(later.catalog(), "shop", "new")?;
    let orders = entry(later.catalog(), "shop", "orders")?;
    // Over and over while the primary steps down, so that it does so in the middle of one.
    let over = AtomicBool::new(false);
    let reading = async {
        let mut right = 0;
        while !over.load(Ordering::Relaxed) {
            let Some(mut changes) = transient(later.changes_since(&since, &WIDE).await) else {
                continue;
            };
            let remade = Change::Unknown(UnknownReason::Remade);
            assert_eq!(changes.take(&created), remade);
            assert_eq!(changes.take(&orders), Change::Unchanged);
            assert!(changes.entries_read() > u64::try_from(CHANGED)?);
            right += 1;
        }
        anyhow::Ok(right)
    };
    let striking = async {
        let struck = strike(&mut set, Blow::StepDown).await;
        over.store(true, Ordering::Relaxed);
        struck
    };
    let (struck, right) = tokio::join!(striking, reading);
    struck?;
    assert!(right? > 0);
    Ok(())
}

#[tokio::test]
async fn a_server_started_again_is_followed_and_its_cursors_are_not_trusted() -> anyhow::Result<()>
{
    let mut server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    insert(&client, "shop", "orders", large(0..DOCUMENTS)).await?;
    let source = connect(&server).await?;
    let snapshot = source.begin_snapshot().await?;
    let since = point(&snapshot).await?;
    let orders = entry(snapshot.catalog(), "shop", "orders")?;
    let mut scan = snapshot.scan(&orders);
    let mut reread = snapshot.reread(&orders, ids(0..DOCUMENTS));
    let scanned = scan
        .try_next()
        .await?
        .map_or(0, |batch| batch.documents.len());
    let found = reread
        .try_next()
        .await?
        .map_or(0, |item| item.1.documents.len());
    server.kill();
    server.restart().await?;
    let count = usize::try_from(DOCUMENTS)?;
    if let Some(sum) = transient(rest(scan, |batch| batch.documents.len(), scanned).await) {
        assert_eq!(sum, count);
    }
    let found = rest(reread, |(_, batch)| batch.documents.len(), found).await;
    if let Some(sum) = transient(found) {
        assert!(sum >= count);
    }
    let collection = client.database("shop").collection::<Document>("orders");
    collection.delete_one(doc! { "_id": 5 }).await?;
    let mut changes = source.changes_until_now(&since, &WIDE, None).await?.changes;
    assert_eq!(changes.take(&orders), Change::Documents(ids(5..6)));
    Ok(())
}

/// Sends a signal to a server; its process is stopped or goes on.
fn signal(server: &RealMongo, name: &str) -> anyhow::Result<()> {
    let pid = server.pid().context("it runs")?.to_string();
    let sent = Command::new("kill").args([name, &pid]).status()?;
    ensure!(sent.success(), "kill {name} {pid}: {sent}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_no_longer_answers_holds_nobody_up() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().start().await?;
    insert(
        &server.client().await?,
        "shop",
        "orders",
        large(0..DOCUMENTS),
    )
    .await?;
    let options = ConnectOptions {
        reply_timeout: Duration::from_secs(2),
        ..ConnectOptions::default()
    };
    let source = Deployment::connect(&server.uri().into(), options).await?;
    let snapshot = source.begin_snapshot().await?;
    let mut scan = snapshot.scan(&entry(snapshot.catalog(), "shop", "orders")?);
    assert!(scan.try_next().await?.is_some());
    signal(&server, "-STOP")?;
    let waited = tokio::time::timeout(Duration::from_secs(60), scan.try_next()).await;
    signal(&server, "-CONT")?;
    let error = waited?.expect_err("nobody answered");
    assert!(matches!(error, Error::Network { .. }), "{error}");
    assert!(error.is_transient());
    Ok(())
}
