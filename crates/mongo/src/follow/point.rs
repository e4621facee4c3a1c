//! Where following can begin, and what proves later that history is still the same one.
use bson::spec::BinarySubtype;
use bson::{RawDocument, RawDocumentBuf, rawdoc};

use crate::{ClusterTime, Error};

/// A majority-committed time and what proves that history is still the one that led to it.
///
/// Opaque to others, who keep its bytes. It may hold the `_id` of one document.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumePoint {
    pub(super) time: ClusterTime,
    pub(super) proof: Proof,
    /// Whether it is the point of a pass, whose reads are at no one time.
    pub(super) of_pass: bool,
}

/// What must be found again in the server's history.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Proof {
    /// The hash of the oplog's entry at the time: its term, its wall clock time and all it says.
    Oplog([u8; 32]),
    /// The resume token of the last event not later than the time. A server refuses to go on after
    /// an event that it does not have; a token without an event it would believe.
    ChangeStream(RawDocumentBuf),
}

/// By which way changes were learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowWay {
    /// From `local.oplog.rs`.
    Oplog,
    /// From a change stream over the whole deployment.
    ChangeStream,
}

/// The version of the bytes, written first.
const VERSION: i32 = 1;

impl ResumePoint {
    /// Returns the time that following begins after.
    pub fn time(&self) -> ClusterTime {
        self.time
    }

    /// Tells whether it is the point of a pass.
    pub(crate) fn of_pass(&self) -> bool {
        self.of_pass
    }

    /// Returns the way by which it will be followed.
    pub fn way(&self) -> FollowWay {
        match self.proof {
            Proof::Oplog(_) => FollowWay::Oplog,
            Proof::ChangeStream(_) => FollowWay::ChangeStream,
        }
    }

    /// Returns the point as one that also serves what a later pass has read: what was renamed since
    /// counts as unknown.
    #[must_use]
    pub fn for_passes(self) -> Self {
        Self {
            of_pass: true,
            ..self
        }
    }

    /// Returns the point as bytes: some hundred, more only where an `_id` is longer.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut document = rawdoc! {
            "version": VERSION,
            "time": bson::Timestamp::from(self.time),
            "pass": self.of_pass,
        };
        match &self.proof {
            Proof::Oplog(hash) => document.append(
                bson::cstr!("entry"),
                bson::Binary {
                    subtype: BinarySubtype::Generic,
                    bytes: hash.to_vec(),
                },
            ),
            Proof::ChangeStream(token) => document.append(bson::cstr!("event"), token.clone()),
        }
        document.into_bytes()
    }

    /// Reads what [`ResumePoint::to_bytes`] gave; anything else is [`Error::InvalidInput`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        RawDocument::from_bytes(bytes)
            .ok()
            .and_then(Self::of_document)
            .ok_or_else(|| Error::InvalidInput {
                namespace: "resume point".to_owned(),
                what: "it was not written by this version".to_owned(),
            })
    }

    fn of_document(document: &RawDocument) -> Option<Self> {
        if document.get_i32("version").ok()? != VERSION {
            return None;
        }
        let proof = match document.get_binary("entry") {
            Ok(hash) => Proof::Oplog(hash.bytes.try_into().ok()?),
            Err(_) => Proof::ChangeStream(document.get_document("event").ok()?.to_owned()),
        };
        Some(Self {
            time: document.get_timestamp("time").ok()?.into(),
            proof,
            of_pass: document.get_bool("pass").ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_survives_its_bytes_and_nothing_else_is_taken_for_one() {
        let time = ClusterTime {
            seconds: 1_700_000_000,
            increment: 3,
        };
        for proof in [
            Proof::Oplog([7; 32]),
            Proof::ChangeStream(rawdoc! { "_data": "82" }),
        ] {
            for of_pass in [false, true] {
                let proof = proof.clone();
                let point = ResumePoint {
                    time,
                    proof,
                    of_pass,
                };
                let bytes = point.to_bytes();
                assert_eq!(ResumePoint::from_bytes(&bytes).unwrap(), point);
                for cut in 0..bytes.len() {
                    assert!(ResumePoint::from_bytes(&bytes[..cut]).is_err());
                }
            }
        }
        let newer = rawdoc! { "version": 2 };
        assert!(ResumePoint::from_bytes(newer.as_bytes()).is_err());
    }
}
