//! What tests rely on when they start a server of their own and fill it.

mod real_mongo;
mod reference;
mod sample;
mod workload;
