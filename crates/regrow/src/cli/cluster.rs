//! `regrow cluster …`: attaching deployments, and what is known of them.

use api::cluster::StateName;
use api::regrow::{AttachCluster, ChangeCluster, Cluster, ConnectionString, Tier as WireTier};
use secrecy::ExposeSecret as _;

use super::args::{AddCluster, ClusterAction, SetCluster, Tier, Uri, Yes};
use super::confirm::confirm;
use super::drill;
use super::exit::Failure;
use super::output::{Facts, Table};
use super::session::{Session, read_secret};
use super::snapshot::status;

pub(super) async fn run(action: ClusterAction, session: &Session) -> Result<(), Failure> {
    match action {
        ClusterAction::Add(command) => add(command, session).await,
        ClusterAction::List => list(session).await,
        ClusterAction::Show { cluster } => {
            let cluster = get(session, &cluster).await?;
            session.output.one(&cluster, facts)
        }
        ClusterAction::Set(command) => set(command, session).await,
        ClusterAction::Remove { cluster, yes } => remove(&cluster, yes, session).await,
    }
}

/// Asks for one cluster of the session's project.
pub(super) async fn get(session: &Session, name: &str) -> Result<Cluster, Failure> {
    let path = session.in_cluster(name, "").await?;
    Ok(session.client.get(&path).await?)
}

async fn add(command: AddCluster, session: &Session) -> Result<(), Failure> {
    let body = AttachCluster {
        connection_string: connection_string(command.uri)?,
        continuous_backup: command.continuous_backup.then_some(true),
        name: command.name,
        take_snapshot: Some(!command.no_snapshot),
        termination_protection: command.termination_protection.then_some(true),
        tier: match command.tier {
            Tier::M2 => WireTier::M2,
            Tier::M5 => WireTier::M5,
            Tier::Serverless => WireTier::Serverless,
        },
    };
    let path = session.in_project("/clusters").await?;
    let cluster: Cluster = session.client.post(&path, &body).await?;
    session.output.one(&cluster, facts)?;
    let next = if command.no_snapshot {
        format!(
            "the first snapshot is left to the schedule; or: regrow snapshot take {}",
            cluster.name
        )
    } else {
        format!(
            "its first snapshot is being taken: regrow snapshot list {}",
            cluster.name
        )
    };
    session.output.remark(&next);
    Ok(())
}

async fn list(session: &Session) -> Result<(), Failure> {
    let path = session.in_project("/clusters").await?;
    let clusters: Vec<Cluster> = session.client.list(&path).await?;
    session.output.list(&clusters, |clusters| {
        let columns = [
            "NAME",
            "TIER",
            "STATE",
            "MONGODB",
            "REPLICA SET",
            "HOSTS",
            "LAST DRILL",
        ];
        let mut table = Table::new(
            &columns,
            "no clusters yet; add one: regrow cluster add --help",
        );
        for cluster in clusters {
            table.row(vec![
                cluster.name.clone(),
                tier(cluster.tier).to_owned(),
                state(cluster.state_name).to_owned(),
                cluster.mongodb_version.clone(),
                cluster
                    .replica_set
                    .clone()
                    .unwrap_or_else(|| "standalone".to_owned()),
                cluster.hosts.join(","),
                cluster.last_drill.as_ref().map_or_else(
                    || "-".to_owned(),
                    |drill| {
                        let ended = drill.finished_at.unwrap_or(drill.created_at);
                        format!("{} {ended}", status(drill.status))
                    },
                ),
            ]);
        }
        table
    })
}

async fn set(command: SetCluster, session: &Session) -> Result<(), Failure> {
    let options = command.options;
    let body = ChangeCluster {
        allow_another_deployment: options.another_deployment.then_some(true),
        connection_string: options.uri.map(connection_string).transpose()?,
        continuous_backup: options.continuous_backup,
        drill_every_days: options.drill_every_days,
        termination_protection: options.termination_protection,
    };
    let path = session.in_cluster(&command.cluster, "").await?;
    let cluster: Cluster = session.client.patch(&path, &body).await?;
    session.output.one(&cluster, facts)
}

fn connection_string(uri: Uri) -> Result<ConnectionString, Failure> {
    let text = match (uri.uri, &uri.uri_file) {
        (Some(text), _) => text,
        (None, Some(path)) => read_secret(path)?.expose_secret().to_owned(),
        (None, None) => return Err(Failure::usage("--uri or --uri-file is needed")),
    };
    Ok(ConnectionString(text))
}

async fn remove(name: &str, yes: Yes, session: &Session) -> Result<(), Failure> {
    let cluster = get(session, name).await?;
    let plan = format!(
        "cluster {name} ({}) will be detached; all its snapshots will be DELETED and cannot be\n\
         brought back. The deployment itself is not touched.",
        cluster.hosts.join(",")
    );
    confirm(&plan, name, yes, session.output)?;
    session
        .client
        .delete(&session.in_cluster(name, "").await?)
        .await?;
    session
        .output
        .remark(&format!("cluster {name} is detached"));
    Ok(())
}

fn facts(cluster: &Cluster) -> Facts {
    Facts::default()
        .fact("name", &cluster.name)
        .fact("id", cluster.id)
        .fact("project", cluster.group_id)
        .fact("tier", tier(cluster.tier))
        .fact("state", state(cluster.state_name))
        .fact("mongodb", &cluster.mongodb_version)
        .fact(
            "replica set",
            cluster
                .replica_set
                .as_deref()
                .unwrap_or("none, a standalone server"),
        )
        .fact("hosts", cluster.hosts.join(","))
        .fact("attached", cluster.create_date)
        .maybe(
            "drills",
            cluster
                .drill_every_days
                .map(|days| format!("every {days} days")),
        )
        .maybe(
            "last drill",
            cluster.last_drill.as_ref().map(drill::in_short),
        )
        .maybe(
            "continuous",
            cluster
                .continuous_backup
                .then_some("snapshots are kept 35 days"),
        )
        .maybe(
            "protection",
            cluster
                .termination_protection
                .then_some("removal is refused"),
        )
}

fn tier(tier: WireTier) -> &'static str {
    match tier {
        WireTier::M2 => "M2",
        WireTier::M5 => "M5",
        WireTier::Serverless => "serverless",
    }
}

fn state(state: StateName) -> &'static str {
    match state {
        StateName::Idle => "IDLE",
        StateName::Creating => "CREATING",
        StateName::Updating => "UPDATING",
        StateName::Deleting => "DELETING",
        StateName::Repairing => "REPAIRING",
    }
}
