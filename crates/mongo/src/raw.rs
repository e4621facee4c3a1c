//! Walks raw BSON by its framing alone, without decoding a value.
//!
//! It must never trust a length: every one is checked against what surrounds it. The driver's own
//! iterator is not used because it gives values, not offsets, and offsets are what a batch needs.

/// The type byte of a string.
pub(crate) const STRING: u8 = 0x02;
/// The type byte of an embedded document.
pub(crate) const DOCUMENT: u8 = 0x03;
/// The type byte of an array.
pub(crate) const ARRAY: u8 = 0x04;
/// The type byte of binary data.
pub(crate) const BINARY: u8 = 0x05;
/// The type byte of a 32-bit integer.
pub(crate) const INT32: u8 = 0x10;
/// The type byte of a 64-bit integer.
pub(crate) const INT64: u8 = 0x12;
/// The type byte of a timestamp.
pub(crate) const TIMESTAMP: u8 = 0x11;

/// Bytes that are not a BSON document; says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One element of a document, as offsets from the document's first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
    /// Offset of the type byte.
    pub(crate) start: usize,
    /// Offset of the first byte of the value.
    pub(crate) value: usize,
    /// Offset after the last byte of the value.
    pub(crate) end: usize,
}

/// The elements of one document; ends after the first error.
pub(crate) struct Elements<'a> {
    document: &'a [u8],
    at: usize,
}

impl<'a> Elements<'a> {
    /// Starts at the first element of `document`, which must be exactly one document long.
    pub(crate) fn of(document: &'a [u8]) -> Result<Self, Malformed> {
        if document.len() < 5 || length_at(document, 0)? != document.len() {
            return Err(Malformed("a document's length is not that of its bytes"));
        }
        if document[document.len() - 1] != 0 {
            return Err(Malformed("a document does not end with zero"));
        }
        Ok(Self { document, at: 4 })
    }

    fn element(&self) -> Result<Element<'a>, Malformed> {
        let body = &self.document[..self.document.len() - 1];
        let start = self.at;
        let name_length = cstring(body, start + 1)?;
        let name = &body[start + 1..start + 1 + name_length];
        let value = start + 1 + name_length + 1;
        let end = value
            .checked_add(value_length(body, body[start], value)?)
            .filter(|end| *end <= body.len())
            .ok_or(Malformed("a value ends after its document"))?;
        Ok(Element {
            kind: body[start],
            name,
            start,
            value,
            end,
        })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let last = self.document.len() - 1;
        if self.at >= last {
            return None;
        }
        let element = self.element();
        self.at = element.as_ref().map_or(last, |element| element.end);
        Some(element)
    }
}

/// Returns the length that stands at `at`, checked to lie within `bytes`.
pub(crate) fn length_at(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    let four = at.checked_add(4).and_then(|end| bytes.get(at..end));
    let four = four.ok_or(Malformed("a length is cut off"))?;
    let length = i32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    let length = usize::try_from(length).map_err(|_| Malformed("a length is negative"))?;
    if length > bytes.len() - at {
        return Err(Malformed("a length reaches over the end"));
    }
    Ok(length)
}

/// Returns the length of the zero-terminated string at `at`, without the zero.
fn cstring(bytes: &[u8], at: usize) -> Result<usize, Malformed> {
    bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == 0))
        .ok_or(Malformed("a name does not end"))
}

/// Returns the length of a value of this type at `at` (<https://bsonspec.org/spec.html>).
fn value_length(bytes: &[u8], kind: u8, at: usize) -> Result<usize, Malformed> {
    Ok(match kind {
        // Undefined, null, the smallest and the largest key.
        0x06 | 0x0A | 0xFF | 0x7F => 0,
        // Boolean.
        0x08 => 1,
        // 32-bit integer.
        0x10 => 4,
        // Double, date, timestamp, 64-bit integer.
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        // Object id.
        0x07 => 12,
        // Decimal.
        0x13 => 16,
        // String, code, symbol: length, then that many bytes.
        0x02 | 0x0D | 0x0E => 4 + length_at(bytes, at)?,
        // Document, array, code with scope: the length counts itself.
        0x03 | 0x04 | 0x0F => length_at(bytes, at)?.max(4),
        // Binary: length, subtype, then that many bytes.
        0x05 => 5 + length_at(bytes, at)?,
        // Database pointer: a string and an object id.
        0x0C => 16 + length_at(bytes, at)?,
        // Regular expression: two names.
        0x0B => {
            let pattern = cstring(bytes, at)? + 1;
            pattern + cstring(bytes, at + pattern)? + 1
        }
        _ => return Err(Malformed("a value has an unknown type")),
    })
}

