//! `regrow drill …`: proving that snapshots can be restored, and how that went.

use api::regrow::{Drill, StartDrill as Body};

use super::args::{DrillAction, DrillCommand, OneDrill, StartDrill};
use super::cluster;
use super::confirm::confirm;
use super::exit::Failure;
use super::output::{Facts, Table, count};
use super::restore::compared;
use super::session::{Session, id};
use super::snapshot::status;
use super::watch;

pub(super) async fn run(command: DrillCommand, session: &Session) -> Result<(), Failure> {
    match command.action {
        Some(DrillAction::List { cluster }) => list(&cluster, session).await,
        Some(DrillAction::Show(one)) => session.output.one(&get(&one, session).await?, facts),
        Some(DrillAction::Watch(one)) => {
            let drill = get(&one, session).await?;
            finish(&one.cluster, &drill, session).await
        }
        None => start(command.start, session).await,
    }
}

async fn start(command: StartDrill, session: &Session) -> Result<(), Failure> {
    let cluster = command
        .cluster
        .ok_or_else(|| Failure::usage("the name of a cluster is needed"))?;
    if let Some(target) = &command.target {
        let found = cluster::get(session, target).await?;
        let plan = format!(
            "onto    cluster {target} ({})\n\
             remove  EVERY database on it, except admin, config and local, before and after",
            found.hosts.join(",")
        );
        confirm(&plan, target, command.yes, session.output)?;
    }
    let snapshot_id = match &command.snapshot {
        Some(id) => Some(session.snapshot(&cluster, id).await?.id),
        None => None,
    };
    let body = Body {
        snapshot_id,
        target_cluster_name: command.target,
    };
    let path = session.in_cluster(&cluster, "/drills").await?;
    let drill: Drill = session.client.post(&path, &body).await?;
    if command.wait {
        return finish(&cluster, &drill, session).await;
    }
    session.output.one(&drill, facts)?;
    let again = again(&cluster, &drill);
    session.output.remark(&format!("wait for it: {again}"));
    Ok(())
}

async fn get(one: &OneDrill, session: &Session) -> Result<Drill, Failure> {
    let path = format!("/drills/{}", id(&one.drill, "a drill id")?);
    let path = session.in_cluster(&one.cluster, &path).await?;
    Ok(session.client.get(&path).await?)
}

fn again(cluster: &str, drill: &Drill) -> String {
    format!("regrow drill watch {cluster} {}", drill.id)
}

/// Waits for a drill and prints how it ended.
async fn finish(cluster: &str, drill: &Drill, session: &Session) -> Result<(), Failure> {
    let path = format!("/drills/{}", drill.id);
    let path = session.in_cluster(cluster, &path).await?;
    let what = format!("drill {} of {cluster}", drill.id);
    let again = again(cluster, drill);
    let ended: Drill = watch::until_ended(session, &path, &what, &again).await?;
    session.output.one(&ended, facts)?;
    watch::require_success(&ended, &what)
}

async fn list(cluster: &str, session: &Session) -> Result<(), Failure> {
    let path = session.in_cluster(cluster, "/drills").await?;
    let drills: Vec<Drill> = session.client.list(&path).await?;
    session.output.list(&drills, |drills| {
        let columns = [
            "ID",
            "STATUS",
            "ASKED FOR",
            "TOOK",
            "SNAPSHOT",
            "ONTO",
            "REASON",
        ];
        let mut table = Table::new(&columns, "no drills yet; start one: regrow drill --help");
        for drill in drills {
            let none = || "-".to_owned();
            table.row(vec![
                drill.id.to_string(),
                status(drill.status).to_owned(),
                drill.created_at.to_string(),
                drill.duration_ms.map_or_else(none, seconds),
                drill.snapshot_id.to_string(),
                onto(drill).to_owned(),
                drill.failure_reason.clone().unwrap_or_else(none),
            ]);
        }
        table
    })
}

/// Says in a few words how a drill ended.
pub(super) fn in_short(drill: &Drill) -> String {
    let ended = drill.finished_at.unwrap_or(drill.created_at);
    let took = drill.duration_ms.map(seconds).unwrap_or_default();
    let found = match (&drill.failure_reason, drill.documents) {
        (Some(reason), _) => format!(": {reason}"),
        (None, Some(documents)) => format!(", {} documents equal", count(documents)),
        (None, None) => String::new(),
    };
    format!("{} {ended} after {took}{found}", status(drill.status))
}

fn facts(drill: &Drill) -> Facts {
    let facts = Facts::default()
        .fact("id", drill.id)
        .fact("status", status(drill.status))
        .maybe("reason", drill.failure_reason.as_deref())
        .fact(
            "snapshot",
            format!("{} of {}", drill.snapshot_id, drill.cluster_name),
        )
        .fact("onto", onto(drill))
        .fact("asked for", drill.created_at)
        .maybe("finished", drill.finished_at)
        .maybe("took", drill.duration_ms.map(seconds));
    match &drill.report {
        None => facts,
        Some(report) => compared(facts, report),
    }
}

fn onto(drill: &Drill) -> &str {
    let target = drill.target_cluster_name.as_deref();
    target.unwrap_or("a scratch server")
}

fn seconds(duration_ms: u64) -> String {
    format!("{}.{} s", duration_ms / 1000, duration_ms % 1000 / 100)
}
