//! The long jobs as explicit steps. A job is entered again after a crash or a lost lease:
//! there is no recovery code beside the steps themselves.

pub(crate) mod data_files;
pub(crate) mod drill;
pub(crate) mod restore;
pub(crate) mod snapshot;