/// Starts a document that further elements are appended to as bytes.
pub(crate) struct Builder(Vec<u8>);

impl Builder {
    /// Goes on after the elements of `head`.
    pub(crate) fn after(head: bson::RawDocumentBuf, capacity: usize) -> Self {
        let mut bytes = head.into_bytes();
        bytes.reserve(capacity);
        bytes.pop();
        Self(bytes)
    }

    /// Appends a whole element: type byte, name, zero, value.
    pub(crate) fn element(&mut self, element: &[u8]) {
        self.0.extend_from_slice(element);
    }

    /// Appends `name`: an array of raw documents.
    pub(crate) fn documents(&mut self, name: &str, documents: &[&[u8]]) {
        let values = documents.iter().map(|document| (DOCUMENT, *document));
        self.values(name, values);
    }

    /// Appends `name`: an array of values, each a type byte and its encoding.
    pub(crate) fn values<'v>(&mut self, name: &str, values: impl Iterator<Item = (u8, &'v [u8])>) {
        self.0.push(ARRAY);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        for (position, (kind, value)) in values.enumerate() {
            self.0.push(kind);
            self.0.extend_from_slice(position.to_string().as_bytes());
            self.0.push(0);
            self.0.extend_from_slice(value);
        }
        self.0.push(0);
        patch_length(&mut self.0, start);
    }

    /// Ends the document.
    pub(crate) fn finish(mut self) -> bson::RawDocumentBuf {
        self.0.push(0);
        patch_length(&mut self.0, 0);
        bson::RawDocumentBuf::from_bytes(self.0).expect("the length was just written")
    }
}

/// Writes at `start` how many bytes there are from there on.
fn patch_length(bytes: &mut [u8], start: usize) {
    let length = i32::try_from(bytes.len() - start).expect("a command is far below 2 GiB");
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Bson, doc, rawdoc};

    use super::*;

    #[test]
    fn every_type_is_stepped_over() {
        let (pattern, options) = ("^a".try_into().unwrap(), "i".try_into().unwrap());
        let regex = bson::Regex { pattern, options };
        let document = doc! {
            "double": 1.5, "string": "text", "document": { "a": 1 }, "array": [1, 2],
            "binary": bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![1; 9] },
            "undefined": Bson::Undefined, "id": bson::oid::ObjectId::new(), "yes": true,
            "date": bson::DateTime::from_millis(0), "null": Bson::Null,
            "regex": regex,
            "code": Bson::JavaScriptCode("f()".into()), "symbol": Bson::Symbol("s".into()),
            "scoped": bson::JavaScriptCodeWithScope { code: "g()".into(), scope: doc! { "x": 1 } },
            "int": 1_i32, "timestamp": bson::Timestamp { time: 1, increment: 2 }, "long": 1_i64,
            "decimal": bson::Decimal128::from_bytes([7; 16]),
            "smallest": Bson::MinKey, "largest": Bson::MaxKey,
        };
        let raw = bson::serialize_to_vec(&document).unwrap();
        let names: Vec<String> = Elements::of(&raw)
            .unwrap()
            .map(|element| String::from_utf8(element.unwrap().name.to_vec()).unwrap())
            .collect();
        assert_eq!(names, document.keys().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_makes_it_panic() {
        let raw = rawdoc! { "_id": 1, "a": { "b": "text" }, "c": [1, "x"] }.into_bytes();
        for cut in 0..raw.len() {
            assert!(Elements::of(&raw[..cut]).is_err());
        }
        for position in 0..raw.len() {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut broken = raw.clone();
                broken[position] = value;
                if let Ok(elements) = Elements::of(&broken) {
                    assert!(elements.count() <= raw.len());
                }
            }
        }
    }

    #[test]
    fn a_built_document_is_what_the_driver_would_have_made() {
        let (a, b) = (rawdoc! { "_id": 1 }, rawdoc! { "_id": 2, "x": "y" });
        let mut builder = Builder::after(rawdoc! { "insert": "c" }, 100);
        builder.documents("documents", &[a.as_bytes(), b.as_bytes()]);
        let expected = rawdoc! { "insert": "c", "documents": [a.clone(), b.clone()] };
        assert_eq!(builder.finish(), expected);
    }
}
