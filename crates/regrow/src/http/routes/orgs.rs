//! Organizations.

use api::link::{self, Link};
use api::{List, group, org};
use model::{Listed, Organization};

use super::super::error::Answer;
use super::super::extract::{Ask, Place, org_id};
use super::{groups, wire_id};

/// Returns the organizations that the key belongs to.
#[utoipa::path(
    get,
    path = "/orgs",
    context_path = api::ATLAS_V1,
    operation_id = "listOrganizations",
    tag = "Organizations",
    params(("name" = Option<String>, Query, description = "Beginning of the name.")),
    responses((status = 200, description = "One page.", body = List<org::Org>)),
)]
pub(crate) async fn list(ask: Ask) -> Answer {
    let mut orgs = ask.engine().projects().organizations(ask.caller()).await?;
    let wanted = ask.query.filter("name").unwrap_or_default().to_lowercase();
    orgs.retain(|org| org.name.to_lowercase().starts_with(&wanted));
    ask.list(Listed::cut(orgs, ask.page()), |org| wire(&ask, &org))
}

/// Returns one organization.
#[utoipa::path(
    get,
    path = "/orgs/{orgId}",
    context_path = api::ATLAS_V1,
    operation_id = "getOrganization",
    tag = "Organizations",
    responses((status = 200, description = "The organization.", body = org::Org)),
)]
pub(crate) async fn get(ask: Ask, Place(org): Place<String>) -> Answer {
    let org = ask
        .engine()
        .projects()
        .organization(ask.caller(), org_id(&org)?)
        .await?;
    ask.found(&wire(&ask, &org))
}

/// Returns the projects of one organization that the key may read.
#[utoipa::path(
    get,
    path = "/orgs/{orgId}/groups",
    context_path = api::ATLAS_V1,
    operation_id = "listOrganizationProjects",
    tag = "Organizations",
    responses((status = 200, description = "One page.", body = List<group::Group>)),
)]
pub(crate) async fn groups(ask: Ask, Place(org): Place<String>) -> Answer {
    let org = Some(org_id(&org)?);
    let listed = ask
        .engine()
        .projects()
        .list(ask.caller(), org, ask.page())
        .await?;
    ask.list(listed, |project| groups::wire(&ask, &project))
}

fn wire(ask: &Ask, org: &Organization) -> org::Org {
    let url = ask.org_url(org.id);
    org::Org {
        id: wire_id!(org.id),
        is_deleted: false,
        links: vec![
            Link::to_self(url.clone()),
            Link::new(link::GROUPS, format!("{url}/groups")),
        ],
        name: org.name.clone(),
        skip_default_alerts_settings: true,
    }
}
