//! Where following can begin, and what proves later that history is still the same one.
use crate::{ClusterTime, Error};

/// A majority-committed time and what proves that history is still the one that led to it.
///
/// Opaque to others, who keep its bytes. It holds no document and no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    time: ClusterTime,
}

/// By which way changes were learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowWay {
    /// From `local.oplog.rs`.
    Oplog,
    /// From a change stream over the whole deployment.
    ChangeStream,
}

impl ResumePoint {
    /// Returns the time that following begins after.
    pub fn time(&self) -> ClusterTime {
        self.time
    }

    /// Returns the point as bytes, a few hundred at most.
    pub fn to_bytes(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// Reads what [`ResumePoint::to_bytes`] gave; anything else is [`Error::InvalidInput`].
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, Error> {
        unimplemented!()
    }
}
