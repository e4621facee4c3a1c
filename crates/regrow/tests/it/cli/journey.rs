//! What a new user does, from nothing to a restore that is proved by the server itself.

use testkit::{RealMongo, sample};

use super::world::{World, names_in};

async fn mongo_with_user() -> RealMongo {
    let mongo = RealMongo::replica_set().with_auth().start().await.unwrap();
    let roles = [
        ("backup", "admin"),
        ("readWriteAnyDatabase", "admin"),
        ("dbAdminAnyDatabase", "admin"),
    ];
    mongo
        .create_user("regrow", "p@ss:word/", &roles)
        .await
        .unwrap();
    mongo
}

#[tokio::test]
async fn what_was_damaged_is_restored_exactly_and_can_be_downloaded() {
    let mongo = mongo_with_user().await;
    let client = mongo.client().await.unwrap();
    let small = sample::SampleOptions::small();
    sample::load(&client, small).await.unwrap();
    let before = sample::state(&client).await.unwrap();
    let mut world = World::new().await;

    // The password comes by standard input and is in no answer, table or log line.
    let add = ["cluster", "add", "shop", "--tier", "M2", "--no-snapshot"];
    let add = [&add[..], &["--uri-file", "-"]].concat();
    let uri = mongo.uri_as("regrow", "p@ss:word/");
    let added = world.run_with_input(&add, &format!("{uri}\n")).await.is(0);
    let shown = world.run(&["cluster", "show", "shop"]).await.is(0);
    for text in [&added.stdout, &added.stderr, &shown.stdout, &world.log()] {
        assert!(!text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
    }
    let clusters = world.json(&["cluster", "list"]).await;
    assert_eq!(clusters["totalCount"], 1);
    assert_eq!(clusters["results"][0]["replicaSet"], "rs0");

    let snapshot = world.json(&["snapshot", "take", "shop", "--wait"]).await;
    assert_eq!(snapshot["status"], "COMPLETED");
    assert_eq!(snapshot["consistency"], "snapshot");
    let id = snapshot["id"].as_str().unwrap();
    let table = world.run(&["snapshot", "list", "shop"]).await.is(0).stdout;
    assert!(table.contains(id) && table.contains("COMPLETED"), "{table}");
    let plan = world.json(&["prune", "shop", "--dry-run"]).await;
    assert_eq!(plan["results"][0]["snapshotId"], id);
    assert_eq!(plan["results"][0]["reason"], "newest completed snapshot");

    sample::damage(&client).await.unwrap();
    let damaged = sample::state(&client).await.unwrap();
    assert!(!before.differences(&damaged).is_empty());

    let start = ["restore", "start", "shop", "--target", "shop", "--snapshot"];
    let refused = world.run(&[&start[..], &[id]].concat()).await;
    let plan = "replace EVERY database on shop, except admin, config and local";
    assert!(refused.stderr.contains(plan), "{}", refused.stderr);
    refused_without_question(&refused.stderr, refused.code);
    assert_eq!(damaged, sample::state(&client).await.unwrap());

    let restore = [&start[..], &["latest", "--yes", "--wait"]].concat();
    let restored = world.json(&restore).await;
    assert_eq!(restored["status"], "COMPLETED");
    let after = sample::state(&client).await.unwrap();
    assert_eq!(before.differences(&after), Vec::<String>::new());
    let restore_id = restored["id"].as_str().unwrap();
    let show = ["restore", "show", "shop", restore_id];
    let shown = world.run(&show).await.is(0).stdout;
    assert!(shown.contains("collections are equal"), "{shown}");

    download(&world, id).await;
    let jobs = world.json(&["restore", "list", "shop"]).await;
    assert_eq!(jobs["totalCount"], 3);
    assert_eq!(jobs["results"][0]["deliveryType"], "DOWNLOAD");
    assert_eq!(jobs["results"][2]["id"], restore_id);

    world.stop().await;
    let checked = world.check().await.json();
    assert_eq!(checked["problems"], serde_json::json!([]));
    assert_eq!(checked["snapshots"], 1);
}

#[track_caller]
fn refused_without_question(stderr: &str, code: i32) {
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("hint: add --yes"), "{stderr}");
}

