//! JSON text: compact by default, or in the style of the documentation when `pretty=true`.
//!
//! The pretty style is the one the documented examples show: two spaces of indent, ` : ` after a
//! key, arrays that open on the line of their key (`"results" : [ {`), `[ ]` and `{ }` when empty.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Writes a value as JSON, compact or pretty.
///
/// # Panics
/// Never for the types of this crate: their maps have text keys and their numbers are finite.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T, pretty: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let outcome = if pretty {
        value.serialize(&mut Serializer::with_formatter(
            &mut bytes,
            Pretty::default(),
        ))
    } else {
        value.serialize(&mut Serializer::with_formatter(
            &mut bytes,
            CompactFormatter,
        ))
    };
    outcome.expect("wire types have text keys and write to memory");
    bytes
}

/// The depth of objects we are in, and whether the innermost has a member yet.
#[derive(Default)]
struct Pretty {
    depth: usize,
    has_member: bool,
}

impl Pretty {
    fn line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        for _ in 0..self.depth {
            writer.write_all(b"  ")?;
        }
        Ok(())
    }
}

impl Formatter for Pretty {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b" " } else { b", " })
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" ]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.has_member = false;
        writer.write_all(b"{")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if !first {
            to.write_all(b",")?;
        }
        self.line(to)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b" : ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_member = true;
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.has_member {
            self.line(writer)?;
        } else {
            writer.write_all(b" ")?;
        }
        writer.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_bytes;

    fn check(value: &serde_json::Value, pretty: bool, expected: &str) {
        assert_eq!(
            String::from_utf8(to_bytes(value, pretty)).unwrap(),
            expected
        );
    }

    #[test]
    fn pretty_is_the_style_of_the_documentation() {
        let value = json!({ "results": [{ "a": 1, "b": [] }, { "c": {} }], "totalCount": 2 });
        let expected = concat!(
            "{\n",
            "  \"results\" : [ {\n",
            "    \"a\" : 1,\n",
            "    \"b\" : [ ]\n",
            "  }, {\n",
            "    \"c\" : { }\n",
            "  } ],\n",
            "  \"totalCount\" : 2\n",
            "}",
        );
        check(&value, true, expected);
    }

    #[test]
    fn compact_has_no_white_space() {
        check(
            &json!({ "a": [1, 2], "b": {} }),
            false,
            r#"{"a":[1,2],"b":{}}"#,
        );
    }
}
