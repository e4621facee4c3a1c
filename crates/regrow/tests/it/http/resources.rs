//! The shapes of what surrounds the lists: root, organizations, projects, keys, clusters.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{World, mongo};

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Asserts that the link to itself leads to the very same thing.
async fn links_to_itself(world: &World, entity: &Value) {
    let link = &entity["links"][0];
    assert_eq!(link["rel"], "self", "{entity}");
    let target = link["href"]
        .as_str()
        .unwrap()
        .strip_prefix(&world.server.url())
        .unwrap();
    assert_eq!(&world.get(target).await.is(200), entity);
}

#[tokio::test]
async fn the_root_says_which_service_and_which_key() {
    let world = World::new().await;
    let root = world.get("/api/atlas/v1.0").await;
    assert_eq!(root.header("content-type"), "application/json");
    assert_eq!(root.header("x-content-type-options"), "nosniff");
    assert!(!root.header("x-request-id").is_empty());
    assert_eq!(
        root.header("strict-transport-security"),
        "",
        "only with TLS"
    );
    let root = root.is(200);
    assert_eq!(
        keys(&root),
        ["apiKey", "appName", "build", "links", "throttling"]
    );
    assert_eq!(root["appName"], "MongoDB Atlas");
    assert_eq!(root["apiKey"]["publicKey"], world.owner.public.as_str());
    let role = json!({ "orgId": world.org, "roleName": "ORG_OWNER" });
    assert!(root["apiKey"]["roles"].as_array().unwrap().contains(&role));
}

#[tokio::test]
async fn organizations_and_projects_are_found_by_id_and_name() {
    let world = World::new().await;
    let orgs = world.get("/api/atlas/v1.0/orgs").await.is(200);
    let org = &orgs["results"][0];
    assert_eq!(
        (&org["id"], &org["name"]),
        (&json!(world.org), &json!("Aviary"))
    );
    links_to_itself(&world, org).await;
    let found = world.get("/api/atlas/v1.0/orgs?name=avi").await.is(200);
    assert_eq!(found["totalCount"], 1);
    let found = world.get("/api/atlas/v1.0/orgs?name=zoo").await.is(200);
    assert_eq!(found["totalCount"], 0);

    let body = json!({ "name": "Vögel_2", "orgId": world.org });
    let made = world
        .post("/api/atlas/v1.0/groups", body.clone())
        .await
        .is(201);
    assert_eq!(
        keys(&made),
        [
            "clusterCount",
            "created",
            "id",
            "links",
            "name",
            "orgId",
            "tags"
        ]
    );
    links_to_itself(&world, &made).await;
    let by_name = world
        .get("/api/atlas/v1.0/groups/byName/V%C3%B6gel_2")
        .await
        .is(200);
    assert_eq!(by_name, made);
    let again = world.post("/api/atlas/v1.0/groups", body).await;
    assert_eq!(
        again.is_error(409, "GROUP_ALREADY_EXISTS"),
        json!(["Vögel_2"])
    );
    let of_org = world.get(&world.of_org("/groups")).await.is(200);
    assert_eq!(of_org["totalCount"], 2);

    let path = format!("/api/atlas/v1.0/groups/{}", made["id"].as_str().unwrap());
    assert_eq!(world.delete(&path).await.is(202), json!({}));
    world.get(&path).await.is_error(404, "GROUP_NOT_FOUND");
}

#[tokio::test]
async fn a_private_key_is_shown_once_and_works() {
    let world = World::new().await;
    let body = json!({ "desc": "nightly", "roles": ["GROUP_READ_ONLY"] });
    let made = world.post(&world.group("/apiKeys"), body).await.is(200);
    let private = made["privateKey"].as_str().unwrap();
    let tail = &private[private.len() - 12..];
    let id = made["id"].as_str().unwrap();
    let path = world.of_org(&format!("/apiKeys/{id}"));
    let found = world.get(&path).await.is(200);
    assert_eq!(found["privateKey"], format!("********-****-****-{tail}"));
    assert_eq!(
        found["roles"],
        json!([
            { "orgId": world.org, "roleName": "ORG_MEMBER" },
            { "groupId": world.project, "roleName": "GROUP_READ_ONLY" },
        ])
    );
    links_to_itself(&world, &found).await;
    let of_project = world.get(&world.group("/apiKeys")).await.is(200);
    assert!(of_project["results"].as_array().unwrap().contains(&found));
    let of_org = world.get(&world.of_org("/apiKeys")).await.is(200);
    assert_eq!(of_org["totalCount"], 2);
    assert!(!of_org.to_string().contains(private));

    world
        .delete(&world.group(&format!("/apiKeys/{id}")))
        .await
        .is(204);
    let left = world.get(&path).await.is(200);
    assert_eq!(
        left["roles"],
        json!([{ "orgId": world.org, "roleName": "ORG_MEMBER" }])
    );
    world.delete(&path).await.is(204);
    world.get(&path).await.is_error(400, "API_KEY_NOT_FOUND");
}

