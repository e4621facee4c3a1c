//! What is large: documents near the limit of 16 MB, and transactions that do not fit one entry
//! of the oplog. Few identities, so that a server does not fill up with them.

use bson::{Document, doc};

use super::value::{body, long_text};
use super::writer::{STEADY, STEADY_DATABASE, Went, Writer};

/// Bytes of the text of a document near the limit, which is 16 MiB; what surrounds it takes a
/// little.
const HUGE_BYTES: usize = 16 * 1024 * 1024 - 4_096;
/// Three of these are more than the 16 MB that one entry of the oplog can have.
const WIDE_BYTES: usize = 6_500_000;
/// Documents of one large transaction.
const WIDE_DOCUMENTS: i32 = 3;
/// Identities of documents near the limit.
const HUGE_IDENTITIES: i32 = 2;

impl Writer {
    /// Does the next of the large operations, which take turns; returns its name and how it went.
    pub(super) async fn write_large(&mut self) -> (&'static str, Went) {
        self.large_left -= 1;
        match self.large_left % 4 {
            3 => ("huge document", self.replace_huge().await),
            2 => ("large transaction", self.large_transaction().await),
            1 => ("huge document grown", self.grow_huge().await),
            _ => ("large ones deleted", self.delete_large().await),
        }
    }

    async fn replace_huge(&mut self) -> Went {
        let replacement = doc! {
            "group": self.random.int(10), "text": long_text(&mut self.random, HUGE_BYTES),
        };
        let query = doc! { "_id": format!("huge {}", self.random.int(HUGE_IDENTITIES)) };
        let update = doc! { "q": query, "u": replacement, "upsert": true };
        self.send(
            STEADY_DATABASE,
            doc! { "update": "plain", "updates": [update] },
        )
        .await
    }

    /// An update of a small part, of which the oplog says only that part.
    async fn grow_huge(&mut self) -> Went {
        let query = doc! { "_id": format!("huge {}", self.random.int(HUGE_IDENTITIES)) };
        let set = doc! { "$set": { "seen": self.random.int(1_000) } };
        let update = doc! { "q": query, "u": set, "upsert": true };
        self.send(
            STEADY_DATABASE,
            doc! { "update": "plain", "updates": [update] },
        )
        .await
    }

    /// The server writes it as several entries, of which only the last says that it holds.
    async fn large_transaction(&mut self) -> Went {
        let done = self.large_steps().await;
        if done.is_err() {
            // It has ended already when the server refused a part of it.
            let _ = self.session.abort_transaction().await;
        }
        Ok(done?)
    }

    async fn large_steps(&mut self) -> Result<(), mongodb::error::Error> {
        self.session.start_transaction().await?;
        let database = self.client.database(STEADY_DATABASE);
        for number in 0..WIDE_DOCUMENTS {
            let mut replacement = body(&mut self.random);
            let text = long_text(&mut self.random, WIDE_BYTES);
            replacement.insert("wide", text);
            let query = doc! { "_id": format!("wide {number}") };
            let update = doc! { "q": query, "u": replacement, "upsert": true };
            let name = self.random.pick(&STEADY[..2]).to_owned();
            let command: Document = doc! { "update": name, "updates": [update] };
            database
                .run_command(command)
                .session(&mut self.session)
                .await?;
        }
        self.session.commit_transaction().await
    }

    async fn delete_large(&mut self) -> Went {
        for name in &STEADY[..2] {
            let query = doc! { "_id": { "$gte": "huge", "$lt": "x" } };
            let delete = doc! { "delete": *name, "deletes": [{ "q": query, "limit": 0 }] };
            self.send(STEADY_DATABASE, delete).await?;
        }
        Ok(())
    }
}
