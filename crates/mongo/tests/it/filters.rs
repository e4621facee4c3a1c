//! Filters decide as a real server does: random documents and filters, asked of both.
//!
//! `REGROW_FILTER_ROUNDS` makes it longer (default 40 rounds of 40 filters upon 24 documents) and
//! `REGROW_FILTER_SEED` repeats a run.

mod random;

use anyhow::{Context, bail, ensure};
use bson::{Bson, Decimal128, Document, RawDocument, RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongo::Filter;
use mongodb::Client;
use testkit::RealMongo;

use random::Random;

const DOCUMENTS: usize = 24;
const FILTERS: usize = 40;

/// The collection that all questions are asked of.
struct Asked {
    client: Client,
    /// Whether the server rounds a decimal before it tests its bits, as 6.0.5 does and 6.0.27 no
    /// longer does.
    rounds_decimals: bool,
}

impl Asked {
    async fn of(server: &RealMongo) -> anyhow::Result<Self> {
        let client = Client::with_uri_str(server.uri()).await?;
        let mut asked = Self {
            client,
            rounds_decimals: false,
        };
        let half: Decimal128 = "0.5".parse()?;
        asked.fill(&[rawdoc! { "a": half }]).await?;
        let found = asked.find(&doc! { "a": { "$bitsAllClear": 3 } }).await?;
        asked.rounds_decimals = found.is_ok_and(|found| !found.is_empty());
        Ok(asked)
    }

    /// Tells whether the server is known to decide otherwise than later ones.
    fn is_excused(&self, filter: &Document, document: &RawDocument) -> bool {
        let decoded = Document::try_from(document.to_owned());
        let has_decimal = format!("{decoded:?}").contains("Decimal128");
        self.rounds_decimals && has_decimal && format!("{filter:?}").contains("$bits")
    }

    async fn fill(&self, documents: &[RawDocumentBuf]) -> anyhow::Result<()> {
        let collection = self
            .client
            .database("asked")
            .collection::<RawDocumentBuf>("c");
        collection.drop().await?;
        collection.insert_many(documents).await?;
        Ok(())
    }

    /// Returns the documents that the server finds, in their order; its text if it refuses.
    async fn find(&self, filter: &Document) -> anyhow::Result<Result<Vec<RawDocumentBuf>, String>> {
        let collection = self
            .client
            .database("asked")
            .collection::<RawDocumentBuf>("c");
        let found = collection.find(filter.clone()).sort(doc! { "$natural": 1 });
        let cursor = match found.await {
            Ok(cursor) => cursor,
            Err(error) => match *error.kind {
                mongodb::error::ErrorKind::Command(refused) => return Ok(Err(refused.message)),
                _ => return Err(error.into()),
            },
        };
        Ok(Ok(cursor.try_collect().await?))
    }
}

/// Compares both answers; both may refuse.
async fn compare(
    asked: &Asked,
    documents: &[RawDocumentBuf],
    filter: &Document,
) -> anyhow::Result<bool> {
    let raw = RawDocumentBuf::try_from(filter)?;
    let expected = asked
        .find(filter)
        .await
        .with_context(|| format!("find {filter}"))?;
    match (expected, Filter::parse(&raw)) {
        (Err(_), Err(_)) => return Ok(false),
        (Err(server), Ok(_)) => bail!("only the server refuses {filter}: {server}"),
        (Ok(_), Err(ours)) => bail!("only we refuse {filter}: {ours}"),
        (Ok(expected), Ok(parsed)) => {
            let ids = parsed.ids();
            for document in documents {
                let ours = parsed.matches(document)?;
                let theirs = expected.contains(document);
                ensure!(
                    ours == theirs || asked.is_excused(filter, document),
                    "{filter:?}\nupon {document:?}\nserver {theirs}, we {ours}"
                );
                if let (true, Some(ids)) = (theirs, &ids) {
                    let id = id_element(document);
                    ensure!(
                        ids.iter().any(|listed| listed == id),
                        "{filter:?} lists no {id:?}"
                    );
                }
            }
        }
    }
    Ok(true)
}

/// Returns the bytes of the `_id` element, which stands first.
fn id_element(document: &RawDocument) -> &[u8] {
    let element = document
        .iter_elements()
        .next()
        .expect("there is an _id")
        .expect("it is valid");
    let length = 1 + "_id\0".len() + element.size();
    &document.as_bytes()[4..4 + length]
}

#[tokio::test]
async fn random_filters_match_what_the_server_finds() -> anyhow::Result<()> {
    let server = RealMongo::standalone().start().await?;
    let asked = Asked::of(&server).await?;
    let setting = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>());
    let seed = match setting("REGROW_FILTER_SEED") {
        Some(seed) => seed?,
        None => u64::from(std::process::id()) << 32 | u64::from(server.port()),
    };
    let rounds = setting("REGROW_FILTER_ROUNDS").transpose()?.unwrap_or(40);
    eprintln!("REGROW_FILTER_SEED={seed} REGROW_FILTER_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let mut compared = 0;
    for round in 0..rounds {
        let documents: Vec<_> = random.documents(DOCUMENTS);
        asked.fill(&documents).await?;
        for _ in 0..FILTERS {
            let filter = random.filter();
            let both = compare(&asked, &documents, &filter).await;
            compared += usize::from(both.with_context(|| format!("seed {seed}, round {round}"))?);
        }
    }
    eprintln!("{compared} filters compared upon {DOCUMENTS} documents each");
    ensure!(
        compared as u64 > rounds * FILTERS as u64 / 2,
        "most filters were refused"
    );
    Ok(())
}

#[tokio::test]
async fn traps_of_the_match_language_are_decided_as_by_the_server() -> anyhow::Result<()> {
    let server = RealMongo::standalone().start().await?;
    let asked = Asked::of(&server).await?;
    let documents: Vec<_> = random::traps()
        .into_iter()
        .zip(0..)
        .map(|(value, id)| {
            let mut document = doc! { "_id": id };
            if let Some(value) = value {
                document.insert("a", value);
            }
            RawDocumentBuf::try_from(&document)
        })
        .collect::<Result<_, _>>()?;
    asked.fill(&documents).await?;
    let values = random::traps().into_iter().flatten();
    for value in values {
        for path in ["a", "a.0", "a.b", "a.0.b", "a.0.0", "a.b.0", "a.", ".a"] {
            for operator in ["$eq", "$ne", "$lt", "$lte", "$gt", "$gte"] {
                let condition = doc! { operator: value.clone() };
                compare(&asked, &documents, &doc! { path: condition.clone() }).await?;
                let filter = doc! { path: { "$elemMatch": condition } };
                compare(&asked, &documents, &filter).await?;
            }
            let list = Bson::Array(vec![value.clone()]);
            for operator in ["$in", "$nin", "$all"] {
                compare(
                    &asked,
                    &documents,
                    &doc! { path: { operator: list.clone() } },
                )
                .await?;
            }
            compare(&asked, &documents, &doc! { path: value.clone() }).await?;
        }
    }
    for mask in random::masks() {
        for operator in random::BITS {
            let filter = doc! { "a": { operator: mask.clone() } };
            compare(&asked, &documents, &filter).await?;
        }
    }
    for (divisor, remainder) in [(2.0, 0), (-3.9, -1), (1.0, 0), (5.0, 3)] {
        let filter = doc! { "a": { "$mod": [divisor, remainder] } };
        compare(&asked, &documents, &filter).await?;
    }
    Ok(())
}
