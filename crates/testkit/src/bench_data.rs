//! Data for the benchmark: documents of about 1 KB with text, numbers and a random token, which
//! zstd at level 1 packs to about 1/2.4. Written by hand and inserted raw, as fast as the server
//! takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use mongodb::{Client, Database};

use crate::random::Random;
use crate::raw::{self, Raw};

/// Documents that one writer makes before it takes the next number.
const STRIDE: u64 = 2_000;
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
    /// Loads the documents into collections `c0`, `c1` and so on of a database, and waits until
    /// they are on the server's disk.
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
        let sync = bson::doc! { "fsync": 1 };
        client
            .database("admin")
            .run_command(sync)
            .await
            .context("flush the server")?;
        Ok(BenchLoaded {
            documents,
            size_bytes: size.load(Ordering::Relaxed),
        })
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
            written += STRIDE;
        }
        Ok(written)
    }

    /// Returns the documents of one stride, the same for the same seed.
    pub(crate) fn stride(self, stride: u64) -> Vec<Vec<u8>> {
        let mut random = Random::new(self.seed ^ (stride << 20));
        let first = stride * STRIDE;
        (first..first + STRIDE)
            .map(|number| document(number, &mut random))
            .collect()
    }
}

/// Returns one document: about 560 bytes of words, 330 of random digits, and numbers.
fn document(number: u64, random: &mut Random) -> Vec<u8> {
    let number = i64::try_from(number).expect("documents are counted in billions at most");
    let mut id = [0; 12];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Raw::with_capacity(1_200)
        .element(0x07, "_id", &id)
        .long("number", number)
        .int("group", random.int(1_000))
        .double("price", random.unit() * 1_000.0)
        .bool("active", number % 3 == 0)
        .string("title", &random.words(6))
        .string("body", &random.words(80))
        .string("token", &random.token(320))
        .finish()
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
