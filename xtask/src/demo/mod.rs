//! Shows the whole product on real servers and proves each step: snapshot, damage, restore,
//! lists, download. It must never say that something held without having looked.
//!
//! The proof asks the servers themselves (`dbHash` and the catalog), not the product. Everything
//! it makes is in one folder, `.demo/`, which the next run removes.

mod archive;
mod folder;
mod lists;
mod say;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use testkit::sample::{self, SampleOptions, State};
use testkit::{MongodSource, RealMongo};

use crate::service::{self, Cli, Key, Service};
use crate::shell;
use folder::Folder;

/// The ports that are tried first, so that what is printed is the same from run to run.
const PORTS: [u16; 3] = [27_117, 27_118, 8_080];
/// The names of the two deployments in the product.
const TENANT: &str = "cluster-1";
const SERVERLESS: &str = "instance-1";

/// How the demonstration is run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Stop all that was started; succeed only if every step was proved
    #[arg(long)]
    exit: bool,
    /// Only stop what an earlier run left running
    #[arg(long, conflicts_with = "exit")]
    stop: bool,
    /// Where everything is kept
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How many documents the tenant cluster gets; the serverless instance gets a fifth of it
    #[arg(long, value_name = "COUNT", default_value_t = SampleOptions::default().documents)]
    documents: u32,
}

/// A deployment that is protected, and what is known of it.
struct Deployment {
    name: &'static str,
    tier: &'static str,
    mongo: RealMongo,
    before: State,
    snapshot_id: String,
}

/// Runs it.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let path = options
        .folder
        .clone()
        .unwrap_or_else(|| shell::root().join(".demo"));
    if options.stop {
        if !path.exists() {
            say::line("nothing was left running");
            return Ok(());
        }
        let _lock = folder::lock(&path)?;
        let stopped = folder::stop_leftovers(&path)?;
        say::line(&format!(
            "stopped {stopped} processes of {}",
            path.display()
        ));
        return Ok(());
    }
    say::step("Building regrow");
    let binary = service::build(false)?;
    let folder = Folder::renew(&path)?;

    let mut deployments = start_servers(&folder, options.documents).await?;
    say::step("Starting the service");
    let key = service::init(&binary, &folder.path("data"))?;
    folder.write_key(&key)?;
    let port = service::free_port(PORTS[2])?;
    let log = folder.path("serve.log");
    let service = Service::start(&binary, &folder.path("data"), port, &log).await?;
    folder.remember("serve", service.pid())?;
    say::line(&format!(
        "http://{} answers; its log is {}",
        service.address(),
        log.display()
    ));

    let cli = Cli::new(&binary, service.address(), &key, true);
    for deployment in &mut deployments {
        take_snapshot(&cli, deployment).await?;
    }
    for deployment in &deployments {
        damage_and_restore(&cli, deployment).await?;
    }
    archive::fetch(&cli, &folder, &deployments[0]).await?;
    lists::show(service.address(), &key, &deployments[0], &deployments[1])?;

    if options.exit {
        say::step("Stopping everything");
        service.stop().await?;
        check_store(&binary, &folder)?;
        for deployment in deployments {
            let mut mongo = deployment.mongo;
            mongo.stop().await?;
        }
        say::line("every step was proved");
        return Ok(());
    }
    say::what_next(&cli, &key, service.address(), &deployments, &binary);
    service.detach();
    for deployment in deployments {
        deployment.mongo.detach()?;
    }
    Ok(())
}

/// Starts both servers and fills them.
async fn start_servers(folder: &Folder, documents: u32) -> anyhow::Result<[Deployment; 2]> {
    say::step("Starting two replica sets");
    let (mongod, source) = testkit::find_mongod()?;
    let from = match source {
        MongodSource::Environment => "named by REGROW_MONGOD",
        MongodSource::Path => "on the PATH",
        MongodSource::Pinned => "pinned, in the user's cache directory",
    };
    say::line(&format!("mongod is {} ({from})", mongod.display()));
    let tenant = start_server(folder, TENANT, "M2", PORTS[0], documents).await?;
    let serverless =
        start_server(folder, SERVERLESS, "serverless", PORTS[1], documents / 5).await?;
    Ok([tenant, serverless])
}

