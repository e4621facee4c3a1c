//! Protected deployments and their sealed connection strings.

use model::{
    Actor, Cluster, ClusterId, ClusterState, Error, Family, Job, Listed, Page, ProjectId, Snapshot,
    SnapshotId, Timestamp,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::change::Change;
use crate::engine::{self, Constraint, Row, query, violated};
use crate::generation::Altered;
use crate::row::{Columns, During, all};
use crate::seal::{Place, Sealer};
use crate::{Meta, projects, snapshots};

/// What to change of a cluster; absent members stay.
#[derive(Debug, Clone, Default)]
pub struct ClusterChange {
    /// Serverless: keep 35 days of snapshots.
    pub continuous_backup: Option<bool>,
    /// Whether deletion is refused.
    pub termination_protection: Option<bool>,
    /// Days between two drills; 0 for never.
    pub drill_every_days: Option<u32>,
    /// How to reach it from now on.
    pub connection: Option<Connection>,
}

/// A connection string, and what was found behind it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The connection string.
    pub uri: SecretString,
    /// Addresses of the servers.
    pub hosts: Vec<String>,
    /// Name of the replica set; none for a standalone server.
    pub replica_set: Option<String>,
    /// The servers' version.
    pub mongodb_version: String,
    /// Whether it is another deployment than before, which no open job may notice.
    pub is_another: bool,
}

/// A `SELECT` of clusters with the given ending. A cluster is being updated while a restore
/// onto it, or somebody else's drill, is open; the conditions are word for word those of the
/// indexes that answer them.
macro_rules! select_clusters {
    ($ending:literal) => {
        concat!(
            "SELECT c.*, EXISTS (
                 SELECT 1 FROM restores
                 WHERE target_cluster_id = c.id AND delivery = 'RESTORE'
                     AND status IN ('PENDING', 'QUEUED', 'RUNNING')
             ) OR EXISTS (
                 SELECT 1 FROM restores
                 WHERE target_cluster_id = c.id AND delivery = 'DRILL'
                     AND status IN ('PENDING', 'QUEUED', 'RUNNING') AND cluster_id <> c.id
             ) AS updating FROM clusters c ",
            $ending
        )
    };
}

impl Meta {
    /// Stores a cluster, sealed with its connection string, and its first snapshot if one is
    /// to be taken at once. Its `state` is not read.
    ///
    /// Fails with `ClusterExists` or `ProjectNotFound`.
    pub async fn cluster_insert(
        &self,
        cluster: &Cluster,
        uri: &SecretString,
        first_snapshot: Option<(&Snapshot, &Job)>,
        actor: &Actor,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        projects::require(change.connection(), cluster.project_id).await?;
        insert(&mut change, &self.shared.sealer, cluster, uri).await?;
        let detail = json!({
            "name": cluster.name,
            "projectId": cluster.project_id,
            "tier": cluster.tier.as_str(),
            "hosts": cluster.hosts,
        });
        change
            .record(
                actor,
                "cluster.insert",
                cluster.id,
                cluster.created_at,
                detail,
            )
            .await?;
        if let Some((snapshot, job)) = first_snapshot {
            snapshots::insert(&mut change, snapshot, job, actor).await?;
        }
        change.commit(Altered::Both).await
    }

