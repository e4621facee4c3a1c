//! `regrow project …`: projects and the addresses their downloads may be fetched from.

use api::access_list::{CreateEntry, ProjectEntry};
use api::group::{CreateGroup, Group};
use api::link::segment;
use api::org::Org;
use api::{Id, List};

use super::args::{ProjectAccess, ProjectAction, Yes};
use super::confirm::confirm;
use super::exit::{Exit, Failure};
use super::key::entry;
use super::output::{Facts, Table};
use super::session::{Session, atlas};

pub(super) async fn run(action: ProjectAction, session: &Session) -> Result<(), Failure> {
    match action {
        ProjectAction::List => {
            let projects: Vec<Group> = session.client.list(&atlas("/groups")).await?;
            session.output.list(&projects, table)
        }
        ProjectAction::Create { name, organization } => create(name, organization, session).await,
        ProjectAction::Delete { name, yes } => delete(&name, yes, session).await,
        ProjectAction::Access(access) => run_access(access, session).await,
    }
}

async fn create(name: String, organization: Option<Id>, session: &Session) -> Result<(), Failure> {
    let org_id = match organization {
        Some(id) => id,
        None => only_organization(session).await?,
    };
    let project: Group = session
        .client
        .post(&atlas("/groups"), &CreateGroup { name, org_id })
        .await?;
    session.output.one(&project, |project| {
        Facts::default()
            .fact("id", project.id)
            .fact("name", &project.name)
            .fact("organization", project.org_id)
    })
}

async fn only_organization(session: &Session) -> Result<Id, Failure> {
    let organizations: Vec<Org> = session.client.list(&atlas("/orgs")).await?;
    match organizations.as_slice() {
        [only] => Ok(only.id),
        [] => Err(Failure::new(
            Exit::Denied,
            "the API key sees no organization",
        )),
        _ => Err(
            Failure::usage("the API key sees more than one organization")
                .hint("choose one with --organization"),
        ),
    }
}

async fn delete(name: &str, yes: Yes, session: &Session) -> Result<(), Failure> {
    let project = session.project_named(name).await?;
    let plan = format!("project {} ({}) will be DELETED", project.name, project.id);
    confirm(&plan, &project.name, yes, session.output)?;
    session
        .client
        .delete(&atlas(&format!("/groups/{}", project.id)))
        .await?;
    session
        .output
        .remark(&format!("project {} is deleted", project.name));
    Ok(())
}

async fn run_access(access: ProjectAccess, session: &Session) -> Result<(), Failure> {
    let path = atlas(&format!(
        "/groups/{}/accessList",
        session.project().await?.id
    ));
    match access {
        ProjectAccess::List => {}
        ProjectAccess::Add {
            addresses,
            comment,
            delete_after,
        } => {
            let comment = comment.as_deref();
            let entries: Vec<CreateEntry> = addresses
                .iter()
                .map(|address| entry(address, comment, delete_after))
                .collect();
            let _: List<ProjectEntry> = session.client.post(&path, &entries).await?;
        }
        ProjectAccess::Remove { address } => {
            session
                .client
                .delete(&format!("{path}/{}", segment(&address)))
                .await?;
        }
    }
    let entries: Vec<ProjectEntry> = session.client.list(&path).await?;
    session.output.list(&entries, |entries| {
        let mut table = Table::new(
            &["ADDRESS", "COMMENT", "UNTIL"],
            "the list is empty: downloads may be fetched from anywhere",
        );
        for entry in entries {
            let address = entry.ip_address.as_ref().unwrap_or(&entry.cidr_block);
            let until = entry.delete_after_date.map(|date| date.to_string());
            table.row(vec![
                address.clone(),
                entry.comment.clone(),
                until.unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        table
    })
}

fn table(projects: &[Group]) -> Table {
    let columns = ["ID", "NAME", "CLUSTERS>", "ORGANIZATION", "CREATED"];
    let mut table = Table::new(&columns, "no projects");
    for project in projects {
        table.row(vec![
            project.id.to_string(),
            project.name.clone(),
            project.cluster_count.to_string(),
            project.org_id.to_string(),
            project.created.to_string(),
        ]);
    }
    table
}
