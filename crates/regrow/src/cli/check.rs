//! `regrow check`: verifies a data directory, and says which snapshots are harmed.

use engine::{Checked, DataDir, Harmed, OpenError, Problem};
use serde::Serialize;

use super::args::Check;
use super::exit::{Exit, Failure};
use super::output::{Facts, Output, count, size};

/// The result for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    bytes_read: u64,
    documents: u64,
    packs: u64,
    problems: Vec<ReportedProblem>,
    snapshots: u64,
    unreferenced: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportedProblem {
    object: String,
    reason: String,
    snapshots: Vec<ReportedSnapshot>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportedSnapshot {
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    id: String,
}

pub(super) async fn run(command: Check, output: Output) -> Result<(), Failure> {
    let path = &command.data_dir.data_dir;
    let data_dir = DataDir::open(path).map_err(|error| match error {
        // While the service adds and deletes, what is seen at two moments does not fit together.
        OpenError::InUse(_) => {
            let message = format!("the service is running on {}", path.display());
            Failure::new(Exit::DataDirectory, message).hint("stop it first, or check a copy")
        }
        other => other.into(),
    })?;
    let checked = data_dir.check(command.read_data).await?;
    let problems = checked.problems.len();
    let report = report(checked);
    output.one(&report, |report| facts(report, command.read_data))?;
    if problems == 0 {
        return Ok(());
    }
    let message = match problems {
        1 => format!("something is wrong with {}", path.display()),
        several => format!("{several} things are wrong with {}", path.display()),
    };
    Err(Failure::new(Exit::CheckFailed, message)
        .hint("snapshots that are not listed as harmed can be restored; copy the directory first"))
}

fn report(checked: Checked) -> Report {
    Report {
        bytes_read: checked.bytes_read,
        documents: checked.documents,
        packs: checked.packs,
        problems: checked.problems.into_iter().map(problem).collect(),
        snapshots: checked.snapshots,
        unreferenced: checked.unreferenced,
    }
}

fn problem(problem: Problem) -> ReportedProblem {
    let snapshot = |harmed: Harmed| ReportedSnapshot {
        cluster_name: harmed.cluster,
        finished_at: harmed.finished_at.map(|at| at.to_string()),
        id: harmed.id.to_string(),
    };
    ReportedProblem {
        object: problem.object,
        reason: problem.reason,
        snapshots: problem.snapshots.into_iter().map(snapshot).collect(),
    }
}

fn facts(report: &Report, read_data: bool) -> Facts {
    let depth = if read_data {
        "every byte"
    } else {
        "the structure; --read-data reads all"
    };
    let mut facts = Facts::default()
        .fact("checked", depth)
        .fact("snapshots", count(report.snapshots))
        .fact("documents", count(report.documents))
        .fact("packs", count(report.packs))
        .fact("read", size(report.bytes_read))
        .fact("unreferenced", count(report.unreferenced))
        .fact("problems", report.problems.len());
    for problem in &report.problems {
        facts = facts.fact("problem", format!("{}: {}", problem.object, problem.reason));
        for snapshot in &problem.snapshots {
            let cluster = snapshot
                .cluster_name
                .as_deref()
                .unwrap_or("an unknown cluster");
            let finished = snapshot.finished_at.as_deref().unwrap_or("an unknown time");
            facts = facts.fact(
                "harmed",
                format!("{} of {cluster}, {finished}", snapshot.id),
            );
        }
    }
    facts
}
