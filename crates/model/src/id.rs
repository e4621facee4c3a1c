//! Typed identifiers over MongoDB's 12-byte ObjectId, the scheme Atlas uses.
//!
//! A naked string or number never crosses a room's boundary as an id. Ids sort by the
//! second they were made in. Randomness comes from the caller.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;

/// A text that is not 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id of 24 hexadecimal digits")]
pub struct InvalidId(pub String);

fn parse_hex(text: &str) -> Result<[u8; 12], InvalidId> {
    let invalid = || InvalidId(text.to_owned());
    let digits: &[u8; 24] = text.as_bytes().try_into().map_err(|_| invalid())?;
    let mut bytes = [0; 12];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = hex_value(pair[0]).ok_or_else(invalid)?;
        let low = hex_value(pair[1]).ok_or_else(invalid)?;
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 12]);

        impl $name {
            /// Makes an id from the second of `now` and eight bytes of randomness.
            pub fn generate(now: Timestamp, entropy: [u8; 8]) -> Self {
                let seconds = u32::try_from(now.as_millis() / 1000).unwrap_or(0);
                let mut bytes = [0; 12];
                bytes[..4].copy_from_slice(&seconds.to_be_bytes());
                bytes[4..].copy_from_slice(&entropy);
                Self(bytes)
            }

            /// Wraps the twelve bytes of an existing id.
            pub const fn from_bytes(bytes: [u8; 12]) -> Self {
                Self(bytes)
            }

            /// Returns the twelve bytes.
            pub fn to_bytes(self) -> [u8; 12] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// An organization.
    OrgId;
    /// A project; Atlas also calls it a group.
    ProjectId;
    /// A programmatic API key.
    KeyId;
    /// A protected deployment: a tenant cluster or a serverless instance.
    ClusterId;
    /// A snapshot.
    SnapshotId;
    /// A restore job, deliveries by download included.
    RestoreId;
    /// A unit of work for a worker.
    JobId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = SnapshotId::generate(Timestamp::from_millis(1_556_723_000_123), [7; 8]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().starts_with("5cc9b5"));
    }

    #[test]
    fn only_24_hexadecimal_digits_are_an_id() {
        for text in [
            "",
            "5cc9b501e5dc7c8ab1e45d6",
            "5cc9b501e5dc7c8ab1e45d650",
            "+cc9b501e5dc7c8ab1e45d65",
            "zcc9b501e5dc7c8ab1e45d65",
            "ééééééééé123456",
        ] {
            assert_eq!(text.parse::<RestoreId>(), Err(InvalidId(text.to_owned())));
        }
    }
}
