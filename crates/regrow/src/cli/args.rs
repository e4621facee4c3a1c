//! What can be typed. It only parses: nothing is read, opened or decided here.
//!
//! The help texts are written for somebody who has never seen the program. A secret never has a
//! flag of its own, because other users of the machine can read command lines.

mod access;
mod cluster;
mod drill;
mod peek;
mod restore;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use access::{
    CreateKey, KeyAccess, KeyAction, KeyCommand, ProjectAccess, ProjectAction, ProjectCommand,
};
pub(super) use cluster::{AddCluster, ClusterAction, ClusterCommand, SetCluster, Tier, Uri};
pub(super) use drill::{DrillAction, DrillCommand, OneDrill, StartDrill};
pub(super) use peek::{Diff, Find};
pub(super) use restore::{Mode, OneRestore, RestoreAction, RestoreCommand, StartRestore};

use super::output::Format;
use crate::telemetry::LogFormat;

/// Backs up and restores MongoDB that you run yourself.
///
/// `regrow serve` is the service: it takes snapshots on a schedule, restores them, and answers
/// the backup requests of the Atlas Administration API. All other commands talk to it.
#[derive(Debug, Parser)]
#[command(name = "regrow", version, after_help = FIRST_STEPS)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Arguments {
    /// How to print what was asked for: tables for people, JSON for programs.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "table|json",
        hide_possible_values = true
    )]
    #[arg(default_value_t = Format::Table, help_heading = "Output")]
    pub output: Format,

    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  regrow init --data-dir ./regrow-data        makes the data directory, prints the first key
  regrow serve --data-dir ./regrow-data       runs the service on http://127.0.0.1:8080
  export REGROW_PUBLIC_KEY=… REGROW_PRIVATE_KEY=… REGROW_PROJECT_ID=…
  regrow cluster add shop --uri mongodb://127.0.0.1:27017/?replicaSet=rs0 --tier M2
  regrow snapshot list shop

