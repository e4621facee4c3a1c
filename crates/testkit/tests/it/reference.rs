//! The promise of the reference load: what was dumped is there again, and nothing else.

use testkit::reference::{self, ReferenceFormat};
use testkit::{BenchData, RealMongo, sample};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dumped_is_loaded_again_and_nothing_else_is_there() {
    let server = RealMongo::replica_set().start().await.unwrap();
    let client = server.client().await.unwrap();
    let data = BenchData {
        size_bytes: 3_000_000,
        collections: 2,
        seed: 1,
        document_bytes: 500,
        random_ids: true,
    };
    let loaded = data.load(&client, "bench").await.unwrap();
    let before = sample::state(&client).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (plain, gzip) = (folder.path().join("plain"), folder.path().join("gzip"));
    for (path, format) in [
        (&plain, ReferenceFormat::Plain),
        (&gzip, ReferenceFormat::Gzip),
    ] {
        reference::dump(&client, "bench", path, format)
            .await
            .unwrap();
    }
    let size = |path: &std::path::Path| std::fs::metadata(path.join("c0.bson")).unwrap().len();
    assert!(size(&gzip) * 2 < size(&plain) && size(&plain) < loaded.size_bytes);

    let other = client.database("bench").collection("other");
    other.insert_one(bson::doc! { "_id": 1 }).await.unwrap();
    let documents = reference::load(&client, "bench", &plain).await.unwrap();
    assert_eq!(documents, loaded.documents);
    let after = sample::state(&client).await.unwrap();
    assert_eq!(before.differences(&after), Vec::<String>::new());
}
