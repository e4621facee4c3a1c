//! Every request of the OpenAPI document, without credentials and with too few rights.
//!
//! Coverage-checked: a request that is not in the table below fails the test, and so does a row
//! for a request that is no more.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Answer, Credentials, World, mongo};

/// What a request asks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// A key, of whatever organization and role.
    Key,
    /// A key of the organization.
    Member,
    /// An owner of the organization.
    OrgOwner,
    /// A key that may make projects.
    Creator,
    /// Any role on the project.
    Reader,
    /// An owner of the project.
    Owner,
}

use Needs::{Creator, Key, Member, Reader};

const TABLE: [(&str, Needs); 45] = [
    ("getSystemStatus", Key),
    ("listOrganizations", Key),
    ("getOrganization", Member),
    ("listOrganizationProjects", Member),
    ("listApiKeys", Member),
    ("createApiKey", Needs::OrgOwner),
    ("getApiKey", Member),
    ("deleteApiKey", Needs::OrgOwner),
    ("listApiKeyAccessListEntries", Needs::OrgOwner),
    ("createApiKeyAccessListEntries", Needs::OrgOwner),
    ("getApiKeyAccessListEntry", Needs::OrgOwner),
    ("deleteApiKeyAccessListEntry", Needs::OrgOwner),
    ("listProjects", Key),
    ("createProject", Creator),
    ("getProject", Reader),
    ("deleteProject", Needs::Owner),
    ("getProjectByName", Reader),
    ("listProjectApiKeys", Reader),
    ("createProjectApiKey", Needs::Owner),
    ("removeProjectApiKey", Needs::Owner),
    ("listProjectIpAccessLists", Reader),
    ("createProjectIpAccessList", Needs::Owner),
    ("getProjectIpAccessListEntry", Reader),
    ("deleteProjectIpAccessList", Needs::Owner),
    ("getProjectIpAccessListEntryStatus", Reader),
    ("listClusters", Reader),
    ("getCluster", Reader),
    ("listTenantSnapshots", Reader),
    ("getTenantSnapshot", Reader),
    ("downloadTenantSnapshot", Needs::Owner),
    ("createTenantRestore", Needs::Owner),
    ("listTenantRestores", Reader),
    ("getTenantRestore", Reader),
    ("listServerlessInstances", Reader),
    ("getServerlessInstance", Reader),
    ("listServerlessSnapshots", Reader),
    ("getServerlessSnapshot", Reader),
    ("listServerlessRestoreJobs", Needs::Owner),
    ("createServerlessRestoreJob", Needs::Owner),
    ("getServerlessRestoreJob", Needs::Owner),
    ("listProtectedClusters", Reader),
    ("attachCluster", Needs::Owner),
    ("getProtectedCluster", Reader),
    ("changeCluster", Needs::Owner),
    ("detachCluster", Needs::Owner),
];

const OWN_TABLE: [(&str, Needs); 15] = [
    ("listSnapshots", Reader),
    ("takeSnapshot", Needs::Owner),
    ("getSnapshot", Reader),
    ("deleteSnapshot", Needs::Owner),
    ("compareSnapshots", Needs::Owner),
    ("findDocuments", Needs::Owner),
    ("getRetention", Reader),
    ("applyRetention", Needs::Owner),
    ("listRestores", Reader),
    ("startRestore", Needs::Owner),
    ("getRestore", Reader),
    ("startDownload", Needs::Owner),
    ("listDrills", Reader),
    ("startDrill", Needs::Owner),
    ("getDrill", Reader),
];

struct Request {
    id: String,
    method: Method,
    template: String,
    needs: Needs,
}

/// Returns every described request with its row.
fn requests() -> Vec<Request> {
    let document = serde_json::to_value(regrow::http::openapi()).unwrap();
    let mut requests = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            let row = TABLE.iter().chain(&OWN_TABLE).find(|(row, _)| *row == id);
            let (_, needs) = row.unwrap_or_else(|| panic!("{id} has no row in the table"));
            let method = method.to_uppercase().parse().unwrap();
            requests.push(Request {
                id,
                method,
                template: template.clone(),
                needs: *needs,
            });
        }
    }
    let described: BTreeSet<_> = requests.iter().map(|request| request.id.as_str()).collect();
    for (row, _) in TABLE.iter().chain(&OWN_TABLE) {
        assert!(described.contains(row), "{row} is no request any more");
    }
    assert_eq!(
        described.len(),
        requests.len(),
        "each request has an id of its own"
    );
    requests
}

