//! Download links: unguessable, good for four hours, and true about what they offer.

use std::io::Read as _;

use reqwest::Method;
use serde_json::json;

use super::world::{World, mongo};

async fn offered() -> (World, String) {
    let mut world = World::new().await;
    world.start_workers();
    world.attach("crow", "M2", &mongo().await.uri()).await;
    let body = json!({ "snapshotId": world.snapshot("crow").await });
    let path = world.group("/clusters/crow/backup/tenant/download");
    let job = world.post(&path, body).await.is(200);
    let url = job["snapshotUrl"].as_str().unwrap().to_owned();
    (world, url)
}

#[tokio::test]
async fn a_link_needs_no_key_and_gives_an_archive() {
    let (world, url) = offered().await;
    assert!(
        url.starts_with(&world.server.url()) && url.ends_with(".tar.gz"),
        "{url}"
    );
    let head = world.http.head(&url).send().await.unwrap();
    let response = world.http.get(&url).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), response.status().as_u16()),
        (200, 200)
    );
    for name in [
        "content-type",
        "etag",
        "accept-ranges",
        "content-disposition",
    ] {
        assert_eq!(head.headers()[name], response.headers()[name], "{name}");
    }
    // The length is not known before the archive was made, so none may be claimed.
    assert_eq!(head.headers().get("content-length"), None);
    assert_eq!(response.headers()["content-type"], "application/gzip");
    assert_eq!(response.headers()["accept-ranges"], "none");
    let entity_tag = response.headers()["etag"].clone();
    let first = response.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(&first[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert!(unpacked.windows(11).any(|window| window == b"RESTORE.txt"));

    let second = world.http.get(&url).send().await.unwrap();
    assert_eq!(second.headers()["etag"], entity_tag);
    assert_eq!(
        second.bytes().await.unwrap(),
        first,
        "the entity tag is strong"
    );
    let known = world
        .http
        .get(&url)
        .header("if-none-match", &entity_tag)
        .send()
        .await
        .unwrap();
    assert_eq!(known.status().as_u16(), 304);
    // Parts are not offered, so asking for one gives the whole.
    let part = world
        .http
        .get(&url)
        .header("range", "bytes=5-9")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (part.status().as_u16(), part.bytes().await.unwrap()),
        (200, first)
    );
    world.stop().await;
}

#[tokio::test]
async fn a_link_that_was_changed_leads_nowhere() {
    let (world, url) = offered().await;
    let target = url.strip_prefix(&world.server.url()).unwrap();
    let token = target.split('/').nth(2).unwrap();
    let flipped = if token.ends_with('0') { '1' } else { '0' };
    let last = format!("{}{flipped}", &token[..token.len() - 1]);
    let first = format!("{}{}", "0".repeat(24), &token[24..]);
    for changed in [last.as_str(), first.as_str(), &token[..40], "x", "é"] {
        let answer = world
            .plain(Method::GET, &target.replace(token, changed))
            .await;
        answer.is_error(404, "RESOURCE_NOT_FOUND");
        assert!(!answer.text.contains(token));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_link_is_gone_after_four_hours() {
    let (world, url) = offered().await;
    let target = url.strip_prefix(&world.server.url()).unwrap().to_owned();
    world.clock.advance_seconds(4 * 3600 - 1);
    let response = world.http.head(&url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    world.clock.advance_seconds(1);
    world
        .plain(Method::GET, &target)
        .await
        .is_error(410, "DOWNLOAD_LINK_EXPIRED");
    world.stop().await;
}

#[tokio::test]
async fn a_serverless_download_shows_its_link_until_it_expires() {
    let mut world = World::new().await;
    world.start_workers();
    world
        .attach("gull", "SERVERLESS", &mongo().await.uri())
        .await;
    let body = json!({ "snapshotId": world.snapshot("gull").await });
    world
        .post(&world.own("/clusters/gull/downloads"), body)
        .await
        .is(201);
    let jobs = world.group("/serverless/gull/backup/restoreJobs");
    for _ in 0..2 {
        let list = world.get(&jobs).await.is(200);
        let job = &list["results"][0];
        assert_eq!(
            (&job["expired"], &job["failed"], &job["cancelled"]),
            (&json!(false), &json!(false), &json!(false))
        );
        assert_eq!(job["deliveryUrl"].as_array().unwrap().len(), 1);
    }
    world.clock.advance_seconds(4 * 3600);
    let list = world.get(&jobs).await.is(200);
    assert_eq!(
        list["results"][0]["expired"], true,
        "also when the list was kept"
    );
    assert_eq!(list["results"][0]["deliveryUrl"], json!([]));
    world.stop().await;
}
