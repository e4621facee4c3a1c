//! Connecting to deployments, and their faults in the domain's words.

use std::time::Duration;

use model::{ClusterId, DeploymentFault, Error};
use mongo::{ConnectOptions, Deployment};
use secrecy::SecretString;

use crate::Engine;

/// Why the servers' room refused, as what a caller branches on.
pub(crate) fn fault(error: &mongo::Error) -> Option<DeploymentFault> {
    match error {
        mongo::Error::InvalidUri { .. } => Some(DeploymentFault::InvalidUri),
        mongo::Error::Unreachable { .. } => Some(DeploymentFault::Unreachable),
        mongo::Error::AuthenticationFailed { .. } => Some(DeploymentFault::AuthenticationFailed),
        mongo::Error::MissingPrivilege { .. } => Some(DeploymentFault::MissingPrivilege),
        mongo::Error::Unsupported { .. } => Some(DeploymentFault::Unsupported),
        _ => None,
    }
}

/// Turns a deployment's refusal into an error of the use case.
pub(crate) fn refused(error: mongo::Error) -> Error {
    match fault(&error) {
        Some(fault) => Error::Deployment {
            fault,
            message: error.to_string(),
        },
        None => Error::internal(error),
    }
}

impl Engine {
    fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            server_selection_timeout: Duration::from_millis(
                self.parts.config.deployment_timeout_ms,
            ),
            ..ConnectOptions::default()
        }
    }

    /// Connects by a connection string that is not stored yet.
    pub(crate) async fn connect_to(&self, uri: &SecretString) -> Result<Deployment, mongo::Error> {
        Deployment::connect(uri, self.connect_options()).await
    }

    /// Connects to an attached cluster.
    pub(crate) async fn connect(&self, cluster: ClusterId) -> Result<Deployment, ConnectError> {
        let uri = self
            .parts
            .meta
            .cluster_uri(cluster)
            .await
            .map_err(ConnectError::Record)?;
        self.connect_to(&uri)
            .await
            .map_err(ConnectError::Deployment)
    }
}

/// Why an attached cluster could not be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Its record could not be read.
    #[error(transparent)]
    Record(Error),
    /// The deployment refused or did not answer.
    #[error(transparent)]
    Deployment(mongo::Error),
}