impl Request {
    fn target(&self, world: &World, project: &str) -> String {
        let zero = "0".repeat(24);
        self.template
            .replace("{groupId}", project)
            .replace("{orgId}", &world.org)
            .replace("{apiUserId}", &world.owner.id)
            .replace("{groupName}", "Birds")
            .replace(
                "{clusterName}",
                if self.is_serverless() { "gull" } else { "crow" },
            )
            .replace("{name}", "gull")
            .replace("{snapshotId}", &zero)
            .replace("{restoreId}", &zero)
            .replace("{restoreJobId}", &zero)
            .replace("{ipAddress}", "192.0.2.7")
            .replace("{entryValue}", "192.0.2.7")
    }

    fn is_serverless(&self) -> bool {
        self.template.contains("/serverless/")
    }

    /// A body that is valid in form, so that only the right is missing.
    fn body(&self, world: &World) -> Option<String> {
        let zero = "0".repeat(24);
        let body: Value = match self.id.as_str() {
            "createApiKey" => json!({ "desc": "x", "roles": ["ORG_MEMBER"] }),
            "createProjectApiKey" => json!({ "desc": "x", "roles": ["GROUP_OWNER"] }),
            "createApiKeyAccessListEntries" | "createProjectIpAccessList" => {
                json!([{ "ipAddress": "192.0.2.7" }])
            }
            "createProject" => json!({ "name": "x", "orgId": world.org }),
            "downloadTenantSnapshot" | "startDownload" => json!({ "snapshotId": zero }),
            "createTenantRestore" => {
                json!({ "snapshotId": zero, "targetDeploymentItemName": "crow" })
            }
            "compareSnapshots" => json!({ "otherSnapshotId": zero }),
            "findDocuments" => json!({ "database": "shop", "collection": "orders" }),
            "startRestore" => json!({ "snapshotId": zero, "targetClusterName": "crow" }),
            "createServerlessRestoreJob" => json!({
                "deliveryType": "automated", "snapshotId": zero,
                "targetClusterName": "gull", "targetGroupId": world.project,
            }),
            "attachCluster" => {
                json!({ "name": "x", "tier": "M2", "connectionString": "mongodb://127.0.0.1:1/" })
            }
            _ if self.method == Method::GET || self.method == Method::DELETE => return None,
            _ => json!({}),
        };
        Some(body.to_string())
    }

    async fn send(&self, world: &World, key: &Credentials, project: &str) -> Answer {
        let target = self.target(world, project);
        world
            .ask(key, self.method.clone(), &target, self.body(world))
            .await
    }

    #[track_caller]
    fn is_refused(&self, answer: &Answer, codes: &[&str]) {
        let document = answer.json();
        let code = document["errorCode"].as_str().unwrap_or("nothing");
        assert!(codes.contains(&code), "{}: {}", self.id, answer.text);
        assert_eq!(answer.status.as_u16(), 401, "{}", self.id);
    }
}

#[tokio::test]
async fn every_request_needs_credentials() {
    let world = World::new().await;
    for request in requests() {
        let target = request.target(&world, &world.project);
        let answer = world.plain(request.method.clone(), &target).await;
        assert_eq!(answer.status.as_u16(), 401, "{}", request.id);
        assert_eq!(answer.text, api::error::UNAUTHENTICATED, "{}", request.id);
        assert!(
            answer.header("www-authenticate").starts_with("Digest "),
            "{}",
            request.id
        );
    }
}

#[tokio::test]
async fn every_request_needs_its_role() {
    let world = World::new().await;
    let uri = mongo().await.uri();
    world.attach("crow", "M2", &uri).await;
    world.attach("gull", "SERVERLESS", &uri).await;
    let member = world.org_key(&["ORG_MEMBER"]).await;
    let reader = world.project_key(&["GROUP_READ_ONLY"]).await;
    for request in requests() {
        let by_member = request.send(&world, &member, &world.project).await;
        let by_reader = request.send(&world, &reader, &world.project).await;
        match request.needs {
            Key | Member => {
                by_member.is(200);
                by_reader.is(200);
            }
            Needs::OrgOwner | Creator => {
                let codes = ["USER_UNAUTHORIZED", "API_KEY_ACCESS_LIST_ACCESS_DENIED"];
                request.is_refused(&by_member, &codes);
                request.is_refused(&by_reader, &codes);
            }
            Reader if request.id == "getProjectByName" => {
                by_member.is_error(404, "GROUP_NAME_NOT_FOUND");
                by_reader.is(200);
            }
            Reader => {
                request.is_refused(&by_member, &["NOT_IN_GROUP"]);
                assert!(
                    [200, 404].contains(&by_reader.status.as_u16()),
                    "{}",
                    request.id
                );
            }
            Needs::Owner => {
                request.is_refused(&by_member, &["NOT_IN_GROUP"]);
                request.is_refused(&by_reader, &["USER_UNAUTHORIZED"]);
            }
        }
    }
}

