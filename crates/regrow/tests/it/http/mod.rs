//! The API as clients see it: over a socket, with digest, against a real engine.

mod access_lists;
mod bad_input;
mod digest;
mod downloads;
mod jobs;
mod lists;
mod openapi;
mod resources;
mod roles;
mod tls;
mod world;
