//! Plain finds and plain inserts of the driver: what any machine can run beside the product where
//! the stock tools are not to be had.
//!
//! It is neither `mongodump` nor `mongorestore`, and must never be given their names: it reads and
//! writes documents alone, in the simplest way that uses the server well.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use bson::{RawDocumentBuf, doc};
use flate2::Compression;
use flate2::write::GzEncoder;
use mongodb::{Client, Collection};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Writers of a load, as many as `mongorestore` has by default over all collections.
const WRITERS: usize = 4;
/// Documents of one insert, as `mongorestore` sends them.
const BATCH_DOCUMENTS: usize = 1_000;
/// Bytes of one insert at most; the server takes 48 MB.
const BATCH_BYTES: usize = 16 << 20;
/// Level of gzip, the default of most programs.
const GZIP_LEVEL: u32 = 6;

type Batch = (String, Vec<RawDocumentBuf>);

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceFormat {
    /// Documents end to end, as [`load`] reads them.
    Plain,
    /// The same through gzip.
    Gzip,
}

/// Writes each collection of a database to a file in a new folder, all at the same time.
pub async fn dump(
    client: &Client,
    database: &str,
    folder: &Path,
    format: ReferenceFormat,
) -> anyhow::Result<()> {
    fs::create_dir(folder).context("make the folder of a dump")?;
    let database = client.database(database);
    let mut tasks = JoinSet::new();
    for name in database.list_collection_names().await? {
        let path = folder.join(format!("{name}.bson"));
        tasks.spawn(dump_collection(database.collection(&name), path, format));
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a dump's task ended early")??;
    }
    Ok(())
}

async fn dump_collection(
    collection: Collection<RawDocumentBuf>,
    path: PathBuf,
    format: ReferenceFormat,
) -> anyhow::Result<()> {
    let file = BufWriter::new(File::create(&path).context("make a file of a dump")?);
    match format {
        ReferenceFormat::Plain => copy(&collection, file).await?.flush()?,
        ReferenceFormat::Gzip => {
            let gzip = GzEncoder::new(file, Compression::new(GZIP_LEVEL));
            copy(&collection, gzip).await?.finish()?.flush()?;
        }
    }
    Ok(())
}

async fn copy<W: Write>(collection: &Collection<RawDocumentBuf>, mut to: W) -> anyhow::Result<W> {
    let mut cursor = collection.find(doc! {}).await?;
    while cursor.advance().await? {
        to.write_all(cursor.current().as_bytes())?;
    }
    Ok(to)
}

/// Drops the database and inserts what [`dump`] wrote as [`ReferenceFormat::Plain`], without order
/// and with as many writers as `mongorestore` has; returns the number of documents.
pub async fn load(client: &Client, database: &str, folder: &Path) -> anyhow::Result<u64> {
    let database = client.database(database);
    database.drop().await.context("drop what is there")?;
    let (sender, receiver) = mpsc::channel::<Batch>(WRITERS);
    let receiver = Arc::new(Mutex::new(receiver));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (database, receiver) = (database.clone(), Arc::clone(&receiver));
        writers.spawn(async move {
            let mut written = 0;
            loop {
                let next = receiver.lock().await.recv().await;
                let Some((name, batch)) = next else {
                    return anyhow::Ok(written);
                };
                written += batch.len() as u64;
                let collection = database.collection::<RawDocumentBuf>(&name);
                collection.insert_many(batch).ordered(false).await?;
            }
        });
    }
    let folder = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || read_all(&folder, &sender));
    let mut documents = 0;
    while let Some(done) = writers.join_next().await {
        documents += done.context("a writer ended early")??;
    }
    read.await.context("the reader ended early")??;
    Ok(documents)
}

fn read_all(folder: &Path, to: &mpsc::Sender<Batch>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).context("list a dump")? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.context("a dump's files are named like collections")?;
        let mut file = BufReader::new(File::open(&path).context("open a file of a dump")?);
        let (mut batch, mut size) = (Vec::new(), 0);
        while let Some(document) = read_document(&mut file)? {
            let length = document.as_bytes().len();
            if batch.len() == BATCH_DOCUMENTS || size + length > BATCH_BYTES {
                to.blocking_send((name.to_owned(), std::mem::take(&mut batch)))?;
                size = 0;
            }
            size += length;
            batch.push(document);
        }
        if !batch.is_empty() {
            to.blocking_send((name.to_owned(), batch))?;
        }
    }
    Ok(())
}

/// Reads the next document; `None` at the end of the file.
fn read_document(file: &mut impl Read) -> anyhow::Result<Option<RawDocumentBuf>> {
    let mut length = [0; 4];
    if file.read(&mut length[..1]).context("read a dump")? == 0 {
        return Ok(None);
    }
    file.read_exact(&mut length[1..]).context("read a dump")?;
    let bytes = usize::try_from(i32::from_le_bytes(length)).unwrap_or(0);
    ensure!(bytes >= length.len(), "a document of a dump has no length");
    let mut document = vec![0; bytes];
    document[..length.len()].copy_from_slice(&length);
    file.read_exact(&mut document[length.len()..])
        .context("read a dump")?;
    let document = RawDocumentBuf::from_bytes(document).context("read a document of a dump")?;
    Ok(Some(document))
}