#[tokio::test]
async fn every_request_about_another_organization_is_refused() {
    let world = World::new().await;
    let foreign = OtherOrganization::insert(&world).await;
    for request in requests() {
        let template = &request.template;
        if template.contains("{groupId}") {
            // Even an owner of one's own organization is a stranger there.
            let answer = request.send(&world, &world.owner, &foreign.project).await;
            request.is_refused(&answer, &["NOT_IN_GROUP"]);
        } else if template.contains("{orgId}") {
            let target = request.target(&world, "").replace(&world.org, &foreign.org);
            let body = request.body(&world);
            let answer = world
                .ask(&world.owner, request.method.clone(), &target, body)
                .await;
            request.is_refused(&answer, &["USER_CANNOT_ACCESS_ORG"]);
        }
    }
    let body = json!({ "name": "x", "orgId": foreign.org });
    let answer = world.post("/api/atlas/v1.0/groups", body).await;
    answer.is_error(401, "USER_CANNOT_ACCESS_ORG");
    let list = world.get("/api/atlas/v1.0/groups").await.is(200);
    assert_eq!(
        list["totalCount"], 1,
        "other organizations' projects are not listed"
    );
    let list = world.get("/api/atlas/v1.0/orgs").await.is(200);
    assert_eq!(list["totalCount"], 1, "other organizations are not listed");
    let theirs = "/api/atlas/v1.0/groups/byName/Theirs";
    world
        .get(theirs)
        .await
        .is_error(404, "GROUP_NAME_NOT_FOUND");
}

#[tokio::test]
async fn a_restore_to_a_project_that_the_key_does_not_own_is_forbidden() {
    let mut world = World::new().await;
    world.start_workers();
    let foreign = OtherOrganization::insert(&world).await;
    let uri = mongo().await.uri();
    world.attach("crow", "M2", &uri).await;
    world.attach("gull", "SERVERLESS", &uri).await;
    let of_crow = world.snapshot("crow").await;
    let of_gull = world.snapshot("gull").await;
    let body = json!({
        "snapshotId": of_crow, "targetDeploymentItemName": "crow",
        "targetProjectId": foreign.project,
    });
    let path = world.group("/clusters/crow/backup/tenant/restore");
    world
        .post(&path, body)
        .await
        .is_error(403, "CANNOT_RESTORE_TO_TARGET");
    let body = json!({
        "deliveryType": "automated", "snapshotId": of_gull,
        "targetClusterName": "gull", "targetGroupId": foreign.project,
    });
    let path = world.group("/serverless/gull/backup/restoreJobs");
    world
        .post(&path, body)
        .await
        .is_error(403, "CANNOT_RESTORE_TO_TARGET");
    world.stop().await;
}

#[tokio::test]
async fn the_roles_of_an_organization_reach_its_projects_as_documented() {
    let world = World::new().await;
    let read_only = world.org_key(&["ORG_READ_ONLY"]).await;
    let list = world.group("/accessList");
    world
        .ask(&read_only, Method::GET, &list, None)
        .await
        .is(200);
    let body = Some(json!([{ "ipAddress": "192.0.2.7" }]).to_string());
    let refused = world
        .ask(&read_only, Method::POST, &list, body.clone())
        .await;
    refused.is_error(401, "USER_UNAUTHORIZED");
    let owner = world.project_key(&["GROUP_OWNER"]).await;
    world.ask(&owner, Method::POST, &list, body).await.is(201);
    let creator = world.org_key(&["ORG_GROUP_CREATOR"]).await;
    let body = Some(json!({ "name": "Fish", "orgId": world.org }).to_string());
    world
        .ask(&creator, Method::POST, "/api/atlas/v1.0/groups", body)
        .await
        .is(201);
}

/// An organization beside the first, which no request can make.
struct OtherOrganization {
    org: String,
    project: String,
}

impl OtherOrganization {
    async fn insert(world: &World) -> Self {
        let other = Self {
            org: "a".repeat(24),
            project: "b".repeat(24),
        };
        let options = sqlx::sqlite::SqliteConnectOptions::new();
        let options = options.filename(world.dir.path().join("regrow.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let org = "INSERT INTO organizations (id, name, created_at_ms) VALUES ($1, 'Other', 0)";
        sqlx::query(org)
            .bind(&other.org)
            .execute(&pool)
            .await
            .unwrap();
        let project = "INSERT INTO projects (id, org_id, name, created_at_ms) \
                       VALUES ($1, $2, 'Theirs', 0)";
        let insert = sqlx::query(project).bind(&other.project).bind(&other.org);
        insert.execute(&pool).await.unwrap();
        pool.close().await;
        other
    }
}
