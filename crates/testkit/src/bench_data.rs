//! Data for the benchmark: documents with text, numbers and a random token, which zstd at level 1
//! packs to about 1/2.4, and changes to a part of them. Written by hand and inserted raw, as fast
//! as the server takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use bson::doc;
use bson::oid::ObjectId;
use mongodb::{Client, Database};

use crate::random::Random;
use crate::raw::{self, Raw};

/// About the bytes that one writer makes before it takes the next number.
const STRIDE_BYTES: u64 = 2_000_000;
/// Bytes of a document beside its text and its token.
const FRAME_BYTES: u64 = 110;
/// Two writers keep a server on two cores busy; more gain nothing.
const WRITERS: usize = 2;

/// How much to load, and where.
#[derive(Clone, Copy, Debug)]
pub struct BenchData {
    /// The size of all documents together, in bytes; the last stride may go a little past it.
    pub size_bytes: u64,
    /// How many collections the documents are spread over.
    pub collections: u32,
    /// The seed of everything that looks random.
    pub seed: u64,
    /// The mean size of a document in bytes, at least 200.
    pub document_bytes: u64,
    /// Whether `_id`s come in no order; they count up otherwise.
    pub random_ids: bool,
}

/// Which documents a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchChange {
    /// Some of all, evenly.
    Uniform,
    /// The ones that were written last.
    Recent,
    /// None that is there: new ones are added. Can be done once.
    Append,
}

/// How many documents a change concerns, and which of them.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// One document in so many.
    pub one_in: u64,
    /// Counts uniform changes: up to `one_in` of them concern others each time.
    pub turn: u32,
}

/// What was loaded.
#[derive(Clone, Copy, Debug)]
pub struct BenchLoaded {
    /// The number of documents.
    pub documents: u64,
    /// Their size together in bytes.
    pub size_bytes: u64,
}

impl BenchData {
    /// Loads the documents into collections `c0`, `c1` and so on of a database.
    pub async fn load(self, client: &Client, database: &str) -> anyhow::Result<BenchLoaded> {
        let (next, size) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..WRITERS {
            let database = client.database(database);
            writers.spawn(self.write(database, Arc::clone(&next), Arc::clone(&size)));
        }
        let mut documents = 0;
        while let Some(written) = writers.join_next().await {
            documents += written.context("a writer ended early")??;
        }
        Ok(BenchLoaded {
            documents,
            size_bytes: size.load(Ordering::Relaxed),
        })
    }

    /// Changes `share` of the documents that [`BenchData::load`] has loaded.
    pub async fn change(
        self,
        client: &Client,
        database: &str,
        loaded: BenchLoaded,
        change: BenchChange,
        share: Share,
    ) -> anyhow::Result<()> {
        let database = client.database(database);
        let count = loaded.documents / share.one_in;
        let query = match change {
            BenchChange::Append => return self.append(&database, loaded, count).await,
            BenchChange::Uniform => {
                let each = i64::try_from(share.one_in).context("a share is small")?;
                doc! { "number": { "$mod": [each, i64::from(share.turn) % each] } }
            }
            BenchChange::Recent => {
                let first = i64::try_from(loaded.documents - count).context("a count is small")?;
                doc! { "number": { "$gte": first } }
            }
        };
        for collection in 0..self.collections {
            let set = doc! { "$inc": { "changes": 1 }, "$mul": { "price": 1.01 } };
            let update = doc! { "q": query.clone(), "u": set, "multi": true };
            let command = doc! { "update": format!("c{collection}"), "updates": [update] };
            database.run_command(command).await.context("change")?;
        }
        Ok(())
    }

