//! Regular expressions, by the library that the server uses.
//!
//! Memory and steps of one match are bounded; a match that reaches a bound is an error, not a
//! mismatch. Without the library's compiler to machine code: a filter is a stranger's program.

use pcre2::bytes::{Regex, RegexBuilder};

use super::error::{FilterError, MatchError};
use crate::value::{Value, kind};

/// Limits for one match, set in the pattern: KiB of heap, and steps. A pattern can only lower them.
const LIMITS: &str = "(*LIMIT_HEAP=65536)(*LIMIT_MATCH=10000000)";

/// A regular expression of a filter, as it was written and compiled.
#[derive(Clone)]
pub(super) struct Pattern {
    pattern: Vec<u8>,
    options: Vec<u8>,
    compiled: Regex,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (pattern, options) = (&self.pattern, &self.options);
        let text = String::from_utf8_lossy;
        write!(f, "/{}/{}", text(pattern), text(options))
    }
}

impl Pattern {
    /// Compiles a pattern with MongoDB's option letters.
    pub(super) fn new(pattern: &[u8], options: &[u8]) -> Result<Self, FilterError> {
        let fault = |fault: String| FilterError::argument("$regex", &fault);
        let mut builder = RegexBuilder::new();
        builder.utf(true);
        for option in options {
            match option {
                b'i' => builder.caseless(true),
                b'm' => builder.multi_line(true),
                b's' => builder.dotall(true),
                b'x' => builder.extended(true),
                // UTF-8 always; newer servers accept the letter.
                b'u' => &mut builder,
                other => {
                    let letter = other.escape_ascii();
                    return Err(fault(format!("does not know the option {letter}")));
                }
            };
        }
        if pattern.contains(&0) {
            return Err(fault("takes no pattern with a zero byte".to_owned()));
        }
        let text =
            str::from_utf8(pattern).map_err(|_| fault("takes a pattern in UTF-8".to_owned()))?;
        // The error of the pattern alone counts offsets from where its author does.
        let compiled = builder
            .build(&format!("{LIMITS}{text}"))
            .map_err(|error| builder.build(text).err().unwrap_or(error))
            .map_err(|error| fault(format!("can't be compiled: {error}")))?;
        Ok(Self {
            pattern: pattern.to_vec(),
            options: options.to_vec(),
            compiled,
        })
    }

    /// Strings and symbols are searched; a regular expression matches one that is written the same.
    pub(super) fn matches(&self, value: Value<'_>) -> Result<bool, MatchError> {
        match value.kind {
            kind::STRING | kind::SYMBOL => self.is_found_in(value.text()?),
            kind::REGEX => Ok(value.regex()? == (&self.pattern[..], &self.options[..])),
            _ => Ok(false),
        }
    }

    fn is_found_in(&self, text: &[u8]) -> Result<bool, MatchError> {
        // In text that is no text the server's library finds nothing.
        if str::from_utf8(text).is_err() {
            return Ok(false);
        }
        self.compiled
            .is_match(text)
            .map_err(|error| MatchError::Regex {
                fault: error.to_string(),
            })
    }
}
