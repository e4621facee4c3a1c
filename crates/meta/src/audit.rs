//! The audit trail: who changed what, when; written in the transaction of the change, and read by
//! operators with SQL. It must never hold a secret.

use model::{Actor, Error, Timestamp};
use serde_json::Value;

use crate::engine::{Connection, query};
use crate::row::During;

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
