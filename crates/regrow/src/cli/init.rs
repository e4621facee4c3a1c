//! `regrow init`: a data directory with a first organization, project and API key.

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::args::Init;
use super::exit::{Exit, Failure, with_causes};
use super::output::Output;
use super::serve;
use crate::clock::SystemClock;
use crate::config::Config;
use engine::{DataDir, InitError, OpenError};

/// What `init` prints, once.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    org_id: String,
    project_id: String,
    public_key: &'a str,
    private_key: &'a str,
}

pub(super) async fn run(command: Init, output: Output) -> Result<(), Failure> {
    let path = &command.data_dir.data_dir;
    let config = serve::engine_config(&Config::default());
    let made = DataDir::init(
        path,
        &command.organization,
        &command.project,
        &SystemClock,
        &config,
    )
    .await?;
    let printed = Made {
        org_id: made.organization.id.to_string(),
        project_id: made.project.id.to_string(),
        public_key: &made.key.key.public_key,
        private_key: made.key.private_key.expose_secret(),
    };
    if output.is_json() {
        return output.json(&printed);
    }
    output.remark(&format!(
        "{} is initialised. Keep what follows: the private key cannot be shown again. Keep a copy\n\
         of {} elsewhere, too: without it nobody can read the snapshots.",
        path.display(),
        path.join("key").display(),
    ));
    output.text(&format!(
        "export REGROW_PUBLIC_KEY={}\nexport REGROW_PRIVATE_KEY={}\nexport REGROW_PROJECT_ID={}\n",
        printed.public_key, printed.private_key, printed.project_id,
    ))?;
    output.remark(&format!("next: regrow serve --data-dir {}", path.display()));
    Ok(())
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match error {
            InitError::AlreadyInitialised(_) => {
                let failure = Failure::new(Exit::DataDirectory, error.to_string());
                failure.hint("nothing was changed; run `regrow serve` on it, or choose another")
            }
            InitError::InvalidName(error) => Failure::usage(error.to_string()),
            InitError::Open(error) => error.into(),
            InitError::Bootstrap(_) => Failure::new(Exit::Unexpected, with_causes(&error)),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Failure::new(Exit::DataDirectory, with_causes(&error))
    }
}
