//! Compares a restored catalog with the one it should equal.
use std::fmt;

/// One way in which a target's catalog differs from the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Database and collection.
    pub namespace: String,
    /// What differs, in words.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.namespace, self.what)
    }
}
