//! A real `mongod` of one's own, on a free loopback port, for as long as the value lives.
//!
//! It must never outlive its process (unless detached on purpose), listen on anything but the
//! loopback address, or leave a temporary folder behind. Any number may run at a time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bson::{Bson, Document, doc};
use mongodb::Client;
use mongodb::options::ClientOptions;
use tempfile::TempDir;

use crate::{OwnedChild, RealSet, find_mongod, wait_for};

/// The name of every replica set that is started here.
pub(crate) const REPLICA_SET: &str = "rs0";
/// How long a server may take until it answers and is primary.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take to end after it was asked to.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often another port is tried when somebody else took the chosen one first.
const PORT_TRIES: u32 = 5;
/// How much of the server's log a failure carries, in lines.
const LOG_TAIL_LINES: usize = 12;
/// The exit code of a `mongod` that could not listen.
const EXIT_NET_ERROR: i32 = 48;
/// The user that `with_auth` creates.
const ROOT: (&str, &str) = ("root", "root-password");

/// How a server is to be started; [`RealMongoBuilder::start`] does it.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RealMongoBuilder {
    replica_set: bool,
    auth: bool,
    folder: Option<PathBuf>,
    port: Option<u16>,
    cache: CacheSize,
    oplog_mb: Option<u32>,
    args: Vec<String>,
}

/// How much memory the server takes for its cache.
#[derive(Clone, Copy, Debug, Default)]
enum CacheSize {
    /// Many servers run side by side in tests.
    #[default]
    Small,
    Gb(f64),
    AsItComes,
}

impl RealMongoBuilder {
    /// Turns authentication on and creates a user with the role `root`.
    pub fn with_auth(mut self) -> Self {
        self.auth = true;
        self
    }

    /// Keeps the data in `folder`, which is not removed afterwards; a temporary one otherwise.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Listens on this port of the loopback address; on a free one otherwise.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the size of the server's own cache in GB; 0.25 otherwise.
    pub fn cache_gb(mut self, cache_gb: f64) -> Self {
        self.cache = CacheSize::Gb(cache_gb);
        self
    }

    /// Leaves the size of the cache to the server: half of the machine's memory.
    pub fn cache_as_it_comes(mut self) -> Self {
        self.cache = CacheSize::AsItComes;
        self
    }

    /// Sets the size of the oplog in MB; 256 otherwise.
    pub fn oplog_mb(mut self, oplog_mb: u32) -> Self {
        self.oplog_mb = Some(oplog_mb);
        self
    }

    /// Adds arguments to the command line, such as `--setParameter` and `ttlMonitorEnabled=false`.
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a server parameter, as `--setParameter` does.
    pub fn parameter(self, name: &str, value: impl std::fmt::Display) -> Self {
        self.args(["--setParameter".to_owned(), format!("{name}={value}")])
    }

    /// Sets for how many seconds the past can be read; 300 otherwise.
    pub fn snapshot_window_seconds(self, seconds: u32) -> Self {
        self.parameter("minSnapshotHistoryWindowInSeconds", seconds)
    }

    /// Makes an oplog of 1 MB that forgets within seconds: the server gives up the oldest part only
    /// after a checkpoint, which comes every second here instead of every minute.
    pub fn forgetful_oplog(self) -> Self {
        self.oplog_mb(1).args(["--syncdelay", "1"])
    }

    /// Starts three members of one replica set, each with a folder and a port of its own.
    pub async fn start_three(self) -> anyhow::Result<RealSet> {
        let is_for_one = self.auth || self.folder.is_some() || self.port.is_some();
        ensure!(
            self.replica_set && !is_for_one,
            "three members can't be started like this"
        );
        RealSet::start(self).await
    }

    /// Starts the server and returns when it answers, as the primary if it is a replica set.
    pub async fn start(self) -> anyhow::Result<RealMongo> {
        let mut mongo = self.start_alone().await?;
        mongo.prepare().await.with_context(|| mongo.log_tail())?;
        Ok(mongo)
    }

