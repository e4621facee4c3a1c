//! The audit trail: who changed what, when; written in the transaction of the change.

use model::{Actor, Error, Listed, Page, Timestamp};
use serde_json::{Map, Value};

use crate::Meta;
use crate::engine::{Connection, Row, query};
use crate::row::{Columns, During, all, offset};

/// One recorded change.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// Place in the order of changes, from 1.
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// Who, in words: `key 5cc9… from 10.0.0.1`, `scheduler`, `worker`, `local`.
    pub actor: String,
    /// What was done, like `cluster.insert`.
    pub action: String,
    /// Id of what was changed.
    pub subject: String,
    /// Particulars; never a secret.
    pub detail: Map<String, Value>,
}

impl Meta {
    /// Returns recorded changes, the latest first.
    pub async fn audit(&self, page: Page) -> Result<Listed<AuditRow>, Error> {
        let mut view = self.view().await?;
        let total = query("SELECT COUNT(*) AS total FROM audit")
            .fetch_one(&mut *view)
            .await
            .during("count audit rows")?
            .number("total")?;
        let rows = query("SELECT * FROM audit ORDER BY sequence DESC LIMIT $1 OFFSET $2")
            .bind(i64::from(page.size))
            .bind(offset(page))
            .fetch_all(&mut *view)
            .await
            .during("read audit rows")?;
        let items = all(&rows, audit_row)?;
        Ok(Listed { items, total })
    }
}

pub(crate) async fn insert(
    connection: &mut Connection,
    actor: &Actor,
    action: &'static str,
    subject: String,
    at: Timestamp,
    detail: &Value,
) -> Result<(), Error> {
    debug_assert!(detail.is_object(), "a JSON column holds an object");
    query(
        "INSERT INTO audit (sequence, at_ms, actor, action, subject, detail)
         VALUES ((SELECT COALESCE(MAX(sequence), 0) FROM audit) + 1, $1, $2, $3, $4, $5)",
    )
    .bind(at.as_millis())
    .bind(actor.to_string())
    .bind(action)
    .bind(subject)
    .bind(detail.to_string())
    .execute(connection)
    .await
    .during("insert audit row")?;
    Ok(())
}

fn audit_row(row: &Row) -> Result<AuditRow, Error> {
    Ok(AuditRow {
        sequence: row.number("sequence")?,
        at: row.time("at_ms")?,
        actor: row.text("actor")?.to_owned(),
        action: row.text("action")?.to_owned(),
        subject: row.text("subject")?.to_owned(),
        detail: row.object("detail")?,
    })
}
