//! A service of one's own on a free port, a clock set by hand, and a client that knows digest.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use api::digest::{Algorithm, Challenge, Exchange, REALM, ha1};
use engine::{DataDir, Engine, Running};
use model::{Clock, Timestamp};
use regrow::http::{Config, Server};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use testkit::{RealMongo, wait_for};
use tokio_util::sync::CancellationToken;

/// Longest that a job on an empty server may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Begins at a fixed moment and stands still until told otherwise.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A key as a client has it.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) public: String,
    pub(crate) private: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is the error of a code, in document, status and header.
    #[track_caller]
    pub(crate) fn is_error(&self, status: u16, code: &str) -> Value {
        let document = self.json();
        assert_eq!(document["errorCode"], code, "{document}");
        assert_eq!(self.status.as_u16(), status, "{document}");
        assert_eq!(document["error"], status, "{document}");
        assert_eq!(self.header("x-error-code"), code);
        assert_eq!(self.header("content-type"), "application/json");
        document["parameters"].clone()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

/// A service, its data directory and its first key.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) engine: Engine,
    pub(crate) server: Server,
    pub(crate) owner: Credentials,
    pub(crate) org: String,
    pub(crate) project: String,
    pub(crate) http: Client,
    shutdown: CancellationToken,
    running: Option<Running>,
}

