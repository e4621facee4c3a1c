//! What the tests share: connecting, reading a stream to its end, a whole restore.
use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use futures::TryStreamExt;
use mongo::{
    Catalog, Collection, CollectionKind, ConnectOptions, Deployment, Error, ScanStream,
    SourceSnapshot, Target,
};
use testkit::RealMongo;

/// Connects as the user of [`RealMongo::uri`].
pub(crate) async fn connect(server: &RealMongo) -> anyhow::Result<Deployment> {
    connect_to(&server.uri()).await
}

/// Connects with a connection string.
pub(crate) async fn connect_to(uri: &str) -> anyhow::Result<Deployment> {
    Ok(Deployment::connect(&uri.into(), ConnectOptions::default()).await?)
}

/// Returns the raw documents of a scan in its order.
pub(crate) async fn documents(stream: ScanStream) -> Result<Vec<Vec<u8>>, Error> {
    stream
        .try_fold(Vec::new(), |mut all, batch| async move {
            all.extend(batch.iter().map(<[u8]>::to_vec));
            Ok(all)
        })
        .await
}

/// Returns the entry of a namespace, which must be there.
pub(crate) fn entry(catalog: &Catalog, database: &str, name: &str) -> anyhow::Result<Collection> {
    catalog
        .find(database, name)
        .cloned()
        .with_context(|| format!("{database}.{name} is missing"))
}

/// Restores a whole snapshot as the engine would and verifies each collection by its bytes.
pub(crate) async fn restore(snapshot: &SourceSnapshot, target: &Target) -> anyhow::Result<()> {
    target.begin().await?;
    target.wipe().await?;
    let (views, stored): (Vec<_>, Vec<_>) = snapshot
        .catalog()
        .collections
        .iter()
        .partition(|collection| collection.kind == CollectionKind::View);
    let mut expected = Vec::new();
    for collection in &stored {
        target
            .create(collection)
            .await
            .with_context(|| collection.namespace())?;
        let documents = documents(snapshot.scan(collection)).await?;
        let loader = target.loader(collection);
        loader
            .insert(&documents)
            .await
            .with_context(|| collection.namespace())?;
        target
            .build_indexes(collection)
            .await
            .with_context(|| collection.namespace())?;
        expected.push(documents);
    }
    snapshot.finish().await?;
    target.barrier().await?;
    for (collection, expected) in stored.iter().zip(&mut expected) {
        let mut found = documents(target.read_back(collection)).await?;
        if !target.loader(collection).ordered() {
            found.sort_unstable();
            expected.sort_unstable();
        }
        let namespace = collection.namespace();
        ensure!(
            found.len() == expected.len(),
            "{namespace}: {} documents",
            found.len()
        );
        for (found, expected) in found.iter().zip(expected) {
            let show = |bytes: &[u8]| format!("{:?}", RawDocument::from_bytes(bytes));
            ensure!(
                found == expected,
                "{namespace}: {} {}",
                show(found),
                show(expected)
            );
        }
    }
    for collection in stored {
        target
            .finish_collection(collection)
            .await
            .with_context(|| collection.namespace())?;
    }
    for view in views {
        target
            .create_view(view)
            .await
            .with_context(|| view.namespace())?;
    }
    let differences = target.compare_catalog(snapshot.catalog()).await?;
    ensure!(differences.is_empty(), "{differences:?}");
    target.release().await?;
    Ok(())
}

/// Returns the server's own hash of every collection of a database: an independent witness.
pub(crate) async fn hashes(
    client: &mongodb::Client,
    database: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let reply = client
        .database(database)
        .run_command(doc! { "dbHash": 1 })
        .await?;
    let hashes = reply.get_document("collections")?.iter();
    Ok(hashes
        .map(|(name, hash)| (name.clone(), hash.to_string()))
        .collect())
}

/// Creates a collection with these options.
pub(crate) async fn create(
    client: &mongodb::Client,
    database: &str,
    name: &str,
    options: Document,
) -> anyhow::Result<()> {
    let mut command = doc! { "create": name };
    command.extend(options);
    let done = client.database(database).run_command(command).await;
    done.with_context(|| format!("create {database}.{name}"))?;
    Ok(())
}

/// Inserts raw documents in their order.
pub(crate) async fn insert(
    client: &mongodb::Client,
    database: &str,
    name: &str,
    documents: Vec<RawDocumentBuf>,
) -> anyhow::Result<()> {
    let collection = client.database(database).collection::<RawDocumentBuf>(name);
    let done = collection
        .insert_many(documents)
        .bypass_document_validation(true)
        .await;
    done.with_context(|| format!("insert into {database}.{name}"))?;
    Ok(())
}

/// Returns `{_id: n}` for each n of the range.
pub(crate) fn numbered(range: std::ops::Range<i32>) -> Vec<RawDocumentBuf> {
    range
        .map(|number| bson::rawdoc! { "_id": number, "text": "some text" })
        .collect()
}