async fn start_server(
    folder: &Folder,
    name: &'static str,
    tier: &'static str,
    port: u16,
    documents: u32,
) -> anyhow::Result<Deployment> {
    let port = service::free_port(port)?;
    let mongo = RealMongo::replica_set()
        .folder(folder.path(name))
        .port(port)
        .start()
        .await?;
    folder.remember(name, mongo.pid().context("the server has just answered")?)?;
    let client = mongo.client().await?;
    sample::load(
        &client,
        SampleOptions {
            documents,
            ..SampleOptions::default()
        },
    )
    .await?;
    let before = sample::state(&client).await?;
    let (databases, collections) = before.counts();
    say::line(&format!(
        "{name}: {} with about {documents} documents in {collections} collections and views of \
         {databases} databases",
        mongo.uri()
    ));
    Ok(Deployment {
        name,
        tier,
        mongo,
        before,
        snapshot_id: String::new(),
    })
}

/// Attaches a deployment and takes a snapshot of it.
async fn take_snapshot(cli: &Cli, deployment: &mut Deployment) -> anyhow::Result<()> {
    let Deployment {
        name, tier, mongo, ..
    } = deployment;
    say::step(&format!("Snapshot of {name}"));
    let uri = mongo.uri();
    cli.run(&[
        "cluster",
        "add",
        name,
        "--uri",
        &uri,
        "--tier",
        tier,
        "--no-snapshot",
    ])
    .await?;
    let snapshot = cli.run(&["snapshot", "take", name, "--wait"]).await?;
    expect_completed(&snapshot)?;
    deployment.snapshot_id = text(&snapshot, "id")?;
    say::line(&format!(
        "snapshot {} is {}",
        deployment.snapshot_id, snapshot["status"]
    ));
    Ok(())
}

/// Damages a deployment, restores it, and compares it with what it was.
async fn damage_and_restore(cli: &Cli, deployment: &Deployment) -> anyhow::Result<()> {
    let Deployment {
        name,
        mongo,
        before,
        snapshot_id,
        ..
    } = deployment;
    let client = mongo.client().await?;
    say::step(&format!("Damage to {name}"));
    sample::damage(&client).await?;
    let damaged = sample::state(&client).await?;
    let differences = before.differences(&damaged).len();
    ensure!(
        differences > 0,
        "the damage can't be seen, so a restore would prove nothing"
    );
    say::line(&format!(
        "{differences} collections differ in documents or catalog"
    ));

    say::step(&format!("Restore of {name}"));
    let line = [
        "restore",
        "start",
        name,
        "--snapshot",
        snapshot_id,
        "--target",
        name,
    ];
    let restore = cli.run(&[&line[..], &["--yes", "--wait"]].concat()).await?;
    let restore_id = text(&restore, "id")?;
    let after = sample::state(&client).await?;
    let differences = before.differences(&after);
    let shown = differences.join("\n");
    ensure!(
        differences.is_empty(),
        "{name} is not what it was before the damage:\n{shown}"
    );
    let (databases, collections) = after.counts();
    say::proved(&format!(
        "restore {restore_id}: dbHash of {databases} databases and the catalog of {collections} \
         collections and views are what they were"
    ));
    Ok(())
}

/// Reads all of the snapshot store back, which no service may be working on.
fn check_store(binary: &Path, folder: &Folder) -> anyhow::Result<()> {
    let mut check = Command::new(binary);
    check
        .arg("check")
        .arg("--data-dir")
        .arg(folder.path("data"))
        .arg("--read-data");
    shell::run(check.stdout(std::process::Stdio::null()))?;
    say::proved("every byte of the snapshot store is what was written");
    Ok(())
}

/// Fails unless a job says of itself that it is completed, in the words of either family.
fn expect_completed(job: &Value) -> anyhow::Result<()> {
    let status = job["status"].as_str().unwrap_or_default();
    ensure!(
        status.eq_ignore_ascii_case("completed"),
        "the job isn't completed: {job}"
    );
    Ok(())
}

/// Returns a member that is a text.
fn text(value: &Value, member: &str) -> anyhow::Result<String> {
    let text = value[member].as_str().map(str::to_owned);
    text.with_context(|| format!("there is no {member} in {value}"))
}

impl Key {
    /// Returns the key as curl's option `--user` wants it.
    fn user(&self) -> String {
        format!("{}:{}", self.public, self.private)
    }
}
