//! A transaction that changes the store: written, recorded, committed, announced.

use std::fmt::Display;
use std::sync::Arc;

use model::{Actor, Error, Timestamp};

use crate::Shared;
use crate::engine::{Connection, Transaction};
use crate::generation::Altered;
use crate::row::During;

/// A change under way. Dropping it undoes it.
pub(crate) struct Change {
    transaction: Transaction,
    shared: Arc<Shared>,
}

impl Change {
    pub(crate) async fn begin(shared: &Arc<Shared>) -> Result<Self, Error> {
        let transaction = shared
            .pools
            .begin_write()
            .await
            .during("begin transaction")?;
        Ok(Self {
            transaction,
            shared: Arc::clone(shared),
        })
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.transaction
    }

    /// Writes the change's audit row.
    pub(crate) async fn record(
        &mut self,
        actor: &Actor,
        action: &'static str,
        subject: impl Display,
        at: Timestamp,
        detail: serde_json::Value,
    ) -> Result<(), Error> {
        let subject = subject.to_string();
        crate::audit::insert(self.connection(), actor, action, subject, at, &detail).await
    }

    /// Makes the change durable and then tells those who keep answers.
    ///
    /// It runs as a task of its own: a caller that goes away in the middle must not leave a
    /// committed change unannounced. A failed commit is announced too, since its outcome may
    /// be unknown.
    pub(crate) async fn commit(self, altered: Altered) -> Result<(), Error> {
        let Change {
            transaction,
            shared,
        } = self;
        let committing = tokio::spawn(async move {
            let outcome = transaction.commit().await;
            shared.generation.raise(altered);
            outcome
        });
        committing
            .await
            .map_err(Error::internal)?
            .during("commit transaction")
    }
}
