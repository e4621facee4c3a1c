//! Lists: pages, counts, links, envelope, style; the two documented requests among them.

use serde_json::{Value, json};

use super::world::{World, mongo};

/// Makes projects until there are `count`, in the order of their names.
async fn projects(world: &World, count: usize) {
    for index in 1..count {
        let body = json!({ "name": format!("project-{index}"), "orgId": world.org });
        world.post("/api/atlas/v1.0/groups", body).await.is(201);
    }
}

fn rels(list: &Value) -> Vec<(String, String)> {
    let links = list["links"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let link = |link: &Value| {
        let href = text(&link["href"]);
        let query = href.split_once('?').map_or("", |(_, query)| query);
        (text(&link["rel"]), query.to_owned())
    };
    links.map(link).collect()
}

fn pair(rel: &str, query: &str) -> (String, String) {
    (rel.to_owned(), query.to_owned())
}

#[tokio::test]
async fn pages_cover_the_list_once_and_link_to_their_neighbours() {
    let world = World::new().await;
    projects(&world, 5).await;
    let groups = "/api/atlas/v1.0/groups";
    let all = world.get(groups).await.is(200);
    assert_eq!(all["totalCount"], 5);
    assert_eq!(rels(&all), [pair("self", "pageNum=1&itemsPerPage=100")]);

    let mut seen = Vec::new();
    for page in 1..=3 {
        let list = world
            .get(&format!("{groups}?itemsPerPage=2&pageNum={page}"))
            .await
            .is(200);
        assert_eq!(list["totalCount"], 5);
        seen.extend(list["results"].as_array().unwrap().clone());
        let mut expected = vec![pair("self", &format!("pageNum={page}&itemsPerPage=2"))];
        if page > 1 {
            expected.push(pair(
                "previous",
                &format!("itemsPerPage=2&pageNum={}", page - 1),
            ));
        }
        if page < 3 {
            expected.push(pair(
                "next",
                &format!("itemsPerPage=2&pageNum={}", page + 1),
            ));
        }
        assert_eq!(rels(&list), expected);
    }
    assert_eq!(Value::Array(seen), all["results"]);

    let past = world
        .get(&format!("{groups}?itemsPerPage=2&pageNum=9"))
        .await
        .is(200);
    assert_eq!(past["results"], json!([]));
    assert_eq!(past["totalCount"], 5);
    assert_eq!(rels(&past).len(), 2);

    let last = world
        .get(&format!("{groups}?pageNum=4294967295&itemsPerPage=500"))
        .await
        .is(200);
    assert_eq!(last["results"], json!([]));
}

#[tokio::test]
async fn a_link_to_the_next_page_can_be_followed_as_it_stands() {
    let world = World::new().await;
    projects(&world, 3).await;
    let first = world
        .get("/api/atlas/v1.0/groups?itemsPerPage=1&pretty=false")
        .await
        .is(200);
    let next = first["links"][1]["href"].as_str().unwrap();
    let target = next.strip_prefix(&world.server.url()).unwrap();
    let second = world.get(target).await.is(200);
    assert_ne!(first["results"], second["results"]);
    assert_eq!(second["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_count_the_envelope_and_the_style_are_chosen_by_the_query() {
    let world = World::new().await;
    let groups = "/api/atlas/v1.0/groups";
    let list = world
        .get(&format!("{groups}?includeCount=false"))
        .await
        .is(200);
    assert_eq!(list.get("totalCount"), None);
    assert_eq!(
        rels(&list)[0].1,
        "includeCount=false&pageNum=1&itemsPerPage=100"
    );

    let list = world.get(&format!("{groups}?envelope=true")).await.is(200);
    assert_eq!(
        (&list["status"], list["totalCount"].as_u64()),
        (&json!(200), Some(1))
    );
    let one = world
        .get(&format!("{}?envelope=true", world.group("")))
        .await
        .is(200);
    assert_eq!(one["status"], 200);
    assert_eq!(one["content"]["id"], world.project.as_str());
    let missing = world
        .get(&format!("{groups}/{}?envelope=true", "0".repeat(24)))
        .await;
    let missing = missing.is(404);
    assert_eq!(
        (&missing["status"], &missing["content"]["error"]),
        (&json!(404), &json!(404))
    );

    let pretty = world.get(&format!("{}?pretty=true", world.group(""))).await;
    assert!(
        pretty.text.starts_with("{\n  \"clusterCount\" : 0,\n"),
        "{}",
        pretty.text
    );
    let compact = world.get(&world.group("")).await;
    assert!(
        compact.text.starts_with("{\"clusterCount\":0,"),
        "{}",
        compact.text
    );
    let error = world.get(&format!("{groups}/xyz?pretty=true")).await;
    assert!(
        error.text.starts_with("{\n  \"detail\" : "),
        "{}",
        error.text
    );
}

#[tokio::test]
async fn the_two_documented_requests_answer_truthfully() {
    let mut world = World::new().await;
    world.start_workers();
    let uri = mongo().await.uri();
    world.attach("crow", "M2", &uri).await;
    world.attach("gull", "SERVERLESS", &uri).await;

    let tenant = world.group("/clusters/crow/backup/tenant");
    let none = world.get(&format!("{tenant}/restores")).await.is(200);
    assert_eq!(
        (&none["results"], &none["totalCount"]),
        (&json!([]), &json!(0))
    );

    let snapshot = world.snapshot("crow").await;
    let body = json!({ "snapshotId": snapshot });
    let first = world
        .post(&format!("{tenant}/download"), body.clone())
        .await
        .is(200);
    world.clock.advance_seconds(60);
    let second = world
        .post(&format!("{tenant}/download"), body)
        .await
        .is(200);
    let list = world.get(&format!("{tenant}/restores")).await.is(200);
    assert_eq!(list["results"], json!([second, first]), "newest first");
    assert_eq!(list["totalCount"], 2);
    assert_eq!(first["deliveryType"], "DOWNLOAD");
    assert_eq!(first["status"], "COMPLETED");
    for (table, example) in [
        ("restoreFinishedDate", "finishedDate"),
        ("restoreScheduledDate", "submittedAt"),
        ("snapshotFinishedDate", "timestamp"),
    ] {
        assert!(
            first[table].is_string() && first[table] == first[example],
            "{table}"
        );
    }
    assert_eq!(
        first["expirationDate"], "2023-11-15T02:13:20Z",
        "four hours later"
    );
    assert_eq!(first["targetDeploymentItemName"], "crow");
    assert_eq!(first["targetProjectId"], world.project.as_str());
    assert_eq!(first.get("links"), None);
    let one = format!("{tenant}/restores/{}", first["id"].as_str().unwrap());
    assert_eq!(world.get(&one).await.is(200), first);

    let jobs = world.group("/serverless/gull/backup/restoreJobs");
    let list = world.get(&format!("{jobs}?pretty=true")).await;
    assert!(list.text.contains("\"results\" : [ ],"), "{}", list.text);
    world.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_kept_is_not_given_once_something_changed() {
    let mut world = World::new().await;
    world.start_workers();
    world.attach("crow", "M2", &mongo().await.uri()).await;
    let snapshot = world.snapshot("crow").await;
    let tenant = world.group("/clusters/crow/backup/tenant");
    for count in 0..3 {
        for _ in 0..2 {
            let list = world.get(&format!("{tenant}/restores")).await.is(200);
            assert_eq!(list["totalCount"], count);
        }
        let body = json!({ "snapshotId": snapshot });
        world
            .post(&format!("{tenant}/download"), body)
            .await
            .is(200);
    }
    let reader = world.project_key(&["GROUP_READ_ONLY"]).await;
    let path = format!("{tenant}/restores");
    world
        .ask(&reader, reqwest::Method::GET, &path, None)
        .await
        .is(200);
    world
        .delete(&world.group(&format!("/apiKeys/{}", reader.id)))
        .await
        .is(204);
    let refused = world.ask(&reader, reqwest::Method::GET, &path, None).await;
    refused.is_error(401, "NOT_IN_GROUP");
    world.stop().await;
}

#[tokio::test]
async fn a_slash_at_the_end_makes_no_difference() {
    let world = World::new().await;
    for path in [
        "/api/atlas/v1.0/",
        "/api/atlas/v1.0/groups/",
        "/api/atlas/v1.0/orgs/?pageNum=1",
    ] {
        world.get(path).await.is(200);
    }
    let jobs = world.group("/serverless/gull/backup/restoreJobs/");
    world
        .post(&jobs, json!({}))
        .await
        .is_error(400, "MISSING_ATTRIBUTE");
    let list = world.get("/api/atlas/v1.0/groups/").await.is(200);
    let href = list["links"][0]["href"].as_str().unwrap();
    world
        .get(href.strip_prefix(&world.server.url()).unwrap())
        .await
        .is(200);
}

#[tokio::test]
async fn a_list_is_compressed_for_those_who_ask_and_says_the_same() {
    let mut world = World::new().await;
    world.start_workers();
    world.attach("crow", "M2", &mongo().await.uri()).await;
    let body = json!({ "snapshotId": world.snapshot("crow").await });
    let tenant = world.group("/clusters/crow/backup/tenant");
    for _ in 0..3 {
        world
            .post(&format!("{tenant}/download"), body.clone())
            .await
            .is(200);
    }
    let path = format!("{tenant}/restores");
    let plain = world.get(&path).await;
    assert_eq!(plain.header("content-encoding"), "");
    for accepted in ["gzip", "deflate, gzip;q=0.5", "gzip;q=0", "br"] {
        for _ in 0..2 {
            let header = world.authorization(&world.owner, "GET", &path).await;
            let request = world
                .http
                .get(world.url(&path))
                .header("authorization", header);
            let response = request
                .header("accept-encoding", accepted)
                .send()
                .await
                .unwrap();
            assert_eq!(response.headers()["vary"], "accept-encoding");
            let encoding = response.headers().get("content-encoding").cloned();
            let bytes = response.bytes().await.unwrap();
            if encoding.is_some() {
                assert!(
                    ["gzip", "deflate, gzip;q=0.5"].contains(&accepted),
                    "{accepted}"
                );
                let mut text = String::new();
                let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
                std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
                assert_eq!(text, plain.text);
            } else {
                assert!(["gzip;q=0", "br"].contains(&accepted), "{accepted}");
                assert_eq!(bytes, plain.text.as_bytes());
            }
        }
    }
    world.stop().await;
}
