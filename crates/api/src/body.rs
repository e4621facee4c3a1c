//! Request bodies, read member by member, so that each fault gets the code that Atlas gives it.
//!
//! A serde derive would report one kind of error for all of them; clients branch on the code.

use serde_json::{Map, Value};

use crate::date::Date;
use crate::error::{ApiError, Code};
use crate::id::Id;

/// The members of a JSON object that have not been taken yet.
#[derive(Debug, Clone)]
pub struct Body {
    members: Map<String, Value>,
}

impl Body {
    /// Reads an object whose members are all in `known`; `null` counts as absent.
    ///
    /// An empty body counts as an empty object.
    ///
    /// # Errors
    /// `MALFORMED_JSON`, `INVALID_JSON`, or `INVALID_ATTRIBUTE` with the first unknown name.
    pub fn parse(bytes: &[u8], known: &[&str]) -> Result<Self, ApiError> {
        if bytes.is_empty() {
            return Ok(Self {
                members: Map::new(),
            });
        }
        Self::from_value(parse(bytes)?, known)
    }

    /// Reads an array of objects whose members are all in `known`.
    ///
    /// # Errors
    /// As [`Body::parse`]; the top must be an array.
    pub fn parse_array(bytes: &[u8], known: &[&str]) -> Result<Vec<Self>, ApiError> {
        match parse(bytes)? {
            Value::Array(items) => items
                .into_iter()
                .map(|item| Self::from_value(item, known))
                .collect(),
            _ => Err(ApiError::plain(Code::InvalidJson)
                .with_detail("The body must be a JSON array of objects.")),
        }
    }

    fn from_value(value: Value, known: &[&str]) -> Result<Self, ApiError> {
        let Value::Object(mut members) = value else {
            return Err(
                ApiError::plain(Code::InvalidJson).with_detail("The body must be a JSON object.")
            );
        };
        if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(ApiError::new(Code::InvalidAttribute, [unknown]));
        }
        members.retain(|_, value| !value.is_null());
        Ok(Self { members })
    }

    /// Takes a text.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and no text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(name, "a text")),
        }
    }

    /// Takes a text; an empty one counts as absent, as some clients send it for "none".
    ///
    /// # Errors
    /// As [`Body::text`].
    pub fn filled_text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// Takes a flag.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and no flag.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(wrong_type(name, "true or false")),
        }
    }

    /// Takes a whole number.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and no whole number of 64 bits.
    pub fn number(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(wrong_type(name, "a whole number")),
            },
        }
    }

    /// Takes an id; an empty text counts as absent.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and not 24 hexadecimal digits.
    pub fn id(&mut self, name: &str) -> Result<Option<Id>, ApiError> {
        let text = self.filled_text(name)?;
        let id = text.map(|text| text.parse().map_err(|_| wrong_type(name, ID_WANTED)));
        id.transpose()
    }

    /// Takes a date.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is no text, `INVALID_DATE_FORMAT` when it is no date.
    pub fn date(&mut self, name: &str) -> Result<Option<Date>, ApiError> {
        let text = self.filled_text(name)?;
        let date = text.map(|text| {
            text.parse()
                .map_err(|_| ApiError::new(Code::InvalidDateFormat, [text]))
        });
        date.transpose()
    }

    /// Takes an object with members of any name.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and something else.
    pub fn any_object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(wrong_type(name, "an object")),
        }
    }

    /// Takes an array of texts.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and something else.
    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        let wanted = || wrong_type(name, "an array of texts");
        let items = match self.members.remove(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wanted()),
        };
        let texts = items.into_iter().map(|item| match item {
            Value::String(text) => Ok(text),
            _ => Err(wanted()),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Takes an object whose members are all in `known`.
    ///
    /// # Errors
    /// `INVALID_JSON_ATTRIBUTE` when it is there and no object, `INVALID_ATTRIBUTE` with the first
    /// unknown name.
    pub fn object(&mut self, name: &str, known: &[&str]) -> Result<Option<Self>, ApiError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(value @ Value::Object(_)) => Self::from_value(value, known).map(Some),
            Some(_) => Err(wrong_type(name, "an object")),
        }
    }

    /// Takes an array of objects whose members are all in `known`.
    ///
    /// # Errors
    /// As [`Body::object`].
    pub fn objects(&mut self, name: &str, known: &[&str]) -> Result<Option<Vec<Self>>, ApiError> {
        let wanted = || wrong_type(name, "an array of objects");
        let items = match self.members.remove(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(wanted()),
        };
        let objects = items.into_iter().map(|item| match item {
            value @ Value::Object(_) => Self::from_value(value, known),
            _ => Err(wanted()),
        });
        objects.collect::<Result<_, _>>().map(Some)
    }

    /// Takes one of several words.
    ///
    /// # Errors
    /// `INVALID_ENUM_VALUE` with the value when it is not among `choices`.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                let detail = format!("{text} is not a value of {name}: {}.", words.join(", "));
                Err(ApiError::new(Code::InvalidEnumValue, [text]).with_detail(detail))
            }
        }
    }
}