    /// Returns the project's cluster of that name, of either family.
    pub async fn cluster_by_name(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<Option<Cluster>, Error> {
        let row = query(select_clusters!("WHERE c.project_id = $1 AND c.name = $2"))
            .bind(project.to_string())
            .bind(name)
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read cluster by name")?;
        row.as_ref().map(cluster).transpose()
    }

    /// Returns a cluster.
    pub async fn cluster(&self, id: ClusterId) -> Result<Option<Cluster>, Error> {
        let row = query(select_clusters!("WHERE c.id = $1"))
            .bind(id.to_string())
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read cluster")?;
        row.as_ref().map(cluster).transpose()
    }

    /// Returns a project's clusters, the oldest first; of one family or of both.
    pub async fn clusters(
        &self,
        project: ProjectId,
        family: Option<Family>,
        page: Page,
    ) -> Result<Listed<Cluster>, Error> {
        let rows = query(select_clusters!(
            "WHERE c.project_id = $1 ORDER BY c.created_at_ms, c.id"
        ))
        .bind(project.to_string())
        .fetch_all(&self.shared.pools.read)
        .await
        .during("read clusters of project")?;
        let mut found = all(&rows, cluster)?;
        found.retain(|cluster| family.is_none_or(|family| cluster.tier.family() == family));
        Ok(Listed::cut(found, page))
    }

    /// Returns every cluster of every project, the oldest first.
    pub async fn all_clusters(&self) -> Result<Vec<Cluster>, Error> {
        let rows = query(select_clusters!("ORDER BY c.created_at_ms, c.id"))
            .fetch_all(&self.shared.pools.read)
            .await
            .during("read all clusters")?;
        all(&rows, cluster)
    }

    /// Returns a cluster's connection string.
    pub async fn cluster_uri(&self, id: ClusterId) -> Result<SecretString, Error> {
        let row = query("SELECT uri_sealed FROM clusters WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.shared.pools.read)
            .await
            .during("read connection string")?
            .ok_or_else(|| Error::cluster_gone(id))?;
        self.shared
            .sealer
            .open(uri_place(&id.to_string()), row.text("uri_sealed")?)
            .map_err(Error::internal)
    }

    /// Keeps what the server said of itself; changes nothing when it said the same before.
    pub async fn cluster_seen(
        &self,
        id: ClusterId,
        mongodb_version: &str,
        replica_set: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut change = self.change().await?;
        let before = require(change.connection(), id).await?;
        if before.mongodb_version == mongodb_version && before.replica_set.as_deref() == replica_set
        {
            return Ok(());
        }
        query("UPDATE clusters SET mongodb_version = $2, replica_set = $3 WHERE id = $1")
            .bind(id.to_string())
            .bind(mongodb_version)
            .bind(replica_set)
            .execute(change.connection())
            .await
            .during("update cluster")?;
        let detail = json!({ "mongoDBVersion": mongodb_version, "replicaSet": replica_set });
        change
            .record(&Actor::Worker, "cluster.seen", id, now, detail)
            .await?;
        change.commit(Altered::Work).await
    }

    /// Changes a cluster's options and connection string, and returns the cluster.
    ///
    /// Fails with `ClusterBusy` where the connection string leads to another deployment while a
    /// job reads or writes the one before, or restores one of its snapshots.
    pub async fn cluster_change(
        &self,
        id: ClusterId,
        wanted: ClusterChange,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Cluster, Error> {
        let mut change = self.change().await?;
        let mut cluster = require(change.connection(), id).await?;
        let mut detail = json!({});
        if let Some(continuous_backup) = wanted.continuous_backup {
            cluster.continuous_backup = continuous_backup;
        }
        if let Some(termination_protection) = wanted.termination_protection {
            cluster.termination_protection = termination_protection;
        }
        if let Some(days) = wanted.drill_every_days {
            cluster.drill_every_days = Some(days).filter(|days| *days > 0);
        }
        if let Some(connection) = wanted.connection {
            if connection.is_another && is_busy(change.connection(), id).await? {
                return Err(Error::ClusterBusy(cluster.name));
            }
            set_uri(&mut change, &self.shared.sealer, id, &connection.uri).await?;
            detail["connection"] = json!({ "before": cluster.hosts, "hosts": connection.hosts });
            cluster.hosts = connection.hosts;
            cluster.replica_set = connection.replica_set;
            cluster.mongodb_version = connection.mongodb_version;
        }
        query(
            "UPDATE clusters SET continuous_backup = $2, termination_protection = $3,
                 drill_every_days = $4, hosts = $5, replica_set = $6, mongodb_version = $7
             WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(cluster.continuous_backup)
        .bind(cluster.termination_protection)
        .bind(cluster.drill_every_days.map(i64::from))
        .bind(cluster.hosts.join(","))
        .bind(cluster.replica_set.clone())
        .bind(cluster.mongodb_version.clone())
        .execute(change.connection())
        .await
        .during("update cluster")?;
        detail["continuousBackup"] = json!(cluster.continuous_backup);
        detail["terminationProtection"] = json!(cluster.termination_protection);
        detail["drillEveryDays"] = json!(cluster.drill_every_days);
        change
            .record(actor, "cluster.change", id, now, detail)
            .await?;
        change.commit(Altered::Work).await?;
        Ok(cluster)
    }

    /// Deletes a cluster with its snapshots, restore jobs and jobs, and returns the ids of
    /// those snapshots. Restores of other clusters onto it keep their rows.
    ///
    /// Fails with `TerminationProtected`, or with `ClusterBusy` while a job reads it, writes
    /// it or restores one of its snapshots.
    pub async fn cluster_delete(
        &self,
        id: ClusterId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<SnapshotId>, Error> {
        let mut change = self.change().await?;
        let cluster = require(change.connection(), id).await?;
        if cluster.termination_protection {
            return Err(Error::TerminationProtected(cluster.name));
        }
        if is_busy(change.connection(), id).await? {
            return Err(Error::ClusterBusy(cluster.name));
        }
        let rows = query("SELECT id FROM snapshots WHERE cluster_id = $1 ORDER BY id")
            .bind(id.to_string())
            .fetch_all(change.connection())
            .await
            .during("read snapshots of cluster")?;
        let snapshots: Vec<SnapshotId> = all(&rows, |row| row.word("id"))?;
        query(
            "INSERT INTO manifests_to_forget (snapshot_id)
             SELECT id FROM snapshots WHERE cluster_id = $1",
        )
        .bind(id.to_string())
        .execute(change.connection())
        .await
        .during("note the manifests to forget")?;
        // Snapshots, restores, reports and jobs go with it: they refer to it.
        query("DELETE FROM clusters WHERE id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await
            .during("delete cluster")?;
        let detail = json!({
            "name": cluster.name,
            "projectId": cluster.project_id,
            "snapshots": snapshots,
        });
        change
            .record(actor, "cluster.delete", id, now, detail)
            .await?;
        change.commit(Altered::Both).await?;
        Ok(snapshots)
    }
}

async fn set_uri(
    change: &mut Change,
    sealer: &Sealer,
    id: ClusterId,
    uri: &SecretString,
) -> Result<(), Error> {
    query("UPDATE clusters SET uri_sealed = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(sealed(sealer, &id.to_string(), uri)?)
        .execute(change.connection())
        .await
        .during("replace connection string")?;
    Ok(())
}

fn sealed(sealer: &Sealer, row: &str, uri: &SecretString) -> Result<String, Error> {
    let sealed = sealer.seal(uri_place(row), uri.expose_secret());
    sealed.map_err(Error::internal)
}

async fn insert(
    change: &mut Change,
    sealer: &Sealer,
    cluster: &Cluster,
    uri: &SecretString,
) -> Result<(), Error> {
    let id = cluster.id.to_string();
    let uri_sealed = sealed(sealer, &id, uri)?;
    let inserted = query(
        "INSERT INTO clusters (id, project_id, name, tier, created_at_ms, hosts, replica_set,
             mongodb_version, uri_sealed, continuous_backup, termination_protection,
             restore_count)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0)",
    )
    .bind(id)
    .bind(cluster.project_id.to_string())
    .bind(&cluster.name)
    .bind(cluster.tier.as_str())
    .bind(cluster.created_at.as_millis())
    .bind(cluster.hosts.join(","))
    .bind(cluster.replica_set.as_deref())
    .bind(&cluster.mongodb_version)
    .bind(uri_sealed)
    .bind(cluster.continuous_backup)
    .bind(cluster.termination_protection)
    .execute(change.connection())
    .await;
    if let Err(error) = &inserted
        && violated(error) == Some(Constraint::ClustersName)
    {
        return Err(Error::ClusterExists(cluster.name.clone()));
    }
    inserted.during("insert cluster")?;
    Ok(())
}

/// Returns the cluster within a transaction, or fails when it is gone.
pub(crate) async fn require(
    connection: &mut engine::Connection,
    id: ClusterId,
) -> Result<Cluster, Error> {
    let row = query(select_clusters!("WHERE c.id = $1"))
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .during("read cluster")?
        .ok_or_else(|| Error::cluster_gone(id))?;
    cluster(&row)
}

/// Returns whether an open job reads it, writes it or restores one of its snapshots.
async fn is_busy(connection: &mut engine::Connection, id: ClusterId) -> Result<bool, Error> {
    query(
        "SELECT 1 FROM jobs j LEFT JOIN restores r ON r.id = j.restore_id
         WHERE j.state = 'OPEN' AND (j.cluster_id = $1 OR r.cluster_id = $1) LIMIT 1",
    )
    .bind(id.to_string())
    .fetch_optional(connection)
    .await
    .during("look for open jobs")
    .map(|row| row.is_some())
}

fn uri_place(row: &str) -> Place<'_> {
    Place {
        table: "clusters",
        column: "uri_sealed",
        row,
    }
}

fn cluster(row: &Row) -> Result<Cluster, Error> {
    let hosts = row
        .text("hosts")?
        .split(',')
        .filter(|host| !host.is_empty());
    Ok(Cluster {
        id: row.word("id")?,
        project_id: row.word("project_id")?,
        name: row.text("name")?.to_owned(),
        tier: row.word("tier")?,
        created_at: row.time("created_at_ms")?,
        hosts: hosts.map(str::to_owned).collect(),
        replica_set: row.text_or_none("replica_set")?.map(str::to_owned),
        mongodb_version: row.text("mongodb_version")?.to_owned(),
        continuous_backup: row.flag("continuous_backup")?,
        termination_protection: row.flag("termination_protection")?,
        drill_every_days: match row.number_or_none("drill_every_days")? {
            None => None,
            Some(_) => Some(row.number("drill_every_days")?),
        },
        state: if row.flag("updating")? {
            ClusterState::Updating
        } else {
            ClusterState::Idle
        },
    })
}