    /// Starts the server and returns when it answers, of whatever set it will be.
    pub(crate) async fn start_alone(self) -> anyhow::Result<RealMongo> {
        let (binary, _) = find_mongod()?;
        let (folder, temporary) = match &self.folder {
            Some(folder) => (folder.clone(), None),
            None => {
                let made = tempfile::Builder::new()
                    .prefix("regrow-mongod-")
                    .tempdir()?;
                (made.path().to_owned(), Some(made))
            }
        };
        fs::create_dir_all(folder.join("db")).context("create the folder of a mongod")?;
        // From here on nothing borrows from this machine's current directory.
        let folder = folder
            .canonicalize()
            .context("resolve the folder of a mongod")?;
        if self.auth {
            write_key_file(&folder.join("key"))?;
        }
        let port = self.port.map_or_else(free_port, Ok)?;
        let mut mongo = RealMongo {
            binary,
            how: self,
            folder,
            temporary,
            port,
            running: None,
            rooted: false,
        };
        mongo.launch().await?;
        Ok(mongo)
    }
}

/// A running `mongod`; dropping it ends the server and removes its temporary folder.
#[derive(Debug)]
pub struct RealMongo {
    binary: PathBuf,
    how: RealMongoBuilder,
    folder: PathBuf,
    temporary: Option<TempDir>,
    port: u16,
    running: Option<OwnedChild>,
    /// Whether the user `root` exists already.
    rooted: bool,
}

impl RealMongo {
    /// Describes a server without a replica set.
    pub fn standalone() -> RealMongoBuilder {
        RealMongoBuilder::default()
    }

    /// Describes a replica set of one member, named `rs0`.
    pub fn replica_set() -> RealMongoBuilder {
        RealMongoBuilder {
            replica_set: true,
            ..RealMongoBuilder::default()
        }
    }

