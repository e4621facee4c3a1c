//! Finds a snapshot's documents: by `_id` where the filter pins it, by reading the collection
//! otherwise.

use bson::RawDocument;
use bytes::Bytes;
use futures::TryStreamExt;
use model::Error;
use mongo::{Filter, JsonMode, MatchError};
use vault::{CollectionManifest, Held, ReadOptions, Repository};

use super::{Outlet, Pieces, READ_AHEAD_BYTES, Stopped, blocking, streamed};

/// Ids looked for at a time.
const IDS_AT_A_TIME: usize = 1_000;

/// One piece of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Documents that match, each as extended JSON in one line.
    Documents(Vec<String>),
    /// How many match so far; sent when nothing else was for a while.
    Progress(u64),
    /// How many match in all; always the last piece.
    End(u64),
}

/// What to look for.
#[derive(Clone)]
pub(crate) struct Query {
    pub(crate) filter: Filter,
    /// Ends after so many.
    pub(crate) limit: u64,
    /// How to write documents; they are only counted where absent.
    pub(crate) mode: Option<JsonMode>,
}

/// Streams what a collection has; what `kept` keeps is kept until it ends.
pub(crate) fn find(
    repository: Repository,
    kept: Held,
    collection: CollectionManifest,
    query: Query,
) -> Pieces<Found> {
    streamed(|outlet| async move {
        let _kept = kept;
        run(repository, collection, query, outlet).await
    })
}

async fn run(
    repository: Repository,
    collection: CollectionManifest,
    query: Query,
    outlet: Outlet<Found>,
) -> Result<(), Stopped> {
    let mut finding = Finding {
        query,
        found: 0,
        outlet,
    };
    let has_index = collection.documents > 0 && collection.can_be_edited();
    match finding.query.filter.ids().filter(|_| has_index) {
        Some(ids) => finding.by_id(&repository, &collection, &ids).await?,
        None => finding.by_reading(&repository, &collection).await?,
    }
    let found = finding.found;
    finding.outlet.send(Found::End(found)).await
}

struct Finding {
    query: Query,
    found: u64,
    outlet: Outlet<Found>,
}

impl Finding {
    async fn by_id(
        &mut self,
        repository: &Repository,
        collection: &CollectionManifest,
        ids: &[Bytes],
    ) -> Result<(), Stopped> {
        for ids in ids.chunks(IDS_AT_A_TIME) {
            let found = repository.find(collection, ids).await?;
            self.choose(found.into_iter().flatten().collect()).await?;
            if self.is_done() {
                break;
            }
        }
        Ok(())
    }

    async fn by_reading(
        &mut self,
        repository: &Repository,
        collection: &CollectionManifest,
    ) -> Result<(), Stopped> {
        let options = ReadOptions {
            read_ahead_bytes: READ_AHEAD_BYTES,
        };
        let mut blocks = repository.blocks(collection, options);
        while !self.is_done() {
            let Some(block) = blocks.try_next().await? else {
                break;
            };
            self.choose(block.shared_documents().collect()).await?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.found >= self.query.limit
    }

    /// Sends those that match.
    async fn choose(&mut self, documents: Vec<Bytes>) -> Result<(), Stopped> {
        let query = Query {
            limit: self.query.limit - self.found,
            ..self.query.clone()
        };
        let (found, written) = blocking(move || choose(&query, &documents)).await?;
        self.found += found;
        if !written.is_empty() {
            self.outlet.send(Found::Documents(written)).await?;
        }
        let found = self.found;
        self.outlet.keep_alive(|| Found::Progress(found)).await
    }
}

/// Returns how many match, and them as JSON.
fn choose(query: &Query, documents: &[Bytes]) -> Result<(u64, Vec<String>), Error> {
    let (mut found, mut written) = (0, Vec::new());
    for document in documents {
        if found == query.limit {
            break;
        }
        let raw = RawDocument::from_bytes(document).map_err(Error::internal)?;
        if !query.filter.matches(raw).map_err(undecided)? {
            continue;
        }
        found += 1;
        if let Some(mode) = query.mode {
            written.push(to_json(document, mode)?);
        }
    }
    Ok((found, written))
}

/// Writes a document as extended JSON.
pub(super) fn to_json(document: &[u8], mode: JsonMode) -> Result<String, Error> {
    let mut json = Vec::new();
    mongo::document_to_json(document, mode, &mut json).map_err(Error::internal)?;
    String::from_utf8(json).map_err(Error::internal)
}

fn undecided(error: MatchError) -> Error {
    match error {
        MatchError::Regex { .. } => Error::InvalidAttribute {
            attribute: "filter",
            reason: error.to_string(),
        },
        MatchError::Document { .. } => Error::internal(error),
    }
}
