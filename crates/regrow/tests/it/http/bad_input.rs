//! Bad input, and the code that it gets.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::world::{World, mongo, read};

const UNKNOWN: &str = "64a1f0c2d3e4b5a697887766";

#[tokio::test]
async fn a_query_that_is_not_understood_is_refused_by_name() {
    let world = World::new().await;
    for (query, name) in [
        ("pageNum=0", "pageNum"),
        ("pageNum=x", "pageNum"),
        ("itemsPerPage=-1", "itemsPerPage"),
        ("includeCount=2", "includeCount"),
        ("pretty=", "pretty"),
        ("bogus=1", "bogus"),
        ("envelope=true&envelope=true", "envelope"),
    ] {
        for path in ["/api/atlas/v1.0/groups", "/api/atlas/v1.0"] {
            let answer = world.get(&format!("{path}?{query}")).await;
            if query.starts_with("envelope") {
                assert_eq!(answer.is(400)["content"]["parameters"], json!([name]));
            } else {
                let parameters = answer.is_error(400, "INVALID_QUERY_PARAMETER");
                assert_eq!(parameters, json!([name]), "{query}");
            }
        }
    }
    let list = world
        .get("/api/atlas/v1.0/groups?itemsPerPage=1000")
        .await
        .is(200);
    let link = list["links"][0]["href"].as_str().unwrap();
    assert!(link.ends_with("?pageNum=1&itemsPerPage=500"), "{link}");
}

#[tokio::test]
async fn an_id_that_is_none_and_one_of_nothing_have_their_codes() {
    let world = World::new().await;
    let groups = "/api/atlas/v1.0/groups";
    let orgs = "/api/atlas/v1.0/orgs";
    let crow = world.group("/clusters/crow");
    let mine = world.of_org("/apiKeys");
    for (path, status, code, parameters) in [
        (
            format!("{groups}/xyz"),
            404,
            "INVALID_GROUP_ID",
            json!(["xyz"]),
        ),
        (
            format!("{groups}/{UNKNOWN}"),
            404,
            "GROUP_NOT_FOUND",
            json!([UNKNOWN]),
        ),
        (
            format!("{groups}/byName/nobody"),
            404,
            "GROUP_NAME_NOT_FOUND",
            json!(["nobody"]),
        ),
        (format!("{orgs}/xyz"), 404, "INVALID_ORG_ID", json!(["xyz"])),
        (
            format!("{orgs}/{UNKNOWN}"),
            404,
            "ORG_NOT_FOUND",
            json!([UNKNOWN]),
        ),
        (format!("{mine}/xyz"), 404, "INVALID_KEY_ID", json!(["xyz"])),
        (
            format!("{mine}/{UNKNOWN}"),
            400,
            "API_KEY_NOT_FOUND",
            json!([UNKNOWN]),
        ),
        (
            crow.clone(),
            404,
            "CLUSTER_NOT_FOUND",
            json!(["crow", world.project]),
        ),
        (
            format!("{crow}/backup/tenant/snapshots/{UNKNOWN}"),
            404,
            "CLUSTER_NOT_FOUND",
            json!(["crow", world.project]),
        ),
        (
            format!("{crow}/backup/tenant/snapshots/xyz"),
            404,
            "INVALID_SNAPSHOT_ID",
            json!(["xyz"]),
        ),
        (
            format!("{crow}/backup/tenant/restores/x%2Fy"),
            404,
            "INVALID_JOB_ID",
            json!(["x/y"]),
        ),
        (
            world.group("/serverless/gull/backup/restoreJobs"),
            404,
            "CLUSTER_NOT_FOUND",
            json!(["gull", world.project]),
        ),
        (
            format!("{}/accessList/nonsense", world.group("")),
            400,
            "INVALID_IP_ADDRESS_OR_CIDR_NOTATION",
            json!(["nonsense"]),
        ),
        (
            "/api/atlas/v1.0/nothing".to_owned(),
            404,
            "RESOURCE_NOT_FOUND",
            json!(["/api/atlas/v1.0/nothing"]),
        ),
    ] {
        let found = world.get(&path).await.is_error(status, code);
        assert_eq!(found, parameters, "{path}");
    }
    let elsewhere = world.plain(Method::GET, "/favicon.ico").await;
    elsewhere.is_error(404, "RESOURCE_NOT_FOUND");
}

