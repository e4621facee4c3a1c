//! The collections that always stay: what a snapshot can follow for a long time.

use anyhow::Context;
use bson::{Document, doc};
use mongodb::Client;

use super::WorkloadOptions;
use super::value::document;
use super::writer::{STEADY, STEADY_DATABASE};
use crate::random::Random;

/// The server's code for a collection that is there already.
const NAMESPACE_EXISTS: i32 = 48;

/// Makes and fills them; what is there is left as it is.
pub(super) async fn make(client: &Client, options: WorkloadOptions) -> anyhow::Result<()> {
    let database = client.database(STEADY_DATABASE);
    for create in creations() {
        let command = create.clone();
        match database.run_command(command).await {
            Ok(_) => {}
            Err(error) if is_there(&error) => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("{create}")),
        }
    }
    for (name, indexes) in indexes() {
        let command = doc! { "createIndexes": name, "indexes": indexes };
        database
            .run_command(command)
            .await
            .context("create indexes")?;
    }
    let mut random = Random::new(options.seed ^ 0x5EED);
    for name in STEADY {
        let mut documents: Vec<Document> = Vec::new();
        for _ in 0..options.documents {
            documents.push(document(&mut random, options.documents * 2));
        }
        // Identities are drawn: some come twice and are refused.
        let command = doc! { "insert": name, "documents": documents, "ordered": false };
        database.run_command(command).await.context("insert")?;
    }
    Ok(())
}

fn creations() -> Vec<Document> {
    let cluster = doc! { "key": { "_id": 1 }, "unique": true };
    let series = doc! { "timeField": "at", "metaField": "sensor", "granularity": "seconds" };
    let pipeline = vec![doc! { "$match": { "group": 3 } }];
    vec![
        doc! { "create": "plain" },
        doc! { "create": "indexed" },
        doc! { "create": "clustered", "clusteredIndex": cluster },
        doc! { "create": "expiring" },
        doc! { "create": "versions", "changeStreamPreAndPostImages": { "enabled": true } },
        doc! { "create": "log", "capped": true, "size": 64 * 1024, "max": 300 },
        doc! { "create": "series", "timeseries": series },
        doc! { "create": "view", "viewOn": "plain", "pipeline": pipeline },
    ]
}

fn indexes() -> Vec<(&'static str, Vec<Document>)> {
    let sparse = doc! { "key": { "grown": 1 }, "name": "grown_1", "sparse": true };
    vec![
        (
            "indexed",
            vec![
                doc! { "key": { "group": 1, "count": -1 }, "name": "group_1_count_-1" },
                doc! { "key": { "text": "text" }, "name": "text_text" },
                doc! { "key": { "nested.$**": 1 }, "name": "nested_wildcard" },
                sparse,
            ],
        ),
        (
            "expiring",
            vec![doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 2 }],
        ),
    ]
}

fn is_there(error: &mongodb::error::Error) -> bool {
    use mongodb::error::ErrorKind;
    matches!(error.kind.as_ref(), ErrorKind::Command(command) if command.code == NAMESPACE_EXISTS)
}
