//! What tests rely on when they start a server of their own.

mod real_mongo;
