//! The source and target room on real servers.
mod bracket;
mod connecting;
mod fidelity;
mod filters;
mod following;
mod history;
mod interruptions;
mod lost_history;
mod privileges;
mod rereading;
mod snapshots;
mod staging;
mod support;
mod targets;
mod zoo;
