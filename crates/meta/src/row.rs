//! From stored words and numbers to the domain's types, and back.
//!
//! A stored value that makes no sense is an error that names its column, never a default.

use std::fmt::Display;
use std::str::FromStr;

use model::{Error, Page, Timestamp};
use sqlx::Row as _;

use crate::engine::Row;

/// A statement that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
struct Failed {
    step: &'static str,
    #[source]
    source: sqlx::Error,
}

/// Carries an SQL error up with one line of context.
pub(crate) trait During<T> {
    /// Says what was being done, in the present tense.
    fn during(self, step: &'static str) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, step: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::internal(Failed { step, source }))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("stored column {column} makes no sense: {reason}")]
struct Nonsense {
    column: &'static str,
    reason: String,
}

pub(crate) fn nonsense(column: &'static str, reason: impl Display) -> Error {
    Error::internal(Nonsense {
        column,
        reason: reason.to_string(),
    })
}

/// Typed reading of a row's columns by name.
pub(crate) trait Columns {
    fn text_or_none(&self, column: &'static str) -> Result<Option<&str>, Error>;
    fn number_or_none(&self, column: &'static str) -> Result<Option<i64>, Error>;
    fn flag(&self, column: &'static str) -> Result<bool, Error>;

    fn text(&self, column: &'static str) -> Result<&str, Error> {
        self.text_or_none(column)?
            .ok_or_else(|| nonsense(column, "absent"))
    }

    /// Reads an id or a word that the domain knows.
    fn word<T>(&self, column: &'static str) -> Result<T, Error>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(column)?;
        text.parse().map_err(|error| nonsense(column, error))
    }

    fn word_or_none<T>(&self, column: &'static str) -> Result<Option<T>, Error>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text_or_none(column)?;
        text.map(|text| text.parse().map_err(|error| nonsense(column, error)))
            .transpose()
    }

    /// Reads a JSON object.
    fn object<T>(&self, column: &'static str) -> Result<T, Error>
    where
        T: for<'de> serde::Deserialize<'de>,
    {
        serde_json::from_str(self.text(column)?).map_err(|error| nonsense(column, error))
    }

    /// Reads a whole number of the type wanted.
    fn number<T>(&self, column: &'static str) -> Result<T, Error>
    where
        T: TryFrom<i64, Error: Display>,
    {
        let number = self
            .number_or_none(column)?
            .ok_or_else(|| nonsense(column, "absent"))?;
        T::try_from(number).map_err(|error| nonsense(column, error))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, Error> {
        self.number(column).map(Timestamp::from_millis)
    }

    fn time_or_none(&self, column: &'static str) -> Result<Option<Timestamp>, Error> {
        let millis = self.number_or_none(column)?;
        Ok(millis.map(Timestamp::from_millis))
    }
}

impl Columns for Row {
    fn text_or_none(&self, column: &'static str) -> Result<Option<&str>, Error> {
        self.try_get(column).during("read column")
    }

    fn number_or_none(&self, column: &'static str) -> Result<Option<i64>, Error> {
        self.try_get(column).during("read column")
    }

    fn flag(&self, column: &'static str) -> Result<bool, Error> {
        self.try_get(column).during("read column")
    }
}

/// Converts each row.
pub(crate) fn all<T>(
    rows: &[Row],
    convert: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    rows.iter().map(convert).collect()
}

/// Returns the milliseconds that a column keeps.
pub(crate) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// Converts a count to what a column keeps.
pub(crate) fn stored_count(count: u64) -> Result<i64, Error> {
    i64::try_from(count).map_err(Error::internal)
}

/// Writes a JSON object as a column keeps it.
pub(crate) fn stored_object<T: serde::Serialize>(object: &T) -> Result<String, Error> {
    serde_json::to_string(object).map_err(Error::internal)
}

/// Returns a page's `OFFSET`.
pub(crate) fn offset(page: Page) -> i64 {
    i64::try_from(page.offset()).expect("two 32-bit factors are less than 2^63")
}
