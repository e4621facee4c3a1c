//! `regrow prune`: giving up what a policy does not keep, and saying so before.

use api::regrow::retention::Retention;

use super::args::Prune;
use super::confirm::confirm;
use super::exit::Failure;
use super::output::Table;
use super::session::Session;
use super::snapshot::status;

pub(super) async fn run(command: Prune, session: &Session) -> Result<(), Failure> {
    let path = session.in_cluster(&command.cluster, "/retention").await?;
    let plan: Retention = session.client.get(&path).await?;
    if command.dry_run {
        return show(&plan, session);
    }
    let given_up = plan.decisions.iter().filter(|of| !of.keep).count();
    if given_up == 0 {
        show(&plan, session)?;
        session.output.remark("the policy keeps all of them");
        return Ok(());
    }
    let cluster = &command.cluster;
    let words = format!("{given_up} snapshots of {cluster} will be DELETED as the policy says");
    confirm(&words, cluster, command.yes, session.output)?;
    let done: Retention = session.client.post(&path, &()).await?;
    show(&done, session)
}

fn show(retention: &Retention, session: &Session) -> Result<(), Failure> {
    session.output.list(&retention.decisions, |decisions| {
        let columns = ["ID", "STATUS", "SCHEDULED", "POLICY", "BECAUSE"];
        let mut table = Table::new(&columns, "no snapshots");
        for decision in decisions {
            let policy = if decision.keep { "keep" } else { "give up" };
            table.row(vec![
                decision.snapshot_id.to_string(),
                status(decision.status).to_owned(),
                decision.scheduled_at.to_string(),
                policy.to_owned(),
                decision.reason.clone(),
            ]);
        }
        table
    })
}
