//! What is not what the snapshot holds is found, whoever wrote it, and whatever proves it.

use model::{CollectionAction, Proof, RestoreJob, RestoreMode, RestoreReport, Tier};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use testkit::RealMongo;
use testkit::sample::{self, State};

use super::{Planned, rewind};
use crate::pump::SharedCounter;
use crate::test_world::World;

const NAMES: [&str; 5] = ["changed", "added", "lost", "kept", "untouched"];
/// More than one command asks for when documents are read again.
const DOCUMENTS: i32 = 2_500;

struct Scene {
    _server: RealMongo,
    client: Client,
    world: World,
    job: RestoreJob,
    wanted: State,
}

/// A cluster with a snapshot, of which some documents were changed, deleted and added since then.
async fn scene() -> anyhow::Result<Scene> {
    let server = RealMongo::replica_set().start().await?;
    let client = server.client().await?;
    let document = |n: i32| doc! { "_id": n, "text": "as it was" };
    for name in NAMES {
        let all = client.database("shop").collection::<Document>(name);
        all.insert_many((0..DOCUMENTS).map(document)).await?;
    }
    let world = World::started().await?;
    world.attach("c", &server.uri(), Tier::M2).await?;
    let wanted = sample::state(&client).await?;
    let snapshot = world.snapshot("c").await?;
    let request = world.request("c", snapshot.id, "c");
    let restores = world.engine.restores();
    let (_, mut job) = restores.request(&world.caller, &request).await?;
    let _ = world.finished_restore("c", job.id).await?;
    job.mode = Some(RestoreMode::Rewind);
    let scene = Scene {
        _server: server,
        client,
        world,
        job,
        wanted,
    };
    for name in &NAMES[..4] {
        scene.change(name, 0..2_100).await?;
        let all = scene.collection(name);
        all.delete_one(doc! { "_id": 2_200 }).await?;
        all.insert_one(doc! { "_id": "new" }).await?;
    }
    Ok(scene)
}

impl Scene {
    fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.client.database("shop").collection(name)
    }

    async fn change(&self, name: &str, ids: std::ops::Range<i32>) -> anyhow::Result<()> {
        let these = doc! { "_id": { "$gte": ids.start, "$lt": ids.end } };
        let change = doc! { "$set": { "text": "since then" } };
        self.collection(name).update_many(these, change).await?;
        Ok(())
    }

    async fn plan<'a>(&'a self, counter: &'a SharedCounter) -> anyhow::Result<Planned<'a>> {
        let meta = &self.world.engine.parts.meta;
        let job = &self.job;
        let snapshot = meta.snapshot(job.cluster_id, job.snapshot_id).await?;
        let snapshot = snapshot.expect("it was taken");
        let target = meta.cluster(job.target_cluster_id).await?;
        let target = target.expect("it was attached");
        let planned = super::plan(&self.world.engine, job, &snapshot, &target, counter).await;
        Ok(planned?)
    }

    async fn require_wanted(&self) -> anyhow::Result<()> {
        let found = sample::state(&self.client).await?;
        let differences = self.wanted.differences(&found);
        anyhow::ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    }
}

type Row = Option<(CollectionAction, Proof)>;

const LOADED: Row = Some((CollectionAction::Loaded, Proof::ReadBack));
const PROVED: Row = Some((CollectionAction::Rewound, Proof::History));

fn row(report: &RestoreReport, name: &str) -> Row {
    let namespace = format!("shop.{name}");
    let mut rows = report.collections.iter();
    let row = rows.find(|row| row.namespace == namespace);
    row.map(|row| (row.action, row.proof))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_between_writing_back_and_the_proof_is_found() -> anyhow::Result<()> {
    let scene = scene().await?;
    let counter = SharedCounter::default();
    let planned = scene.plan(&counter).await?;
    let history = planned.choice.history.expect("a rewind was asked for");
    planned.put.target.begin().await?;
    let work = rewind::find(&planned.put, history).await?;
    rewind::write(&planned.put, &work).await?;
    // By somebody else: a document that nobody had touched, a new one, one that was put back.
    scene.change("changed", 2_300..2_301).await?;
    let added = scene.collection("added");
    added.insert_one(doc! { "_id": "foreign" }).await?;
    let lost = scene.collection("lost");
    lost.delete_one(doc! { "_id": 7 }).await?;
    let report = rewind::finish(&planned.put, work).await?;
    scene.require_wanted().await?;
    for name in ["changed", "added", "lost"] {
        assert_eq!(row(&report, name), LOADED, "{name}");
    }
    for name in ["kept", "untouched"] {
        assert_eq!(row(&report, name), PROVED, "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_not_put_back_is_found() -> anyhow::Result<()> {
    let scene = scene().await?;
    let counter = SharedCounter::default();
    let planned = scene.plan(&counter).await?;
    let history = planned.choice.history.expect("a rewind was asked for");
    planned.put.target.begin().await?;
    let mut work = rewind::find(&planned.put, history).await?;
    for one in &mut work.rewound {
        let kept = one.kept.as_mut().expect("it is little");
        match one.item.wanted.name.as_str() {
            "lost" => drop(kept.pop().expect("some were changed")),
            // Found once more instead, while it is written.
            "kept" => one.kept = None,
            _ => {}
        }
    }
    rewind::write(&planned.put, &work).await?;
    let report = rewind::finish(&planned.put, work).await?;
    scene.require_wanted().await?;
    for name in NAMES {
        let expected = if name == "lost" { LOADED } else { PROVED };
        assert_eq!(row(&report, name), expected, "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_read_where_that_is_asked_for() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    for (reads_whole, proof) in [(true, Proof::ReadBack), (false, Proof::History)] {
        scene.job.reads_whole = reads_whole;
        let counter = SharedCounter::default();
        let report = scene.plan(&counter).await?.run().await?;
        scene.require_wanted().await?;
        for name in NAMES {
            let expected = Some((CollectionAction::Rewound, proof));
            assert_eq!(row(&report, name), expected, "{name}");
        }
    }
    Ok(())
}
