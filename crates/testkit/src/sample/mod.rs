//! A data set with everything that a restore can get wrong: every kind of index and collection,
//! odd names, odd values. The same seed and size give the same documents.
//!
//! [`load`] writes it, [`damage`] does to it what a bad day does, and [`state`] tells exactly what
//! a server holds, so that two moments can be compared.

mod bulk;
mod catalog;
mod damage;
mod odd;
mod state;

use anyhow::Context;
use bson::{Document, doc};
use mongodb::Client;

pub use damage::damage;
pub use state::{PerCollection, State, db_hash, state};

/// How much is loaded, and which numbers are drawn.
#[derive(Clone, Copy, Debug)]
pub struct SampleOptions {
    /// About this many documents in all; a few dozen odd ones are added.
    pub documents: u32,
    /// The seed of everything that looks random.
    pub seed: u64,
}

impl Default for SampleOptions {
    /// The size of the demonstration: more than 200,000 documents even where the server counts
    /// the buckets of the time series instead of its measurements.
    fn default() -> Self {
        Self {
            documents: 250_000,
            seed: 20_190_501,
        }
    }
}

impl SampleOptions {
    /// A size for tests: every kind of thing, few of each.
    pub fn small() -> Self {
        Self {
            documents: 2_000,
            ..Self::default()
        }
    }
}

/// Loads the data set; on a server without a replica set it leaves out what needs one.
pub async fn load(client: &Client, options: SampleOptions) -> anyhow::Result<()> {
    let hello = client
        .database("admin")
        .run_command(doc! { "hello": 1 })
        .await?;
    let is_replica_set = hello.contains_key("setName");
    bulk::load(client, options)
        .await
        .context("load the bulk of the sample")?;
    catalog::load(client, options, is_replica_set)
        .await
        .context("load the sample's catalog")?;
    odd::load(client)
        .await
        .context("load the odd part of the sample")
}

/// Runs a command; the failure names the command and its subject.
async fn run(client: &Client, database: &str, command: Document) -> anyhow::Result<Document> {
    let name = command
        .iter()
        .next()
        .map(|(key, value)| format!("{key} {value}"));
    let answer = client.database(database).run_command(command).await;
    answer.with_context(|| format!("{} in {database}", name.unwrap_or_default()))
}

/// Creates all indexes of a collection in one command.
async fn create_indexes(
    client: &Client,
    database: &str,
    collection: &str,
    indexes: Vec<Document>,
) -> anyhow::Result<()> {
    run(
        client,
        database,
        doc! { "createIndexes": collection, "indexes": indexes },
    )
    .await?;
    Ok(())
}
