//! `regrow openapi`: the description of the API, from the same place as the API.

use super::exit::Failure;
use super::output::Output;

pub(super) fn run(output: Output) -> Result<(), Failure> {
    output.json(&crate::http::openapi())
}