    /// Returns the port that the server listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the process id, or nothing while the server is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(OwnedChild::pid)
    }

    /// Returns the server's folder: `db` with the data files, and `mongod.log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the connection string; with authentication on it is that of the user `root`.
    pub fn uri(&self) -> String {
        if self.rooted {
            self.uri_as(ROOT.0, ROOT.1)
        } else {
            self.uri_without_user()
        }
    }

    /// Returns the connection string without a user, whatever the server wants.
    pub fn uri_without_user(&self) -> String {
        format!(
            "mongodb://127.0.0.1:{}/{}",
            self.port,
            self.uri_options("?")
        )
    }

    /// Returns the connection string of a user of the database `admin`.
    pub fn uri_as(&self, user: &str, password: &str) -> String {
        let (user, password) = (percent_encoded(user), percent_encoded(password));
        let options = self.uri_options("&");
        format!(
            "mongodb://{user}:{password}@127.0.0.1:{}/?authSource=admin{options}",
            self.port
        )
    }

    fn uri_options(&self, before: &str) -> String {
        if self.how.replica_set {
            format!("{before}replicaSet={REPLICA_SET}")
        } else {
            String::new()
        }
    }

    /// Returns a new client for [`RealMongo::uri`], which belongs to the runtime it is made in.
    pub async fn client(&self) -> anyhow::Result<Client> {
        self.client_of(&self.uri(), false).await
    }

    /// Sets a parameter of the running server.
    pub async fn set_parameter(&self, name: &str, value: u32) -> anyhow::Result<()> {
        let mut set = doc! { "setParameter": 1 };
        set.insert(name, value);
        let admin = self.client().await?.database("admin");
        let answer = admin.run_command(set).await;
        answer.with_context(|| format!("set {name}"))?;
        Ok(())
    }

    /// Makes the server write what it has still to write, so that nobody is kept waiting for it, or
    /// is charged for it, who comes next.
    pub async fn settle(&self) -> anyhow::Result<()> {
        let admin = self.client().await?.database("admin");
        let answer = admin.run_command(doc! { "fsync": 1 }).await;
        answer.context("flush the server")?;
        Ok(())
    }

    /// Returns a new client of a user of the database `admin`.
    pub async fn client_as(&self, user: &str, password: &str) -> anyhow::Result<Client> {
        self.client_of(&self.uri_as(user, password), false).await
    }

    pub(crate) async fn client_of(&self, uri: &str, direct: bool) -> anyhow::Result<Client> {
        let mut options = ClientOptions::parse(uri)
            .await
            .context("parse own connection string")?;
        options.server_selection_timeout = Some(Duration::from_secs(10));
        if direct {
            options.direct_connection = Some(true);
            options.repl_set_name = None;
        }
        Client::with_options(options).context("make a client")
    }

    /// Creates a user in the database `admin` with the given pairs of role and database.
    pub async fn create_user(
        &self,
        name: &str,
        password: &str,
        roles: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let client = self.client().await?;
        create_user(&client, name, password, roles).await
    }

    /// Stops the server in good order; its folder and port are kept for [`RealMongo::restart`].
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(child) = self.running.take() {
            child
                .stop(STOP_LIMIT)
                .await
                .with_context(|| self.log_tail())?;
        }
        Ok(())
    }

    /// Ends the server at once, as a power cut would; folder and port are kept.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Stops the server if it runs and starts it again on the same folder and port.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.relaunch().await?;
        self.prepare().await.with_context(|| self.log_tail())
    }

    /// As [`RealMongo::restart`], but returns as soon as the server answers, primary or not.
    pub(crate) async fn relaunch(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        // Clients know it by its port.
        self.how.port = Some(self.port);
        self.launch().await
    }

    /// Lets the server run on after this value and this process are gone; returns its process id.
    ///
    /// Only for a server with a folder of its own (see [`RealMongoBuilder::folder`]).
    pub fn detach(mut self) -> anyhow::Result<u32> {
        if self.temporary.is_some() {
            bail!("a mongod in a temporary folder can't be detached");
        }
        let child = self.running.take();
        Ok(child
            .context("a mongod that is stopped can't be detached")?
            .detach())
    }

    /// Returns the last warnings and errors of the server's log, and what it printed elsewhere.
    pub fn log_tail(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let log = read("output.log") + &read("mongod.log");
        let is_grave =
            |line: &&str| !line.contains(r#""s":"I""#) && !line.contains("startupWarnings");
        let grave: Vec<&str> = log.lines().filter(is_grave).collect();
        let tail = grave[grave.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        format!(
            "warnings and errors of mongod on port {}:\n{tail}",
            self.port
        )
    }

    /// Starts the process and waits until it answers; another port if this one is taken.
    async fn launch(&mut self) -> anyhow::Result<()> {
        for _ in 0..PORT_TRIES {
            self.spawn()?;
            if self.answers().await? {
                return Ok(());
            }
            if self.how.port.is_some() {
                bail!("port {} of 127.0.0.1 is taken", self.port);
            }
            self.running = None;
            self.port = free_port()?;
        }
        bail!("no free port was found in {PORT_TRIES} tries")
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let output = File::create(self.folder.join("output.log")).context("create output.log")?;
        let mut command = Command::new(&self.binary);
        command
            .args(self.command_line())
            .stdout(output.try_clone()?)
            .stderr(output);
        let temporary = self.temporary.as_ref().map(TempDir::path);
        let mark = self.folder.to_string_lossy();
        self.running = Some(OwnedChild::spawn(&mut command, &mark, temporary)?);
        Ok(())
    }

    fn command_line(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: OsString| line.extend([OsString::from(name), value]);
        add("--dbpath", self.folder.join("db").into());
        add("--logpath", self.folder.join("mongod.log").into());
        add("--port", self.port.to_string().into());
        add("--bind_ip", "127.0.0.1".into());
        let cache_gb = match self.how.cache {
            CacheSize::Small => Some(0.25),
            CacheSize::Gb(size) => Some(size),
            CacheSize::AsItComes => None,
        };
        if let Some(size) = cache_gb {
            add("--wiredTigerCacheSizeGB", size.to_string().into());
        }
        add(
            "--setParameter",
            "diagnosticDataCollectionEnabled=false".into(),
        );
        if self.how.replica_set {
            add("--replSet", REPLICA_SET.into());
            add(
                "--oplogSize",
                self.how.oplog_mb.unwrap_or(256).to_string().into(),
            );
        }
        match (self.how.auth, self.how.replica_set) {
            (true, true) => add("--keyFile", self.folder.join("key").into()),
            (true, false) => line.push("--auth".into()),
            (false, _) => {}
        }
        line.extend(["--nounixsocket".into(), "--logappend".into()]);
        line.extend(self.how.args.iter().map(OsString::from));
        line
    }

    /// Returns true when the server answers a ping, false when it ended for want of its port.
    async fn answers(&mut self) -> anyhow::Result<bool> {
        let client = self.client_of(&self.uri_without_user(), true).await?;
        let admin = client.database("admin");
        let child = self.running.as_mut().context("the server was started")?;
        let answer = wait_for(START_LIMIT, "mongod to answer", || {
            let ended = child.try_wait();
            let ping = admin.run_command(doc! { "ping": 1 });
            async move {
                if let Ok(Some(status)) = ended {
                    return Ok(Some(status));
                }
                let answer = tokio::time::timeout(Duration::from_secs(1), ping).await;
                answer
                    .map_err(|_| String::from("no answer"))?
                    .map_err(|error| error.to_string())?;
                Ok::<_, String>(None)
            }
        });
        match answer.await.with_context(|| self.log_tail())? {
            None => Ok(true),
            Some(status) if status.code() == Some(EXIT_NET_ERROR) => Ok(false),
            Some(status) => bail!("mongod ended with {status}; {}", self.log_tail()),
        }
    }

    /// Makes the replica set and the first user, as far as they are missing.
    async fn prepare(&mut self) -> anyhow::Result<()> {
        let uri = self.uri();
        let client = self.client_of(&uri, true).await?;
        if self.how.replica_set {
            initiate(&client, self.port).await?;
        }
        if self.how.auth && !self.rooted {
            // The server lets the first user be made from this machine without being asked who.
            create_user(&client, ROOT.0, ROOT.1, &[("root", "admin")]).await?;
            self.rooted = true;
        }
        Ok(())
    }
}

impl Drop for RealMongo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        self.kill();
    }
}