#[tokio::test]
async fn names_with_slashes_and_unicode_are_names() {
    let world = World::new().await;
    for (written, name) in [
        ("a%2Fb", "a/b"),
        ("V%C3%B6gel", "Vögel"),
        ("%E9%B3%A5%20%3F", "鳥 ?"),
        ("a+b", "a+b"),
        ("..%2F..", "../.."),
    ] {
        let path = world.group(&format!("/clusters/{written}/backup/tenant/restores"));
        let parameters = world.get(&path).await.is_error(404, "CLUSTER_NOT_FOUND");
        assert_eq!(parameters, json!([name, world.project]));
    }
    let path = world.group("/clusters/%FF");
    world
        .get(&path)
        .await
        .is_error(400, "INVALID_PATH_PARAMETER");
}

#[tokio::test]
async fn a_wrong_method_is_405_and_says_which_are_right() {
    let world = World::new().await;
    let path = world.group("/clusters/crow/backup/tenant/restores");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let answer = world.ask(&world.owner, method.clone(), &path, None).await;
        let parameters = answer.is_error(405, "METHOD_NOT_ALLOWED");
        assert_eq!(parameters, json!([method.as_str(), path]));
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
    let answer = world.plain(Method::POST, "/healthz").await;
    answer.is_error(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn each_fault_of_a_body_has_its_code() {
    let world = World::new().await;
    let tenant = world.group("/clusters/crow/backup/tenant/restore");
    let jobs = world.group("/serverless/gull/backup/restoreJobs");
    let slash = format!("{jobs}/");
    let attach = world.own("/clusters");
    let keys = world.of_org("/apiKeys");
    let list = world.group("/accessList");
    for (path, body, code, parameters) in [
        (&tenant, "", "MISSING_ATTRIBUTE", json!(["snapshotId"])),
        (&tenant, "nonsense", "MALFORMED_JSON", json!([])),
        (&tenant, "[]", "INVALID_JSON", json!([])),
        (
            &tenant,
            r#"{"snapshot":"x"}"#,
            "INVALID_ATTRIBUTE",
            json!(["snapshot"]),
        ),
        (
            &tenant,
            r#"{"snapshotId":1}"#,
            "INVALID_JSON_ATTRIBUTE",
            json!(["snapshotId"]),
        ),
        (
            &jobs,
            r#"{"deliveryType":"mail"}"#,
            "INVALID_ENUM_VALUE",
            json!(["mail"]),
        ),
        (
            &slash,
            r#"{"deliveryType":"mail"}"#,
            "INVALID_ENUM_VALUE",
            json!(["mail"]),
        ),
        (
            &jobs,
            r#"{"deliveryType":"download"}"#,
            "UNSUPPORTED_DELIVERY_METHOD",
            json!([]),
        ),
        (
            &attach,
            r#"{"name":"x"}"#,
            "MISSING_ATTRIBUTE",
            json!(["connectionString"]),
        ),
        (
            &keys,
            r#"{"desc":"x","roles":[]}"#,
            "MISSING_API_KEY_ROLES",
            json!([]),
        ),
        (
            &keys,
            r#"{"desc":"x","roles":["KING"]}"#,
            "INVALID_ENUM_VALUE",
            json!(["KING"]),
        ),
        (
            &keys,
            r#"{"desc":"x","roles":["GROUP_OWNER"]}"#,
            "INVALID_ATTRIBUTE",
            json!(["roles"]),
        ),
        (
            &list,
            r#"[{"ipAddress":"1.2.3"}]"#,
            INVALID_ADDRESS,
            json!(["1.2.3"]),
        ),
        (
            &list,
            r#"[{"cidrBlock":"::/129"}]"#,
            INVALID_ADDRESS,
            json!(["::/129"]),
        ),
        (&list, "[{}]", "BAD_ACCESS_LIST_ADD_REQUEST", json!([])),
    ] {
        let body = Some(body.to_owned());
        let answer = world.ask(&world.owner, Method::POST, path, body).await;
        assert_eq!(answer.is_error(400, code), parameters, "{path}");
    }
}

const INVALID_ADDRESS: &str = "INVALID_IP_ADDRESS_OR_CIDR_NOTATION";

#[tokio::test]
async fn a_body_too_large_is_413_whether_it_says_its_length_or_not() {
    let world = World::new().await;
    let path = world.group("/clusters/crow/backup/tenant/restore");
    let large = "x".repeat(300_000);
    let answer = world
        .ask(&world.owner, Method::POST, &path, Some(large.clone()))
        .await;
    assert_eq!(answer.is_error(413, "PAYLOAD_TOO_LARGE"), json!(["262144"]));

    let header = world.authorization(&world.owner, "POST", &path).await;
    let pieces: Vec<_> = large
        .as_bytes()
        .chunks(10_000)
        .map(<[u8]>::to_vec)
        .collect();
    let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
    let body = Body::wrap_stream(futures::stream::iter(pieces));
    let request = world
        .http
        .post(world.url(&path))
        .header("authorization", header)
        .body(body);
    let request = request
        .header(CONTENT_TYPE, "application/json")
        .build()
        .unwrap();
    assert!(request.headers().get("content-length").is_none());
    assert!(
        request.headers().get(TRANSFER_ENCODING).is_none(),
        "set by the connection"
    );
    let answer = read(world.http.execute(request).await.unwrap()).await;
    answer.is_error(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_body_of_another_type_is_415() {
    let world = World::new().await;
    let path = world.group("/clusters/crow/backup/tenant/download");
    let ask = |kind: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let (world, path) = (&world, &path);
        async move {
            let header = world.authorization(&world.owner, "POST", path).await;
            let request = world.http.post(world.url(path)).headers(headers).body("{}");
            read(
                request
                    .header("authorization", header)
                    .send()
                    .await
                    .unwrap(),
            )
            .await
        }
    };
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data",
    ] {
        ask(kind).await.is_error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    for kind in [
        "application/json; charset=utf-8",
        "application/vnd.atlas.2023-01-01+json",
    ] {
        ask(kind).await.is_error(400, "MISSING_ATTRIBUTE");
    }
}

#[tokio::test]
async fn a_deployment_that_cannot_be_used_says_why() {
    let world = World::new().await;
    let mongo = testkit::RealMongo::replica_set()
        .with_auth()
        .start()
        .await
        .unwrap();
    mongo
        .create_user("weak", "weak-password", &[("read", "zoo")])
        .await
        .unwrap();
    let closed = "mongodb://127.0.0.1:1/?replicaSet=rs0".to_owned();
    let attach = |uri: String| {
        let body = json!({ "name": "crow", "tier": "M2", "connectionString": uri });
        let world = &world;
        async move { world.post(&world.own("/clusters"), body).await }
    };
    attach("ftp://nowhere".to_owned())
        .await
        .is_error(400, "INVALID_CONNECTION_STRING");
    attach(closed).await.is_error(400, "DEPLOYMENT_UNREACHABLE");
    let wrong = mongo.uri_as("root", "not-the-password");
    let answer = attach(wrong).await;
    answer.is_error(400, "DEPLOYMENT_AUTHENTICATION_FAILED");
    assert!(!answer.text.contains("not-the-password"), "{}", answer.text);
    let answer = attach(mongo.uri_as("weak", "weak-password")).await;
    answer.is_error(400, "DEPLOYMENT_PRIVILEGE_MISSING");
    assert!(!answer.text.contains("weak-password"), "{}", answer.text);

    world.attach("crow", "M2", &mongo.uri()).await;
    let parameters = attach(mongo.uri())
        .await
        .is_error(400, "DUPLICATE_CLUSTER_NAME");
    assert_eq!(parameters, json!(["crow", world.project]));
    for name in ["a/b", "a b", ""] {
        let body = json!({ "name": name, "tier": "M2", "connectionString": mongo.uri() });
        let answer = world.post(&world.own("/clusters"), body).await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.text);
        assert_eq!(answer.json()["parameters"], json!(["name"]));
    }
}

#[tokio::test]
async fn a_snapshot_of_another_cluster_is_not_found() {
    let mut world = World::new().await;
    world.start_workers();
    let uri = mongo().await.uri();
    world.attach("crow", "M2", &uri).await;
    world.attach("raven", "M5", &uri).await;
    world.attach("gull", "SERVERLESS", &uri).await;
    let of_crow = world.snapshot("crow").await;
    let of_gull = world.snapshot("gull").await;

    let raven = world.group("/clusters/raven/backup/tenant");
    let target = json!({ "snapshotId": of_crow, "targetDeploymentItemName": "crow" });
    let expected = json!([of_crow, "raven"]);
    let get = world.get(&format!("{raven}/snapshots/{of_crow}")).await;
    assert_eq!(get.is_error(404, "TENANT_SNAPSHOT_NOT_FOUND"), expected);
    let restore = world.post(&format!("{raven}/restore"), target).await;
    assert_eq!(restore.is_error(404, "TENANT_SNAPSHOT_NOT_FOUND"), expected);
    let body = json!({ "snapshotId": of_crow });
    let download = world.post(&format!("{raven}/download"), body).await;
    assert_eq!(
        download.is_error(404, "TENANT_SNAPSHOT_NOT_FOUND"),
        expected
    );

    let gull = world.group("/serverless/gull/backup");
    let get = world.get(&format!("{gull}/snapshots/{of_crow}")).await;
    get.is_error(404, "SNAPSHOT_NOT_FOUND");
    let body = automated(&of_crow, "gull", &world.project);
    let restore = world.post(&format!("{gull}/restoreJobs"), body).await;
    restore.is_error(404, "SNAPSHOT_NOT_FOUND");

    // A serverless snapshot never goes to a cluster of the other family.
    let body = automated(&of_gull, "crow", &world.project);
    let restore = world.post(&format!("{gull}/restoreJobs"), body).await;
    assert_eq!(
        restore.is_error(404, "CLUSTER_NOT_FOUND"),
        json!(["crow", world.project])
    );
    let missing = world.get(&format!("{gull}/restoreJobs/{UNKNOWN}")).await;
    assert_eq!(
        missing.is_error(404, "RESTORE_JOB_NOT_FOUND"),
        json!([UNKNOWN, "gull"])
    );
    let missing = world.get(&format!("{raven}/restores/{UNKNOWN}")).await;
    assert_eq!(
        missing.is_error(404, "TENANT_RESTORE_NOT_FOUND"),
        json!([UNKNOWN, "raven"])
    );
    // Wrong family of request for the cluster.
    world
        .get(&world.group("/serverless/crow"))
        .await
        .is_error(404, "CLUSTER_NOT_FOUND");
    world
        .get(&world.group("/clusters/gull"))
        .await
        .is_error(404, "CLUSTER_NOT_FOUND");
    world.stop().await;
}

fn automated(snapshot: &str, target: &str, project: &str) -> Value {
    json!({
        "deliveryType": "automated", "snapshotId": snapshot,
        "targetClusterName": target, "targetGroupId": project,
    })
}
