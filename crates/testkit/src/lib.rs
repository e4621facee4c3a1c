//! What tests, the demonstration and the benchmark share: a real `mongod`, data to put into it,
//! and a way to wait.
//!
//! It must never become part of the product: only development dependencies and `xtask` use it.
//! It must never skip: where no `mongod` can be had, it fails with a sentence that says what to do.

mod bench_data;
pub mod dump;
mod find;
mod owned_child;
mod random;
mod raw;
mod real_mongo;
mod real_set;
pub mod reference;
pub mod sample;
mod wait;
pub mod workload;

pub use bench_data::{BenchChange, BenchData, BenchLoaded, Share};
pub use find::{MongodSource, cache_dir, find_mongod, on_path};
pub use owned_child::OwnedChild;
pub use real_mongo::{RealMongo, RealMongoBuilder};
pub use real_set::RealSet;
pub use wait::wait_for;
