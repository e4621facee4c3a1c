//! Which roles are enough, and what is said where they are not.
use mongo::{Deployment, Error};
use testkit::RealMongo;

use crate::support::{connect, connect_to, hashes, restore};
use crate::zoo;

const TARGET_ROLES: [&str; 2] = ["readWriteAnyDatabase", "dbAdminAnyDatabase"];
const NO_EXPIRY: [&str; 2] = ["--setParameter", "ttlMonitorEnabled=false"];

/// Connects as a new user with these roles of `admin`.
async fn with_roles(server: &RealMongo, roles: &[&str]) -> anyhow::Result<Deployment> {
    let name = if roles.is_empty() {
        "none".to_owned()
    } else {
        roles.join("-")
    };
    let roles: Vec<(&str, &str)> = roles.iter().map(|role| (*role, "admin")).collect();
    server.create_user(&name, "p", &roles).await?;
    connect_to(&server.uri_as(&name, "p")).await
}

/// Checks that exactly this action and resource, and this role, are named.
fn check_missing(answer: Result<(), Error>, action: &str, role: &str) {
    match answer {
        Err(Error::MissingPrivilege {
            action: found,
            hint,
            ..
        }) => {
            assert!(
                found.contains(action) && hint.contains(role),
                "{found}, {hint}"
            );
        }
        other => panic!("{action}: {other:?}"),
    }
}

#[tokio::test]
async fn the_missing_privilege_and_the_role_to_grant_are_named() -> anyhow::Result<()> {
    let server = RealMongo::replica_set().with_auth().start().await?;
    let root = connect(&server).await?;
    root.require_source().await?;
    root.require_target().await?;

    let backup = with_roles(&server, &["backup"]).await?;
    backup.require_source().await?;
    check_missing(
        backup.require_target().await,
        "createCollection",
        "dbAdminAnyDatabase",
    );

    let read = with_roles(&server, &["readAnyDatabase"]).await?;
    read.require_source().await?;
    check_missing(
        read.require_target().await,
        "insert",
        "readWriteAnyDatabase",
    );

    let restore = with_roles(&server, &["restore"]).await?;
    check_missing(restore.require_source().await, "listDatabases", "backup");
    check_missing(
        restore.require_target().await,
        "listDatabases",
        "readWriteAnyDatabase",
    );
    let both = with_roles(&server, &["backup", "restore"]).await?;
    check_missing(
        both.require_target().await,
        "dropDatabase, update",
        "dbAdminAnyDatabase",
    );
    let enough = with_roles(&server, &TARGET_ROLES).await?;
    enough.require_target().await?;

    let nothing = with_roles(&server, &[]).await?;
    check_missing(nothing.require_source().await, "listDatabases", "backup");
    let anonymous = connect_to(&server.uri_without_user()).await?;
    check_missing(anonymous.require_source().await, "listDatabases", "backup");
    check_missing(
        anonymous.require_target().await,
        "listDatabases",
        "dbAdminAnyDatabase",
    );

    let open = RealMongo::standalone().start().await?;
    connect(&open).await?.require_source().await?;
    connect(&open)
        .await?
        .require_target()
        .await
        .map_err(Into::into)
}

#[tokio::test]
async fn the_roles_that_are_asked_for_are_enough_for_everything() -> anyhow::Result<()> {
    let source = RealMongo::replica_set()
        .with_auth()
        .args(NO_EXPIRY)
        .start()
        .await?;
    let target = RealMongo::replica_set()
        .with_auth()
        .args(NO_EXPIRY)
        .start()
        .await?;
    let (from, to) = (source.client().await?, target.client().await?);
    zoo::fill(&from).await?;
    zoo::fill(&to).await?;
    let into = with_roles(&target, &TARGET_ROLES).await?;
    for role in ["backup", "readAnyDatabase"] {
        let snapshot = with_roles(&source, &[role]).await?.begin_snapshot().await?;
        restore(&snapshot, &into.target(role).await?).await?;
        for database in zoo::DATABASES {
            let mut expected = hashes(&from, database).await?;
            let mut found = hashes(&to, database).await?;
            for hashes in [&mut expected, &mut found] {
                hashes.remove("system.profile");
            }
            assert_eq!(found, expected, "{database}, {role}");
        }
    }
    Ok(())
}
