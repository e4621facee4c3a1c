//! Digest authentication: the challenge, and everything that must not pass.

use api::digest::{Challenge, Exchange};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::world::{Answer, Credentials, World, cnonce, read};

const ROOT: &str = "/api/atlas/v1.0";

#[track_caller]
fn is_challenged(answer: &Answer, stale: bool) -> Challenge {
    assert_eq!(answer.status.as_u16(), 401, "{}", answer.text);
    assert_eq!(answer.text, api::error::UNAUTHENTICATED);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-error-code"), "");
    let header = answer.header(WWW_AUTHENTICATE.as_str());
    let challenge = Challenge::parse(header).unwrap();
    assert_eq!(challenge.nonce.len(), 32);
    let expected = format!(
        "Digest realm=\"MMS Public API\", domain=\"\", nonce=\"{}\", algorithm=MD5, \
         qop=\"auth\", stale={stale}",
        challenge.nonce
    );
    assert_eq!(header, expected);
    challenge
}

#[tokio::test]
async fn every_refusal_looks_the_same() {
    let world = World::new().await;
    is_challenged(&world.plain(Method::GET, ROOT).await, false);
    is_challenged(
        &world.plain(Method::GET, "/api/atlas/v1.0/nothing").await,
        false,
    );
    is_challenged(&world.plain(Method::PUT, ROOT).await, false);
    let wrong = Credentials {
        private: "wrong".to_owned(),
        ..world.owner.clone()
    };
    is_challenged(&world.ask(&wrong, Method::GET, ROOT, None).await, false);
    let unknown = Credentials {
        public: "zzzzzzzz".to_owned(),
        ..world.owner.clone()
    };
    is_challenged(&world.ask(&unknown, Method::GET, ROOT, None).await, false);
    for header in [
        "Basic YTpi",
        "Bearer x",
        "Digest",
        "Digest username=\"a\"",
        "Digest \"\\",
    ] {
        is_challenged(&world.with_header(ROOT, header).await, false);
    }
}

#[tokio::test]
async fn a_nonce_serves_many_requests_with_a_rising_count_but_none_twice() {
    let world = World::new().await;
    let key = (world.owner.public.as_str(), world.owner.private.as_str());
    let mut exchange = Exchange::new(world.challenge().await);
    let mut headers = Vec::new();
    for _ in 0..3 {
        let header = exchange.authorize(key, "GET", ROOT, &cnonce());
        world.with_header(ROOT, &header).await.is(200);
        headers.push(header);
    }
    for header in &headers {
        let fresh = is_challenged(&world.with_header(ROOT, header).await, true);
        let header = Exchange::new(fresh).authorize(key, "GET", ROOT, &cnonce());
        world.with_header(ROOT, &header).await.is(200);
    }
    // The same count with another client nonce is a replay of the count all the same.
    let again = Exchange::new(Challenge::parse(&challenge_of(&headers[0])).unwrap());
    let header = again.clone().authorize(key, "GET", ROOT, &cnonce());
    is_challenged(&world.with_header(ROOT, &header).await, true);
}

/// Makes a challenge of an answer's nonce.
fn challenge_of(header: &str) -> String {
    let answered = api::digest::Authorization::parse(header).unwrap();
    Challenge::new(answered.nonce, false).to_string()
}

#[tokio::test]
async fn counts_may_arrive_out_of_order() {
    let world = World::new().await;
    let key = (world.owner.public.as_str(), world.owner.private.as_str());
    let mut exchange = Exchange::new(world.challenge().await);
    let mut headers: Vec<String> = (0..8)
        .map(|_| exchange.authorize(key, "GET", ROOT, &cnonce()))
        .collect();
    headers.reverse();
    for header in &headers {
        world.with_header(ROOT, header).await.is(200);
    }
}

#[tokio::test]
async fn an_old_nonce_is_stale_for_a_known_key_only() {
    let world = World::new().await;
    let right = world.authorization(&world.owner, "GET", ROOT).await;
    let wrong = Credentials {
        private: "wrong".to_owned(),
        ..world.owner.clone()
    };
    let wrong = world.authorization(&wrong, "GET", ROOT).await;
    world.clock.advance_seconds(61);
    let fresh = is_challenged(&world.with_header(ROOT, &right).await, true);
    is_challenged(&world.with_header(ROOT, &wrong).await, false);
    let key = (world.owner.public.as_str(), world.owner.private.as_str());
    let header = Exchange::new(fresh).authorize(key, "GET", ROOT, &cnonce());
    world.with_header(ROOT, &header).await.is(200);
}

