//! `regrow restore …`: putting a snapshot onto a target, and how that went.

use api::group::Group;
use api::regrow::{
    Cluster, CollectionAction, CollectionReport, Proof, Rename, Restore, RestoreMode, Selection,
    Snapshot, StartRestore as Body,
};
use api::tenant::DeliveryType;

use super::args::{Mode, OneRestore, RestoreAction, StartRestore};
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
    let selection = selection(command);
    let mode = command.how.mode.map(mode);
    let plan = plan(&snapshot, &target, project, mode, selection.as_ref());
    confirm(&plan, &target.name, command.yes, session.output)?;
    let body = Body {
        mode,
        read_whole: command.how.read_whole,
        selection,
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

fn mode(mode: Mode) -> RestoreMode {
    match mode {
        Mode::Safe => RestoreMode::Safe,
        Mode::InPlace => RestoreMode::InPlace,
        Mode::Rewind => RestoreMode::Rewind,
    }
}

/// Returns what was selected, if anything was.
fn selection(command: &StartRestore) -> Option<Selection> {
    let how = &command.how;
    let rename = how.rename.iter().map(|(from, to)| Rename {
        from: from.clone(),
        to: to.clone(),
    });
    let selection = Selection {
        exclude: how.exclude.clone(),
        include: how.include.clone(),
        into: how.into.clone(),
        query: how.query.clone(),
        rename: rename.collect(),
    };
    Some(selection).filter(|selection| !selection.is_everything())
}

/// Says what is going to be removed, and what replaces it.
fn plan(
    snapshot: &Snapshot,
    target: &Cluster,
    project: &Group,
    mode: Option<RestoreMode>,
    selection: Option<&Selection>,
) -> String {
    let taken = snapshot.finished_at.unwrap_or(snapshot.scheduled_at);
    let server = target.replica_set.as_ref().map_or_else(
        || "standalone server".to_owned(),
        |name| format!("replica set {name}"),
    );
    let what = match selection {
        Some(selection) => part(selection),
        None => whole(snapshot, &target.name),
    };
    let what = what.iter().map(|(word, rest)| format!("{word:7} {rest}\n"));
    let is_own = (snapshot.group_id, &snapshot.cluster_name) == (target.group_id, &target.name);
    format!(
        "onto    cluster {} in project {} ({server} at {}, MongoDB {})\n\
         from    snapshot {} of cluster {}, finished {taken}\n\
         {}\
         how     {}\n\
         {} Nothing else must write there meanwhile.",
        target.name,
        project.name,
        target.hosts.join(","),
        target.mongodb_version,
        snapshot.id,
        snapshot.cluster_name,
        what.collect::<String>(),
        how(mode, selection, is_own),
        lost(selection),
    )
}

/// A word about a restore, and what goes with it.
type Line = (&'static str, String);

fn whole(snapshot: &Snapshot, target: &str) -> Vec<Line> {
    let content = match (snapshot.collections, snapshot.documents, snapshot.bytes) {
        (Some(collections), Some(documents), Some(bytes)) => format!(
            "{} collections with {} documents, {}",
            count(collections),
            count(documents),
            size(bytes)
        ),
        _ => "its collections".to_owned(),
    };
    let replaced = format!("EVERY database on {target}, except admin, config and local");
    vec![("replace", replaced), ("by", content)]
}

fn part(selection: &Selection) -> Vec<Line> {
    let list = |names: &[String]| names.join(", ");
    let put = match selection.include.is_empty() {
        true => "all that the snapshot has".to_owned(),
        false => list(&selection.include),
    };
    let mut lines = vec![("put", put)];
    if !selection.exclude.is_empty() {
        lines.push(("but not", list(&selection.exclude)));
    }
    for rename in &selection.rename {
        lines.push(("rename", format!("{} to {}", rename.from, rename.to)));
    }
    if let Some(database) = &selection.into {
        lines.push(("into", format!("database {database}")));
    }
    if let Some(query) = &selection.query {
        lines.push(("only", format!("documents that match {query}")));
    }
    lines
}

/// Says what the target loses.
fn lost(selection: Option<&Selection>) -> &'static str {
    match selection {
        None => "What was written to it after the snapshot is lost.",
        Some(part) if part.query.is_none() => {
            "What the target has under these names is replaced; all else stays."
        }
        Some(_) => {
            "What has the _id of a document that matches is replaced; all else in the collection \
             and on the target stays."
        }
    }
}

fn how(mode: Option<RestoreMode>, selection: Option<&Selection>, is_own: bool) -> &'static str {
    const BESIDE: &str = "loaded beside the data, compared, then flipped";
    if selection.is_some_and(|part| part.query.is_some()) {
        return "put among the documents that are there, and compared";
    }
    match mode {
        None if is_own && selection.is_none() => {
            "rewinding it where possible; else loaded beside the data, compared, then flipped"
        }
        None | Some(RestoreMode::Safe) => BESIDE,
        Some(RestoreMode::InPlace) => {
            "in place: the data is REMOVED first, then loaded and compared"
        }
        Some(RestoreMode::Rewind) => {
            "rewound: only what was written since is put back, then compared"
        }
    }
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
    let facts = facts
        .fact("target", &restore.target_cluster_name)
        .maybe(
            "mode",
            restore.mode.or(restore.requested_mode).map(mode_word),
        )
        .maybe("because", restore.mode_reason.as_deref())
        .maybe("selected", restore.selection.as_ref().map(selected));
    match &restore.report {
        None => facts,
        Some(report) => compared(facts, report),
    }
}