Environment:
  REGROW_URL          where the service is [default: http://127.0.0.1:8080]
  REGROW_PUBLIC_KEY   the API key, public half
  REGROW_PRIVATE_KEY  the API key, private half
  REGROW_PROJECT_ID   the project to work in, by id or name
  REGROW_CA_FILE      certificates to trust instead of the system's, in PEM
  REGROW_DATA_DIR     the data directory of `init`, `serve` and `check`
  NO_COLOR            if set, nothing is coloured

Exit codes:
  0 done                      1 unexpected error        2 wrong usage
  3 refused by the service    4 key or role not enough  5 the job failed
  6 service not reachable     7 check found problems    8 data directory not usable
  9 diff found differences    130 interrupted";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a data directory with a first organization, project and API key.
    ///
    /// Prints the key once: its private half is not stored and cannot be shown again.
    Init(Init),
    /// Run the service: API, schedule and workers in one process.
    ///
    /// Stop it with Ctrl-C or SIGTERM. Jobs in progress are left as they are; the next start
    /// goes on with them.
    Serve(Serve),
    /// Attach deployments to protect them, list, change and detach them.
    Cluster(InProject<ClusterCommand>),
    /// Take, list, show and delete snapshots.
    Snapshot(InProject<SnapshotCommand>),
    /// Put a snapshot onto a cluster, and see how restores went.
    Restore(InProject<RestoreCommand>),
    /// Prove that a snapshot can be restored, by restoring it and comparing all of it.
    ///
    /// Where the service has a `mongod` of its own (scratch.mongod in its configuration), it
    /// starts a server for the drill and throws it away; otherwise name another cluster with
    /// `--target`, which is overwritten and left empty. `regrow cluster set --drill-every-days`
    /// makes it a habit, and `regrow cluster show` has the last result.
    ///
    /// For example: `regrow drill shop --wait`
    Drill(InProject<DrillCommand>),
    /// Save a snapshot as a .tar.gz that `mongorestore` reads, or as data files.
    ///
    /// The file appears under its name only when it is complete. Unpack it, then run
    /// `mongorestore dump/`, or `mongod --dbpath data`; RESTORE.txt in the archive has the
    /// details.
    Download(InProject<Download>),
    /// Find documents in a snapshot, without restoring it.
    ///
    /// Prints them as extended JSON, one a line. By `_id` that takes milliseconds, where the
    /// snapshot has an index; otherwise the collection is read. Strings are compared by their
    /// bytes, whatever the collection's collation. Of a time series the raw buckets are found.
    ///
    /// For example: `regrow find shop --snapshot latest shop.orders '{"total": {"$gt": 100}}'`
    Find(InProject<Find>),
    /// Tell what differs between two snapshots of a cluster.
    ///
    /// Reads only what the snapshots do not share. Ends with exit code 0 if nothing differs, with
    /// 9 if something does. Collections are compared by name: a renamed one is gone from the
    /// first snapshot and new in the second.
    ///
    /// For example: `regrow diff shop 5cc9b501e5dc7c8ab1e45d65 latest shop.orders --documents`
    Diff(InProject<Diff>),
    /// Give up the snapshots that a cluster's policy does not keep.
    ///
    /// The service does so by itself; `--dry-run` says what it is going to do, and why.
    Prune(InProject<Prune>),
    /// Manage API keys, and the addresses they may be used from.
    Key(InProject<KeyCommand>),
    /// Manage projects, and the addresses their downloads may be fetched from.
    Project(InProject<ProjectCommand>),
    /// Verify the snapshot store of a data directory.
    ///
    /// Works on the files themselves and without the service, which must not be running on the
    /// same data directory meanwhile. Ends with exit code 7 if something is wrong, and says
    /// which snapshots cannot be restored because of it. Changes nothing.
    Check(Check),
    /// Print a completion script for a shell.
    ///
    /// For example: `regrow completions bash > /etc/bash_completion.d/regrow`
    Completions(Completions),
    /// Print the OpenAPI document of the service.
    #[command(name = "openapi")]
    OpenApi,
}

#[derive(Debug, Args)]
pub(super) struct DataDir {
    /// The data directory: metadata, snapshots and the key file that unlocks both.
    #[arg(
        long,
        value_name = "DIR",
        env = "REGROW_DATA_DIR",
        hide_env_values = true
    )]
    pub(super) data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    #[command(flatten)]
    pub(super) data_dir: DataDir,

    /// Name of the first organization.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    pub(super) organization: String,

    /// Name of the first project.
    #[arg(long, value_name = "NAME", default_value = "Default")]
    pub(super) project: String,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// A configuration file; what is not in it has its default. Flags win over the file.
    ///
    /// `--print-config` prints a file with all settings, their defaults and what they mean.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print the default configuration file and do nothing else.
    #[arg(long)]
    pub(super) print_config: bool,

    /// The data directory that `regrow init` made.
    #[arg(
        long,
        value_name = "DIR",
        env = "REGROW_DATA_DIR",
        hide_env_values = true
    )]
    pub(super) data_dir: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes any free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,

    /// Certificate chain, in PEM, to serve HTTPS with.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,

    /// How log lines on standard error look [default: text].
    #[arg(
        long,
        value_enum,
        value_name = "text|json",
        hide_possible_values = true
    )]
    pub(super) log_format: Option<LogFormat>,

    /// What to log: a level (error, warn, info, debug, trace), or levels by module
    /// [default: info].
    #[arg(long, value_name = "FILTER")]
    pub(super) log_filter: Option<String>,
}

/// A command that talks to the service about one project.
#[derive(Debug, Args)]
pub(super) struct InProject<C: Args> {
    // First, because the heading of the other would hold for it, too.
    #[command(flatten)]
    pub(super) command: C,

    #[command(flatten)]
    pub(super) service: Service,
}

