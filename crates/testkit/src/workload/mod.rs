//! Random writers: everything that applications do to a server, at several connections at once.
//! What they draw follows from the seed; in which order the server takes it does not.
//!
//! It must never fail because two writers got into each other's way (one drops what the other
//! writes to): such refusals are counted. It never says what the server holds: ask the server.

mod shape;
mod steady;
mod transact;
mod value;
mod write;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bson::{Document, doc};
use mongodb::Client;
use mongodb::options::ClientOptions;
use tokio::task::JoinSet;

use crate::{RealMongoBuilder, wait_for};
use writer::Writer;

/// How long a server that is away may take until it answers again.
const AWAY_LIMIT: Duration = Duration::from_secs(90);
/// How long the deletion of expired documents may take to pause.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);

/// What the writers do.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadOptions {
    /// The seed of all that is drawn.
    pub seed: u64,
    /// How many writers there are, each with a connection of its own.
    pub writers: u32,
    /// How many operations they do together; they end by themselves then.
    pub operations: u64,
    /// How many of a thousand operations change the catalog.
    pub catalog_per_mille: u32,
    /// About how many documents each of the collections that always stay begins with.
    pub documents: u32,
}

impl WorkloadOptions {
    /// Two writers of this seed that do not end by themselves before long.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            writers: 2,
            operations: 10_000_000,
            catalog_per_mille: 4,
            documents: 400,
        }
    }
}

/// What the writers did: how often each kind of operation was done, and was refused.
#[derive(Clone, Debug, Default)]
pub struct WorkloadReport {
    /// By kind of operation.
    pub done: BTreeMap<String, u64>,
    /// By kind of operation and the server's name for the reason.
    pub refused: BTreeMap<(String, String), u64>,
}

impl WorkloadReport {
    fn add(&mut self, other: Self) {
        for (kind, count) in other.done {
            *self.done.entry(kind).or_default() += count;
        }
        for (kind, count) in other.refused {
            *self.refused.entry(kind).or_default() += count;
        }
    }

    /// Returns how many operations were done, refused ones not counted.
    pub fn operations(&self) -> u64 {
        self.done.values().sum()
    }
}

/// What writers share with who started them.
#[derive(Debug)]
struct Control {
    stop: AtomicBool,
    left: AtomicU64,
    done: AtomicU64,
}

impl Control {
    /// Takes one of the operations that are left; false when it is time to end.
    fn next(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        let order = Ordering::Relaxed;
        !self.stop.load(order) && self.left.fetch_update(order, order, take).is_ok()
    }
}

/// Writers at work; dropping it ends them without waiting.
#[derive(Debug)]
pub struct Workload {
    control: Arc<Control>,
    writers: JoinSet<anyhow::Result<WorkloadReport>>,
    client: Client,
}

impl Workload {
    /// Makes the collections that always stay, unless they are there, and starts the writers.
    ///
    /// The server is best started with what [`RealMongoBuilder::for_workload`] adds.
    pub async fn start(uri: &str, options: WorkloadOptions) -> anyhow::Result<Self> {
        let client = connect(uri).await?;
        steady::make(&client, options)
            .await
            .context("make what always stays")?;
        set_expiry(&client, true).await?;
        let control = Arc::new(Control {
            stop: AtomicBool::new(false),
            left: AtomicU64::new(options.operations),
            done: AtomicU64::new(0),
        });
        let mut writers = JoinSet::new();
        for number in 0..options.writers {
            let writer = Writer::new(connect(uri).await?, number, options).await?;
            writers.spawn(writer.run(Arc::clone(&control)));
        }
        Ok(Self {
            control,
            writers,
            client,
        })
    }

    /// Returns how many operations were tried so far.
    pub fn progress(&self) -> u64 {
        self.control.done.load(Ordering::Relaxed)
    }

    /// Waits until this many more operations were tried, or all are.
    pub async fn advance(&self, operations: u64) -> anyhow::Result<()> {
        let goal = self.progress() + operations;
        wait_for(AWAY_LIMIT * 2, "the writers to go on", || async {
            let is_over = self.control.left.load(Ordering::Relaxed) == 0;
            match self.progress() {
                done if done >= goal || is_over => Ok(()),
                done => Err(format!("{done} of {goal} operations")),
            }
        })
        .await
    }

    /// Lets the writers end what they are at, and waits until nothing changes any more: expired
    /// documents stay, and a majority has everything.
    pub async fn stop(self) -> anyhow::Result<WorkloadReport> {
        self.control.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until all operations are done, and for what [`Workload::stop`] waits for.
    pub async fn finish(mut self) -> anyhow::Result<WorkloadReport> {
        let mut report = WorkloadReport::default();
        while let Some(ended) = self.writers.join_next().await {
            report.add(ended.context("a writer panicked")??);
        }
        set_expiry(&self.client, false).await?;
        let note = doc! {
            "appendOplogNote": 1, "data": { "workload": "stopped" },
            "writeConcern": { "w": "majority" },
        };
        let admin = self.client.database("admin");
        admin
            .run_command(note)
            .await
            .context("wait for a majority")?;
        Ok(report)
    }
}

impl RealMongoBuilder {
    /// Makes the server do what a workload needs: delete expired documents every second, and
    /// write even short transactions as chains of several oplog entries.
    pub fn for_workload(self) -> Self {
        self.parameter("ttlMonitorSleepSecs", 1)
            .parameter("maxNumberOfTransactionOperationsInSingleOplogEntry", 3)
    }
}

async fn connect(uri: &str) -> anyhow::Result<Client> {
    let mut options = ClientOptions::parse(uri)
        .await
        .context("parse a connection string")?;
    options.server_selection_timeout = Some(AWAY_LIMIT);
    Client::with_options(options).context("make a client")
}

/// Lets the server delete expired documents, or stops it and waits until it has stopped.
async fn set_expiry(client: &Client, enabled: bool) -> anyhow::Result<()> {
    let admin = client.database("admin");
    let set = doc! { "setParameter": 1, "ttlMonitorEnabled": enabled };
    admin
        .run_command(set)
        .await
        .context("set ttlMonitorEnabled")?;
    if enabled {
        return Ok(());
    }
    let pipeline = vec![
        doc! { "$currentOp": { "allUsers": true, "idleConnections": true } },
        doc! { "$match": { "desc": "TTLMonitor", "active": true, "op": { "$ne": "none" } } },
    ];
    wait_for(
        PAUSE_LIMIT,
        "the deletion of expired documents to pause",
        || async {
            let command = doc! { "aggregate": 1, "pipeline": pipeline.clone(), "cursor": {} };
            let answer = admin
                .run_command(command)
                .await
                .map_err(|error| error.to_string())?;
            let batch = answer
                .get_document("cursor")
                .and_then(|found| found.get_array("firstBatch"));
            match batch.map(Vec::is_empty) {
                Ok(true) => Ok(()),
                seen => Err(format!("{seen:?}: {answer}")),
            }
        },
    )
    .await
}

/// A command with a quick answer: one member has it, and no more is waited for.
fn quick(mut command: Document) -> Document {
    command.insert("writeConcern", doc! { "w": 1 });
    command
}