    /// Changes one document after the other, with a pause between two, until it is dropped.
    pub async fn keep_changing(
        self,
        client: &Client,
        database: &str,
        loaded: BenchLoaded,
        pause: Duration,
    ) -> anyhow::Result<()> {
        let mut random = Random::new(self.seed ^ loaded.size_bytes);
        let documents = u32::try_from(loaded.documents).unwrap_or(u32::MAX).max(1);
        loop {
            let number = u64::from(random.below(documents));
            let stride = number / self.stride_documents();
            let collection = format!("c{}", stride % u64::from(self.collections));
            let query = doc! { "_id": ObjectId::from_bytes(self.id(number)) };
            let update = doc! { "q": query, "u": { "$inc": { "changes": 1 } } };
            let command = doc! { "update": collection, "updates": [update] };
            let database = client.database(database);
            database.run_command(command).await.context("change one")?;
            tokio::time::sleep(pause).await;
        }
    }

    async fn append(
        self,
        database: &Database,
        loaded: BenchLoaded,
        count: u64,
    ) -> anyhow::Result<()> {
        let mut random = Random::new(self.seed ^ loaded.documents ^ count);
        let documents: Vec<Vec<u8>> = (loaded.documents..loaded.documents + count)
            .map(|number| self.document(number, &mut random))
            .collect();
        raw::insert(database, "c0", documents).await
    }

    /// Writes strides until all is written; returns the number of documents of this writer.
    async fn write(
        self,
        database: Database,
        next: Arc<AtomicU64>,
        size: Arc<AtomicU64>,
    ) -> anyhow::Result<u64> {
        let mut written = 0;
        while size.load(Ordering::Relaxed) < self.size_bytes {
            let stride = next.fetch_add(1, Ordering::Relaxed);
            let documents = self.stride(stride);
            let bytes: usize = documents.iter().map(Vec::len).sum();
            size.fetch_add(bytes as u64, Ordering::Relaxed);
            let collection = format!("c{}", stride % u64::from(self.collections));
            raw::insert(&database, &collection, documents).await?;
            written += self.stride_documents();
        }
        Ok(written)
    }

    fn stride_documents(self) -> u64 {
        (STRIDE_BYTES / self.document_bytes.max(1)).max(1)
    }

    /// Returns the documents of one stride, the same for the same seed.
    pub(crate) fn stride(self, stride: u64) -> Vec<Vec<u8>> {
        let mut random = Random::new(self.seed ^ (stride << 20));
        let first = stride * self.stride_documents();
        (first..first + self.stride_documents())
            .map(|number| self.document(number, &mut random))
            .collect()
    }

    /// Returns the `_id` of a document by its number, in hexadecimal digits.
    pub fn id_of(self, number: u64) -> String {
        let id = self.id(number);
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn id(self, number: u64) -> [u8; 12] {
        let mut id = [0; 12];
        let ordered = if self.random_ids {
            Random::new(number).bits()
        } else {
            number
        };
        id[..8].copy_from_slice(&ordered.to_be_bytes());
        id
    }

    /// Returns one document: of its text and token, five parts words and three random digits.
    fn document(self, number: u64, random: &mut Random) -> Vec<u8> {
        let id = self.id(number);
        let number = i64::try_from(number).expect("documents are counted in billions at most");
        let rest = self.document_bytes.saturating_sub(FRAME_BYTES);
        // A word and the space behind it are about seven bytes.
        let words = u32::try_from(rest * 5 / 8 / 7).expect("documents are at most 16 MB");
        let digits = usize::try_from(rest * 3 / 8).expect("documents are at most 16 MB");
        Raw::with_capacity(1_200)
            .element(0x07, "_id", &id)
            .long("number", number)
            .int("group", random.int(1_000))
            .double("price", random.unit() * 1_000.0)
            .bool("active", number % 3 == 0)
            .string("body", &random.words(words))
            .string("token", &random.token(digits))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_of_one_kilobyte_and_differ() {
        let data = BenchData {
            size_bytes: 0,
            collections: 1,
            seed: 1,
            document_bytes: 1_000,
            random_ids: true,
        };
        let documents = data.stride(0);
        let size: usize = documents.iter().map(Vec::len).sum();
        let mean = size / documents.len();
        assert!((900..1_150).contains(&mean), "the mean is {mean} bytes");
        assert_ne!(documents[0], documents[1]);
        assert_eq!(
            documents,
            data.stride(0),
            "the same seed gives the same documents"
        );
    }
}
