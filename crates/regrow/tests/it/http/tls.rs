//! Encrypted connections, and peers that say nothing.

use std::time::Duration;

use regrow::http::{Config, Server, StartError, Tls};
use reqwest::{Certificate, Client};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::world::World;

struct Files {
    _dir: tempfile::TempDir,
    tls: Tls,
    certificate: String,
}

fn files() -> Files {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let tls = Tls {
        certificate: dir.path().join("chain.pem"),
        key: dir.path().join("key.pem"),
    };
    let certificate = made.cert.pem();
    std::fs::write(&tls.certificate, &certificate).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    Files {
        _dir: dir,
        tls,
        certificate,
    }
}

#[tokio::test]
async fn requests_are_answered_over_tls_while_silent_peers_hang_on() {
    let files = files();
    let tls = files.tls.clone();
    let mut world = World::with(|config| config.tls = Some(tls)).await;
    let certificate = Certificate::from_pem(files.certificate.as_bytes()).unwrap();
    let builder = Client::builder().no_proxy().tls_certs_only([certificate]);
    world.http = builder.build().unwrap();
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(world.server.address()).await.unwrap());
    }
    let mut nonsense = TcpStream::connect(world.server.address()).await.unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();

    assert!(world.server.url().starts_with("https://127.0.0.1:"));
    let answer = tokio::time::timeout(Duration::from_secs(5), world.get("/api/atlas/v1.0/groups"));
    let answer = answer.await.expect("nobody is stalled");
    assert!(
        answer
            .header("strict-transport-security")
            .starts_with("max-age=")
    );
    let list = answer.is(200);
    let href = list["links"][0]["href"].as_str().unwrap();
    assert!(href.starts_with(&world.server.url()), "{href}");
    drop(silent);
}

#[tokio::test]
async fn files_that_are_no_use_are_named() {
    let files = files();
    let world = World::new().await;
    let start = |tls: Tls| {
        let mut config = Config::plain("127.0.0.1:0".parse().unwrap());
        config.tls = Some(tls);
        Server::start(config, world.engine.clone(), CancellationToken::new())
    };
    let missing = Tls {
        key: "/nowhere/key.pem".into(),
        ..files.tls.clone()
    };
    let swapped = Tls {
        certificate: files.tls.key.clone(),
        key: files.tls.certificate.clone(),
    };
    for (tls, expected) in [
        (missing, "read a private key from /nowhere/key.pem"),
        (swapped, "read a certificate from "),
    ] {
        let Err(StartError::Tls(error)) = start(tls).await else {
            panic!("started")
        };
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let world = World::new().await;
    let config = Config::plain(world.server.address());
    let started = Server::start(config, world.engine.clone(), CancellationToken::new()).await;
    let Err(error) = started else {
        panic!("started")
    };
    assert_eq!(
        error.to_string(),
        format!("listen on {}", world.server.address())
    );
}

#[tokio::test]
async fn a_shutdown_ends_the_server() {
    let world = World::new().await;
    let address = world.server.address();
    let idle = TcpStream::connect(address).await.unwrap();
    world.get("/api/atlas/v1.0").await.is(200);
    tokio::time::timeout(Duration::from_secs(9), world.stop())
        .await
        .expect("idle peers are left");
    drop(idle);
    assert!(TcpStream::connect(address).await.is_err());
}
