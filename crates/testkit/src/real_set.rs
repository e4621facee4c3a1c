//! A replica set of three real members on loopback ports: one can be stepped down, killed and
//! started again while the others go on.
//!
//! It must never say that there is a primary before the set's own members agree on it.

use std::time::Duration;

use anyhow::{Context, ensure};
use bson::{Bson, Document, doc};
use mongodb::Client;
use mongodb::options::ClientOptions;

use crate::real_mongo::{REPLICA_SET, RealMongo, RealMongoBuilder, START_LIMIT};
use crate::wait_for;

/// How many members there are: the fewest of which one may be missing.
const MEMBERS: usize = 3;
/// How long a new primary may take to be there, on a busy machine.
const ELECTION_LIMIT: Duration = Duration::from_secs(60);
/// How long members wait for their primary before they elect another, in milliseconds.
const ELECTION_TIMEOUT_MS: i32 = 2_000;
/// How often members ask each other, in milliseconds.
const HEARTBEAT_MS: i32 = 200;
/// For how long a primary that stepped down will not be one again, in seconds.
const STEP_DOWN_SECONDS: i32 = 20;

/// Three running members; dropping it ends them all.
#[derive(Debug)]
pub struct RealSet {
    members: Vec<RealMongo>,
}

impl RealSet {
    /// Starts the members and waits until one is the primary and the others follow it.
    pub(crate) async fn start(how: RealMongoBuilder) -> anyhow::Result<Self> {
        let start = || how.clone().start_alone();
        let (first, second, third) = tokio::join!(start(), start(), start());
        let set = Self {
            members: vec![first?, second?, third?],
        };
        set.initiate().await?;
        set.all_follow().await?;
        Ok(set)
    }

    async fn initiate(&self) -> anyhow::Result<()> {
        let hosts = self.members.iter().enumerate().map(|(number, member)| {
            let number = i32::try_from(number).expect("there are three");
            doc! { "_id": number, "host": format!("127.0.0.1:{}", member.port()) }
        });
        let hosts: Vec<Document> = hosts.collect();
        let settings = doc! {
            "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
            "heartbeatIntervalMillis": HEARTBEAT_MS,
        };
        let config = doc! { "_id": REPLICA_SET, "members": hosts, "settings": settings };
        let admin = self.direct(0).await?.database("admin");
        let initiated = admin.run_command(doc! { "replSetInitiate": config }).await;
        initiated.context("make a replica set of three members")?;
        Ok(())
    }

    /// Returns the connection string, with all members.
    pub fn uri(&self) -> String {
        let hosts = self.members.iter();
        let hosts = hosts.map(|member| format!("127.0.0.1:{}", member.port()));
        let hosts: Vec<String> = hosts.collect();
        format!("mongodb://{}/?replicaSet={REPLICA_SET}", hosts.join(","))
    }

    /// Returns a new client for [`RealSet::uri`].
    pub async fn client(&self) -> anyhow::Result<Client> {
        let mut options = ClientOptions::parse(self.uri()).await?;
        options.server_selection_timeout = Some(ELECTION_LIMIT);
        Client::with_options(options).context("make a client")
    }

    /// Returns the members, in the order of the connection string.
    pub fn members(&self) -> &[RealMongo] {
        &self.members
    }

    /// Waits until a majority of the members knows the same primary; returns its number.
    pub async fn primary(&self) -> anyhow::Result<usize> {
        wait_for(ELECTION_LIMIT, "a primary", || async {
            let mut votes = [0; MEMBERS];
            for member in 0..MEMBERS {
                if let Ok(primary) = self.primary_of(member).await {
                    votes[primary] += 1;
                }
            }
            let winner = votes.iter().position(|&votes| votes > MEMBERS / 2);
            winner.ok_or_else(|| format!("votes for each member: {votes:?}"))
        })
        .await
    }

    /// Asks the primary to step down and waits until another member is the primary.
    pub async fn step_down(&self) -> anyhow::Result<()> {
        let old = self.primary().await?;
        let admin = self.direct(old).await?.database("admin");
        let ask = doc! {
            "replSetStepDown": STEP_DOWN_SECONDS, "secondaryCatchUpPeriodSecs": 10,
        };
        admin.run_command(ask).await.context("step down")?;
        wait_for(ELECTION_LIMIT, "another primary", || async {
            match self.primary().await {
                Ok(new) if new != old => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await
    }

    /// Ends a member at once, as a power cut would.
    pub fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    /// Starts a member that was killed, or stops and starts one that runs; returns when all
    /// members that run follow one primary.
    pub async fn restart(&mut self, member: usize) -> anyhow::Result<()> {
        self.members[member].relaunch().await?;
        self.all_follow().await
    }

    /// Waits until there is a primary and every running member is that or follows it.
    async fn all_follow(&self) -> anyhow::Result<()> {
        let primary = self.primary().await?;
        for member in 0..MEMBERS {
            if self.members[member].pid().is_none() {
                continue;
            }
            wait_for(START_LIMIT, "a member to follow", || async {
                let hello = self
                    .hello(member)
                    .await
                    .map_err(|error| error.to_string())?;
                let is = |key| hello.get_bool(key).unwrap_or(false);
                if is("isWritablePrimary") || is("secondary") {
                    Ok(())
                } else {
                    Err(format!(
                        "member {member} (the primary is {primary}): {hello}"
                    ))
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn hello(&self, member: usize) -> anyhow::Result<Document> {
        ensure!(self.members[member].pid().is_some(), "it is stopped");
        let admin = self.direct(member).await?.database("admin");
        let answer = admin.run_command(doc! { "hello": 1 });
        Ok(tokio::time::timeout(Duration::from_secs(2), answer).await??)
    }

    /// Returns which member this member takes for the primary.
    async fn primary_of(&self, member: usize) -> anyhow::Result<usize> {
        let hello = self.hello(member).await?;
        let primary = hello.get("primary").and_then(Bson::as_str);
        let primary = primary.context("it knows no primary")?;
        let is_it = |member: &RealMongo| primary == format!("127.0.0.1:{}", member.port());
        let found = self.members.iter().position(is_it);
        found.with_context(|| format!("{primary} is no member"))
    }

    /// Returns a client that talks to one member only.
    async fn direct(&self, member: usize) -> anyhow::Result<Client> {
        let member = &self.members[member];
        member.client_of(&member.uri(), true).await
    }
}
