//! Authenticated list requests, as fast as a few connections get answers: each keeps its nonce and
//! counts up, as curl and most libraries do.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::http::{Answer, Connection};
use crate::service::Key;

/// More connections than cores, so that the server always has something to do.
const CONNECTIONS: usize = 4;
/// Requests before the clock starts.
const WARM_UP: u32 = 50;

/// Returns answers per second over all connections; every answer is checked to be a 200, and the
/// first of each connection to count `jobs`.
pub(super) async fn per_second(
    address: &str,
    key: &Key,
    target: &str,
    seconds: u64,
    jobs: u64,
) -> anyhow::Result<f64> {
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, key, target) = (address.to_owned(), key.clone(), target.to_owned());
        connections.spawn(async move { series(&address, &key, &target, seconds, jobs).await });
    }
    let mut sum = 0.0;
    while let Some(done) = connections.join_next().await {
        sum += done.context("a connection's task ended early")??;
    }
    Ok(sum)
}

async fn series(
    address: &str,
    key: &Key,
    target: &str,
    seconds: u64,
    jobs: u64,
) -> anyhow::Result<f64> {
    let credentials = (key.public.as_str(), key.private.as_str());
    let mut connection = Connection::open(address).await?;
    let first = connection.get_as(credentials, target).await?;
    expect_ok(&first)?;
    let list: Value = serde_json::from_slice(&first.body).context("read a list")?;
    ensure!(
        list["totalCount"] == jobs,
        "the list counts {}, not {jobs}",
        list["totalCount"]
    );
    for _ in 0..WARM_UP {
        expect_ok(&connection.get_as(credentials, target).await?)?;
    }
    let started = Instant::now();
    let mut answers = 0_u32;
    while started.elapsed() < Duration::from_secs(seconds) {
        expect_ok(&connection.get_as(credentials, target).await?)?;
        answers += 1;
    }
    Ok(f64::from(answers) / started.elapsed().as_secs_f64())
}

fn expect_ok(answer: &Answer) -> anyhow::Result<()> {
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 200,
        "the answer is {}: {body}",
        answer.status
    );
    Ok(())
}
