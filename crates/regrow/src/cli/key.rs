//! `regrow key …`: API keys and the addresses they may be used from.

use api::access_list::{CreateEntry, KeyEntry};
use api::api_key::{ApiKey, CreateApiKey};
use api::link::segment;
use api::{Id, List};

use super::args::{CreateKey, KeyAccess, KeyAction, Yes};
use super::confirm::confirm;
use super::exit::{Exit, Failure};
use super::output::{Facts, Output, Table};
use super::session::{Session, atlas};

pub(super) async fn run(action: KeyAction, session: &Session) -> Result<(), Failure> {
    match action {
        KeyAction::List { organization } => {
            let keys: Vec<ApiKey> = session
                .client
                .list(&keys(session, organization).await?)
                .await?;
            session.output.list(&keys, table)
        }
        KeyAction::Create(command) => create(command, session).await,
        KeyAction::Delete {
            key,
            from_project,
            yes,
        } => delete(&key, from_project, yes, session).await,
        KeyAction::Access(access) => run_access(access, session).await,
    }
}

/// Returns the path of the keys of the project, or of its organization.
async fn keys(session: &Session, organization: bool) -> Result<String, Failure> {
    let project = session.project().await?;
    Ok(if organization {
        atlas(&format!("/orgs/{}/apiKeys", project.org_id))
    } else {
        atlas(&format!("/groups/{}/apiKeys", project.id))
    })
}

/// Returns a key of the organization by its id or its public half.
async fn find(name: &str, session: &Session) -> Result<ApiKey, Failure> {
    let path = keys(session, true).await?;
    if let Ok(id) = name.parse::<Id>() {
        return Ok(session.client.get(&format!("{path}/{id}")).await?);
    }
    let keys: Vec<ApiKey> = session.client.list(&path).await?;
    keys.into_iter()
        .find(|key| key.public_key == name)
        .ok_or_else(|| {
            Failure::new(Exit::Refused, format!("there is no API key {name}"))
                .hint("`regrow key list --organization` shows them all")
        })
}

async fn create(command: CreateKey, session: &Session) -> Result<(), Failure> {
    let path = keys(session, command.organization).await?;
    let body = CreateApiKey {
        desc: command.description,
        roles: command.roles,
    };
    let key: ApiKey = session.client.post(&path, &body).await?;
    session.output.one(&key, |key| {
        facts(key).maybe("private key", key.private_key.as_deref())
    })?;
    session
        .output
        .remark("keep the private key: it cannot be shown again");
    Ok(())
}

async fn delete(
    name: &str,
    from_project: bool,
    yes: Yes,
    session: &Session,
) -> Result<(), Failure> {
    let key = find(name, session).await?;
    let effect = if from_project {
        format!(
            "will lose its roles in project {}",
            session.project().await?.name
        )
    } else {
        "will be DELETED and stop working at once".to_owned()
    };
    let plan = format!("API key {} ({}) {effect}", key.public_key, key.desc);
    confirm(&plan, &key.public_key, yes, session.output)?;
    let path = keys(session, !from_project).await?;
    session.client.delete(&format!("{path}/{}", key.id)).await?;
    session
        .output
        .remark(&format!("done for API key {}", key.public_key));
    Ok(())
}

async fn run_access(access: KeyAccess, session: &Session) -> Result<(), Failure> {
    let (KeyAccess::List { key } | KeyAccess::Add { key, .. } | KeyAccess::Remove { key, .. }) =
        &access;
    let key = find(key, session).await?;
    let path = format!("{}/{}/accessList", keys(session, true).await?, key.id);
    match &access {
        KeyAccess::List { .. } => {}
        KeyAccess::Add { addresses, .. } => {
            let entries: Vec<CreateEntry> = addresses
                .iter()
                .map(|address| entry(address, None, None))
                .collect();
            let _: List<KeyEntry> = session.client.post(&path, &entries).await?;
        }
        KeyAccess::Remove { address, .. } => {
            session
                .client
                .delete(&format!("{path}/{}", segment(address)))
                .await?;
        }
    }
    let entries: Vec<KeyEntry> = session.client.list(&path).await?;
    show_access(&entries, session.output)
}

/// Makes an entry of an address or a block.
pub(super) fn entry(
    address: &str,
    comment: Option<&str>,
    delete_after_date: Option<api::Date>,
) -> CreateEntry {
    let (cidr_block, ip_address) = if address.contains('/') {
        (Some(address.to_owned()), None)
    } else {
        (None, Some(address.to_owned()))
    };
    CreateEntry {
        cidr_block,
        comment: comment.map(str::to_owned),
        delete_after_date,
        ip_address,
    }
}

fn show_access(entries: &[KeyEntry], output: Output) -> Result<(), Failure> {
    output.list(entries, |entries| {
        let mut table = Table::new(
            &["ADDRESS", "SINCE"],
            "the list is empty: the key may be used from anywhere",
        );
        for entry in entries {
            let address = entry.ip_address.as_ref().unwrap_or(&entry.cidr_block);
            table.row(vec![address.clone(), entry.created.to_string()]);
        }
        table
    })
}

fn table(keys: &[ApiKey]) -> Table {
    let mut table = Table::new(&["ID", "PUBLIC KEY", "ROLES", "DESCRIPTION"], "no keys");
    for key in keys {
        table.row(vec![
            key.id.to_string(),
            key.public_key.clone(),
            roles(key),
            key.desc.clone(),
        ]);
    }
    table
}

fn facts(key: &ApiKey) -> Facts {
    Facts::default()
        .fact("id", key.id)
        .fact("description", &key.desc)
        .fact("roles", roles(key))
        .fact("public key", &key.public_key)
}

fn roles(key: &ApiKey) -> String {
    let mut names: Vec<&str> = key
        .roles
        .iter()
        .map(|role| role.role_name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}
