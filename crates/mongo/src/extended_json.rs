//! Stored documents as MongoDB's extended JSON (version 2), straight from their bytes.
//!
//! Names that occur twice and the order of names survive, which a decoded document would lose. Text
//! that is not UTF-8 gets replacement characters: JSON has no other way to write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::raw::Malformed;
use crate::value::{Fields, Value, kind};

/// How deep documents may be nested; the server allows 180 levels.
const DEPTH_MAX: usize = 250;
/// The last millisecond of the year 9999, behind which a date has no text form.
const DATE_TEXT_MAX_MS: i64 = 253_402_300_799_999;

/// Which form of extended JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonMode {
    /// Every type can be told from the text: `{"$numberInt": "1"}`.
    Canonical,
    /// Easy to read: numbers and dates look as people expect, and may lose their type.
    Relaxed,
}

/// Bytes that are not valid BSON; says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a document is not valid BSON: {0}")]
pub struct InvalidBson(&'static str);

impl From<Malformed> for InvalidBson {
    fn from(malformed: Malformed) -> Self {
        Self(malformed.0)
    }
}

/// Appends a document in one line, without a line feed.
pub fn document_to_json(
    document: &[u8],
    mode: JsonMode,
    out: &mut Vec<u8>,
) -> Result<(), InvalidBson> {
    let mut writer = Writer { mode, out };
    writer.fields(Fields::of(document)?, Brackets::DOCUMENT, 0)
}

/// Appends the value of a document's `_id`; `null` where it has none.
pub fn id_to_json(document: &[u8], mode: JsonMode, out: &mut Vec<u8>) -> Result<(), InvalidBson> {
    let mut writer = Writer { mode, out };
    for field in Fields::of(document)? {
        let (name, value) = field?;
        if name == b"_id" {
            return writer.value(value, 0);
        }
    }
    writer.out.extend_from_slice(b"null");
    Ok(())
}

struct Writer<'o> {
    mode: JsonMode,
    out: &'o mut Vec<u8>,
}

/// What stands around fields, and whether their names are written.
#[derive(Clone, Copy)]
struct Brackets {
    open: u8,
    close: u8,
    named: bool,
}

impl Brackets {
    const DOCUMENT: Self = Self {
        open: b'{',
        close: b'}',
        named: true,
    };
    const ARRAY: Self = Self {
        open: b'[',
        close: b']',
        named: false,
    };
}

