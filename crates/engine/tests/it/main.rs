//! The work end to end, on real servers and a real store: what a job promises, and what is left
//! where one is interrupted.

mod downloads;
mod increments;
mod interruptions;
mod jobs;
mod refusals;
mod schedule;
mod world;
