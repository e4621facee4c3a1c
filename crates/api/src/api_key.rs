//! Programmatic API keys: who may call, as what.
//!
//! The private key is in the answer to its creation and nowhere else.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::error::{ApiError, Code};
use crate::id::Id;
use crate::link::Link;

/// A role in an organization or in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignment {
    /// Names the project, when the role is one of a project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Id>,
    /// Names the organization, when the role is one of an organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<Id>,
    /// Name of the role.
    pub role_name: String,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// What the key is for.
    pub desc: String,
    /// Names the key.
    pub id: Id,
    /// The key itself, under its organization.
    #[serde(default)]
    pub links: Vec<Link>,
    /// The secret: whole in the answer to the creation, masked ever after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// The user name of digest authentication.
    pub public_key: String,
    /// What the key may do.
    pub roles: Vec<RoleAssignment>,
}

/// Most characters of a description.
pub const DESCRIPTION_LENGTH_MAX: usize = 250;

/// The body of a request for a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiKeyRequest)]
pub struct CreateApiKey {
    /// What the key is for, 1 to 250 characters.
    pub desc: String,
    /// Names of roles, at least one.
    pub roles: Vec<String>,
}

impl CreateApiKey {
    /// Reads the body. Whether the roles exist is for the domain to say.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault; `MISSING_API_KEY_ROLES` when no role is named;
    /// `VALIDATION_ERROR` when the description is too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let known = ["desc", "id", "links", "privateKey", "publicKey", "roles"];
        let mut body = Body::parse(bytes, &known)?;
        let desc = required(body.filled_text("desc")?, "desc")?;
        let roles = required(body.texts("roles")?, "roles")?;
        if roles.is_empty() {
            return Err(ApiError::plain(Code::MissingApiKeyRoles));
        }
        if desc.chars().count() > DESCRIPTION_LENGTH_MAX {
            let detail = format!("desc may have {DESCRIPTION_LENGTH_MAX} characters at most.");
            return Err(ApiError::new(Code::ValidationError, ["desc"]).with_detail(detail));
        }
        Ok(Self { desc, roles })
    }
}