impl Writer<'_> {
    fn fields(
        &mut self,
        fields: Fields<'_>,
        brackets: Brackets,
        depth: usize,
    ) -> Result<(), InvalidBson> {
        if depth > DEPTH_MAX {
            return Err(InvalidBson("it is nested too deep"));
        }
        self.out.push(brackets.open);
        for (position, field) in fields.enumerate() {
            let (name, value) = field?;
            if position > 0 {
                self.out.push(b',');
            }
            if brackets.named {
                self.text(name);
                self.out.push(b':');
            }
            self.value(value, depth)?;
        }
        self.out.push(brackets.close);
        Ok(())
    }

    fn value(&mut self, value: Value<'_>, depth: usize) -> Result<(), InvalidBson> {
        match value.kind {
            kind::STRING => self.text(value.text()?),
            kind::DOCUMENT => self.fields(value.fields()?, Brackets::DOCUMENT, depth + 1)?,
            kind::ARRAY => self.fields(value.fields()?, Brackets::ARRAY, depth + 1)?,
            kind::BOOLEAN => self.plain(if value.bytes == [0] { "false" } else { "true" }),
            kind::NULL => self.plain("null"),
            kind::DOUBLE => self.double(f64::from_le_bytes(value.fixed()?)),
            kind::INT => {
                let int = i32::from_le_bytes(value.fixed()?);
                self.number("$numberInt", &int.to_string());
            }
            kind::LONG => {
                let long = i64::from_le_bytes(value.fixed()?);
                self.number("$numberLong", &long.to_string());
            }
            kind::DATE => self.date(i64::from_le_bytes(value.fixed()?)),
            _ => self.marked(value, depth)?,
        }
        Ok(())
    }

    /// Writes a value whose type has a name of its own in both forms.
    fn marked(&mut self, value: Value<'_>, depth: usize) -> Result<(), InvalidBson> {
        match value.kind {
            kind::OBJECT_ID => self.object_id(value.fixed()?),
            kind::DECIMAL => {
                let decimal = bson::Decimal128::from_bytes(value.fixed()?);
                self.wrapped("$numberDecimal", &decimal.to_string());
            }
            kind::SYMBOL => self.wrapped_bytes("$symbol", value.text()?),
            kind::CODE => self.wrapped_bytes("$code", value.text()?),
            kind::CODE_WITH_SCOPE => {
                let (code, scope) = value.scoped_code()?;
                self.plain("{\"$code\":");
                self.text(code);
                self.plain(",\"$scope\":");
                self.fields(scope, Brackets::DOCUMENT, depth + 1)?;
                self.plain("}");
            }
            kind::BINARY => self.binary(value)?,
            kind::TIMESTAMP => {
                let bits = u64::from_le_bytes(value.fixed()?);
                let (time, increment) = (bits >> 32, bits & u64::from(u32::MAX));
                self.plain(&format!(
                    "{{\"$timestamp\":{{\"t\":{time},\"i\":{increment}}}}}"
                ));
            }
            kind::REGEX => {
                let (pattern, options) = value.regex()?;
                self.plain("{\"$regularExpression\":{\"pattern\":");
                self.text(pattern);
                self.plain(",\"options\":");
                self.text(options);
                self.plain("}}");
            }
            kind::DB_POINTER => {
                let (namespace, id) = value.db_pointer()?;
                self.plain("{\"$dbPointer\":{\"$ref\":");
                self.text(namespace);
                self.plain(",\"$id\":");
                self.object_id(id);
                self.plain("}}");
            }
            kind::UNDEFINED => self.plain("{\"$undefined\":true}"),
            kind::MIN_KEY => self.plain("{\"$minKey\":1}"),
            kind::MAX_KEY => self.plain("{\"$maxKey\":1}"),
            _ => return Err(InvalidBson("a value has an unknown type")),
        }
        Ok(())
    }

    fn plain(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        serde_json::to_writer(&mut *self.out, &text).expect("a text is written to memory");
    }

    fn wrapped(&mut self, name: &str, text: &str) {
        self.wrapped_bytes(name, text.as_bytes());
    }

    fn wrapped_bytes(&mut self, name: &str, text: &[u8]) {
        self.plain(&format!("{{\"{name}\":"));
        self.text(text);
        self.plain("}");
    }

    fn number(&mut self, name: &str, digits: &str) {
        match self.mode {
            JsonMode::Canonical => self.wrapped(name, digits),
            JsonMode::Relaxed => self.plain(digits),
        }
    }

    fn double(&mut self, double: f64) {
        if double.is_finite() {
            // The shortest text that is this double again, with a point or an exponent.
            self.number("$numberDouble", &format!("{double:?}"));
            return;
        }
        let word = match double {
            _ if double.is_nan() => "NaN",
            _ if double > 0.0 => "Infinity",
            _ => "-Infinity",
        };
        self.wrapped("$numberDouble", word);
    }

    fn date(&mut self, millis: i64) {
        let has_text = (0..=DATE_TEXT_MAX_MS).contains(&millis);
        let text = bson::DateTime::from_millis(millis).try_to_rfc3339_string();
        match (self.mode, text) {
            (JsonMode::Relaxed, Ok(text)) if has_text => self.wrapped("$date", &text),
            _ => self.plain(&format!("{{\"$date\":{{\"$numberLong\":\"{millis}\"}}}}")),
        }
    }

    fn object_id(&mut self, bytes: [u8; 12]) {
        let id = bson::oid::ObjectId::from_bytes(bytes);
        self.wrapped("$oid", &id.to_hex());
    }

    fn binary(&mut self, value: Value<'_>) -> Result<(), InvalidBson> {
        let mut bytes = value.binary()?;
        let subtype = value.bytes[4];
        // The old generic subtype repeats its length in front, which is not part of the value.
        if let (2, Some((length, rest))) = (subtype, bytes.split_first_chunk::<4>())
            && usize::try_from(u32::from_le_bytes(*length)) == Ok(rest.len())
        {
            bytes = rest;
        }
        let text = STANDARD.encode(bytes);
        self.plain(&format!(
            "{{\"$binary\":{{\"base64\":\"{text}\",\"subType\":\"{subtype:02x}\"}}}}"
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bson::spec::BinarySubtype;
    use bson::{Bson, Document, doc, rawdoc};

    use super::*;

    fn everything() -> Document {
        let text = |text: &str| bson::raw::CString::try_from(text).unwrap();
        let regex = bson::Regex {
            pattern: text("^\"a"),
            options: text("i"),
        };
        let code = bson::JavaScriptCodeWithScope {
            code: "f()".to_owned(),
            scope: doc! { "x": 1 },
        };
        let binary = |subtype, bytes: &[u8]| bson::Binary {
            subtype,
            bytes: bytes.to_vec(),
        };
        doc! {
            "double": 1.0, "minus": -0.0, "nan": f64::NAN, "inf": f64::NEG_INFINITY,
            "string": "ä\"\n\u{1}", "document": { "a": [1, { "b": 2_i64 }] }, "empty": {},
            "binary": binary(BinarySubtype::Uuid, &[1; 16]),
            "old": binary(BinarySubtype::BinaryOld, &[1, 2]),
            "undefined": Bson::Undefined, "id": bson::oid::ObjectId::from_bytes([7; 12]),
            "yes": true, "date": bson::DateTime::from_millis(1_600_000_000_123),
            "early": bson::DateTime::from_millis(-1), "null": Bson::Null, "regex": regex,
            "code": Bson::JavaScriptCode("f()".into()), "scoped": code,
            "symbol": Bson::Symbol("s".into()), "int": i32::MIN, "long": i64::MAX,
            "timestamp": bson::Timestamp { time: u32::MAX, increment: 2 },
            "decimal": "1.50".parse::<bson::Decimal128>().unwrap(),
            "smallest": Bson::MinKey, "largest": Bson::MaxKey,
        }
    }

    fn written(document: &[u8], mode: JsonMode) -> String {
        let mut out = Vec::new();
        document_to_json(document, mode, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn canonical_text_is_read_back_as_the_same_document() {
        let raw = bson::serialize_to_vec(&everything()).unwrap();
        let text = written(&raw, JsonMode::Canonical);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let Bson::Document(read) = Bson::try_from(value).unwrap() else {
            panic!("another kind of value: {text}")
        };
        assert_eq!(bson::serialize_to_vec(&read).unwrap(), raw, "{text}");
    }

    #[test]
    fn both_forms_are_those_of_the_driver() {
        let document = everything();
        let raw = bson::serialize_to_vec(&document).unwrap();
        let value = |mode| serde_json::from_str::<serde_json::Value>(&written(&raw, mode)).unwrap();
        let driver = Bson::Document(document);
        assert_eq!(
            value(JsonMode::Canonical),
            driver.clone().into_canonical_extjson()
        );
        assert_eq!(value(JsonMode::Relaxed), driver.into_relaxed_extjson());
    }

    #[test]
    fn names_that_occur_twice_are_both_written() {
        let mut raw = rawdoc! { "_id": 5, "a": 1 }.into_bytes();
        let last = raw.len() - 1;
        raw.splice(last..last, *b"\x10a\0\x02\0\0\0");
        let length = u32::try_from(raw.len()).unwrap().to_le_bytes();
        raw[..4].copy_from_slice(&length);
        assert_eq!(written(&raw, JsonMode::Relaxed), r#"{"_id":5,"a":1,"a":2}"#);
        let mut id = Vec::new();
        id_to_json(&raw, JsonMode::Canonical, &mut id).unwrap();
        assert_eq!(id, br#"{"$numberInt":"5"}"#);
    }

    #[test]
    fn no_flipped_byte_makes_it_panic() {
        let raw = bson::serialize_to_vec(&everything()).unwrap();
        for position in 0..raw.len() {
            for value in [0, 1, 4, 0x7F, 0x80, 0xFF] {
                let mut broken = raw.clone();
                broken[position] = value;
                let mut out = Vec::new();
                // Either answer is right: the test is that there is one.
                let _ = document_to_json(&broken, JsonMode::Relaxed, &mut out);
            }
        }
    }
}
