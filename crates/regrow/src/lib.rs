//! The product: one binary that is the service and its command line.
//!
//! Nothing below this crate knows of HTTP, of a terminal, or of a configuration file. The command
//! line does everything through the API, except what happens on the service's own machine:
//! `init`, `serve`, `check`.

pub mod cli;
mod client;
mod clock;
mod config;
pub mod http;
pub mod telemetry;
