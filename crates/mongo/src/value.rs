//! A BSON value as its type byte and its bytes, and walking the fields of a document or array.
//!
//! Lengths are checked by [`crate::raw`]; what is read here is checked once more against the slice.

use std::borrow::Cow;

use crate::number::{Decimal, Number};
use crate::raw::{self, Elements, Malformed};

/// The type bytes of BSON (<https://bsonspec.org/spec.html>).
pub(crate) mod kind {
    pub(crate) const DOUBLE: u8 = 0x01;
    pub(crate) const STRING: u8 = 0x02;
    pub(crate) const DOCUMENT: u8 = 0x03;
    pub(crate) const ARRAY: u8 = 0x04;
    pub(crate) const BINARY: u8 = 0x05;
    pub(crate) const UNDEFINED: u8 = 0x06;
    pub(crate) const OBJECT_ID: u8 = 0x07;
    pub(crate) const BOOLEAN: u8 = 0x08;
    pub(crate) const DATE: u8 = 0x09;
    pub(crate) const NULL: u8 = 0x0A;
    pub(crate) const REGEX: u8 = 0x0B;
    pub(crate) const DB_POINTER: u8 = 0x0C;
    pub(crate) const CODE: u8 = 0x0D;
    pub(crate) const SYMBOL: u8 = 0x0E;
    pub(crate) const CODE_WITH_SCOPE: u8 = 0x0F;
    pub(crate) const INT: u8 = 0x10;
    pub(crate) const TIMESTAMP: u8 = 0x11;
    pub(crate) const LONG: u8 = 0x12;
    pub(crate) const DECIMAL: u8 = 0x13;
    pub(crate) const MAX_KEY: u8 = 0x7F;
    pub(crate) const MIN_KEY: u8 = 0xFF;
}

/// The place of undefined, and of what is missing, among the classes.
pub(crate) const CLASS_MISSING: u8 = 1;
/// The place of null among the classes.
pub(crate) const CLASS_NULL: u8 = 5;

/// One value; borrowed from a document or from the filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
}

/// A value that the filter holds.
#[derive(Clone, Debug)]
pub(crate) struct Literal {
    kind: u8,
    bytes: Vec<u8>,
}

impl Literal {
    pub(crate) fn value(&self) -> Value<'_> {
        Value {
            kind: self.kind,
            bytes: &self.bytes,
        }
    }
}

impl From<Value<'_>> for Literal {
    fn from(value: Value<'_>) -> Self {
        Self {
            kind: value.kind,
            bytes: value.bytes.to_vec(),
        }
    }
}

impl<'a> Value<'a> {
    /// Returns the value's place in the order of types: values of equal places can be compared
    /// (<https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/>).
    pub(crate) fn class(self) -> u8 {
        match self.kind {
            kind::MIN_KEY => 0,
            kind::UNDEFINED => CLASS_MISSING,
            kind::NULL => CLASS_NULL,
            kind::DOUBLE | kind::INT | kind::LONG | kind::DECIMAL => 10,
            kind::STRING | kind::SYMBOL => 15,
            kind::DOCUMENT => 20,
            kind::ARRAY => 25,
            kind::BINARY => 30,
            kind::OBJECT_ID => 35,
            kind::BOOLEAN => 40,
            kind::DATE => 45,
            kind::TIMESTAMP => 47,
            kind::REGEX => 50,
            kind::DB_POINTER => 55,
            kind::CODE => 60,
            kind::CODE_WITH_SCOPE => 65,
            _ => 255,
        }
    }

    /// Returns whether the value is a document or an array.
    pub(crate) fn has_fields(self) -> bool {
        matches!(self.kind, kind::DOCUMENT | kind::ARRAY)
    }

    /// Walks the fields of a document or array.
    pub(crate) fn fields(self) -> Result<Fields<'a>, Malformed> {
        Fields::of(self.bytes)
    }

    /// Returns the number, if the value is one.
    pub(crate) fn number(self) -> Result<Option<Number>, Malformed> {
        Ok(Some(match self.kind {
            kind::DOUBLE => Number::Double(f64::from_le_bytes(self.fixed()?)),
            kind::INT => Number::Int(i32::from_le_bytes(self.fixed()?).into()),
            kind::LONG => Number::Int(i64::from_le_bytes(self.fixed()?)),
            kind::DECIMAL => Number::Decimal(Decimal::from_bytes(self.fixed()?)),
            _ => return Ok(None),
        }))
    }

    /// Returns the bytes of a string, symbol or code, without length and zero.
    pub(crate) fn text(self) -> Result<&'a [u8], Malformed> {
        text_at(self.bytes, 0).map(|(text, _)| text)
    }

    /// Returns a string's text as the filter's author wrote it.
    pub(crate) fn lossy_text(self) -> Result<Cow<'a, str>, Malformed> {
        self.text().map(String::from_utf8_lossy)
    }

    /// Returns pattern and options of a regular expression.
    pub(crate) fn regex(self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let cut = |bytes: &'a [u8]| {
            let end = bytes.iter().position(|byte| *byte == 0);
            let end = end.ok_or(Malformed("a regular expression does not end"))?;
            Ok((&bytes[..end], &bytes[end + 1..]))
        };
        let (pattern, rest) = cut(self.bytes)?;
        Ok((pattern, cut(rest)?.0))
    }

    /// Returns the bytes of a binary value, without length and subtype.
    pub(crate) fn binary(self) -> Result<&'a [u8], Malformed> {
        self.bytes.get(5..).ok_or(Malformed("a binary is cut off"))
    }

    /// Returns code and scope of code with a scope.
    pub(crate) fn scoped_code(self) -> Result<(&'a [u8], Fields<'a>), Malformed> {
        let (code, end) = text_at(self.bytes, 4)?;
        Ok((code, Fields::of(&self.bytes[end..])?))
    }

    /// Returns namespace and id of a pointer to a document.
    pub(crate) fn db_pointer(self) -> Result<(&'a [u8], [u8; 12]), Malformed> {
        let (namespace, end) = text_at(self.bytes, 0)?;
        let id = self.bytes.get(end..).and_then(|id| id.try_into().ok());
        Ok((namespace, id.ok_or(Malformed("a pointer is cut off"))?))
    }

    /// Returns the bytes of a value that always has this many.
    pub(crate) fn fixed<const N: usize>(self) -> Result<[u8; N], Malformed> {
        self.bytes
            .try_into()
            .map_err(|_| Malformed("a value has another length than its type"))
    }
}

/// Returns the string whose length stands at `at`, and where it ends.
fn text_at(bytes: &[u8], at: usize) -> Result<(&[u8], usize), Malformed> {
    let length = raw::length_at(bytes, at)?;
    let end = at + 4 + length;
    let text = (length > 0)
        .then(|| bytes.get(at + 4..end - 1))
        .flatten()
        .ok_or(Malformed("a string is cut off"))?;
    Ok((text, end))
}

/// The fields of one document or array, each with its name.
pub(crate) struct Fields<'a> {
    document: &'a [u8],
    elements: Elements<'a>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(document: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self {
            document,
            elements: Elements::of(document)?,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.elements.next().map(|element| {
            let element = element?;
            let value = Value {
                kind: element.kind,
                bytes: &self.document[element.value..element.end],
            };
            Ok((element.name, value))
        })
    }
}
