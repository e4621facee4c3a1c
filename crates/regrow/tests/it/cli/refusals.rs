//! What cannot be done is refused with a reason, an exit code, and a way out.

use serde_json::Value;
use testkit::RealMongo;

use super::world::{World, ended, regrow};

#[tokio::test]
async fn init_does_nothing_to_what_is_initialised() {
    let mut world = World::initialised().await;
    let data_dir = world.data_dir();
    let contents = || {
        let mut files = Vec::new();
        for name in ["key", "regrow.db", "snapshots/repo"] {
            files.push(std::fs::read(data_dir.join(name)).unwrap());
        }
        files
    };
    let before = contents();
    let again = ended(regrow(&["init", "--data-dir"]).arg(&data_dir)).await;
    again.fails(8, &["is already initialised", "nothing was changed"]);
    assert!(before == contents(), "a file was changed");

    world.start(&[]).await;
    let again = ended(regrow(&["init", "--data-dir"]).arg(&data_dir)).await;
    again.fails(8, &["another process uses"]);
    world.run(&["cluster", "list"]).await.is(0);
}

#[tokio::test]
async fn a_data_directory_belongs_to_its_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    let data_dir = world.data_dir();
    assert_eq!(mode(data_dir.clone()), 0o700);
    assert_eq!(mode(data_dir.join("snapshots")), 0o700);
    for name in ["key", "lock", "regrow.db", "regrow.db-wal"] {
        assert_eq!(mode(data_dir.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused() {
    let world = World::new().await;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir"];
    let second = ended(regrow(&serve).arg(world.data_dir())).await;
    second.fails(8, &["another process uses", "hint: stop it"]);
    world.run(&["cluster", "list"]).await.is(0);
}

#[tokio::test]
async fn a_service_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let ran = ended(regrow(&["serve", "--data-dir"]).arg(&nowhere)).await;
    ran.fails(
        8,
        &[
            "is not an initialised data directory",
            "hint: run `regrow init",
        ],
    );
    assert!(!nowhere.exists());
    let ran = ended(&mut regrow(&["serve"])).await;
    ran.fails(2, &["no data directory", "--data-dir"]);

    let init = ["init", "--project", "a/b", "--data-dir"];
    let ran = ended(regrow(&init).arg(&nowhere)).await;
    ran.fails(2, &["`project` is not valid"]);
    assert!(!nowhere.exists());

    let config = folder.path().join("regrow.toml");
    std::fs::write(&config, "[server]\nlisten = \"127.0.0.1:0\"\ncolour = 1\n").unwrap();
    let ran = ended(regrow(&["serve", "--data-dir", "d", "--config"]).arg(&config)).await;
    ran.fails(
        2,
        &[
            "regrow.toml is not valid",
            "unknown field `colour`",
            "line 3",
        ],
    );
    let ran = ended(regrow(&["serve", "--config"]).arg(folder.path().join("none"))).await;
    ran.fails(2, &["read the configuration file", "No such file"]);

    let world = World::new().await;
    let other = World::initialised().await;
    let taken = world.url.strip_prefix("http://").unwrap();
    let serve = ["serve", "--listen", taken, "--data-dir"];
    let ran = ended(regrow(&serve).arg(other.data_dir())).await;
    ran.fails(2, &["listen on", "Address already in use", "--listen"]);
    let tls = ["serve", "--tls-cert", "none.pem", "--tls-key", "none.pem"];
    let ran = ended(regrow(&tls).arg("--data-dir").arg(other.data_dir())).await;
    ran.fails(2, &["set up TLS", "none.pem"]);
}

#[tokio::test]
async fn a_key_file_of_another_data_directory_opens_nothing() {
    let world = World::initialised().await;
    let other = World::initialised().await;
    std::fs::copy(other.data_dir().join("key"), world.data_dir().join("key")).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir"];
    let ran = ended(regrow(&serve).arg(world.data_dir())).await;
    ran.fails(8, &["the key does not fit the metadata"]);
    let checked = world.check().await.is(8);
    let error: Value = serde_json::from_str(&checked.stderr).unwrap();
    assert_eq!(error["exitCode"], 8, "{error}");
    std::fs::write(world.data_dir().join("key"), "nonsense").unwrap();
    let ran = ended(regrow(&serve).arg(world.data_dir())).await;
    ran.fails(8, &["does not hold 64 hexadecimal digits"]);
}

#[tokio::test]
async fn nobody_is_let_in_with_a_wrong_key() {
    let world = World::new().await;
    let list = ["cluster", "list"];
    let wrong = |name: &str, value: &str| {
        let mut command = world.command(&list);
        command.env(name, value);
        command
    };
    for name in ["REGROW_PUBLIC_KEY", "REGROW_PRIVATE_KEY"] {
        let ran = ended(&mut wrong(name, "wrong")).await;
        ran.fails(4, &["does not accept the API key", "REGROW_PRIVATE_KEY"]);
    }
    let ran = ended(&mut wrong("REGROW_PRIVATE_KEY", "")).await;
    ran.fails(2, &["no private key", "--private-key-file"]);
    let ran = ended(regrow(&list).env("REGROW_URL", &world.url)).await;
    ran.fails(4, &["no API key", "regrow init"]);

    let file = world.path("private-key");
    std::fs::write(&file, format!("{}\n", world.key.private)).unwrap();
    let mut by_file = wrong("REGROW_PRIVATE_KEY", "wrong");
    ended(by_file.arg("--private-key-file").arg(&file))
        .await
        .is(0);

    let mut nowhere = wrong("REGROW_URL", "http://127.0.0.1:1");
    let ran = ended(nowhere.args(["--output", "json"])).await.is(6);
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["exitCode"], 6);
    assert!(error["hint"].as_str().unwrap().contains("regrow serve"));
    let ran = ended(&mut wrong("REGROW_URL", "localhost")).await;
    ran.fails(2, &["`localhost` is not an http:// or https:// address"]);
    let ran = ended(&mut wrong("REGROW_PROJECT_ID", "Nobody's")).await;
    ran.fails(3, &["Nobody's", "regrow project list"]);
    ended(&mut wrong("REGROW_PROJECT_ID", "Default"))
        .await
        .is(0);
    ended(&mut wrong("REGROW_PROJECT_ID", "")).await.is(0);
}

#[tokio::test]
async fn a_deployment_that_cannot_be_backed_up_is_refused_with_the_reason() {
    let mongo = RealMongo::replica_set().with_auth().start().await.unwrap();
    let roles = [("read", "shop")];
    mongo.create_user("weak", "weak", &roles).await.unwrap();
    let roles = [("backup", "admin")];
    mongo.create_user("source", "source", &roles).await.unwrap();
    let world = World::new().await;
    let add = async |name: &str, uri: &str| {
        let line = [
            "cluster",
            "add",
            name,
            "--tier",
            "M5",
            "--no-snapshot",
            "--uri",
        ];
        world.run(&[&line[..], &[uri]].concat()).await
    };
    let wrong = mongo.uri_as("source", "secret-and-wrong");
    let ran = add("shop", &wrong).await;
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    ran.fails(
        3,
        &["DEPLOYMENT_AUTHENTICATION_FAILED", "user name or password"],
    );
    let ran = add("shop", &mongo.uri_as("weak", "weak")).await;
    ran.fails(
        3,
        &[
            "DEPLOYMENT_PRIVILEGE_MISSING",
            "the user lacks ",
            "`backup`",
        ],
    );
    let ran = add("shop", "mongodb://127.0.0.1:1/").await;
    ran.fails(3, &["DEPLOYMENT_UNREACHABLE", "127.0.0.1:1", "hint: "]);
    let ran = add("shop", "http://127.0.0.1/").await;
    ran.fails(3, &["INVALID_CONNECTION_STRING"]);
    let ran = add("a/b", &mongo.uri()).await;
    ran.fails(3, &["name"]);
    assert_eq!(world.json(&["cluster", "list"]).await["totalCount"], 0);

    // A source need not be a target; the missing privilege is named before anything is removed.
    add("shop", &mongo.uri_as("source", "source")).await.is(0);
    add("shop", &mongo.uri())
        .await
        .fails(3, &["DUPLICATE_CLUSTER_NAME", "shop"]);
    let start = [
        "restore",
        "start",
        "shop",
        "--target",
        "shop",
        "--yes",
        "--snapshot",
    ];
    let early = world.run(&[&start[..], &["latest"]].concat()).await;
    early.fails(
        3,
        &["no complete snapshot yet", "regrow snapshot take shop"],
    );
    world.snapshot("shop").await;
    let ran = world.run(&[&start[..], &["latest"]].concat()).await;
    ran.fails(3, &["DEPLOYMENT_PRIVILEGE_MISSING", "the user lacks "]);
    assert_eq!(
        world.json(&["restore", "list", "shop"]).await["totalCount"],
        0
    );
}

#[tokio::test]
async fn a_snapshot_that_fails_fails_the_command_that_waits_for_it() {
    let mut mongo = RealMongo::replica_set().start().await.unwrap();
    let mut world = World::initialised().await;
    let config = world.path("regrow.toml");
    std::fs::write(&config, "[work]\ndeployment_timeout_ms = 300\n").unwrap();
    world.start(&["--config", config.to_str().unwrap()]).await;
    world.attach("shop", &mongo).await;
    mongo.stop().await.unwrap();
    let take = ["snapshot", "take", "shop", "--wait", "--output", "json"];
    let ran = world.run(&take).await.is(5);
    let snapshot: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(snapshot["status"], "FAILED");
    let reason = snapshot["failureReason"].as_str().unwrap();
    let error: Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(
        (&error["exitCode"], &error["errorCode"]),
        (&5.into(), &"JOB_FAILED".into())
    );
    assert!(error["error"].as_str().unwrap().contains(reason), "{error}");
    let id = snapshot["id"].as_str().unwrap();
    let to = world.path("x.tar.gz");
    let line = [
        "download",
        "shop",
        "--snapshot",
        id,
        "--to",
        to.to_str().unwrap(),
    ];
    let ran = world.run(&line).await;
    ran.fails(3, &["CANNOT_DOWNLOAD_INCOMPLETE_SNAPSHOT"]);
    assert!(!to.exists() && !world.path("x.tar.gz.part").exists());
}
