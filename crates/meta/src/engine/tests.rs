//! What SQLite says when the disk is full: the one fault that no file can be made to have.

use super::*;

#[tokio::test]
async fn a_full_disk_is_said_to_be_one_and_leaves_nothing_half_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    let pools = Pools::open(&path).await.unwrap();
    pools.migrate(&path).await.unwrap();
    // SQLite reports the same code for this limit as for a disk without space.
    query("PRAGMA max_page_count = 1")
        .execute(&pools.write)
        .await
        .unwrap();
    let mut transaction = pools.begin_write().await.unwrap();
    let mut failure = None;
    for number in 0..1_000 {
        let inserted = query("INSERT INTO organizations VALUES ($1, $2, 0)")
            .bind(number.to_string())
            .bind("x".repeat(1_000))
            .execute(&mut *transaction)
            .await;
        if let Err(error) = inserted {
            failure = Some(error);
            break;
        }
    }
    let error = classify(&path, failure.expect("an insert that found no room"));
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    drop(transaction);
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM organizations")
        .fetch_one(&pools.read)
        .await
        .unwrap();
    assert_eq!(count, 0);
}
