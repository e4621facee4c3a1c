//! What is printed for people, shells and programs, and the connection that it comes over.

use serde_json::Value;

use super::world::{World, ended, regrow};

#[tokio::test]
async fn every_command_has_a_help_that_fits_a_terminal() {
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let mut line: Vec<&str> = path.iter().map(String::as_str).collect();
        line.push("--help");
        let help = ended(&mut regrow(&line)).await.is(0).stdout;
        seen += 1;
        for text in help.lines() {
            assert!(text.chars().count() <= 100, "{path:?}: {text}");
        }
        for secret in ["--private-key <", "--password"] {
            assert!(!help.contains(secret), "{path:?}: a secret has a flag");
        }
        let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
        let names = commands.lines().take_while(|line| !line.is_empty());
        for name in names.filter_map(|line| line.split_whitespace().next()) {
            if name != "help" && commands.contains(&format!("  {name}  ")) {
                let mut below = path.clone();
                below.push(name.to_owned());
                waiting.push(below);
            }
        }
    }
    assert!(seen > 35, "only {seen} commands were found");
}

#[tokio::test]
async fn completions_and_the_description_of_the_api_need_no_service() {
    for shell in ["bash", "zsh", "fish"] {
        let script = ended(&mut regrow(&["completions", shell]))
            .await
            .is(0)
            .stdout;
        assert!(script.contains("termination-protection"), "{shell}");
    }
    let document = ended(&mut regrow(&["openapi"])).await.json();
    let path = "/api/atlas/v1.0/groups/{groupId}/clusters/{clusterName}/backup/tenant/restores";
    assert!(document["paths"][path]["get"].is_object());
}

#[tokio::test]
async fn the_printed_configuration_can_be_used() {
    let printed = ended(&mut regrow(&["serve", "--print-config"]))
        .await
        .is(0)
        .stdout;
    let mut world = World::initialised().await;
    let config = world.path("regrow.toml");
    std::fs::write(
        &config,
        printed.replace("format = \"text\"", "format = \"json\""),
    )
    .unwrap();
    world.start(&["--config", config.to_str().unwrap()]).await;
    let log = world.log();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["url"], world.url, "{log}");
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_when_it_is_named() {
    let mut world = World::initialised().await;
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (world.path("certificate.pem"), world.path("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    world
        .start(&["--tls-cert", certificate, "--tls-key", key])
        .await;
    assert!(world.url.starts_with("https://"), "{}", world.url);
    let list = ["cluster", "list"];
    world
        .run(&[&list[..], &["--ca-file", certificate]].concat())
        .await
        .is(0);
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let foreign = world.path("foreign.pem");
    std::fs::write(&foreign, other.cert.pem()).unwrap();
    let foreign = foreign.to_str().unwrap();
    let ran = world
        .run(&[&list[..], &["--ca-file", foreign]].concat())
        .await;
    ran.fails(6, &["no answer", "certificate"]);
    let ran = world.run(&[&list[..], &["--ca-file", key]].concat()).await;
    ran.fails(2, &["no certificate in PEM"]);
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "(\"$0\" completions bash; echo \"ended with $?\" >&2) | true",
    ]);
    let output = command.arg(env!("CARGO_BIN_EXE_regrow")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.trim(), "ended with 0");
}

#[tokio::test]
async fn a_public_address_without_tls_is_warned_of() {
    let mut world = World::initialised().await;
    world.url = "http://0.0.0.0:0".to_owned();
    world.start(&[]).await;
    assert!(
        world.log().contains("public address without TLS"),
        "{}",
        world.log()
    );
    world.url = world.url.replace("0.0.0.0", "127.0.0.1");
    world.run(&["cluster", "list"]).await.is(0);
}
