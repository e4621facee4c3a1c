//! The source and target room on real servers.
mod connecting;
mod fidelity;
mod filters;
mod following;
mod privileges;
mod snapshots;
mod support;
mod targets;
mod zoo;
