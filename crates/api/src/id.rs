//! The 24-digit hexadecimal identifier that every resource of the API carries.
//!
//! Untyped on purpose: which kind of thing an id names is the domain's business.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Twelve bytes, written as 24 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 12]);

/// The text is not 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of 24 hexadecimal digits")]
pub struct InvalidId;

impl Id {
    /// Wraps the twelve bytes of an object id.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// Returns the twelve bytes of the object id.
    pub const fn bytes(self) -> [u8; 12] {
        self.0
    }

    fn write(self, digits: &mut [u8; 24]) -> &str {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for (index, byte) in self.0.iter().enumerate() {
            digits[index * 2] = HEX[usize::from(byte >> 4)];
            digits[index * 2 + 1] = HEX[usize::from(byte & 0x0f)];
        }
        std::str::from_utf8(digits).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.write(&mut [0; 24]))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits: &[u8; 24] = text.as_bytes().try_into().map_err(|_| InvalidId)?;
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn hex_digit(digit: u8) -> Result<u8, InvalidId> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidId),
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; 24]))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for Id {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-f0-9]{24}$"))
            .description(Some("Identifier of 24 hexadecimal digits."))
            .into()
    }
}

impl utoipa::ToSchema for Id {}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn writes_what_it_reads() {
        let id: Id = "5cc9b501e5dc7c8ab1e45d65".parse().unwrap();
        assert_eq!(id.to_string(), "5cc9b501e5dc7c8ab1e45d65");
        assert_eq!("5CC9B501E5DC7C8AB1E45D65".parse(), Ok(id));
        assert_eq!(Id::from_bytes(id.bytes()), id);
    }

    #[test]
    fn refuses_what_is_not_24_digits() {
        for text in [
            "",
            "5cc9",
            "5cc9b501e5dc7c8ab1e45d6g",
            "5cc9b501e5dc7c8ab1e45d651",
        ] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }
}
