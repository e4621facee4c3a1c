//! What can be typed after `regrow drill`.

use clap::{Args, Subcommand};

use super::Yes;

#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub(in crate::cli) struct DrillCommand {
    #[command(subcommand)]
    pub(in crate::cli) action: Option<DrillAction>,

    #[command(flatten)]
    pub(in crate::cli) start: StartDrill,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DrillAction {
    /// List a cluster's drills, newest first.
    List {
        /// Name of the cluster.
        cluster: String,
    },
    /// Show one drill, with what it found when it compared.
    Show(OneDrill),
    /// Wait until a drill has ended; fails if it failed.
    Watch(OneDrill),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OneDrill {
    /// Name of the cluster.
    pub(in crate::cli) cluster: String,
    /// Id of the drill.
    pub(in crate::cli) drill: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StartDrill {
    /// Name of the cluster that the snapshot was taken from.
    #[arg(required = true)]
    pub(in crate::cli) cluster: Option<String>,

    /// Id of the snapshot [default: the newest one that is complete].
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) snapshot: Option<String>,

    /// Another cluster to overwrite and empty, instead of a server that is thrown away.
    #[arg(long, value_name = "CLUSTER")]
    pub(in crate::cli) target: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) yes: Yes,

    /// Wait until the drill has ended; fails if it failed.
    #[arg(long)]
    pub(in crate::cli) wait: bool,
}
