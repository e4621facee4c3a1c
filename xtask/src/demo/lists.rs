//! The two lists that the product began with, asked for with the very command lines of their
//! documentation; only addresses, ids, names and the key are put in.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{Deployment, say};
use crate::service::Key;
use crate::shell;

/// Asks for both lists, shows them, and checks what must hold.
pub(super) fn show(
    address: &str,
    key: &Key,
    tenant: &Deployment,
    serverless: &Deployment,
) -> anyhow::Result<()> {
    let base = format!("http://{address}/api/atlas/v1.0/groups/{}", key.project_id);
    of_tenant(&base, key, tenant)?;
    of_serverless(&base, key, serverless)
}

fn of_tenant(base: &str, key: &Key, tenant: &Deployment) -> anyhow::Result<()> {
    say::step("All restore jobs of the M2 cluster");
    let url = format!("{base}/clusters/{}/backup/tenant/restores", tenant.name);
    let user = key.user();
    let list = ask(&[
        "--user",
        &user,
        "--digest",
        "--include",
        "--header",
        "Accept: application/json",
        "--request",
        "GET",
        &url,
    ])?;
    let jobs = results(&list)?;
    let restored = jobs.iter().find(|job| job["deliveryType"] == "RESTORE");
    let restored = restored.context("the restore is not in the list")?;
    ensure!(
        restored["status"] == "COMPLETED",
        "the restore is {}",
        restored["status"]
    );
    ensure!(
        restored["snapshotId"] == tenant.snapshot_id.as_str(),
        "it is of another snapshot"
    );
    ensure!(
        restored["targetDeploymentItemName"] == tenant.name,
        "its target is another one"
    );
    let download = jobs.iter().find(|job| job["deliveryType"] == "DOWNLOAD");
    let download = download.context("the download is not in the list")?;
    ensure!(
        download["snapshotUrl"].is_string(),
        "the download has no snapshotUrl"
    );
    say::proved("the list has the restore and the download, both as they truly are");
    Ok(())
}

fn of_serverless(base: &str, key: &Key, serverless: &Deployment) -> anyhow::Result<()> {
    say::step("All restore jobs of the serverless instance");
    let url = format!(
        "{base}/serverless/{}/backup/restoreJobs?pretty=true",
        serverless.name
    );
    let user = key.user();
    let list = ask(&[
        "--user",
        &user,
        "--digest",
        "--header",
        "Content-Type: application/json",
        "--include",
        "--request",
        "GET",
        &url,
    ])?;
    let jobs = results(&list)?;
    ensure!(jobs.len() == 1, "there are {} jobs, not one", jobs.len());
    let job = &jobs[0];
    ensure!(
        job["deliveryType"] == "automated",
        "deliveryType is {}",
        job["deliveryType"]
    );
    ensure!(
        job["failed"] == false && job["cancelled"] == false,
        "the job says it failed: {job}"
    );
    ensure!(
        job["snapshotId"] == serverless.snapshot_id.as_str(),
        "it is of another snapshot"
    );
    ensure!(job["finishedAt"].is_string(), "the job has no finishedAt");
    say::proved("the list has the restore as it truly is");
    Ok(())
}

/// Runs curl, shows the command and the answer, and returns the body.
fn ask(arguments: &[&str]) -> anyhow::Result<Value> {
    let mut curl = Command::new("curl");
    // Left out of what is shown: no progress meter, and a limit in seconds.
    curl.args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments);
    let shown: Vec<String> = arguments.iter().map(|word| shell::quoted(word)).collect();
    eprintln!("  $ curl {}", shown.join(" "));
    let answer = shell::output(&mut curl)
        .context("ask with curl (if it is missing: apt-get install curl)")?;
    for line in answer.lines() {
        eprintln!("  | {line}");
    }
    // With --digest curl is challenged first, and --include shows both answers.
    let answer = answer.replace("\r\n", "\n");
    let (challenge, answer) = answer.split_once("\n\n").context("find the challenge")?;
    ensure!(
        challenge.starts_with("HTTP/1.1 401"),
        "curl was not challenged: {challenge}"
    );
    let asked = r#"Digest realm="MMS Public API", domain="", nonce=""#;
    ensure!(
        challenge.contains(asked),
        "the challenge is another one: {challenge}"
    );
    let start = answer
        .find("HTTP/1.1 200")
        .context("the answer is not 200")?;
    let (_, body) = answer[start..]
        .split_once("\n\n")
        .context("find the body")?;
    serde_json::from_str(body).context("read the body")
}

/// Returns the jobs of a list whose count is right.
fn results(list: &Value) -> anyhow::Result<&Vec<Value>> {
    let jobs = list["results"]
        .as_array()
        .context("the list has no results")?;
    ensure!(
        list["totalCount"] == jobs.len(),
        "totalCount is {}",
        list["totalCount"]
    );
    Ok(jobs)
}