const ID_WANTED: &str = "24 hexadecimal digits";

fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ApiError::plain(Code::MalformedJson)
            .with_detail(format!("The body is not JSON; see {place}."))
    })
}

fn wrong_type(name: &str, wanted: &str) -> ApiError {
    ApiError::new(Code::InvalidJsonAttribute, [name])
        .with_detail(format!("The attribute {name} must be {wanted}."))
}

/// Makes a required member's absence an error.
///
/// # Errors
/// `MISSING_ATTRIBUTE` with the name.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::new(Code::MissingAttribute, [name]))
}

#[cfg(test)]
mod tests {
    use super::{Body, required};

    fn check(text: &str, code: &str, parameters: &[&str]) {
        let error = read(text.as_bytes()).unwrap_err();
        let document = error.document();
        assert_eq!(document.error_code, code, "{text}");
        assert_eq!(document.parameters.unwrap(), parameters, "{text}");
        assert_eq!(document.error, 400);
    }

    fn read(bytes: &[u8]) -> Result<(), super::ApiError> {
        let known = [
            "id", "text", "flag", "number", "words", "kind", "date", "readOnly",
        ];
        let mut body = Body::parse(bytes, &known)?;
        body.id("id")?;
        body.flag("flag")?;
        body.number("number")?;
        body.texts("words")?;
        body.choice("kind", &[("one", 1), ("two", 2)])?;
        body.date("date")?;
        required(body.filled_text("text")?, "text")?;
        Ok(())
    }

    #[test]
    fn a_whole_body_is_read() {
        let text = r#"{"id":"5cc9b501e5dc7c8ab1e45d65","text":"a","flag":true,"number":-3,
            "words":["x"],"kind":"two","date":"2019-05-01T19:02:25Z","readOnly":{"a":1}}"#;
        read(text.as_bytes()).unwrap();
        read(br#"{"text":"a","id":"","flag":null,"date":""}"#).unwrap();
    }

    #[test]
    fn each_fault_has_its_code() {
        check("{", "MALFORMED_JSON", &[]);
        check("{}}", "MALFORMED_JSON", &[]);
        check("\u{0}", "MALFORMED_JSON", &[]);
        check("[]", "INVALID_JSON", &[]);
        check("\"text\"", "INVALID_JSON", &[]);
        check("", "MISSING_ATTRIBUTE", &["text"]);
        check("{}", "MISSING_ATTRIBUTE", &["text"]);
        check(r#"{"text":""}"#, "MISSING_ATTRIBUTE", &["text"]);
        check(r#"{"text":null}"#, "MISSING_ATTRIBUTE", &["text"]);
        check(r#"{"text":1}"#, "INVALID_JSON_ATTRIBUTE", &["text"]);
        check(r#"{"text":"a","extra":1}"#, "INVALID_ATTRIBUTE", &["extra"]);
        check(
            r#"{"text":"a","extra":null}"#,
            "INVALID_ATTRIBUTE",
            &["extra"],
        );
        check(r#"{"id":"xyz"}"#, "INVALID_JSON_ATTRIBUTE", &["id"]);
        check(r#"{"id":7}"#, "INVALID_JSON_ATTRIBUTE", &["id"]);
        check(r#"{"flag":"true"}"#, "INVALID_JSON_ATTRIBUTE", &["flag"]);
        check(r#"{"number":1.5}"#, "INVALID_JSON_ATTRIBUTE", &["number"]);
        check(
            r#"{"number":9223372036854775808}"#,
            "INVALID_JSON_ATTRIBUTE",
            &["number"],
        );
        check(r#"{"words":["a",1]}"#, "INVALID_JSON_ATTRIBUTE", &["words"]);
        check(r#"{"words":"a"}"#, "INVALID_JSON_ATTRIBUTE", &["words"]);
        check(r#"{"kind":"three"}"#, "INVALID_ENUM_VALUE", &["three"]);
        check(r#"{"kind":3}"#, "INVALID_JSON_ATTRIBUTE", &["kind"]);
        check(
            r#"{"date":"tomorrow"}"#,
            "INVALID_DATE_FORMAT",
            &["tomorrow"],
        );
    }

    #[test]
    fn nesting_without_end_is_malformed_and_not_a_crash() {
        check(&"[".repeat(100_000), "MALFORMED_JSON", &[]);
    }

    #[test]
    fn an_array_wants_objects() {
        let read = |text: &str| Body::parse_array(text.as_bytes(), &["a"]);
        assert_eq!(read(r#"[{"a":1},{}]"#).unwrap().len(), 2);
        assert_eq!(read("[]").unwrap().len(), 0);
        for (text, code) in [
            ("{}", "INVALID_JSON"),
            ("[1]", "INVALID_JSON"),
            ("", "MALFORMED_JSON"),
            (r#"[{"b":1}]"#, "INVALID_ATTRIBUTE"),
        ] {
            assert_eq!(
                read(text).unwrap_err().document().error_code,
                code,
                "{text}"
            );
        }
    }
}