#[tokio::test]
async fn a_nonce_that_was_made_up_is_refused() {
    let world = World::new().await;
    let key = (world.owner.public.as_str(), world.owner.private.as_str());
    for nonce in ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "x", ""] {
        let mut exchange = Exchange::new(Challenge::new(nonce, false));
        let header = exchange.authorize(key, "GET", ROOT, &cnonce());
        is_challenged(&world.with_header(ROOT, &header).await, true);
    }
}

#[tokio::test]
async fn a_response_is_good_for_its_own_target_and_method_only() {
    let world = World::new().await;
    let groups = "/api/atlas/v1.0/groups";
    for (method, target) in [
        ("GET", ROOT),
        ("GET", "/api/atlas/v1.0/groups?pretty=true"),
        ("GET", "/api/atlas/v1.0/groups?"),
        ("POST", groups),
    ] {
        let header = world.authorization(&world.owner, method, target).await;
        is_challenged(&world.with_header(groups, &header).await, false);
    }
    let header = world.authorization(&world.owner, "GET", groups).await;
    let altered = header.replace("uri=\"/api", "uri=\"/apj");
    is_challenged(&world.with_header(groups, &altered).await, false);
    world.with_header(groups, &header).await.is(200);
}

#[tokio::test]
async fn an_empty_query_belongs_to_the_target() {
    let world = World::new().await;
    world.get("/api/atlas/v1.0/groups?").await.is(200);
    world.get("/api/atlas/v1.0/").await.is(200);
}

#[tokio::test]
async fn an_answer_to_another_realm_or_hash_is_refused() {
    let world = World::new().await;
    let challenge = world.challenge().await;
    let key = (world.owner.public.as_str(), world.owner.private.as_str());
    let other_realm = Challenge {
        realm: "another".to_owned(),
        ..challenge.clone()
    };
    let other_hash = Challenge {
        algorithm: api::digest::Algorithm::Sha256,
        ..challenge
    };
    for challenge in [other_realm, other_hash] {
        let header = Exchange::new(challenge).authorize(key, "GET", ROOT, &cnonce());
        is_challenged(&world.with_header(ROOT, &header).await, false);
    }
}

#[tokio::test]
async fn the_first_request_may_carry_its_body() {
    let world = World::new().await;
    let target = world.url(&world.group("/clusters/crow/backup/tenant/restore"));
    for length in [20, 300_000] {
        let request = world.http.post(&target).body("x".repeat(length));
        is_challenged(&read(request.send().await.unwrap()).await, false);
    }
}

#[tokio::test]
async fn a_deleted_key_is_refused_at_once() {
    let world = World::new().await;
    let key = world.org_key(&["ORG_MEMBER"]).await;
    world.ask(&key, Method::GET, ROOT, None).await.is(200);
    world
        .delete(&world.of_org(&format!("/apiKeys/{}", key.id)))
        .await
        .is(204);
    is_challenged(&world.ask(&key, Method::GET, ROOT, None).await, false);
}

#[tokio::test]
async fn two_authorization_headers_do_not_help() {
    let world = World::new().await;
    let header = world.authorization(&world.owner, "GET", ROOT).await;
    let request = world
        .http
        .get(world.url(ROOT))
        .header(AUTHORIZATION, "Basic YTpi");
    let answer = read(request.header(AUTHORIZATION, header).send().await.unwrap()).await;
    is_challenged(&answer, false);
}

#[tokio::test]
async fn health_metrics_and_version_need_no_credentials() {
    let world = World::new().await;
    let health = world.plain(Method::GET, "/healthz").await;
    assert_eq!(health.is(200)["status"], "ok");
    world.get(ROOT).await.is(200);
    let metrics = world.plain(Method::GET, "/metrics").await;
    let line =
        "regrow_http_requests_total{method=\"GET\",route=\"/api/atlas/v1.0\",status=\"200\"} 1";
    assert!(metrics.text.contains(line), "{}", metrics.text);
    let version = world
        .plain(Method::GET, "/api/private/unauth/version")
        .await;
    assert!(
        version
            .header("x-mongodb-service-version")
            .contains("versionString=v")
    );
}
