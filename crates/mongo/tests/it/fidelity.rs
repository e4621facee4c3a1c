//! What comes back is what was there, byte by byte.
use testkit::RealMongo;

use crate::support::{self, connect, documents, entry, hashes, restore};
use crate::zoo;

#[tokio::test]
async fn everything_that_a_database_can_hold_comes_back_exactly() -> anyhow::Result<()> {
    let no_expiry = ["--setParameter", "ttlMonitorEnabled=false"];
    let source = RealMongo::replica_set().args(no_expiry).start().await?;
    let target = RealMongo::replica_set().args(no_expiry).start().await?;
    let (from, to) = (source.client().await?, target.client().await?);
    zoo::fill(&from).await?;
    support::insert(&to, "unknown", "c", support::numbered(0..3)).await?;

    let snapshot = connect(&source).await?.begin_snapshot().await?;
    for (database, name) in [
        ("räume", "zeros"),
        ("räume", "capped zeros"),
        ("kinds", "zero series"),
    ] {
        let documents =
            documents(snapshot.scan(&entry(snapshot.catalog(), database, name)?)).await?;
        assert!(
            documents
                .iter()
                .any(|document| has_zero_at_the_top(document)),
            "{name}"
        );
    }
    restore(&snapshot, &connect(&target).await?.target("job-1").await?).await?;

    for database in zoo::DATABASES {
        let (mut expected, mut found) =
            (hashes(&from, database).await?, hashes(&to, database).await?);
        for hashes in [&mut expected, &mut found] {
            hashes.remove("system.profile");
        }
        assert_eq!(found, expected, "{database}");
    }
    let mut names = to.list_database_names().await?;
    names.retain(|name| !["admin", "config", "local"].contains(&name.as_str()));
    let mut expected = zoo::DATABASES.to_vec();
    expected.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, expected);
    Ok(())
}

/// Tells whether a member of the document itself is the timestamp that inserts rewrite.
fn has_zero_at_the_top(document: &[u8]) -> bool {
    let zero = bson::RawBsonRef::Timestamp(bson::Timestamp {
        time: 0,
        increment: 0,
    });
    let document = bson::RawDocument::from_bytes(document).expect("it came from a server");
    document
        .iter()
        .filter_map(Result::ok)
        .any(|(_, value)| value == zero)
}
