//! `regrow find`: documents of a snapshot that match a filter, one a line.

use api::regrow::peek::{FindDocuments, FindLine, Matched};
use serde::Serialize;

use super::args::Find;
use super::exit::Failure;
use super::session::Session;
use crate::client::Lines;

/// Bytes that are gathered before they are printed.
const BUFFER_BYTES: usize = 64 << 10;

/// What programs get with `--count`.
#[derive(Serialize)]
struct Counted {
    count: u64,
}

pub(super) async fn run(command: Find, session: &Session) -> Result<(), Failure> {
    let (database, collection) = namespace(&command.namespace)?;
    let wanted = FindDocuments {
        canonical: command.canonical.then_some(true),
        collection: collection.to_owned(),
        count_only: command.count.then_some(true),
        database: database.to_owned(),
        filter: filter(&command.filter)?,
        limit: command.limit,
    };
    let snapshot = session
        .snapshot(&command.cluster, &command.snapshot)
        .await?;
    let rest = format!("/snapshots/{}/find", snapshot.id);
    let path = session.in_cluster(&command.cluster, &rest).await?;
    let mut lines = session.client.lines(&path, &wanted).await?;
    let Matched { documents: count } = print(&mut lines, session).await?;
    match (command.count, session.output.is_json()) {
        (true, true) => session.output.json(&Counted { count }),
        (true, false) => session.output.text(&format!("{count}\n")),
        (false, _) => Ok(()),
    }
}

/// Prints documents as they come; returns how many there were.
async fn print(lines: &mut Lines<'_>, session: &Session) -> Result<Matched, Failure> {
    let mut waiting = String::new();
    while let Some(line) = lines.next().await? {
        match super::session::line(&line)? {
            FindLine::Document(document) => {
                waiting.push_str(document.get());
                waiting.push('\n');
            }
            FindLine::Progress(_) => {}
            FindLine::End(matched) => {
                session.output.text(&waiting)?;
                return Ok(matched);
            }
            FindLine::Error(document) => {
                session.output.text(&waiting)?;
                return Err(super::session::refusal(document));
            }
        }
        if waiting.len() > BUFFER_BYTES {
            session.output.text(&waiting)?;
            waiting.clear();
        }
    }
    session.output.text(&waiting)?;
    Err(super::session::broken_off())
}

/// Takes `database.collection` apart; only the collection's name can have points.
pub(super) fn namespace(text: &str) -> Result<(&str, &str), Failure> {
    let parts = text.split_once('.');
    let parts =
        parts.filter(|(database, collection)| !database.is_empty() && !collection.is_empty());
    parts.ok_or_else(|| {
        let failure = Failure::usage(format!("`{text}` is not the name of a collection"));
        failure.hint("write DATABASE.COLLECTION, as in shop.orders")
    })
}

fn filter(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let failure = Failure::usage(format!("the filter is not a document in JSON: {error}"));
        failure
            .hint(r#"quote names and the whole: '{"_id": {"$oid": "5cc9b501e5dc7c8ab1e45d65"}}'"#)
    })
}

#[cfg(test)]
mod tests {
    use super::namespace;

    #[test]
    fn a_collection_is_named_with_its_database() {
        assert_eq!(namespace("shop.orders").ok(), Some(("shop", "orders")));
        assert_eq!(namespace("shop.a.b c").ok(), Some(("shop", "a.b c")));
        for text in ["", "shop", "shop.", ".orders"] {
            assert!(namespace(text).is_err(), "{text}");
        }
    }
}
