//! One writer: draws an operation, does it, counts how it went.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::{Client, ClientSession};

use super::{AWAY_LIMIT, Control, WorkloadOptions, WorkloadReport, quick};
use crate::random::Random;
use crate::wait_for;

/// Databases whose collections come and go.
const DATABASES: [&str; 3] = ["work_a", "work_b", "wörk"];
/// Names of collections that come and go, in each of them.
const NAMES: [&str; 6] = ["c0", "c1", "c2", "c.3", "ç4", CLUSTERED];
/// The one of them that is always created clustered. It is never made capped: the server does
/// that, but refuses to create such a collection (code 6127800).
pub(super) const CLUSTERED: &str = "k5";
/// Collections that always stay and hold ordinary documents, in the database `steady`.
pub(super) const STEADY: [&str; 5] = ["plain", "indexed", "clustered", "expiring", "versions"];
/// The database whose collections always stay.
pub(super) const STEADY_DATABASE: &str = "steady";

/// A database and a collection.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) database: String,
    pub(super) name: String,
}

impl Place {
    pub(super) fn full(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }
}

/// A connection, and what it has drawn so far.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) session: ClientSession,
    pub(super) random: Random,
    /// How many identities there are per collection.
    pub(super) space: u32,
    catalog_per_mille: u32,
    report: WorkloadReport,
}

/// How an operation went that the server answered.
pub(super) type Went = Result<(), Refusal>;

/// Why an operation was not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The server said no, for a reason with this name.
    Named(String),
    /// The server could not be asked.
    Away,
    /// The driver or this code is wrong.
    Fault(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(command) => Refusal::Named(command.code_name.clone()),
            ErrorKind::Write(_) => Refusal::Named("WriteError".to_owned()),
            ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::ServerSelection { .. } => Refusal::Away,
            _ => Refusal::Fault(error),
        }
    }
}

impl Writer {
    pub(super) async fn new(
        client: Client,
        number: u32,
        options: WorkloadOptions,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            session: client.start_session().await.context("start a session")?,
            client,
            random: Random::new(options.seed ^ (u64::from(number) << 32)),
            space: options.documents.max(1) * 2,
            catalog_per_mille: options.catalog_per_mille,
            report: WorkloadReport::default(),
        })
    }

    /// Writes until there is nothing left to do.
    pub(super) async fn run(mut self, control: Arc<Control>) -> anyhow::Result<WorkloadReport> {
        while control.next() {
            let (kind, went) = self.operation().await;
            match went {
                Ok(()) => *self.report.done.entry(kind.to_owned()).or_default() += 1,
                Err(Refusal::Named(reason)) => self.refused(kind, reason),
                Err(Refusal::Away) => {
                    self.refused(kind, "the server is away".to_owned());
                    self.wait_for_server().await?;
                }
                Err(Refusal::Fault(error)) => {
                    bail!("{kind}: {error}");
                }
            }
            control.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(self.report)
    }

    async fn operation(&mut self) -> (&'static str, Went) {
        if self.random.below(1_000) < self.catalog_per_mille {
            self.change_shape().await
        } else if self.random.below(8) == 0 {
            self.transact().await
        } else {
            self.write().await
        }
    }

    /// As [`Writer::passing`], but not clustered.
    pub(super) fn ordinary(&mut self) -> Place {
        loop {
            let place = self.passing();
            if place.name != CLUSTERED {
                return place;
            }
        }
    }

    fn refused(&mut self, kind: &str, reason: String) {
        let key = (kind.to_owned(), reason);
        *self.report.refused.entry(key).or_default() += 1;
    }

    async fn wait_for_server(&self) -> anyhow::Result<()> {
        let admin = self.client.database("admin");
        wait_for(AWAY_LIMIT, "the server to be there again", || async {
            let ping = admin.run_command(doc! { "ping": 1 }).await;
            ping.map(drop).map_err(|error| error.to_string())
        })
        .await
    }

    /// Runs a command; an error of a single write within it is a refusal of all.
    pub(super) async fn send(&self, database: &str, command: Document) -> Went {
        let answer = self
            .client
            .database(database)
            .run_command(quick(command))
            .await?;
        match answer.get_array("writeErrors") {
            Err(_) => Ok(()),
            Ok(errors) => {
                let first = errors.first().and_then(|error| error.as_document());
                let code = first.and_then(|error| error.get_i32("code").ok());
                Err(Refusal::Named(format!("write error {}", code.unwrap_or(0))))
            }
        }
    }

    /// Draws a collection that comes and goes, and may not be there.
    pub(super) fn passing(&mut self) -> Place {
        Place {
            database: self.random.pick(&DATABASES).to_owned(),
            name: self.random.pick(&NAMES).to_owned(),
        }
    }

    /// Draws a collection to write to: as often one that stays as one that does not.
    pub(super) fn place(&mut self) -> Place {
        if self.random.below(2) == 0 {
            return self.passing();
        }
        Place {
            database: STEADY_DATABASE.to_owned(),
            name: self.random.pick(&STEADY).to_owned(),
        }
    }
}
