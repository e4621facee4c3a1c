//! Names of things in the store: fixed-size byte strings that are shown as lower-case hex. Must
//! never be confused with each other, so each is a type of its own.

use std::fmt;
use std::str::FromStr;

/// A text is not the hex form of an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lower-case hex digits")]
pub struct ParseIdError {
    /// Number of digits the id has.
    pub expected: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self).ok_or(ParseIdError { expected: 2 * $bytes })
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                encoder: &mut minicbor::Encoder<W>,
                _context: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                encoder.bytes(&self.0)?;
                Ok(())
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                decoder: &mut minicbor::Decoder<'b>,
                _context: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let bytes = decoder.bytes()?;
                let array = bytes.try_into().map_err(|_| {
                    minicbor::decode::Error::message(concat!("length of ", stringify!($name)))
                })?;
                Ok(Self(array))
            }
        }
    };
}

id! {
    /// Names a snapshot; chosen by the caller.
    SnapshotId, 12
}
id! {
    /// Names a repository; random.
    RepositoryId, 16
}
id! {
    /// Names a pack; random, and the salt of the pack's sealing key.
    PackId, 16
}
id! {
    /// Names a block: keyed BLAKE3 of its plain bytes.
    BlockId, 32
}
id! {
    /// Names a page: keyed BLAKE3 of its plain bytes.
    PageId, 32
}

/// Parses exactly `2 * N` lower-case hex digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Some(bytes)
}

/// Renders bytes as lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_from_their_text() {
        let id = SnapshotId([0, 1, 0xab, 3, 4, 5, 6, 7, 8, 9, 10, 0xff]);
        assert_eq!(id.to_string(), "0001ab030405060708090aff");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn upper_case_and_wrong_lengths_are_no_ids() {
        for text in [
            "",
            "00",
            "0001AB030405060708090aff",
            "0001ab030405060708090aff00",
            "é",
        ] {
            assert_eq!(
                text.parse::<SnapshotId>(),
                Err(ParseIdError { expected: 24 }),
                "{text}"
            );
        }
    }
}
