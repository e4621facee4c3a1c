//! What can be typed to look into snapshots.

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct Find {
    /// Name of the cluster that the snapshot was taken from.
    pub(in crate::cli) cluster: String,

    /// The collection, with its database.
    #[arg(value_name = "DATABASE.COLLECTION")]
    pub(in crate::cli) namespace: String,

    /// A filter of MongoDB, in extended JSON; without one, every document is found.
    #[arg(default_value = "{}", hide_default_value = true)]
    pub(in crate::cli) filter: String,

    /// Id of the snapshot, or `latest` for the newest one that is complete.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) snapshot: String,

    /// Stop after so many documents.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) limit: Option<u64>,

    /// Print how many there are instead of them.
    #[arg(long)]
    pub(in crate::cli) count: bool,

    /// Write every type so that it can be told, as in {"$numberInt": "1"}.
    #[arg(long)]
    pub(in crate::cli) canonical: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// Name of the cluster that both snapshots were taken from.
    pub(in crate::cli) cluster: String,

    /// Id of the snapshot to compare with.
    pub(in crate::cli) first: String,

    /// Id of the other snapshot, or `latest` for the newest one that is complete.
    pub(in crate::cli) second: String,

    /// Compare this collection only.
    #[arg(value_name = "DATABASE.COLLECTION")]
    pub(in crate::cli) namespace: Option<String>,

    /// Print the `_id` of each document that differs: - removed, + added, ~ changed. As JSON, a
    /// line for each document and each collection.
    #[arg(long)]
    pub(in crate::cli) documents: bool,

    /// Print the documents that differ whole, as they were (-) and as they are (+).
    #[arg(long)]
    pub(in crate::cli) full: bool,

    /// Write every type so that it can be told, as in {"$numberInt": "1"}.
    #[arg(long)]
    pub(in crate::cli) canonical: bool,
}
