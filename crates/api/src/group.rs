//! Projects, which the paths and members of the API call groups.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::{Body, required};
use crate::date::Date;
use crate::error::ApiError;
use crate::id::Id;
use crate::link::Link;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Project)]
pub struct Group {
    /// How many clusters and instances the project has.
    pub cluster_count: u64,
    /// When the project was made.
    pub created: Date,
    /// Names the project.
    pub id: Id,
    /// The project itself and its clusters.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Name of the project.
    pub name: String,
    /// Names the project's organization.
    pub org_id: Id,
    /// Always empty.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The body of a request for a new project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProjectRequest)]
pub struct CreateGroup {
    /// Name of the project.
    pub name: String,
    /// Names the project's organization.
    pub org_id: Id,
}

impl CreateGroup {
    /// Reads the body; what Regrow has no use for is ignored.
    ///
    /// # Errors
    /// What [`crate::body`] says of each fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        let known = [
            "clusterCount",
            "created",
            "id",
            "links",
            "name",
            "orgId",
            "tags",
            "withDefaultAlertsSettings",
        ];
        let mut body = Body::parse(bytes, &known)?;
        Ok(Self {
            name: required(body.filled_text("name")?, "name")?,
            org_id: required(body.id("orgId")?, "orgId")?,
        })
    }
}
