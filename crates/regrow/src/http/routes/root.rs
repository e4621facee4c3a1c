//! The base path: which service this is, and who asks.

use api::link::Link;
use api::root::{AccessListItem, CallingKey, SystemStatus};
use model::Page;

use super::super::error::Answer;
use super::super::extract::Ask;
use super::{org_keys, wire_id};

/// Returns which service this is and which key is calling.
#[utoipa::path(
    get,
    path = "",
    context_path = api::ATLAS_V1,
    operation_id = "getSystemStatus",
    tag = "Root",
    responses((status = 200, description = "The service and the key.", body = SystemStatus)),
)]
pub(crate) async fn get(ask: Ask) -> Answer {
    let key = &ask.caller().principal.key;
    let entries = ask
        .engine()
        .keys()
        .access(ask.caller(), key.org_id, key.id, Page::FIRST)
        .await?;
    let access_list = entries.items.iter().map(|entry| AccessListItem {
        cidr_block: entry.block.to_string(),
        ip_address: entry.block.as_single().map(|address| address.to_string()),
    });
    ask.found(&SystemStatus {
        api_key: CallingKey {
            access_list: access_list.collect(),
            id: wire_id!(key.id),
            public_key: key.public_key.clone(),
            roles: org_keys::roles(key),
        },
        app_name: "MongoDB Atlas".to_owned(),
        build: env!("CARGO_PKG_VERSION").to_owned(),
        links: vec![Link::to_self(ask.url(api::ATLAS_V1))],
        throttling: false,
    })
}
