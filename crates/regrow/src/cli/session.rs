//! What the commands that talk to the service share: the connection, the project, and what a
//! refusal means to somebody at a terminal.

use std::path::{Path, PathBuf};

use api::Id;
use api::error::ErrorDocument;
use api::group::Group;
use api::link::segment;
use api::regrow::Snapshot;
use api::tenant::Status;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::args::Service;
use super::exit::{Exit, Failure, with_causes};
use super::output::Output;
use crate::client::{Client, ClientError, Credentials};

/// Where the service is unless something else is said.
const URL_DEFAULT: &str = "http://127.0.0.1:8080";

/// The word for the newest complete snapshot.
const LATEST: &str = "latest";

/// Most bytes of a file that holds one secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A connection to the service on behalf of one command.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) output: Output,
    wanted: Option<String>,
    project: OnceCell<Group>,
}

impl Session {
    /// Prepares for requests; sends none yet.
    pub(super) fn new(service: Service, output: Output) -> Result<Self, Failure> {
        let credentials = credentials(&service)?;
        let url = service.url.or_else(|| variable("REGROW_URL"));
        let url = url.unwrap_or_else(|| URL_DEFAULT.to_owned());
        let ca_file = service
            .ca_file
            .or_else(|| variable("REGROW_CA_FILE").map(PathBuf::from));
        let client = Client::new(&url, credentials, ca_file.as_deref())?;
        let wanted = service.project.or_else(|| variable("REGROW_PROJECT_ID"));
        Ok(Self {
            client,
            output,
            wanted,
            project: OnceCell::new(),
        })
    }

    /// Returns the project to work in: the one that was named, or the only one there is.
    pub(super) async fn project(&self) -> Result<&Group, Failure> {
        self.project.get_or_try_init(|| self.find_project()).await
    }

    async fn find_project(&self) -> Result<Group, Failure> {
        if let Some(name) = &self.wanted {
            return self.project_named(name).await;
        }
        let listed = self.client.page::<Group>(&atlas("/groups"), 1).await?;
        let mut projects = listed.results.into_iter();
        match (projects.next(), projects.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Failure::new(Exit::Denied, "the API key sees no project")
                .hint("give it a role in one, or use another key")),
            (Some(_), Some(_)) => Err(Failure::usage("the API key sees more than one project")
                .hint("choose one with --project or REGROW_PROJECT_ID; see `regrow project list`")),
        }
    }

    /// Returns a project by its id or its name.
    pub(super) async fn project_named(&self, name: &str) -> Result<Group, Failure> {
        let path = match name.parse::<Id>() {
            Ok(id) => atlas(&format!("/groups/{id}")),
            Err(_) => atlas(&format!("/groups/byName/{}", segment(name))),
        };
        Ok(self.client.get(&path).await?)
    }

    /// Returns a path of the service's own API below the project.
    pub(super) async fn in_project(&self, rest: &str) -> Result<String, Failure> {
        Ok(format!(
            "{}/groups/{}{rest}",
            api::REGROW_V1,
            self.project().await?.id
        ))
    }

    /// Returns the path of one cluster, and what is below it.
    pub(super) async fn in_cluster(&self, cluster: &str, rest: &str) -> Result<String, Failure> {
        self.in_project(&format!("/clusters/{}{rest}", segment(cluster)))
            .await
    }

    /// Returns a snapshot by its id, or the newest complete one for `latest`.
    pub(super) async fn snapshot(&self, cluster: &str, name: &str) -> Result<Snapshot, Failure> {
        if name != LATEST {
            let id = id(name, "a snapshot id; `latest` is the newest complete one")?;
            let path = self
                .in_cluster(cluster, &format!("/snapshots/{id}"))
                .await?;
            return Ok(self.client.get(&path).await?);
        }
        let path = self.in_cluster(cluster, "/snapshots").await?;
        let snapshots: Vec<Snapshot> = self.client.list(&path).await?;
        let complete = snapshots
            .into_iter()
            .find(|one| one.status == Status::Completed);
        complete.ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                format!("{cluster} has no complete snapshot yet"),
            )
            .hint(format!("take one: regrow snapshot take {cluster} --wait"))
        })
    }
}

/// Returns what the environment says; an empty text is nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns a path of the documented API.
pub(super) fn atlas(rest: &str) -> String {
    format!("{}{rest}", api::ATLAS_V1)
}

/// Reads an id of 24 digits; `what` says what kind it is.
pub(super) fn id(text: &str, what: &str) -> Result<Id, Failure> {
    text.parse()
        .map_err(|_| Failure::usage(format!("`{text}` is not {what}")))
}

