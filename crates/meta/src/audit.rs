//! The audit trail: who changed what, when; written in the transaction of the change.

use model::{Error, Listed, Page, Timestamp};

use crate::Meta;

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
    pub detail: serde_json::Map<String, serde_json::Value>,
}

impl Meta {
    /// Returns recorded changes, the latest first.
    pub async fn audit(&self, page: Page) -> Result<Listed<AuditRow>, Error> {
        let _ = page;
        unimplemented!()
    }
}
