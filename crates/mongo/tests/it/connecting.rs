//! Connecting fails in a way that can be acted upon and gives no secret away.
use std::time::Duration;

use mongo::{ConnectOptions, Deployment, Error, Topology};
use testkit::RealMongo;

use crate::support::{connect, connect_to};

const SECRET: &str = "hunter2-SECRET";

/// Tries to connect for a short while and returns the error, which must not show the password.
async fn refused(uri: &str) -> Error {
    let options = ConnectOptions {
        server_selection_timeout: Duration::from_secs(2),
        ..ConnectOptions::default()
    };
    let error = Deployment::connect(&uri.into(), options)
        .await
        .expect_err("must be refused");
    let mut shown = format!("{error:?} {error}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        shown.push_str(&format!(" {cause:?} {cause}"));
        source = cause.source();
    }
    for part in ["hunter2", "SECRET", SECRET] {
        assert!(!shown.contains(part), "{shown}");
    }
    error
}

#[tokio::test]
async fn a_bad_connection_string_is_refused_without_being_repeated() {
    let hosts = "127.0.0.1:1";
    for uri in [
        String::new(),
        SECRET.to_owned(),
        format!("http://user:{SECRET}@{hosts}"),
        format!("mongodb://user:{SECRET}"),
        format!("mongodb://user:{SECRET}@"),
        format!("mongodb://user:{SECRET}@host:port"),
        format!("mongodb://user:{SECRET}@x@{hosts}"),
        format!("mongodb://user:1/{SECRET}@{hosts}"),
        format!("mongodb://user:1?{SECRET}@{hosts}"),
        format!("mongodb://user:{SECRET}%zz@{hosts}"),
        format!("mongodb://user:{SECRET}@{hosts}/?{SECRET}=1&tls={SECRET}"),
        format!("mongodb://user:{SECRET}@{hosts}/?directConnection={SECRET}"),
    ] {
        let error = refused(&uri).await;
        assert!(matches!(error, Error::InvalidUri { .. }), "{uri}: {error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() -> anyhow::Result<()> {
    let mut server = RealMongo::replica_set().start().await?;
    server.stop().await?;
    let host = format!("127.0.0.1:{}", server.port());
    let error = refused(&format!("mongodb://user:{SECRET}@{host}")).await;
    assert!(
        matches!(&error, Error::Unreachable { hosts, .. } if *hosts == host),
        "{error}"
    );
    assert!(error.is_transient());
    let error = refused(&format!("mongodb://user:{SECRET}@no-such-host.invalid")).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_from_a_missing_server() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    for user in ["root", "nobody"] {
        let error = refused(&server.uri_as(user, SECRET)).await;
        assert!(
            matches!(error, Error::AuthenticationFailed { .. }),
            "{error}"
        );
        assert!(!error.is_transient());
    }
    // A name of another replica set finds no member to talk to.
    let error = refused(&format!(
        "mongodb://127.0.0.1:{}/?replicaSet=other",
        server.port()
    ))
    .await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_deployment_tells_what_it_is() -> anyhow::Result<()> {
    let set = RealMongo::replica_set().with_auth().start().await?;
    set.create_user("little", "p", &[("read", "shop")]).await?;
    let found = connect(&set).await?.describe().await?;
    assert_eq!(
        found.topology,
        Topology::ReplicaSet {
            name: "rs0".to_owned()
        }
    );
    assert_eq!(found.hosts, [format!("127.0.0.1:{}", set.port())]);
    assert!(
        found.version.major >= 5
            && found.version.to_string().starts_with(&format!(
                "{}.{}.{}",
                found.version.major, found.version.minor, found.version.patch
            ))
    );
    let major_minor = format!("{}.{}", found.version.major, found.version.minor);
    assert_eq!(found.feature_compatibility_version, Some(major_minor));
    assert_eq!(found.storage_engine.as_deref(), Some("wiredTiger"));
    let little = connect_to(&set.uri_as("little", "p"))
        .await?
        .describe()
        .await?;
    assert_eq!(little.feature_compatibility_version, None);
    assert_eq!(little.storage_engine, None);
    assert_eq!(little.version, found.version);

    let alone = RealMongo::standalone().start().await?;
    let found = connect(&alone).await?.describe().await?;
    assert_eq!(found.topology, Topology::Standalone);
    assert_eq!(found.hosts, [format!("127.0.0.1:{}", alone.port())]);
    Ok(())
}
