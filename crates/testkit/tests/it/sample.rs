//! The promises of the sample: it is whole, it is the same twice, and damage shows.

use bson::{Bson, Document, Timestamp, doc};
use testkit::sample::{self, SampleOptions};
use testkit::{BenchData, RealMongo};

#[tokio::test]
async fn damage_is_seen_in_documents_and_catalog() {
    let server = RealMongo::replica_set().start().await.unwrap();
    let client = server.client().await.unwrap();
    sample::load(&client, SampleOptions::small()).await.unwrap();
    let before = sample::state(&client).await.unwrap();
    let again = sample::state(&client).await.unwrap();
    assert_eq!(before.differences(&again), Vec::<String>::new());

    sample::damage(&client).await.unwrap();
    let after = sample::state(&client).await.unwrap();
    let differences = before.differences(&after).join("\n");
    let parts = [
        "library",
        "intruder",
        "orders",
        "customers",
        "measurements",
        "log",
        "days",
    ];
    for part in parts {
        assert!(
            differences.contains(part),
            "{part} is damaged: {differences}"
        );
    }
}

#[tokio::test]
async fn the_sample_is_the_same_on_two_servers_but_for_its_buckets() {
    let (first, second) = tokio::join!(
        RealMongo::replica_set().start(),
        RealMongo::replica_set().start()
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    let mut states = Vec::new();
    for server in [&first, &second] {
        let client = server.client().await.unwrap();
        sample::load(&client, SampleOptions::small()).await.unwrap();
        states.push(sample::state(&client).await.unwrap());
    }
    // The server draws the ids of buckets.
    let differences = states[0].differences(&states[1]);
    assert!(
        differences
            .iter()
            .all(|line| line.contains("system.buckets")),
        "{differences:?}"
    );
}

#[tokio::test]
async fn odd_values_arrive_as_they_were_meant() {
    let server = RealMongo::standalone().start().await.unwrap();
    let client = server.client().await.unwrap();
    sample::load(&client, SampleOptions::small()).await.unwrap();
    let odd = client.database("odd");
    let empty = Bson::Timestamp(Timestamp {
        time: 0,
        increment: 0,
    });
    let stamped = odd.collection::<Document>("empty_timestamps");
    let kept = stamped
        .count_documents(doc! { "first": &empty, "last": &empty })
        .await
        .unwrap();
    assert_eq!(kept, 3);
    let ids = odd
        .collection::<Document>("ids")
        .count_documents(doc! {})
        .await
        .unwrap();
    assert!(ids >= 15, "{ids} ids");
}

#[tokio::test]
async fn benchmark_data_has_the_size_that_was_asked_for() {
    let server = RealMongo::standalone().start().await.unwrap();
    let client = server.client().await.unwrap();
    let data = BenchData {
        size_bytes: 8_000_000,
        collections: 2,
        seed: 1,
        document_bytes: 1_000,
        random_ids: false,
    };
    let loaded = data.load(&client, "bench").await.unwrap();
    let mut found = 0;
    for collection in ["c0", "c1"] {
        let documents = client.database("bench").collection::<Document>(collection);
        found += documents.count_documents(doc! {}).await.unwrap();
    }
    assert_eq!(found, loaded.documents);
    assert!(
        loaded.size_bytes >= 8_000_000 && loaded.size_bytes < 14_000_000,
        "{loaded:?}"
    );
}

#[tokio::test]
async fn a_dump_folder_is_loaded_with_options_indexes_and_empty_timestamps() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shop");
    std::fs::create_dir(&database).unwrap();
    let metadata = r#"{"collectionName":"a/b","type":"collection","options":{"capped":true,
        "size":{"$numberInt":"4096"}},"indexes":[{"v":{"$numberInt":"2"},"key":{"_id":
        {"$numberInt":"1"}},"name":"_id_"},{"v":{"$numberInt":"2"},"key":{"x":
        {"$numberDouble":"-1.0"}},"name":"x_-1"}]}"#;
    std::fs::write(database.join("a%2Fb.metadata.json"), metadata).unwrap();
    let empty = Timestamp {
        time: 0,
        increment: 0,
    };
    let documents: Vec<u8> = [doc! { "_id": 1, "x": 1 }, doc! { "_id": 2, "x": empty }]
        .iter()
        .flat_map(|document| {
            bson::RawDocumentBuf::try_from(document)
                .unwrap()
                .into_bytes()
        })
        .collect();
    std::fs::write(database.join("a%2Fb.bson"), documents).unwrap();

    let server = RealMongo::replica_set().start().await.unwrap();
    let client = server.client().await.unwrap();
    assert_eq!(
        testkit::dump::load(&client, folder.path()).await.unwrap(),
        1
    );
    let loaded = client.database("shop").collection::<Document>("a/b");
    assert_eq!(
        loaded
            .count_documents(doc! { "x": Bson::Timestamp(empty) })
            .await
            .unwrap(),
        1
    );
    let state = sample::state(&client).await.unwrap();
    let catalog = &state.catalog["shop"]["a/b"];
    assert!(
        catalog.contains("x_-1") && catalog.contains("capped"),
        "{catalog}"
    );
}
