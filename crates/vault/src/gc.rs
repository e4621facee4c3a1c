//! Removes what no manifest refers to.

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Packs deleted.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs seen unreferenced whose grace period is still running.
    pub waiting: u64,
}