#[tokio::test]
async fn clusters_and_instances_have_their_shapes_and_no_secrets() {
    let world = World::new().await;
    let mongo = testkit::RealMongo::replica_set()
        .with_auth()
        .start()
        .await
        .unwrap();
    world.attach("crow", "M5", &mongo.uri()).await;
    let gull = world.attach("gull", "SERVERLESS", &mongo.uri()).await;
    assert!(!gull.to_string().contains("root"), "{gull}");
    links_to_itself(&world, &gull).await;

    let clusters = world.get(&world.group("/clusters")).await.is(200);
    assert_eq!(clusters["totalCount"], 1);
    let crow = &clusters["results"][0];
    assert_eq!(
        crow["providerSettings"],
        json!({
            "instanceSizeName": "M5", "providerName": "TENANT",
        })
    );
    assert_eq!(
        (&crow["stateName"], &crow["clusterType"]),
        (&json!("IDLE"), &json!("REPLICASET"))
    );
    let standard = format!("mongodb://127.0.0.1:{}/?replicaSet=rs0", mongo.port());
    assert_eq!(crow["connectionStrings"], json!({ "standard": standard }));
    assert!(
        crow["mongoDBVersion"]
            .as_str()
            .unwrap()
            .starts_with(crow["mongoDBMajorVersion"].as_str().unwrap())
    );
    assert!(!crow.to_string().contains("root"), "{crow}");
    links_to_itself(&world, crow).await;

    let instances = world.get(&world.group("/serverless")).await.is(200);
    assert_eq!(instances["totalCount"], 1);
    let gull = &instances["results"][0];
    assert_eq!(
        gull["serverlessBackupOptions"]["serverlessContinuousBackupEnabled"],
        false
    );
    links_to_itself(&world, gull).await;
    let project = world.get(&world.group("")).await.is(200);
    assert_eq!(project["clusterCount"], 2);
    let refused = world.delete(&world.group("")).await;
    refused.is_error(409, "CANNOT_CLOSE_GROUP_ACTIVE_ATLAS_CLUSTERS");
}

#[tokio::test]
async fn a_cluster_is_changed_reached_anew_and_detached() {
    let world = World::new().await;
    let mongo = testkit::RealMongo::replica_set().with_auth().start();
    let mongo = mongo.await.unwrap();
    world.attach("gull", "SERVERLESS", &mongo.uri()).await;
    let path = world.own("/clusters/gull");
    let patch = async |body: Value| {
        let body = Some(body.to_string());
        world.ask(&world.owner, Method::PATCH, &path, body).await
    };
    let body = json!({ "continuousBackup": true, "terminationProtection": true });
    let changed = patch(body).await.is(200);
    for option in ["continuousBackup", "terminationProtection"] {
        assert_eq!(changed[option], true, "{option}");
    }
    let code = "CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED";
    world.delete(&path).await.is_error(400, code);
    let other = super::world::mongo().await.uri();
    let refused = patch(json!({ "connectionString": other })).await;
    refused.is_error(409, "CONNECTION_STRING_OF_ANOTHER_DEPLOYMENT");
    let same = patch(json!({ "connectionString": mongo.uri() })).await;
    let same = same.is(200);
    assert_eq!(same["hosts"], changed["hosts"]);
    assert!(!same.to_string().contains("root"), "{same}");
    let body = json!({ "terminationProtection": false });
    patch(body).await.is(200);
    world.delete(&path).await.is(204);
    world.get(&path).await.is_error(404, "CLUSTER_NOT_FOUND");
}

#[tokio::test]
async fn snapshots_have_their_shape_in_each_family() {
    let mut world = World::new().await;
    world.start_workers();
    let uri = mongo().await.uri();
    world.attach("crow", "M2", &uri).await;
    world.attach("gull", "SERVERLESS", &uri).await;
    let of_crow = world.snapshot("crow").await;
    let of_gull = world.snapshot("gull").await;

    let path = world.group(&format!("/clusters/crow/backup/tenant/snapshots/{of_crow}"));
    let tenant = world.get(&path).await.is(200);
    assert_eq!(
        keys(&tenant),
        [
            "expiration",
            "finishTime",
            "id",
            "mongoDBVersion",
            "scheduledTime",
            "startTime",
            "status"
        ]
    );
    assert_eq!(tenant["status"], "COMPLETED");
    let list = world
        .get(&world.group("/clusters/crow/backup/tenant/snapshots"))
        .await
        .is(200);
    assert_eq!(list["results"], json!([tenant]));

    let path = world.group(&format!("/serverless/gull/backup/snapshots/{of_gull}"));
    let serverless = world.get(&path).await.is(200);
    assert_eq!(serverless["status"], "completed");
    assert_eq!(serverless["snapshotType"], "onDemand");
    assert_eq!(serverless["serverlessInstanceName"], "gull");
    assert_eq!(serverless["frequencyType"], "ondemand");
    links_to_itself(&world, &serverless).await;

    let path = world.own(&format!("/clusters/crow/snapshots/{of_crow}"));
    let own = world.get(&path).await.is(200);
    assert_eq!(
        (&own["consistency"], &own["status"]),
        (&json!("snapshot"), &json!("COMPLETED"))
    );
    assert!(own["clusterTime"]["time"].as_u64().unwrap() > 1_600_000_000);
    links_to_itself(&world, &own).await;
    world.delete(&path).await.is(204);
    world.get(&path).await.is_error(404, "SNAPSHOT_NOT_FOUND");
    world.stop().await;
}

#[tokio::test]
async fn links_are_made_of_the_name_that_the_client_used_or_that_was_configured() {
    let world = World::new().await;
    let header = world
        .authorization(&world.owner, "GET", "/api/atlas/v1.0/groups")
        .await;
    let request = world
        .http
        .get(world.url("/api/atlas/v1.0/groups"))
        .header("authorization", header);
    let request = request.header("host", "backup.example.net:8443");
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    let href = list["links"][0]["href"].as_str().unwrap();
    assert!(
        href.starts_with("http://backup.example.net:8443/api/atlas/v1.0/groups?"),
        "{href}"
    );

    let configured = |config: &mut regrow::http::Config| {
        config.public_url = Some("https://regrow.example.net/".to_owned());
    };
    let world = World::with(configured).await;
    let list = world.get("/api/atlas/v1.0/groups").await.is(200);
    let href = list["links"][0]["href"].as_str().unwrap();
    assert!(
        href.starts_with("https://regrow.example.net/api/atlas/v1.0/groups?"),
        "{href}"
    );
}
