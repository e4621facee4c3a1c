//! Which mode a restore takes, and why.

use model::{ChosenMode, RestoreMode};

use super::Error;

/// Decides.
pub(super) fn mode(asked: Option<RestoreMode>) -> Result<ChosenMode, Error> {
    Ok(match asked {
        Some(mode) => ChosenMode {
            mode,
            because: "it was asked for".to_owned(),
        },
        None => ChosenMode {
            mode: RestoreMode::Safe,
            because: "it is the safest".to_owned(),
        },
    })
}
