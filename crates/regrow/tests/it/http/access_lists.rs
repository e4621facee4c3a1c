//! From where a key may be used, from where a download may be fetched, and who says so.

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;

use super::world::{Answer, Credentials, World, mongo};

const ROOT: &str = "/api/atlas/v1.0";

/// Asks through the proxy that the test itself is, for a client at `address`.
async fn from(world: &World, key: &Credentials, address: &str, target: &str) -> Answer {
    send(world, key, address, Method::GET, target, None).await
}

async fn send(
    world: &World,
    key: &Credentials,
    address: &str,
    method: Method,
    target: &str,
    body: Option<String>,
) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_str(address).unwrap());
    world.ask_with(key, method, target, body, headers).await
}

async fn behind_proxy() -> World {
    World::with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await
}

#[tokio::test]
async fn a_key_with_a_list_works_from_listed_addresses_only() {
    let world = behind_proxy().await;
    let key = world.org_key(&["ORG_OWNER"]).await;
    from(&world, &key, "192.0.2.7", ROOT).await.is(200);
    let list = world.of_org(&format!("/apiKeys/{}/accessList", key.id));
    let entries = json!([{ "ipAddress": "192.0.2.7" }, { "cidrBlock": "2001:db8::/32" }]);
    let added = world.post(&list, entries).await.is(200);
    assert_eq!(added["totalCount"], 2);
    for (address, admitted) in [
        ("192.0.2.7", true),
        ("::ffff:192.0.2.7", true),
        ("2001:db8:1::5", true),
        ("192.0.2.8", false),
        ("2001:db9::5", false),
        ("127.0.0.1", false),
    ] {
        let answer = from(&world, &key, address, ROOT).await;
        if admitted {
            answer.is(200);
        } else {
            let parameters = answer.is_error(403, "IP_ADDRESS_NOT_ON_ACCESS_LIST");
            assert_eq!(parameters, json!([address]));
        }
    }
    // The list is about a key that proved itself: others learn nothing of it.
    let wrong = Credentials {
        private: "wrong".to_owned(),
        ..key.clone()
    };
    assert_eq!(
        from(&world, &wrong, "192.0.2.8", ROOT)
            .await
            .status
            .as_u16(),
        401
    );

    world
        .delete(&format!("{list}/2001:db8::%2F32"))
        .await
        .is(204);
    let refused = from(&world, &key, "2001:db8:1::5", ROOT).await;
    refused.is_error(403, "IP_ADDRESS_NOT_ON_ACCESS_LIST");
    world.delete(&format!("{list}/192.0.2.7")).await.is(204);
    from(&world, &key, "203.0.113.9", ROOT).await.is(200);
}

#[tokio::test]
async fn a_forwarded_address_counts_from_configured_proxies_only() {
    let world = World::new().await;
    let key = world.org_key(&["ORG_OWNER"]).await;
    let list = world.of_org(&format!("/apiKeys/{}/accessList", key.id));
    world
        .post(&list, json!([{ "ipAddress": "192.0.2.7" }]))
        .await
        .is(200);
    let refused = from(&world, &key, "192.0.2.7", ROOT).await;
    let parameters = refused.is_error(403, "IP_ADDRESS_NOT_ON_ACCESS_LIST");
    assert_eq!(parameters, json!(["127.0.0.1"]));
}

#[tokio::test]
async fn protected_requests_need_a_list_from_other_machines() {
    let world = behind_proxy().await;
    let jobs = world.group("/serverless/gull/backup/restoreJobs");
    let one = format!("{jobs}/{}", "0".repeat(24));
    let list = world.of_org(&format!("/apiKeys/{}/accessList", world.owner.id));
    let entry = format!("{list}/192.0.2.7");
    let body = || Some(json!([{ "ipAddress": "192.0.2.7" }]).to_string());
    for (method, target, body) in [
        (Method::GET, &jobs, None),
        (Method::POST, &jobs, Some("{}".to_owned())),
        (Method::GET, &one, None),
        (Method::POST, &list, body()),
        (Method::DELETE, &entry, None),
    ] {
        let answer = send(&world, &world.owner, "192.0.2.7", method, target, body).await;
        let parameters = answer.is_error(403, "RESOURCE_REQUIRES_ACCESS_LIST");
        assert_eq!(parameters, json!(["192.0.2.7"]), "{target}");
    }
    // From the machine itself the first entry can be made, and then the rest works.
    world
        .post(&list, json!([{ "ipAddress": "192.0.2.7" }]))
        .await
        .is(200);
    let answer = from(&world, &world.owner, "192.0.2.7", &jobs).await;
    answer.is_error(404, "CLUSTER_NOT_FOUND");
    // Tenant lists are not protected.
    let other = world.org_key_from("192.0.2.7").await;
    let tenant = world.group("/clusters/crow/backup/tenant/restores");
    from(&world, &other, "203.0.113.9", &tenant)
        .await
        .is_error(404, "CLUSTER_NOT_FOUND");
}

impl World {
    /// Makes an owner's key without list, asking from an address.
    async fn org_key_from(&self, address: &str) -> Credentials {
        let body = json!({ "desc": "x", "roles": ["ORG_OWNER"] }).to_string();
        let path = self.of_org("/apiKeys");
        let made = send(self, &self.owner, address, Method::POST, &path, Some(body))
            .await
            .is(200);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Credentials {
            id: text("id"),
            public: text("publicKey"),
            private: text("privateKey"),
        }
    }
}

