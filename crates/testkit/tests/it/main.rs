//! What tests rely on when they start a server of their own and fill it.

mod real_mongo;
mod sample;
mod workload;
