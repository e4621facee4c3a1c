//! The product from outside, in one binary to keep linking cheap.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod http;