fn selected(selection: &Selection) -> String {
    let lines = part(selection).into_iter();
    let words: Vec<String> = lines.map(|(word, rest)| format!("{word} {rest}")).collect();
    words.join("; ")
}

/// Adds what was done, and what the comparison of target and snapshot found.
pub(super) fn compared(facts: Facts, report: &[CollectionReport]) -> Facts {
    let there = |row: &&CollectionReport| row.action != CollectionAction::Dropped;
    let equal = report
        .iter()
        .filter(there)
        .filter(|row| row.verified)
        .count();
    let all = report.iter().filter(there).count();
    let by_history = report.iter().filter(|row| row.proof == Proof::History);
    let by_history = match by_history.count() {
        0 => String::new(),
        count => format!("; of {count} only what was written was read, as history shows it"),
    };
    let compared = format!("{equal} of {all} collections are equal{by_history}");
    let facts = facts.fact("compared", compared);
    report.iter().fold(facts, |facts, row| {
        let (word, rest) = done(row);
        let verdict = if row.verified { "" } else { ", DIFFERS" };
        facts.fact(word, format!("{}{rest}{verdict}", row.namespace))
    })
}

fn done(row: &CollectionReport) -> (&'static str, String) {
    let whole = || format!(", {} documents, {}", count(row.documents), size(row.bytes));
    match row.action {
        CollectionAction::Loaded => ("loaded", whole()),
        CollectionAction::LoadedAtTheFlip => ("loaded last", whole()),
        CollectionAction::Rewound => {
            let proof = match row.proof {
                Proof::History => "proved by history",
                Proof::ReadBack | Proof::Catalog => "read whole",
            };
            let changed = count(row.changed);
            ("rewound", format!(", {changed} documents, {proof}"))
        }
        CollectionAction::Merged => ("merged", format!(", {} documents", count(row.changed))),
        CollectionAction::View => ("view", String::new()),
        CollectionAction::Dropped => ("dropped", String::new()),
    }
}

fn mode_word(mode: RestoreMode) -> &'static str {
    match mode {
        RestoreMode::Safe => "safe",
        RestoreMode::InPlace => "in place",
        RestoreMode::Rewind => "rewind",
    }
}

fn kind(delivery: DeliveryType) -> &'static str {
    match delivery {
        DeliveryType::Download => "download",
        DeliveryType::Restore => "restore",
    }
}

#[cfg(test)]
mod tests {
    use super::{Rename, RestoreMode, Selection, how, lost, selected};

    #[test]
    fn the_plan_of_a_part_says_what_is_put_where_and_what_that_costs() {
        let renamed = Selection {
            include: vec!["shop.carts".to_owned()],
            rename: vec![Rename {
                from: "shop.carts".to_owned(),
                to: "shop.before".to_owned(),
            }],
            ..Selection::default()
        };
        let words = "put shop.carts; rename shop.carts to shop.before";
        assert_eq!(selected(&renamed), words);
        assert!(lost(Some(&renamed)).contains("all else stays"));
        assert!(!how(None, Some(&renamed), true).contains("rewinding"));
        let some = Selection {
            query: Some("{}".to_owned()),
            ..renamed
        };
        let in_place = Some(RestoreMode::InPlace);
        assert!(!how(in_place, Some(&some), true).contains("REMOVED"));
    }

    #[test]
    fn only_the_cluster_itself_can_be_rewound() {
        assert!(how(None, None, true).contains("rewinding"));
        assert!(!how(None, None, false).contains("rewinding"));
    }
}
