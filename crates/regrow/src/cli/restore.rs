//! `regrow restore …`: putting a snapshot onto a target, and how that went.

use api::group::Group;
use api::regrow::{Cluster, Restore, Snapshot, StartRestore as Body};
use api::tenant::DeliveryType;

use super::args::{OneRestore, RestoreAction, StartRestore};
use super::confirm::confirm;
use super::exit::Failure;
use super::output::{Facts, Table, count, size};
use super::session::{Session, id};
use super::snapshot::status;
use super::watch;

pub(super) async fn run(action: RestoreAction, session: &Session) -> Result<(), Failure> {
    match action {
        RestoreAction::Start(command) => start(&command, session).await,
        RestoreAction::List { cluster } => list(&cluster, session).await,
        RestoreAction::Show(command) => {
            let restore = get(&command, session).await?;
            session.output.one(&restore, facts)
        }
        RestoreAction::Watch(command) => {
            let restore = get(&command, session).await?;
            finish(&command.cluster, &restore, session).await
        }
    }
}

async fn get(command: &OneRestore, session: &Session) -> Result<Restore, Failure> {
    let id = id(&command.restore, "a restore id")?;
    let path = session
        .in_cluster(&command.cluster, &format!("/restores/{id}"))
        .await?;
    Ok(session.client.get(&path).await?)
}

async fn start(command: &StartRestore, session: &Session) -> Result<(), Failure> {
    let snapshot = session
        .snapshot(&command.cluster, &command.snapshot)
        .await?;
    let other = match &command.target_project {
        Some(name) => Some(session.project_named(name).await?),
        None => None,
    };
    let project = match &other {
        Some(project) => project,
        None => session.project().await?,
    };
    let name = api::link::segment(&command.target);
    let target = format!("{}/groups/{}/clusters/{name}", api::REGROW_V1, project.id);
    let target: Cluster = session.client.get(&target).await?;
    let plan = plan(&snapshot, &target, project);
    confirm(&plan, &target.name, command.yes, session.output)?;
    let body = Body {
        snapshot_id: snapshot.id,
        target_cluster_name: target.name.clone(),
        target_group_id: Some(project.id),
    };
    let path = session.in_cluster(&command.cluster, "/restores").await?;
    let restore: Restore = session.client.post(&path, &body).await?;
    if command.wait {
        return finish(&command.cluster, &restore, session).await;
    }
    session.output.one(&restore, facts)?;
    session.output.remark(&format!(
        "wait for it: {}",
        again(&command.cluster, &restore)
    ));
    Ok(())
}

/// Says what is going to be removed, and what replaces it.
fn plan(snapshot: &Snapshot, target: &Cluster, project: &Group) -> String {
    let taken = snapshot.finished_at.unwrap_or(snapshot.scheduled_at);
    let content = match (snapshot.collections, snapshot.documents, snapshot.bytes) {
        (Some(collections), Some(documents), Some(bytes)) => format!(
            "{} collections with {} documents, {}",
            count(collections),
            count(documents),
            size(bytes)
        ),
        _ => "its collections".to_owned(),
    };
    let server = target.replica_set.as_ref().map_or_else(
        || "standalone server".to_owned(),
        |name| format!("replica set {name}"),
    );
    format!(
        "onto    cluster {} in project {} ({server} at {}, MongoDB {})\n\
         from    snapshot {} of cluster {}, finished {taken}\n\
         remove  EVERY database on {}, except admin, config and local\n\
         write   {content}; then compare all of it with the snapshot\n\
         What was written to {} after the snapshot is lost. \
         Nothing else must write to it meanwhile.",
        target.name,
        project.name,
        target.hosts.join(","),
        target.mongodb_version,
        snapshot.id,
        snapshot.cluster_name,
        target.name,
        target.name,
    )
}

/// Waits for a restore and prints how it ended.
async fn finish(cluster: &str, restore: &Restore, session: &Session) -> Result<(), Failure> {
    let path = session
        .in_cluster(cluster, &format!("/restores/{}", restore.id))
        .await?;
    let what = format!(
        "restore {} onto {}",
        restore.id, restore.target_cluster_name
    );
    let again = again(cluster, restore);
    let ended: Restore = watch::until_ended(session, &path, &what, &again).await?;
    session.output.one(&ended, facts)?;
    watch::require_success(&ended, &what)
}

fn again(cluster: &str, restore: &Restore) -> String {
    format!("regrow restore watch {cluster} {}", restore.id)
}

async fn list(cluster: &str, session: &Session) -> Result<(), Failure> {
    let path = session.in_cluster(cluster, "/restores").await?;
    let restores: Vec<Restore> = session.client.list(&path).await?;
    session.output.list(&restores, |restores| {
        let columns = [
            "ID",
            "KIND",
            "STATUS",
            "ASKED FOR",
            "FINISHED",
            "SNAPSHOT",
            "TARGET",
        ];
        let mut table = Table::new(
            &columns,
            "no restores yet; start one: regrow restore start --help",
        );
        for restore in restores {
            let target = match restore.delivery_type {
                DeliveryType::Download => "-",
                DeliveryType::Restore => &restore.target_cluster_name,
            };
            table.row(vec![
                restore.id.to_string(),
                kind(restore.delivery_type).to_owned(),
                status(restore.status).to_owned(),
                restore.created_at.to_string(),
                restore
                    .finished_at
                    .map_or_else(|| "-".to_owned(), |date| date.to_string()),
                restore.snapshot_id.to_string(),
                target.to_owned(),
            ]);
        }
        table
    })
}

fn facts(restore: &Restore) -> Facts {
    let facts = Facts::default()
        .fact("id", restore.id)
        .fact("kind", kind(restore.delivery_type))
        .fact("status", status(restore.status))
        .maybe("reason", restore.failure_reason.as_deref())
        .fact(
            "snapshot",
            format!("{} of {}", restore.snapshot_id, restore.cluster_name),
        )
        .fact("asked for", restore.created_at)
        .maybe("finished", restore.finished_at);
    if restore.delivery_type == DeliveryType::Download {
        return facts
            .maybe("link", restore.snapshot_url.as_deref())
            .fact("expires", restore.expires_at);
    }
    let facts = facts.fact("target", &restore.target_cluster_name);
    match &restore.report {
        None => facts,
        Some(report) => compared(facts, report),
    }
}

/// Adds what the comparison of target and snapshot found.
fn compared(facts: Facts, report: &[api::regrow::CollectionReport]) -> Facts {
    let equal = report.iter().filter(|row| row.verified).count();
    let documents: u64 = report.iter().map(|row| row.documents).sum();
    let bytes: u64 = report.iter().map(|row| row.bytes).sum();
    let facts = facts
        .fact(
            "written",
            format!("{} documents, {}", count(documents), size(bytes)),
        )
        .fact(
            "compared",
            format!("{equal} of {} collections are equal", report.len()),
        );
    report
        .iter()
        .filter(|row| !row.verified)
        .fold(facts, |facts, row| facts.fact("differs", &row.namespace))
}

fn kind(delivery: DeliveryType) -> &'static str {
    match delivery {
        DeliveryType::Download => "download",
        DeliveryType::Restore => "restore",
    }
}
