//! What can be typed after `regrow restore`.

use clap::{Args, Subcommand, ValueEnum};

use super::Yes;

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreCommand {
    #[command(subcommand)]
    pub(in crate::cli) action: RestoreAction,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RestoreAction {
    /// Replace a target cluster's data, or a part of it, by a snapshot.
    ///
    /// Everything on the target is replaced, except the databases admin, config and local. With
    /// any of --include, --exclude, --rename, --into and --query only what they select is put
    /// back, and all else on the target stays. Prints what it is going to do and asks, unless
    /// `--yes` is given. What was put back is compared with the snapshot; a difference makes the
    /// job fail.
    ///
    /// For example: `regrow restore start shop --snapshot latest --target shop --wait`
    Start(Box<StartRestore>),
    /// List restores and downloads of a cluster's snapshots, newest first.
    List {
        /// Name of the cluster that the snapshots were taken from.
        cluster: String,
    },
    /// Show one restore, with what it found when it compared.
    Show(OneRestore),
    /// Wait until a restore has ended; fails if it failed.
    Watch(OneRestore),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StartRestore {
    /// Name of the cluster that the snapshot was taken from.
    pub(in crate::cli) cluster: String,

    /// Id of the snapshot, or `latest` for the newest one that is complete.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) snapshot: String,

    /// Name of the cluster whose data is replaced.
    #[arg(long, value_name = "TARGET")]
    pub(in crate::cli) target: String,

    /// Project of the target, by id or name, where it is another one.
    #[arg(long, value_name = "PROJECT")]
    pub(in crate::cli) target_project: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) how: HowToRestore,

    #[command(flatten)]
    pub(in crate::cli) yes: Yes,

    /// Wait until the restore has ended; fails if it failed.
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}

/// How, and what of the snapshot.
#[derive(Debug, Args)]
pub(in crate::cli) struct HowToRestore {
    /// How to do it: `safe` loads beside the data and replaces it only once all of it was compared,
    /// which needs twice the room; `in-place` removes the data first; `rewind`, for the cluster
    /// that the snapshot was taken from, writes back only what was changed since. Without it the
    /// cheapest safe way is taken.
    #[arg(
        long,
        value_enum,
        value_name = "safe|in-place|rewind",
        hide_possible_values = true
    )]
    pub(in crate::cli) mode: Option<Mode>,

    /// Read every collection back whole in the end. Without it, one that was rewound is proved by
    /// the server's own history where that shows every write, and by what was written alone.
    #[arg(long)]
    pub(in crate::cli) read_whole: bool,

    /// Put back only this: DATABASE.COLLECTION or DATABASE.*; can be given several times.
    #[arg(
        long,
        value_name = "NAMESPACE",
        help_heading = "A part of the snapshot"
    )]
    pub(in crate::cli) include: Vec<String>,

    /// Leave this out: DATABASE.COLLECTION or DATABASE.*; can be given several times.
    #[arg(
        long,
        value_name = "NAMESPACE",
        help_heading = "A part of the snapshot"
    )]
    pub(in crate::cli) exclude: Vec<String>,

    /// Put FROM back under the name TO: two collections, or two DATABASE.*.
    #[arg(long, value_name = "FROM=TO", value_parser = renaming)]
    #[arg(help_heading = "A part of the snapshot")]
    pub(in crate::cli) rename: Vec<(String, String)>,

    /// Put everything that is not renamed into this database.
    #[arg(long, value_name = "DATABASE", help_heading = "A part of the snapshot")]
    pub(in crate::cli) into: Option<String>,

    /// Put back only documents that match a MongoDB filter, in extended JSON. Where the collection
    /// is there, they take the place of those with the same _id, and all others stay.
    #[arg(long, value_name = "FILTER", help_heading = "A part of the snapshot")]
    pub(in crate::cli) query: Option<String>,
}

/// How a restore is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Mode {
    Safe,
    InPlace,
    Rewind,
}

fn renaming(text: &str) -> Result<(String, String), String> {
    let (from, to) = text
        .split_once('=')
        .ok_or("it must have the form FROM=TO")?;
    Ok((from.to_owned(), to.to_owned()))
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OneRestore {
    /// Name of the cluster that the snapshot was taken from.
    pub(in crate::cli) cluster: String,
    /// Id of the restore.
    pub(in crate::cli) restore: String,
}
