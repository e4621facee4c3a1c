//! Organizations, which own projects and API keys.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;
use crate::link::Link;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Organization)]
pub struct Org {
    /// Names the organization.
    pub id: Id,
    /// Always false.
    pub is_deleted: bool,
    /// The organization itself and its projects.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Name of the organization.
    pub name: String,
    /// Always true: there are no alerts.
    pub skip_default_alerts_settings: bool,
}
