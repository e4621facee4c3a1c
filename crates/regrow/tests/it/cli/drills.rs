//! Drills and archives of data files, with a service that is killed in the middle.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{RealMongo, find_mongod, sample, wait_for};

use super::world::{LIMIT, World, names_in};

/// Returns the directories of scratch servers.
fn servers(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.data_dir().join("scratch")).unwrap();
    let names = entries.map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.to_string_lossy().contains("/server-"))
        .collect()
}

/// Returns how many processes have something below the directory in their command line.
fn processes(below: &Path) -> usize {
    let mark = format!("{}/", below.display());
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.map(|process| fs::read(process.path().join("cmdline")).unwrap_or_default());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(&mark))
        .count()
}

async fn serving(config: &Path, world: &mut World) {
    world.start(&["--config", config.to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_drill_completes_after_the_service_was_killed_and_nothing_stays() {
    let mongo = RealMongo::replica_set().start().await.unwrap();
    let client = mongo.client().await.unwrap();
    let small = sample::SampleOptions::small();
    sample::load(&client, small).await.unwrap();
    let mut world = World::initialised().await;
    let config = world.path("config.toml");
    let mongod = find_mongod().unwrap().0;
    fs::write(&config, format!("[scratch]\nmongod = {mongod:?}\n")).unwrap();
    serving(&config, &mut world).await;
    world.attach("shop", &mongo).await;
    let snapshot = world.snapshot("shop").await;

    let drill = world.json(&["drill", "shop"]).await;
    assert_eq!(drill["snapshotId"], snapshot);
    let drill = drill["id"].as_str().unwrap().to_owned();
    let started = wait_for(LIMIT, "a scratch server", || async {
        let found = servers(&world);
        let ready = found.iter().find(|path| path.join("mongod.sock").exists());
        ready.cloned().ok_or_else(|| format!("{found:?}"))
    });
    let left = started.await.unwrap();
    world.kill();
    assert!(left.exists() && processes(&left) == 1);
    serving(&config, &mut world).await;
    assert!(!left.exists() && processes(&left) == 0, "{}", world.log());

    let show = ["drill", "show", "shop", &drill];
    let ended = wait_for(LIMIT, "the drill to end", || async {
        let drill = world.json(&show).await;
        match drill["status"].as_str().unwrap() {
            "COMPLETED" | "FAILED" => Ok(drill),
            other => Err(other.to_owned()),
        }
    });
    let ended = ended.await.unwrap();
    assert_eq!(ended["status"], "COMPLETED", "{ended}");
    assert_eq!(servers(&world), Vec::<PathBuf>::new());
    assert_eq!(processes(&world.data_dir().join("scratch")), 0);
    let listed = world.json(&["drill", "list", "shop"]).await;
    assert_eq!(listed["results"][0]["id"], drill.as_str());
    let cluster = world.json(&["cluster", "show", "shop"]).await;
    assert_eq!(cluster["lastDrill"]["documents"], ended["documents"]);
    // They are counted when the row is there.
    let told = wait_for(LIMIT, "the metrics to tell", || async {
        let metrics = metrics(&world).await;
        match metrics.contains("regrow_drill_last_success_timestamp_seconds{") {
            true => Ok(metrics),
            false => Err(metrics),
        }
    });
    let told = told.await.unwrap();
    let counted = r#"regrow_jobs_total{kind="drill",status="COMPLETED"} 1"#;
    assert!(told.contains(counted), "{told}");
    assert!(!told.contains(r#"kind="restore""#), "{told}");

    let file = world.path("files.tar.gz");
    let line = ["download", "shop", "--snapshot", "latest", "--to"];
    let line = [
        &line[..],
        &[file.to_str().unwrap(), "--format", "data-files"],
    ]
    .concat();
    world.json(&line).await;
    let names = names_in(&file);
    assert!(
        names.iter().any(|name| name == "data/WiredTiger"),
        "{names:?}"
    );
    assert!(
        !names.iter().any(|name| name.ends_with(".lock")),
        "{names:?}"
    );
    assert_eq!(servers(&world), Vec::<PathBuf>::new());
}

async fn metrics(world: &World) -> String {
    // A second installation fails, and changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().tls_certs_only([]).build();
    let request = client.unwrap().get(format!("{}/metrics", world.url));
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn without_a_mongod_a_drill_is_refused_and_the_remedy_named() {
    let mongo = RealMongo::replica_set().start().await.unwrap();
    let client = mongo.client().await.unwrap();
    let one = bson::doc! { "create": "things" };
    client.database("zoo").run_command(one).await.unwrap();
    let world = World::new().await;
    world.attach("zoo", &mongo).await;
    world.snapshot("zoo").await;
    for line in [
        &["drill", "zoo"][..],
        &["cluster", "set", "zoo", "--drill-every-days", "7"],
        &[
            "download",
            "zoo",
            "--snapshot",
            "latest",
            "--to",
            "-",
            "--format",
            "data-files",
        ],
    ] {
        world.run(line).await.fails(3, &["scratch.mongod"]);
    }
    let asked = world.run(&["drill", "zoo", "--target", "zoo"]).await;
    assert_eq!(asked.code, 2, "{}", asked.stderr);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
}