async fn download(world: &World, snapshot: &str) {
    let file = world.path("shop.tar.gz");
    let to = file.to_str().unwrap();
    let line = ["download", "shop", "--snapshot", snapshot, "--to", to];
    let downloaded = world.json(&line).await;
    let size = file.metadata().unwrap().len();
    assert_eq!(downloaded["sizeBytes"], size);
    assert_eq!(downloaded["snapshotId"], snapshot);
    assert!(!world.path("shop.tar.gz.part").exists());
    let names = names_in(&file);
    for name in ["RESTORE.txt", "dump/shop/orders.bson"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }

    // A file that is there already may be the only copy of something.
    std::fs::write(&file, "precious").unwrap();
    world
        .run(&line)
        .await
        .fails(2, &["exists already", "--overwrite"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    world.json(&[&line[..], &["--overwrite"]].concat()).await;
    assert_eq!(file.metadata().unwrap().len(), size);
}

#[tokio::test]
async fn snapshots_and_clusters_go_when_they_are_deleted() {
    let mongo = RealMongo::replica_set().start().await.unwrap();
    let client = mongo.client().await.unwrap();
    let one = bson::doc! { "create": "things" };
    client.database("zoo").run_command(one).await.unwrap();
    let world = World::new().await;
    let uri = mongo.uri();
    let add = ["cluster", "add", "zoo", "--tier", "serverless"];
    let protected = ["--termination-protection", "--uri", &uri];
    world.json(&[&add[..], &protected].concat()).await;

    // The first snapshot is taken without being asked for.
    let listed = world.json(&["snapshot", "list", "zoo"]).await;
    assert_eq!(listed["totalCount"], 1, "{listed}");
    let first = listed["results"][0]["id"].as_str().unwrap();
    let first = world.json(&["snapshot", "watch", "zoo", first]).await;
    assert_eq!(first["snapshotType"], "scheduled");
    let second = world.snapshot("zoo").await;
    let latest = world.json(&["snapshot", "show", "zoo", "latest"]).await;
    assert_eq!(latest["id"], second);

    let set = ["cluster", "set", "zoo", "--uri-file", "-"];
    let other = RealMongo::standalone().start().await.unwrap();
    let refused = world.run_with_input(&set, &other.uri()).await;
    refused.fails(3, &["a standalone server", "--another-deployment"]);
    world.run_with_input(&set, &format!("{uri}\n")).await.is(0);
    for line in [
        &set[..3],
        &["cluster", "set", "zoo", "--another-deployment"],
    ] {
        world.run(line).await.fails(2, &["--uri"]);
    }

    let delete = ["snapshot", "delete", "zoo", &second];
    let asked = world.run(&delete).await;
    refused_without_question(&asked.stderr, asked.code);
    world.run(&[&delete[..], &["--yes"]].concat()).await.is(0);
    world
        .run(&["snapshot", "show", "zoo", &second])
        .await
        .fails(3, &["SNAPSHOT_NOT_FOUND", "regrow snapshot list"]);

    let remove = ["cluster", "remove", "zoo", "--yes"];
    world.run(&remove).await.fails(
        3,
        &["regrow cluster set CLUSTER --termination-protection false"],
    );
    let set = ["cluster", "set", "zoo", "--termination-protection", "false"];
    assert_eq!(world.json(&set).await["terminationProtection"], false);
    world.run(&remove).await.is(0);
    let none = world.run(&["cluster", "list"]).await.is(0).stdout;
    assert!(none.starts_with("no clusters yet"), "{none}");
}

#[tokio::test]
async fn documents_are_found_in_a_snapshot_and_two_snapshots_compared() {
    let mongo = RealMongo::replica_set().start().await.unwrap();
    let client = mongo.client().await.unwrap();
    let birds = client
        .database("wood")
        .collection::<bson::Document>("birds");
    let named = |number: i32| bson::doc! { "_id": number, "name": format!("bird {number}") };
    birds.insert_many((1..=500).map(named)).await.unwrap();
    let world = World::new().await;
    let add = [
        "cluster",
        "add",
        "wood",
        "--tier",
        "M2",
        "--no-snapshot",
        "--uri",
        &mongo.uri(),
    ];
    world.run(&add).await.is(0);
    let take = ["snapshot", "take", "wood", "--wait"];
    let first = world.json(&take).await["id"].as_str().unwrap().to_owned();

    let find = ["find", "wood", "--snapshot", "latest", "wood.birds"];
    let found = world
        .run(&[&find[..], &[r#"{"_id": 7}"#]].concat())
        .await
        .is(0);
    assert_eq!(found.stdout, "{\"_id\":7,\"name\":\"bird 7\"}\n");
    let canonical = [&find[..], &[r#"{"name": "bird 7"}"#, "--canonical"]].concat();
    let found = world.run(&canonical).await.is(0);
    assert_eq!(
        found.stdout,
        "{\"_id\":{\"$numberInt\":\"7\"},\"name\":\"bird 7\"}\n"
    );
    let some = world
        .run(&[&find[..], &["--limit", "3"]].concat())
        .await
        .is(0);
    assert_eq!(some.stdout.lines().count(), 3);
    let many = [&find[..], &[r#"{"_id": {"$gt": 490}}"#, "--count"]].concat();
    assert_eq!(world.run(&many).await.is(0).stdout, "10\n");
    assert_eq!(world.json(&many).await, serde_json::json!({ "count": 10 }));
    let refused = world
        .run(&[&find[..], &[r#"{"$where": "true"}"#]].concat())
        .await;
    refused.fails(3, &["$where", "not supported"]);
    world
        .run(&[&find[..], &["{_id: 7}"]].concat())
        .await
        .fails(2, &["JSON", "quote"]);
    let missing = ["find", "wood", "--snapshot", "latest", "wood.Birds"];
    world
        .run(&missing)
        .await
        .fails(3, &["wood.Birds", "case-sensitive"]);

    birds.delete_one(bson::doc! { "_id": 1 }).await.unwrap();
    let grow = bson::doc! { "$set": { "name": "grown" } };
    birds
        .update_one(bson::doc! { "_id": 2 }, grow)
        .await
        .unwrap();
    birds.insert_one(named(501)).await.unwrap();
    let second = world.json(&take).await["id"].as_str().unwrap().to_owned();
    let diff = ["diff", "wood", &first, &second];
    world.run(&["diff", "wood", &second, "latest"]).await.is(0);
    let table = world.run(&diff).await.is(9).stdout;
    assert!(
        table.contains("wood.birds") && !table.contains("other"),
        "{table}"
    );
    let ids = world
        .run(&[&diff[..], &["wood.birds", "--documents"]].concat())
        .await
        .is(9);
    let mut signs: Vec<_> = ids.stdout.lines().take(3).collect();
    signs.sort_unstable();
    assert_eq!(
        signs,
        ["+ wood.birds 501", "- wood.birds 1", "~ wood.birds 2"]
    );
    let full = world
        .run(&[&diff[..], &["--full", "--output", "json"]].concat())
        .await
        .is(9);
    let lines = full
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let changed = lines
        .iter()
        .find(|line| line["document"]["change"] == "CHANGED")
        .unwrap();
    assert_eq!(changed["document"]["before"]["name"], "bird 2");
    assert_eq!(changed["document"]["after"]["name"], "grown");
    assert_eq!(lines.last().unwrap()["collection"]["added"], 1);
}