/// Makes a replica set of one member, unless there is one, and waits for the primary.
async fn initiate(client: &Client, port: u16) -> anyhow::Result<()> {
    let member = doc! { "_id": 0, "host": format!("127.0.0.1:{port}") };
    let config = doc! { "_id": REPLICA_SET, "members": [member] };
    let admin = client.database("admin");
    let answer = admin.run_command(doc! { "replSetInitiate": config }).await;
    if let Err(error) = answer
        && !is_already_done(&error)
    {
        return Err(error).context("make a replica set of one member");
    }
    wait_for(START_LIMIT, "the member to become primary", || async {
        match admin.run_command(doc! { "hello": 1 }).await {
            Ok(hello) if hello.get_bool("isWritablePrimary").unwrap_or(false) => Ok(()),
            Ok(hello) => Err(hello.to_string()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// Tells whether a replica set exists already, or may not be touched without a user (restart).
fn is_already_done(error: &mongodb::error::Error) -> bool {
    const ALREADY_INITIALIZED: i32 = 23;
    const UNAUTHORIZED: i32 = 13;
    match *error.kind {
        mongodb::error::ErrorKind::Command(ref command) => {
            [ALREADY_INITIALIZED, UNAUTHORIZED].contains(&command.code)
        }
        _ => false,
    }
}

async fn create_user(
    client: &Client,
    name: &str,
    password: &str,
    roles: &[(&str, &str)],
) -> anyhow::Result<()> {
    let roles: Vec<Bson> = roles
        .iter()
        .map(|(role, db)| doc! { "role": *role, "db": *db }.into())
        .collect();
    let command: Document = doc! { "createUser": name, "pwd": password, "roles": roles };
    client
        .database("admin")
        .run_command(command)
        .await
        .context("create a user")?;
    Ok(())
}

/// Returns a port of the loopback address that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("look for a free port")?;
    Ok(listener.local_addr()?.port())
}

fn write_key_file(path: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).context("create the key file")?;
    file.write_all(b"onlyForTestsOnOneMachine")
        .context("write the key file")
}

/// Returns the text with everything but letters and digits percent-encoded.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
