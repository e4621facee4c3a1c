//! What can be typed after `regrow cluster`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Yes;

#[derive(Debug, Args)]
pub(in crate::cli) struct ClusterCommand {
    #[command(subcommand)]
    pub(in crate::cli) action: ClusterAction,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ClusterAction {
    /// Attach a deployment and take its first snapshot.
    ///
    /// The service must reach it at the connection string. The string is a secret: it is stored
    /// sealed, never shown and never logged. A replica set gives snapshots of one moment; a
    /// standalone server gives documents as they were when each was read.
    #[command(mut_group("Uri", |group| group.required(true)))]
    Add(AddCluster),
    /// List the attached deployments.
    List,
    /// Show one attached deployment.
    Show {
        /// Name of the cluster.
        cluster: String,
    },
    /// Change options of an attached deployment, or how it is reached.
    ///
    /// A new connection string, for example with a new password, is taken once the deployment was
    /// reached by it and its user was found able to back it up. It has to be the same deployment:
    /// a replica set of the same name, or a standalone server, with at least one host in common.
    Set(SetCluster),
    /// Detach a deployment and delete its snapshots; the deployment itself is not touched.
    Remove {
        /// Name of the cluster.
        cluster: String,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, Args)]
#[command(
    override_usage = "regrow cluster add <NAME> --tier <TIER> --uri <URI> [OPTIONS]\n       \
                            regrow cluster add <NAME> --tier <TIER> --uri-file <FILE> [OPTIONS]"
)]
pub(in crate::cli) struct AddCluster {
    /// A name of your choice, unique in the project.
    pub(in crate::cli) name: String,

    #[command(flatten)]
    pub(in crate::cli) uri: Uri,

    /// M2, M5 or serverless: which schedule it has and which requests of the API show it. M2 and
    /// M5 have a snapshot a day and keep eight; serverless has one every six hours and keeps two.
    #[arg(long, value_enum, ignore_case = true, hide_possible_values = true)]
    pub(in crate::cli) tier: Tier,

    /// Leave the first snapshot to the schedule.
    #[arg(long)]
    pub(in crate::cli) no_snapshot: bool,

    /// Serverless only: keep snapshots for 35 days instead of the last two.
    #[arg(long)]
    pub(in crate::cli) continuous_backup: bool,

    /// Refuse removal until this is taken back with `cluster set`.
    #[arg(long)]
    pub(in crate::cli) termination_protection: bool,
}

/// How a deployment is reached.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(in crate::cli) struct Uri {
    /// Connection string, mongodb://… or mongodb+srv://…; others on this machine may see it.
    #[arg(long, value_name = "URI")]
    pub(in crate::cli) uri: Option<String>,

    /// A file with the connection string, or - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) uri_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Tier {
    #[value(name = "M2")]
    M2,
    #[value(name = "M5")]
    M5,
    #[value(name = "serverless")]
    Serverless,
}

#[derive(Debug, Args)]
#[group(
    id = "options",
    required = true,
    multiple = true,
    args = ["uri", "uri_file", "continuous_backup", "drill_every_days", "termination_protection"]
)]
pub(in crate::cli) struct Options {
    #[command(flatten)]
    pub(in crate::cli) uri: Option<Uri>,

    /// Take the connection string although it leads to another deployment than before.
    #[arg(long, requires = "Uri")]
    pub(in crate::cli) another_deployment: bool,

    /// Serverless only: keep snapshots for 35 days instead of the last two.
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    pub(in crate::cli) continuous_backup: Option<bool>,

    /// How many days apart drills are asked for by themselves; 0 for never.
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) drill_every_days: Option<u32>,

    /// Whether removal is refused.
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    pub(in crate::cli) termination_protection: Option<bool>,
}

#[derive(Debug, Args)]
#[command(override_usage = "regrow cluster set [OPTIONS] <CLUSTER>")]
pub(in crate::cli) struct SetCluster {
    /// Name of the cluster.
    pub(in crate::cli) cluster: String,

    #[command(flatten)]
    pub(in crate::cli) options: Options,
}
