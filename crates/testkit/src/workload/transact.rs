//! Transactions over several collections: short and long ones, some of them given up.

use bson::{Document, doc};
use mongodb::error::Error;

use super::value::{body, id};
use super::writer::{Went, Writer};

/// Operations of a short transaction at most.
const SHORT: u32 = 4;
/// Operations of a long one at most.
const LONG: u32 = 60;

impl Writer {
    /// Does one transaction; returns its name and how it went.
    pub(super) async fn transact(&mut self) -> (&'static str, Went) {
        let (name, most) = match self.random.below(6) {
            0 => ("long transaction", LONG),
            _ => ("transaction", SHORT),
        };
        let count = 1 + self.random.below(most);
        let gives_up = self.random.below(8) == 0;
        match self.transaction(count, gives_up).await {
            Ok(()) if gives_up => ("transaction given up", Ok(())),
            Ok(()) => (name, Ok(())),
            Err(error) => {
                // It has ended already when the server refused a part of it.
                let _ = self.session.abort_transaction().await;
                (name, Err(error.into()))
            }
        }
    }

    async fn transaction(&mut self, count: u32, gives_up: bool) -> Result<(), Error> {
        self.session.start_transaction().await?;
        // Two collections at most come and go: more would almost never all be there.
        let places = [self.place(), self.place()];
        for number in 0..count {
            let place = &places[number as usize % places.len()];
            let (database, name) = (place.database.clone(), place.name.clone());
            let command = self.step(&name);
            let database = self.client.database(&database);
            database
                .run_command(command)
                .session(&mut self.session)
                .await?;
        }
        if gives_up {
            self.session.abort_transaction().await
        } else {
            self.session.commit_transaction().await
        }
    }

    /// Draws one write of a transaction. Identities repeat, so one document may change twice.
    fn step(&mut self, name: &str) -> Document {
        let space = self.space.min(100);
        let query = doc! { "_id": id(&mut self.random, space) };
        match self.random.below(4) {
            0 => doc! { "delete": name, "deletes": [{ "q": query, "limit": 1 }] },
            1 => {
                let update = doc! { "q": query, "u": self.change(), "upsert": true };
                doc! { "update": name, "updates": [update] }
            }
            2 => {
                let update = doc! { "q": query, "u": self.change(), "upsert": false };
                doc! { "update": name, "updates": [update] }
            }
            _ => {
                // An insert of what is there would end the transaction.
                let replacement = body(&mut self.random);
                let update = doc! { "q": query, "u": replacement, "upsert": true };
                doc! { "update": name, "updates": [update] }
            }
        }
    }
}
