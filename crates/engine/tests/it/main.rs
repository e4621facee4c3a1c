//! The work end to end, on real servers and a real store: what a job promises, and what is left
//! where one is interrupted.

mod bad_store;
mod capped;
mod clock;
mod data_files;
mod downloads;
mod drills;
mod exact;
mod exact_catalog;
mod exact_kept;
mod exact_witness;
mod failover;
mod full_disk;
mod increments;
mod interruptions;
mod jobs;
mod peek;
mod reattached;
mod refusals;
mod resuming;
mod rewinds;
mod schedule;
mod selections;
mod too_late;
mod undone;
mod unsteady;
mod ways;
mod world;
