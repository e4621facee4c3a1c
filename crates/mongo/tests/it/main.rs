//! The source and target room on real servers.
mod connecting;
mod fidelity;
mod privileges;
mod snapshots;
mod support;
mod targets;
mod zoo;
