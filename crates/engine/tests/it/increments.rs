//! A snapshot after the first stores what changed since, and both restore exactly.

use model::{Status, Tier};
use mongodb::bson::{Document, doc};
use testkit::RealMongo;
use testkit::sample::{self, SampleOptions};

use crate::world::World;

const DOCUMENTS: i32 = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_snapshot_stores_what_changed_and_both_restore_exactly() -> anyhow::Result<()> {
    let mongo = RealMongo::replica_set().start().await?;
    let client = mongo.client().await?;
    sample::load(&client, SampleOptions::small()).await?;
    let many = client.database("shop").collection::<Document>("many");
    let text = |id: i32| {
        let numbers = (0..60).map(|at| (id * 7_919 + at * 104_729).to_string());
        numbers.collect::<Vec<_>>().join(" ")
    };
    let documents: Vec<Document> = (0..DOCUMENTS)
        .map(|id| doc! { "_id": id, "text": text(id) })
        .collect();
    for part in documents.chunks(1_000) {
        many.insert_many(part).await?;
    }
    let world = World::started().await?;
    world.attach("c", &mongo.uri(), Tier::M2).await?;
    let first = sample::state(&client).await?;
    let full = world.snapshot("c").await?;
    assert_eq!(full.status, Status::Completed, "{:?}", full.failure);

    let changed = doc! { "_id": { "$mod": [100, 3] } };
    many.update_many(changed, doc! { "$set": { "text": "changed" } })
        .await?;
    many.delete_many(doc! { "_id": { "$gte": 500, "$lt": 520 } })
        .await?;
    many.insert_one(doc! { "_id": "new" }).await?;
    let second = sample::state(&client).await?;
    let next = world.snapshot("c").await?;
    assert_eq!(next.status, Status::Completed, "{:?}", next.failure);

    let stored = |snapshot: &model::Snapshot| {
        let outcome = snapshot.outcome.as_ref();
        outcome.expect("it is completed").stored_bytes
    };
    assert!(
        stored(&next) * 10 < stored(&full),
        "{} bytes after {}",
        stored(&next),
        stored(&full)
    );
    for (snapshot, state) in [(full.id, &first), (next.id, &second)] {
        let restore = world.restore("c", snapshot, "c").await?;
        assert_eq!(restore.status, Status::Completed, "{:?}", restore.failure);
        let differences = state.differences(&sample::state(&client).await?);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
    Ok(())
}
