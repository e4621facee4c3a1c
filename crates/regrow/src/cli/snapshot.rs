//! `regrow snapshot …`: taking snapshots, and what is known of them.

use api::regrow::{Consistency, Snapshot, SnapshotWay, TakeSnapshot};
use api::snapshot::SnapshotType;
use api::tenant::Status;

use super::args::{OneSnapshot, SnapshotAction, Yes};
use super::confirm::confirm;
use super::exit::Failure;
use super::output::{Facts, Table, count, size};
use super::session::Session;
use super::watch;

pub(super) async fn run(action: SnapshotAction, session: &Session) -> Result<(), Failure> {
    match action {
        SnapshotAction::Take {
            cluster,
            retention_days,
            wait,
        } => take(&cluster, retention_days, wait, session).await,
        SnapshotAction::List { cluster } => list(&cluster, session).await,
        SnapshotAction::Show(OneSnapshot { cluster, snapshot }) => {
            let snapshot = session.snapshot(&cluster, &snapshot).await?;
            session.output.one(&snapshot, facts)
        }
        SnapshotAction::Watch(OneSnapshot { cluster, snapshot }) => {
            let snapshot = session.snapshot(&cluster, &snapshot).await?;
            finish(&cluster, &snapshot, session).await
        }
        SnapshotAction::Delete {
            snapshot: OneSnapshot { cluster, snapshot },
            yes,
        } => delete(&cluster, &snapshot, yes, session).await,
    }
}

async fn take(
    cluster: &str,
    retention_in_days: Option<u32>,
    wait: bool,
    session: &Session,
) -> Result<(), Failure> {
    let path = session.in_cluster(cluster, "/snapshots").await?;
    let body = TakeSnapshot { retention_in_days };
    let snapshot: Snapshot = session.client.post(&path, &body).await?;
    if wait {
        return finish(cluster, &snapshot, session).await;
    }
    session.output.one(&snapshot, facts)?;
    session
        .output
        .remark(&format!("wait for it: {}", again(cluster, &snapshot)));
    Ok(())
}

/// Waits for a snapshot and prints how it ended.
async fn finish(cluster: &str, snapshot: &Snapshot, session: &Session) -> Result<(), Failure> {
    let path = session
        .in_cluster(cluster, &format!("/snapshots/{}", snapshot.id))
        .await?;
    let what = format!("snapshot {} of {cluster}", snapshot.id);
    let again = again(cluster, snapshot);
    let ended: Snapshot = watch::until_ended(session, &path, &what, &again).await?;
    session.output.one(&ended, facts)?;
    watch::require_success(&ended, &what)
}

fn again(cluster: &str, snapshot: &Snapshot) -> String {
    format!("regrow snapshot watch {cluster} {}", snapshot.id)
}

async fn list(cluster: &str, session: &Session) -> Result<(), Failure> {
    let path = session.in_cluster(cluster, "/snapshots").await?;
    let snapshots: Vec<Snapshot> = session.client.list(&path).await?;
    session.output.list(&snapshots, |snapshots| {
        let columns = [
            "ID",
            "STATUS",
            "TAKEN",
            "BY",
            "DOCUMENTS>",
            "SIZE>",
            "STORED>",
            "EXPIRES",
        ];
        let mut table = Table::new(
            &columns,
            "no snapshots yet; take one: regrow snapshot take --help",
        );
        for snapshot in snapshots {
            let number = |value: Option<u64>, write: fn(u64) -> String| {
                value.map(write).unwrap_or_else(|| "-".to_owned())
            };
            table.row(vec![
                snapshot.id.to_string(),
                status(snapshot.status).to_owned(),
                snapshot
                    .finished_at
                    .unwrap_or(snapshot.scheduled_at)
                    .to_string(),
                cause(snapshot.snapshot_type).to_owned(),
                number(snapshot.documents, count),
                number(snapshot.bytes, size),
                number(snapshot.stored_bytes, size),
                snapshot.expires_at.to_string(),
            ]);
        }
        table
    })
}

async fn delete(cluster: &str, name: &str, yes: Yes, session: &Session) -> Result<(), Failure> {
    let snapshot = session.snapshot(cluster, name).await?;
    let taken = snapshot.finished_at.unwrap_or(snapshot.scheduled_at);
    let plan = format!(
        "snapshot {} of {cluster}, {} of {taken}, will be DELETED and cannot be brought back",
        snapshot.id,
        status(snapshot.status),
    );
    confirm(&plan, cluster, yes, session.output)?;
    let path = session
        .in_cluster(cluster, &format!("/snapshots/{}", snapshot.id))
        .await?;
    session.client.delete(&path).await?;
    session
        .output
        .remark(&format!("snapshot {} is deleted", snapshot.id));
    Ok(())
}

fn facts(snapshot: &Snapshot) -> Facts {
    let consistency = snapshot.consistency.map(|consistency| match consistency {
        Consistency::Snapshot => "all collections at one moment",
        Consistency::None => "each document as it was when it was read",
    });
    Facts::default()
        .fact("id", snapshot.id)
        .fact("cluster", &snapshot.cluster_name)
        .fact("status", status(snapshot.status))
        .maybe("reason", snapshot.failure_reason.as_deref())
        .fact("by", cause(snapshot.snapshot_type))
        .fact("scheduled", snapshot.scheduled_at)
        .maybe("started", snapshot.started_at)
        .maybe("finished", snapshot.finished_at)
        .fact("expires", snapshot.expires_at)
        .fact("mongodb", &snapshot.mongodb_version)
        .maybe("consistency", consistency)
        .maybe(
            "moment",
            snapshot.cluster_time.map(|at| {
                let date = api::Date::from_seconds(i64::from(at.time));
                format!("{date}, cluster time ({}, {})", at.time, at.increment)
            }),
        )
        .maybe("collections", snapshot.collections.map(count))
        .maybe("documents", snapshot.documents.map(count))
        .maybe("size", snapshot.bytes.map(size))
        .maybe("way", snapshot.way.map(|way| way_in_words(way, snapshot)))
        .maybe("read whole", snapshot.scanned_at)
        .maybe("read", amount(snapshot.documents_read, snapshot.bytes_read))
        .maybe(
            "stored",
            amount(snapshot.documents_stored, snapshot.stored_bytes),
        )
        .maybe("shared", amount(snapshot.documents_shared, None))
}

/// Says how the documents were come by, and why not with less work.
fn way_in_words(way: SnapshotWay, snapshot: &Snapshot) -> String {
    let words = match way {
        SnapshotWay::Scan => "scan: collections were read whole",
        SnapshotWay::Follow => "follow: what changed since the snapshot before was read",
        SnapshotWay::Converge => "converge: read over a longer time, then what changed meanwhile",
    };
    match &snapshot.way_reason {
        Some(reason) => format!("{words} ({reason})"),
        None => words.to_owned(),
    }
}

/// Says how many documents and bytes, as far as that is known.
fn amount(documents: Option<u64>, bytes: Option<u64>) -> Option<String> {
    let documents = documents.map(|documents| format!("{} documents", count(documents)));
    let known: Vec<String> = documents.into_iter().chain(bytes.map(size)).collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// Returns the word of the wire.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Pending => "PENDING",
        Status::Queued => "QUEUED",
        Status::Running => "RUNNING",
        Status::Failed => "FAILED",
        Status::Completed => "COMPLETED",
    }
}

fn cause(cause: SnapshotType) -> &'static str {
    match cause {
        SnapshotType::OnDemand => "request",
        SnapshotType::Scheduled => "schedule",
    }
}
