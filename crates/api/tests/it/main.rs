//! Fixture answers are read and written again, and must come out byte for byte.
//!
//! The fixtures are written by hand from the facts of the contract; none is a copy of an answer
//! or of an example of the documentation.

#[cfg(test)]
mod golden;
#[cfg(test)]
mod requests;