fn credentials(service: &Service) -> Result<Option<Credentials>, Failure> {
    let private_key = match &service.private_key_file {
        Some(path) => Some(secret_of(path)?),
        None => variable("REGROW_PRIVATE_KEY"),
    };
    let public_key = service.public_key.clone();
    let public_key = public_key.or_else(|| variable("REGROW_PUBLIC_KEY"));
    match (public_key, private_key) {
        (Some(public_key), Some(private_key)) => Ok(Some(Credentials {
            public_key,
            private_key: private_key.into(),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Failure::usage("there is a public key but no private key")
            .hint("set REGROW_PRIVATE_KEY, or name a file with --private-key-file")),
        (None, Some(_)) => Err(Failure::usage("there is a private key but no public key")
            .hint("set REGROW_PUBLIC_KEY, or give --public-key")),
    }
}

/// Reads a secret from a file, or from standard input for `-`, without the line's end.
pub(super) fn read_secret(path: &Path) -> Result<SecretString, Failure> {
    secret_of(path).map(SecretString::from)
}

fn secret_of(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let failed =
        |error: &std::io::Error| Failure::usage(format!("read {}: {error}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(SECRET_BYTES_MAX)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| failed(&error))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Failure::usage(format!("{} is empty", path.display())));
    }
    Ok(secret.to_owned())
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = with_causes(&error);
        match error {
            ClientError::InvalidUrl(_) | ClientError::Certificates { .. } => {
                Failure::usage(message)
            }
            ClientError::Setup(_) | ClientError::Write(_) => {
                Failure::new(Exit::Unexpected, message)
            }
            ClientError::Unreachable { .. } => Failure::new(Exit::Unreachable, message)
                .hint("is `regrow serve` running there? REGROW_URL or --url say where it is"),
            ClientError::Strange { .. } => Failure::new(Exit::Unreachable, message)
                .hint("REGROW_URL or --url say where the service is"),
            ClientError::Unauthenticated {
                has_credentials: true,
                ..
            } => Failure::new(Exit::Denied, message)
                .hint("check REGROW_PUBLIC_KEY and REGROW_PRIVATE_KEY"),
            ClientError::Unauthenticated {
                has_credentials: false,
                ..
            } => Failure::new(Exit::Denied, "there is no API key to ask with")
                .hint("set REGROW_PUBLIC_KEY and REGROW_PRIVATE_KEY to what `regrow init` printed"),
            ClientError::Refused {
                status,
                code,
                detail,
            } => refused(status, &code, &detail),
        }
    }
}

fn refused(status: u16, code: &str, detail: &str) -> Failure {
    let exit = match status {
        401 | 403 => Exit::Denied,
        400..=499 => Exit::Refused,
        _ => Exit::Unexpected,
    };
    let failure = Failure::new(exit, lower_case(detail)).code(code);
    match hint_of(code) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Reads one line of an answer that comes in lines.
pub(super) fn line<T: DeserializeOwned>(line: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(line).map_err(|error| {
        let message = format!("a line of the answer cannot be read: {error}");
        Failure::new(Exit::Unreachable, message)
    })
}

/// Returns the failure of an answer that ended with an error after it had begun.
pub(super) fn refusal(document: ErrorDocument) -> Failure {
    let detail = document.detail.unwrap_or_default();
    refused(document.error, &document.error_code, &detail)
}

/// Returns the failure of an answer that ended without saying that it is whole.
pub(super) fn broken_off() -> Failure {
    Failure::new(Exit::Unreachable, "the answer broke off before its end")
}

/// Turns the service's sentence into the form of this program's own messages.
fn lower_case(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches('.');
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        // A word in capitals, such as an abbreviation or an id, stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.to_owned(),
    }
}

/// Returns what somebody at a terminal can do about a code of the service.
fn hint_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "CLUSTER_NOT_FOUND" => "`regrow cluster list` shows the clusters of the project",
        "GROUP_NOT_FOUND" | "GROUP_NAME_NOT_FOUND" | "NOT_IN_GROUP" => {
            "`regrow project list` shows the projects; REGROW_PROJECT_ID or --project choose one"
        }
        "SNAPSHOT_NOT_FOUND" => "`regrow snapshot list CLUSTER` shows the snapshots of a cluster",
        "NAMESPACE_NOT_FOUND" => "names are case-sensitive",
        "RESTORE_JOB_NOT_FOUND" => "`regrow restore list CLUSTER` shows the restores of a cluster",
        "USER_UNAUTHORIZED" => "use a key with the role GROUP_OWNER in the project",
        "IP_ADDRESS_NOT_ON_ACCESS_LIST" => {
            "add the address from a listed one: regrow key access add KEY ADDRESS"
        }
        "RESOURCE_REQUIRES_ACCESS_LIST" => {
            "give the key an access list: regrow key access add KEY ADDRESS"
        }
        "UNFINISHED_ON_DEMAND_SNAPSHOT" => "wait for it: regrow snapshot list CLUSTER",
        "ATLAS_CLUSTER_RESTORE_IN_PROGRESS" => "wait for it: regrow restore list CLUSTER",
        "CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED" => {
            "take it back first: regrow cluster set CLUSTER --termination-protection false"
        }
        "CONNECTION_STRING_OF_ANOTHER_DEPLOYMENT" => {
            "if that is meant, add --another-deployment; the next snapshot then reads everything"
        }
        "DEPLOYMENT_UNREACHABLE" => {
            "the service, not this machine, must reach it; is the address right from there?"
        }
        "UNEXPECTED_ERROR" => "the log of `regrow serve` has more",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Exit, lower_case, refused};

    #[test]
    fn the_status_decides_the_exit_code() {
        let exit = |status| refused(status, "CODE", "Words.").exit();
        assert_eq!([400, 404, 409, 410].map(exit), [Exit::Refused; 4]);
        assert_eq!([401, 403].map(exit), [Exit::Denied; 2]);
        assert_eq!([500, 503].map(exit), [Exit::Unexpected; 2]);
    }

    #[test]
    fn sentences_become_messages() {
        assert_eq!(lower_case("There is no cluster."), "there is no cluster");
        assert_eq!(lower_case("API keys need roles."), "API keys need roles");
        assert_eq!(lower_case("crow is busy"), "crow is busy");
        assert_eq!(lower_case(""), "");
    }
}
