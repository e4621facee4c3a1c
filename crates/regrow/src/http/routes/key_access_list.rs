//! From where an API key may be used.

use api::access_list::{CreateEntry, KeyEntry};
use api::link::{Link, segment};
use api::{ApiError, Code, List};
use model::{AccessEntry, KeyId, OrgId, Page};

use super::super::error::{Answer, Failure, entry};
use super::super::extract::{Ask, Payload, Place, block, key_id, org_id};
use super::super::respond::nothing;
use super::date;

/// Returns the access list of one API key.
#[utoipa::path(
    get,
    path = "/orgs/{orgId}/apiKeys/{apiUserId}/accessList",
    context_path = api::ATLAS_V1,
    operation_id = "listApiKeyAccessListEntries",
    tag = "API Keys",
    responses((status = 200, description = "One page.", body = List<KeyEntry>)),
)]
pub(crate) async fn list(ask: Ask, Place((org, key)): Place<(String, String)>) -> Answer {
    let (org, key) = (org_id(&org)?, key_id(&key)?);
    page(&ask, org, key).await
}

/// Returns one entry of the access list of one API key.
#[utoipa::path(
    get,
    path = "/orgs/{orgId}/apiKeys/{apiUserId}/accessList/{ipAddress}",
    context_path = api::ATLAS_V1,
    operation_id = "getApiKeyAccessListEntry",
    tag = "API Keys",
    responses((status = 200, description = "The entry.", body = KeyEntry)),
)]
pub(crate) async fn get(
    ask: Ask,
    Place((org, key, address)): Place<(String, String, String)>,
) -> Answer {
    let (org, key) = (org_id(&org)?, key_id(&key)?);
    let entries = ask
        .engine()
        .keys()
        .access(ask.caller(), org, key, Page::ALL)
        .await?;
    let wanted = block(&address)?;
    let found = entries.items.iter().find(|entry| entry.block == wanted);
    match found {
        Some(entry) => ask.found(&wire(&ask, org, key, entry)),
        None => {
            let parameters = [address, key.to_string()];
            Err(Failure(ApiError::new(
                Code::ApiKeyAccessListNotFound,
                parameters,
            )))
        }
    }
}

/// The same for a block whose slash was not encoded.
pub(crate) async fn get_block(ask: Ask, Place(block): Place<Block>) -> Answer {
    get(ask, Place(block.joined())).await
}

/// Adds entries to the access list of one API key.
#[utoipa::path(
    post,
    path = "/orgs/{orgId}/apiKeys/{apiUserId}/accessList",
    context_path = api::ATLAS_V1,
    operation_id = "createApiKeyAccessListEntries",
    tag = "API Keys",
    request_body = Vec<CreateEntry>,
    responses((status = 200, description = "The whole list.", body = List<KeyEntry>)),
)]
pub(crate) async fn create(
    ask: Ask,
    Place((org, key)): Place<(String, String)>,
    Payload(body): Payload,
) -> Answer {
    ask.require_access_list()?;
    let (org, key) = (org_id(&org)?, key_id(&key)?);
    let entries = CreateEntry::parse_for_key(&body)?;
    let blocks: Result<Vec<_>, _> = entries.iter().map(|entry| block(entry.address())).collect();
    ask.engine()
        .keys()
        .access_add(ask.caller(), org, key, &blocks?)
        .await?;
    page(&ask, org, key).await
}

/// Removes one entry from the access list of one API key.
#[utoipa::path(
    delete,
    path = "/orgs/{orgId}/apiKeys/{apiUserId}/accessList/{ipAddress}",
    context_path = api::ATLAS_V1,
    operation_id = "deleteApiKeyAccessListEntry",
    tag = "API Keys",
    responses((status = 204, description = "Nothing.")),
)]
pub(crate) async fn delete(
    ask: Ask,
    Place((org, key, address)): Place<(String, String, String)>,
) -> Answer {
    ask.require_access_list()?;
    let (org, key) = (org_id(&org)?, key_id(&key)?);
    let removed = ask
        .engine()
        .keys()
        .access_remove(ask.caller(), org, key, block(&address)?)
        .await;
    removed.map_err(entry(Code::ApiKeyAccessListNotFound, key))?;
    nothing()
}

/// The same for a block whose slash was not encoded.
pub(crate) async fn delete_block(ask: Ask, Place(block): Place<Block>) -> Answer {
    delete(ask, Place(block.joined())).await
}

/// Organization, key, address and prefix, each a part of the path.
#[derive(serde::Deserialize)]
pub(crate) struct Block(String, String, String, String);

impl Block {
    fn joined(self) -> (String, String, String) {
        let Self(org, key, address, prefix) = self;
        (org, key, format!("{address}/{prefix}"))
    }
}

async fn page(ask: &Ask, org: OrgId, key: KeyId) -> Answer {
    let listed = ask
        .engine()
        .keys()
        .access(ask.caller(), org, key, ask.page())
        .await?;
    ask.list(listed, |entry| wire(ask, org, key, &entry))
}

fn wire(ask: &Ask, org: OrgId, key: KeyId, entry: &AccessEntry) -> KeyEntry {
    let single = entry.block.as_single().map(|address| address.to_string());
    let cidr_block = entry.block.to_string();
    let name = segment(single.as_ref().unwrap_or(&cidr_block));
    let url = format!("{}/apiKeys/{key}/accessList/{name}", ask.org_url(org));
    KeyEntry {
        cidr_block,
        count: None,
        created: date(entry.created_at),
        ip_address: single,
        last_used: None,
        last_used_address: None,
        links: vec![Link::to_self(url)],
    }
}
