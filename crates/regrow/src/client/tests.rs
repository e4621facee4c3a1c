//! The client against a peer that says what the test wants.

use api::digest::{Algorithm, Authorization, Challenge, REALM, ha1, verify};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Client, ClientError, Credentials};

/// Answers each request with the next text, on a connection of its own; returns its address
/// and, at the end, what it was sent.
async fn peer(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 16 * 1024];
            let length = stream.read(&mut request).await.unwrap();
            requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        requests
    });
    (url, seen)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

fn challenge(nonce: &str, stale: bool) -> String {
    let header = Challenge::new(nonce, stale);
    let header = format!("www-authenticate: {header}\r\n");
    answer("401 Unauthorized", &header, api::error::UNAUTHENTICATED)
}

fn client(url: &str) -> Client {
    // A second installation fails, and changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let credentials = Credentials {
        public_key: "abcdefgh".to_owned(),
        private_key: "secret".to_owned().into(),
    };
    Client::new(url, Some(credentials), None).unwrap()
}

/// Asserts that a request proves the key under this nonce and count.
fn check_proof(request: &str, method: &str, nonce: &str, count: u32) {
    let prefix = "authorization: ";
    let header = request.lines().find_map(|line| line.strip_prefix(prefix));
    let header = Authorization::parse(header.unwrap()).unwrap();
    assert_eq!((header.nonce.as_ref(), header.count()), (nonce, count));
    let kept = ha1(Algorithm::Md5, "abcdefgh", REALM, "secret");
    assert!(verify(&header, &kept, method), "{request}");
    let target = request.split(' ').nth(1).unwrap();
    assert_eq!(header.uri, target);
}

#[tokio::test]
async fn one_challenge_serves_until_it_is_stale() {
    let fine = || answer("200 OK", "", "{\"a\":1}");
    let answers = vec![
        challenge("first", false),
        fine(),
        fine(),
        challenge("second", true),
        fine(),
    ];
    let (url, seen) = peer(answers).await;
    let client = client(&url);
    let got: Value = client.get("/x?y=1").await.unwrap();
    assert_eq!(got, json!({ "a": 1 }));
    let _: Value = client.post("/x", &json!({ "secret": 1 })).await.unwrap();
    let _: Value = client.post("/x", &json!({ "secret": 2 })).await.unwrap();
    let requests = seen.await.unwrap();
    assert!(!requests[0].contains("authorization:"));
    check_proof(&requests[1], "GET", "first", 1);
    check_proof(&requests[2], "POST", "first", 2);
    check_proof(&requests[3], "POST", "first", 3);
    check_proof(&requests[4], "POST", "second", 1);
    assert!(requests[4].ends_with("{\"secret\":2}"), "{}", requests[4]);
}

#[tokio::test]
async fn a_wrong_key_is_tried_once() {
    let answers = vec![challenge("first", false), challenge("second", false)];
    let (url, seen) = peer(answers).await;
    let error = client(&url).get::<Value>("/x").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unauthenticated { .. }),
        "{error:?}"
    );
    assert_eq!(seen.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_refused_role_is_not_taken_for_a_wrong_key() {
    let document = json!({ "error": 401, "errorCode": "USER_UNAUTHORIZED", "detail": "No." });
    let refused = answer("401 Unauthorized", "", &document.to_string());
    let (url, _) = peer(vec![challenge("first", false), refused]).await;
    let error = client(&url).get::<Value>("/x").await.unwrap_err();
    let ClientError::Refused { status, code, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((status, code.as_str()), (401, "USER_UNAUTHORIZED"));
}

#[tokio::test]
async fn something_else_that_answers_is_told_apart() {
    for first in [
        answer("200 OK", "", "<html>"),
        answer("404 Not Found", "", "no"),
        answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
    ] {
        let (url, _) = peer(vec![first]).await;
        let error = client(&url).get::<Value>("/x").await.unwrap_err();
        assert!(matches!(error, ClientError::Strange { .. }), "{error:?}");
    }
    let not_json = answer("200 OK", "", "<html>");
    let (url, _) = peer(vec![challenge("first", false), not_json]).await;
    let error = client(&url).get::<Value>("/x").await.unwrap_err();
    assert!(matches!(error, ClientError::Strange { .. }), "{error:?}");
}

#[tokio::test]
async fn a_download_that_breaks_off_is_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for (ending, is_whole) in [("0\r\n\r\n", true), ("", false), ("5\r\nhe", false)] {
        let (url, _) = peer(vec![format!("{chunked}{ending}")]).await;
        let mut sink = Vec::new();
        let outcome = client(&url).download(&url, &mut sink, |_| ()).await;
        assert_eq!(outcome.is_ok(), is_whole, "{ending:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    for url in [
        "localhost:8080",
        "ftp://h/",
        "http://user:password@h/",
        "http://",
    ] {
        let error = Client::new(url, None, None).unwrap_err();
        assert!(matches!(error, ClientError::InvalidUrl(_)), "{url}");
    }
}
