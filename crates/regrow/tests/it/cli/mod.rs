//! The command line as its users have it: the real binary, a real service, a real server.

mod access;
mod check;
mod crash;
mod drills;
mod journey;
mod printed;
mod refusals;
mod world;
