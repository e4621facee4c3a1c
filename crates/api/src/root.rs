//! The answer at the base path: which service this is, and who asks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api_key::RoleAssignment;
use crate::id::Id;
use crate::link::Link;

/// One address or block of the calling key's access list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessListItem {
    /// The block of addresses; a single address is a block of one.
    pub cidr_block: String,
    /// The single address, when the entry is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

/// The calling key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallingKey {
    /// From where the key may call; everywhere when empty.
    pub access_list: Vec<AccessListItem>,
    /// Names the key.
    pub id: Id,
    /// The user name of digest authentication.
    pub public_key: String,
    /// What the key may do.
    pub roles: Vec<RoleAssignment>,
}

/// Which service this is, and who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemStatus {
    /// The calling key.
    pub api_key: CallingKey,
    /// `MongoDB Atlas`, the name that clients look for.
    pub app_name: String,
    /// Version of this service.
    pub build: String,
    /// This answer itself.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Always false.
    pub throttling: bool,
}
