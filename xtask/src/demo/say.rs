//! What the demonstration tells the person who watches.

use std::path::Path;

use super::{Deployment, Key};
use crate::service::Cli;
use crate::shell;

/// Begins a step.
pub(super) fn step(title: &str) {
    eprintln!("\n== {title}");
}

/// Tells a fact.
pub(super) fn line(text: &str) {
    eprintln!("  {text}");
}

/// Tells a fact that was checked.
pub(super) fn proved(text: &str) {
    eprintln!("  PROVED: {text}");
}

/// Tells what to try on the service that is left running.
pub(super) fn what_next(
    cli: &Cli,
    key: &Key,
    address: &str,
    deployments: &[Deployment],
    binary: &Path,
) {
    let project = &key.project_id;
    step("Everything is left running; try it");
    for (name, value) in cli.environment() {
        line(&format!("export {name}={}", shell::quoted(value)));
    }
    line(&format!(
        "alias regrow={}",
        shell::quoted(&binary.to_string_lossy())
    ));
    line("regrow snapshot list cluster-1");
    line("regrow restore list cluster-1");
    line("regrow --help");
    let clusters = format!("http://{address}/api/atlas/v1.0/groups/{project}/clusters?pretty=true");
    let user = key.user();
    line(&format!("curl --user '{user}' --digest '{clusters}'"));
    for deployment in deployments {
        line(&format!(
            "{} is at {}",
            deployment.name,
            deployment.mongo.uri()
        ));
    }
    line("make demo-stop ends it all; make demo begins anew");
}
