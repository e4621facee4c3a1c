//! The SQL engine: the only file that names one.

pub(crate) struct Pools;