fn engine_config() -> engine::Config {
    engine::Config {
        slots: 2,
        cursors: 1,
        compression_level: 1,
        deployment_timeout_ms: 3_000,
        snapshot_way: None,
        scan_every_days: 7,
        checkpoint_bytes: 1 << 30,
        checkpoint_every: std::time::Duration::from_secs(300),
        repack: false,
        scratch: engine::ScratchConfig {
            mongod: None,
            directory: None,
            limit_bytes: 1 << 30,
        },
        download_format: engine::DownloadFormat::Dump,
        digest_ha1: |public, private| ha1(Algorithm::Md5, public, REALM, private).into(),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// Serves with a configuration that was changed; no worker runs yet.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock(AtomicI64::new(1_700_000_000_000)));
        let config = engine_config();
        let made = DataDir::init(dir.path(), "Aviary", "Birds", &*clock, &config)
            .await
            .unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let engine = Engine::open(data_dir, Arc::clone(&clock) as _, config)
            .await
            .unwrap();
        let shutdown = CancellationToken::new();
        let mut config = Config::plain("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let server = Server::start(config, engine.clone(), shutdown.clone())
            .await
            .unwrap();
        Self {
            owner: Credentials {
                id: made.key.key.id.to_string(),
                public: made.key.key.public_key.clone(),
                private: made.key.private_key.expose_secret().to_owned(),
            },
            org: made.organization.id.to_string(),
            project: made.project.id.to_string(),
            http: client(),
            dir,
            clock,
            engine,
            server,
            shutdown,
            running: None,
        }
    }

    pub(crate) fn start_workers(&mut self) {
        self.running = Some(self.engine.start());
    }

    pub(crate) async fn stop_workers(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop_workers().await;
        self.shutdown.cancel();
        self.server.ended().await;
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("{}{target}", self.server.url())
    }

    /// A path below the project, version 1.0.
    pub(crate) fn group(&self, rest: &str) -> String {
        format!("/api/atlas/v1.0/groups/{}{rest}", self.project)
    }

    /// A path below the organization, version 1.0.
    pub(crate) fn of_org(&self, rest: &str) -> String {
        format!("/api/atlas/v1.0/orgs/{}{rest}", self.org)
    }

    /// A path below the project, Regrow's own.
    pub(crate) fn own(&self, rest: &str) -> String {
        format!("/api/regrow/v1/groups/{}{rest}", self.project)
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask(&self.owner, Method::GET, target, None).await
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        self.ask(&self.owner, Method::POST, target, Some(body.to_string()))
            .await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.ask(&self.owner, Method::DELETE, target, None).await
    }

    /// Asks with digest, a challenge of its own for each request.
    pub(crate) async fn ask(
        &self,
        key: &Credentials,
        method: Method,
        target: &str,
        body: Option<String>,
    ) -> Answer {
        self.ask_with(key, method, target, body, HeaderMap::new())
            .await
    }

    pub(crate) async fn ask_with(
        &self,
        key: &Credentials,
        method: Method,
        target: &str,
        body: Option<String>,
        headers: HeaderMap,
    ) -> Answer {
        let header = self.authorization(key, method.as_str(), target).await;
        let request = self.http.request(method, self.url(target)).headers(headers);
        let request = request.header(AUTHORIZATION, header);
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body),
            None => request,
        };
        read(request.send().await.unwrap()).await
    }

    /// Asks without credentials.
    pub(crate) async fn plain(&self, method: Method, target: &str) -> Answer {
        read(
            self.http
                .request(method, self.url(target))
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn challenge(&self) -> Challenge {
        let answer = self.plain(Method::GET, "/api/atlas/v1.0").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        Challenge::parse(answer.header(WWW_AUTHENTICATE.as_str())).unwrap()
    }

    pub(crate) async fn authorization(
        &self,
        key: &Credentials,
        method: &str,
        target: &str,
    ) -> String {
        let mut exchange = Exchange::new(self.challenge().await);
        exchange.authorize((&key.public, &key.private), method, target, &cnonce())
    }

    /// Sends a ready-made header.
    pub(crate) async fn with_header(&self, target: &str, header: &str) -> Answer {
        let request = self
            .http
            .get(self.url(target))
            .header(AUTHORIZATION, header);
        read(request.send().await.unwrap()).await
    }

    /// Makes a key with roles on the organization.
    pub(crate) async fn org_key(&self, roles: &[&str]) -> Credentials {
        let body = json!({ "desc": "a key", "roles": roles });
        key_of(&self.post(&self.of_org("/apiKeys"), body).await.is(200))
    }

    /// Makes a key with roles on the project.
    pub(crate) async fn project_key(&self, roles: &[&str]) -> Credentials {
        let body = json!({ "desc": "a key", "roles": roles });
        key_of(&self.post(&self.group("/apiKeys"), body).await.is(200))
    }

    /// Attaches a server as a cluster, without a first snapshot.
    pub(crate) async fn attach(&self, name: &str, tier: &str, uri: &str) -> Value {
        let body = json!({
            "name": name, "tier": tier, "connectionString": uri, "takeSnapshot": false,
        });
        self.post(&self.own("/clusters"), body).await.is(201)
    }

    /// Takes a snapshot and waits for it; returns its id.
    pub(crate) async fn snapshot(&self, cluster: &str) -> String {
        let path = self.own(&format!("/clusters/{cluster}/snapshots"));
        let taken = self.post(&path, json!({})).await.is(201);
        let id = taken["id"].as_str().unwrap().to_owned();
        let path = format!("{path}/{id}");
        let ended = wait_for(LIMIT, "the snapshot", || async {
            let snapshot = self.get(&path).await.is(200);
            match snapshot["status"].as_str() {
                Some("COMPLETED") => Ok(()),
                _ => Err(snapshot.to_string()),
            }
        });
        ended.await.unwrap();
        id
    }
}

fn key_of(created: &Value) -> Credentials {
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    Credentials {
        id: text("id"),
        public: text("publicKey"),
        private: text("privateKey"),
    }
}

pub(crate) async fn read(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// A text that no other call returns.
pub(crate) fn cnonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn client() -> Client {
    // A second installation fails, and changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.no_proxy().build().unwrap()
}

/// A replica set that is shared by all tests of this binary which only read from it.
pub(crate) async fn mongo() -> &'static RealMongo {
    static MONGO: tokio::sync::OnceCell<RealMongo> = tokio::sync::OnceCell::const_new();
    let start = || async { RealMongo::replica_set().start().await };
    MONGO.get_or_try_init(start).await.unwrap()
}