#[tokio::test]
async fn tenant_restores_are_protected_when_configured() {
    let world = World::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.tenant_restores_need_access_list = true;
    })
    .await;
    let path = world.group("/clusters/crow/backup/tenant/restore");
    let body = Some("{}".to_owned());
    let answer = send(&world, &world.owner, "192.0.2.7", Method::POST, &path, body).await;
    answer.is_error(403, "RESOURCE_REQUIRES_ACCESS_LIST");
}

#[tokio::test]
async fn the_entries_of_a_key_are_listed_fetched_and_removed() {
    let world = World::new().await;
    let key = world.org_key(&["ORG_MEMBER"]).await;
    let list = world.of_org(&format!("/apiKeys/{}/accessList", key.id));
    let empty = world.get(&list).await.is(200);
    assert_eq!(
        (&empty["results"], &empty["totalCount"]),
        (&json!([]), &json!(0))
    );
    let body = json!([{ "cidrBlock": "10.0.0.0/8" }, { "ipAddress": "127.0.0.1" }]);
    world.post(&list, body).await.is(200);
    let entry = world.get(&format!("{list}/127.0.0.1")).await.is(200);
    assert_eq!(
        (&entry["ipAddress"], &entry["cidrBlock"]),
        (&json!("127.0.0.1"), &json!("127.0.0.1/32"))
    );
    assert_eq!(entry["created"], "2023-11-14T22:13:20Z");
    assert_eq!(
        world.get(&format!("{list}/127.0.0.1%2F32")).await.is(200),
        entry
    );
    let link = entry["links"][0]["href"].as_str().unwrap();
    assert_eq!(
        world
            .get(link.strip_prefix(&world.server.url()).unwrap())
            .await
            .is(200),
        entry
    );
    let block = world.get(&format!("{list}/10.0.0.0%2F8")).await.is(200);
    let bare = world.get(&format!("{list}/10.0.0.0/8")).await.is(200);
    assert_eq!(bare, block, "as an official client sends it");
    assert_eq!(block.get("ipAddress"), None);

    let again = world
        .post(&list, json!([{ "ipAddress": "127.0.0.1" }]))
        .await;
    again.is_error(409, "ADDRESS_ALREADY_IN_ACCESS_LIST");
    let missing = world.get(&format!("{list}/192.0.2.1")).await;
    let parameters = missing.is_error(404, "API_KEY_ACCESS_LIST_NOT_FOUND");
    assert_eq!(parameters, json!(["192.0.2.1", key.id]));
    let missing = world.delete(&format!("{list}/192.0.2.1")).await;
    missing.is_error(404, "API_KEY_ACCESS_LIST_NOT_FOUND");

    // The key sees its own list; another without the right does not.
    world.ask(&key, Method::GET, &list, None).await.is(200);
    let other = world.org_key(&["ORG_MEMBER"]).await;
    let denied = world.ask(&other, Method::GET, &list, None).await;
    denied.is_error(401, "API_KEY_ACCESS_LIST_ACCESS_DENIED");
}

#[tokio::test]
async fn a_caller_cannot_lock_itself_out() {
    let world = World::new().await;
    let list = world.of_org(&format!("/apiKeys/{}/accessList", world.owner.id));
    let body = json!([{ "cidrBlock": "127.0.0.0/8" }, { "ipAddress": "192.0.2.7" }]);
    world.post(&list, body).await.is(200);
    let answer = world.delete(&format!("{list}/127.0.0.0%2F8")).await;
    let parameters = answer.is_error(400, "CANNOT_REMOVE_CALLER_FROM_ACCESS_LIST");
    assert_eq!(parameters, json!(["127.0.0.0/8"]));
    world.delete(&format!("{list}/192.0.2.7")).await.is(204);
}

#[tokio::test]
async fn the_list_of_a_project_says_who_may_fetch_its_downloads() {
    let mut world = behind_proxy().await;
    world.start_workers();
    world.attach("crow", "M2", &mongo().await.uri()).await;
    let body = json!({ "snapshotId": world.snapshot("crow").await });
    let path = world.group("/clusters/crow/backup/tenant/download");
    let job = world.post(&path, body).await.is(200);
    let url = job["snapshotUrl"].as_str().unwrap().to_owned();
    let fetch = |address: &'static str| {
        let request = world.http.head(&url).header("x-forwarded-for", address);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(fetch("203.0.113.9").await, 200);

    let list = world.group("/accessList");
    let body = json!([{ "ipAddress": "192.0.2.7", "comment": "office",
                        "deleteAfterDate": "2023-11-14T23:13:20Z" }]);
    let added = world.post(&list, body).await.is(201);
    let entry = &added["results"][0];
    assert_eq!(
        (&entry["comment"], &entry["groupId"]),
        (&json!("office"), &json!(world.project))
    );
    assert_eq!(entry["deleteAfterDate"], "2023-11-14T23:13:20Z");
    assert_eq!(
        &world.get(&format!("{list}/192.0.2.7")).await.is(200),
        entry
    );
    let status = world.get(&format!("{list}/192.0.2.7/status")).await.is(200);
    assert_eq!(status, json!({ "STATUS": "ACTIVE" }));
    assert_eq!(fetch("192.0.2.7").await, 200);
    assert_eq!(fetch("203.0.113.9").await, 403);

    world.clock.advance_seconds(3600);
    assert_eq!(world.get(&list).await.is(200)["totalCount"], 0);
    let missing = world.get(&format!("{list}/192.0.2.7")).await;
    let parameters = missing.is_error(404, "ATLAS_NETWORK_PERMISSION_ENTRY_NOT_FOUND");
    assert_eq!(parameters, json!(["192.0.2.7", world.project]));
    world.stop().await;
}
