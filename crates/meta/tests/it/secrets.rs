//! No secret stands in the files, the audit trail or an error.

use secrecy::ExposeSecret;

use crate::world::*;

fn assert_absent(world: &World, secret: &str) {
    for entry in std::fs::read_dir(world.directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "`{secret}` stands in {}", path.display());
    }
}

#[tokio::test]
async fn secrets_come_back_but_are_in_no_file() {
    let world = World::new().await;
    let cluster = world.attach(10).await;
    for secret in ["tr0ub4dor-and-3", HA1, "backup:"] {
        assert_absent(&world, secret);
    }
    let stored = world.meta.cluster_uri(cluster.id).await.unwrap();
    assert_eq!(stored.expose_secret(), URI);
    let key = world.meta.key_by_public("abcdefgh").await.unwrap().unwrap();
    assert_eq!(key.ha1.expose_secret(), HA1);

    world.meta.close().await;
    for secret in ["tr0ub4dor-and-3", HA1, "backup:"] {
        assert_absent(&world, secret);
    }
}

#[tokio::test]
async fn a_sealed_value_moved_to_another_row_does_not_open() {
    let world = World::new().await;
    let first = world.attach(10).await;
    let second = world.attach(11).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query(
        "UPDATE clusters SET uri_sealed = (SELECT uri_sealed FROM clusters WHERE id = $1)
         WHERE id = $2",
    )
    .bind(first.id.to_string())
    .bind(second.id.to_string())
    .execute(&pool)
    .await
    .unwrap();
    let opened = world.meta.cluster_uri(second.id).await;
    let error = opened.expect_err("a moved value");
    assert_eq!(error.to_string(), "an unexpected error occurred");
}

#[tokio::test]
async fn the_audit_trail_tells_who_did_what_without_secrets() {
    let world = World::new().await;
    world.attach(10).await;
    let rows = world.audit().await;
    let latest = rows.last().unwrap();
    assert_eq!(latest.action, "cluster.insert");
    assert_eq!(latest.subject, cluster(10).id.to_string());
    assert_eq!(latest.actor, format!("key {KEY} from 192.0.2.7"));
    assert_eq!(latest.detail["hosts"][0], "db.example.net:27017");
    let sequences: Vec<i64> = rows.iter().map(|row| row.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    let text = format!("{rows:?}");
    assert!(!text.contains("tr0ub4dor") && !text.contains(HA1));
}
