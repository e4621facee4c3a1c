//! `regrow diff`: what differs between two snapshots of a cluster.

use api::regrow::peek::{
    Change, CollectionDifference, CompareLine, CompareSnapshots, DocumentDetail,
    DocumentDifference, Presence,
};

use super::args::Diff;
use super::exit::{Exit, Failure};
use super::output::{Table, count};
use super::session::Session;
use crate::client::Lines;

pub(super) async fn run(command: Diff, session: &Session) -> Result<(), Failure> {
    let namespace = command.namespace.as_deref().map(super::find::namespace);
    let namespace = namespace.transpose()?;
    let first = session.snapshot(&command.cluster, &command.first).await?;
    let second = session.snapshot(&command.cluster, &command.second).await?;
    let documents = match (command.full, command.documents) {
        (true, _) => Some(DocumentDetail::Whole),
        (false, true) => Some(DocumentDetail::Ids),
        (false, false) => None,
    };
    let wanted = CompareSnapshots {
        canonical: command.canonical.then_some(true),
        collection: namespace.map(|(_, collection)| collection.to_owned()),
        database: namespace.map(|(database, _)| database.to_owned()),
        documents,
        other_snapshot_id: first.id,
    };
    let rest = format!("/snapshots/{}/compare", second.id);
    let path = session.in_cluster(&command.cluster, &rest).await?;
    let mut lines = session.client.lines(&path, &wanted).await?;
    let is_json = session.output.is_json();
    let collections = match (is_json, documents) {
        (true, Some(_)) => print(&mut lines, session, as_it_came).await?,
        _ => print(&mut lines, session, for_people).await?,
    };
    if !is_json || documents.is_none() {
        session.output.list(&collections, table)?;
    }
    if collections.is_empty() {
        return Ok(());
    }
    // What was printed says it all; the code is for scripts.
    Err(Failure::new(Exit::Different, ""))
}

/// Writes one line of the answer as text.
type Write = fn(&[u8], &CompareLine) -> String;

/// Prints documents as they come; returns the collections that differ.
async fn print(
    lines: &mut Lines<'_>,
    session: &Session,
    write: Write,
) -> Result<Vec<CollectionDifference>, Failure> {
    let mut collections = Vec::new();
    while let Some(line) = lines.next().await? {
        let read = super::session::line(&line)?;
        match read {
            CompareLine::End(_) => return Ok(collections),
            CompareLine::Error(document) => return Err(super::session::refusal(document)),
            CompareLine::Progress {} => continue,
            CompareLine::Document(_) | CompareLine::Collection(_) => {
                let text = write(&line, &read);
                if !text.is_empty() {
                    session.output.text(&text)?;
                }
            }
        }
        if let CompareLine::Collection(collection) = read {
            collections.push(collection);
        }
    }
    Err(super::session::broken_off())
}

fn as_it_came(line: &[u8], _: &CompareLine) -> String {
    format!("{}\n", String::from_utf8_lossy(line))
}

/// Writes documents as `diff` writes lines; collections come in a table at the end.
fn for_people(_: &[u8], line: &CompareLine) -> String {
    let CompareLine::Document(document) = line else {
        return String::new();
    };
    let DocumentDifference {
        after,
        before,
        change,
        id,
        namespace,
    } = document;
    if before.is_none() && after.is_none() {
        let sign = match change {
            Change::Removed => '-',
            Change::Added => '+',
            Change::Changed => '~',
        };
        return format!("{sign} {namespace} {}\n", id.get());
    }
    let mut text = String::new();
    for (sign, document) in [('-', before), ('+', after)] {
        if let Some(document) = document {
            text.push_str(&format!("{sign} {namespace} {}\n", document.get()));
        }
    }
    text
}

fn table(collections: &[CollectionDifference]) -> Table {
    let columns = ["COLLECTION", "REMOVED>", "ADDED>", "CHANGED>", "ALSO"];
    let mut table = Table::new(&columns, "no difference");
    for collection in collections {
        table.row(vec![
            format!("{}.{}", collection.database, collection.collection),
            count(collection.removed),
            count(collection.added),
            count(collection.changed),
            also(collection),
        ]);
    }
    table
}

/// Returns what differs beside documents, in words.
fn also(collection: &CollectionDifference) -> String {
    let mut words = Vec::new();
    match collection.presence {
        Presence::Both => {}
        Presence::First => words.push("only in the first"),
        Presence::Second => words.push("only in the second"),
    }
    for (is_so, word) in [
        (collection.recreated, "dropped and made again"),
        (collection.options_differ, "other options"),
        (collection.indexes_differ, "other indexes"),
    ] {
        if is_so {
            words.push(word);
        }
    }
    words.join(", ")
}