/// Where the service is and who asks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Service")]
pub(super) struct Service {
    #[arg(long, global = true, value_name = "URL", help = URL_HELP)]
    pub(super) url: Option<String>,

    #[arg(long, global = true, value_name = "KEY", help = PUBLIC_KEY_HELP)]
    pub(super) public_key: Option<String>,

    #[arg(long, global = true, value_name = "FILE", help = PRIVATE_KEY_HELP)]
    pub(super) private_key_file: Option<PathBuf>,

    #[arg(long, global = true, value_name = "FILE", help = CA_HELP)]
    pub(super) ca_file: Option<PathBuf>,

    #[arg(long, global = true, value_name = "PROJECT", help = PROJECT_HELP)]
    pub(super) project: Option<String>,
}

const URL_HELP: &str = "Where the service is [env: REGROW_URL] [default: http://127.0.0.1:8080]";
const PUBLIC_KEY_HELP: &str = "Public half of the API key [env: REGROW_PUBLIC_KEY]";
const PRIVATE_KEY_HELP: &str =
    "A file with the private half of the API key [env: REGROW_PRIVATE_KEY, the key itself]";
const CA_HELP: &str = "Certificates to trust instead of the system's, in PEM [env: REGROW_CA_FILE]";
const PROJECT_HELP: &str = "The project, by id or name; may be left out where the key sees just \
                            one [env: REGROW_PROJECT_ID]";

/// Yes, without being asked.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Yes {
    /// Go on without asking; needed where nobody can be asked.
    #[arg(long)]
    pub(super) yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct SnapshotCommand {
    #[command(subcommand)]
    pub(super) action: SnapshotAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum SnapshotAction {
    /// Take a snapshot now.
    Take {
        /// Name of the cluster.
        cluster: String,
        /// How many days to keep it [default: 8].
        #[arg(long, value_name = "DAYS")]
        retention_days: Option<u32>,
        /// Wait until it has ended; fails if it failed.
        #[arg(long)]
        wait: bool,
    },
    /// List a cluster's snapshots, newest first.
    List {
        /// Name of the cluster.
        cluster: String,
    },
    /// Show one snapshot.
    Show(OneSnapshot),
    /// Wait until a snapshot has ended; fails if it failed.
    Watch(OneSnapshot),
    /// Delete a snapshot.
    Delete {
        #[command(flatten)]
        snapshot: OneSnapshot,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, Args)]
pub(super) struct OneSnapshot {
    /// Name of the cluster.
    pub(super) cluster: String,
    /// Id of the snapshot, or `latest` for the newest one that is complete.
    pub(super) snapshot: String,
}

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Name of the cluster.
    pub(super) cluster: String,

    /// Say what would be given up and what is kept, and why; do nothing.
    #[arg(long)]
    pub(super) dry_run: bool,

    #[command(flatten)]
    pub(super) yes: Yes,
}

/// What is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DownloadFormat {
    /// For `mongorestore`.
    Dump,
    /// For `mongod --dbpath`.
    DataFiles,
}

#[derive(Debug, Args)]
pub(super) struct Download {
    /// Name of the cluster that the snapshot was taken from.
    pub(super) cluster: String,

    /// Id of the snapshot, or `latest` for the newest one that is complete.
    #[arg(long, value_name = "ID")]
    pub(super) snapshot: String,

    /// Where to save it, or - for standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,

    /// What to save: a dump for `mongorestore`, there at once, or data files for
    /// `mongod --dbpath`, which the service builds first [default: as it is configured].
    #[arg(
        long,
        value_enum,
        value_name = "dump|data-files",
        hide_possible_values = true
    )]
    pub(super) format: Option<DownloadFormat>,

    /// Replace the file if there is one already.
    #[arg(long)]
    pub(super) overwrite: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) data_dir: DataDir,

    /// Read and verify every byte, instead of the structure only.
    #[arg(long)]
    pub(super) read_data: bool,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}
