//! Points in time: wall-clock `Timestamp`s and MongoDB's `ClusterTime`.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Wraps milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the point `millis` later (earlier when negative), saturating at the ends.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the milliseconds from `earlier` to here; negative when it is later.
    pub const fn millis_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Writes ISO 8601 in UTC with second precision, as Atlas does: `2026-08-10T03:03:29Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_second(self.0.div_euclid(1000)).map_err(|_| fmt::Error)?;
        write!(f, "{time}")
    }
}

/// A text that is no ISO 8601 point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date and time in ISO 8601")]
pub struct InvalidTimestamp(pub String);

impl std::str::FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = || InvalidTimestamp(text.to_owned());
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(time.as_millisecond()));
        }
        // Atlas reads a date without a zone as UTC.
        let civil: jiff::civil::DateTime = text.parse().map_err(|_| invalid())?;
        let zoned = civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|_| invalid())?;
        Ok(Self(zoned.timestamp().as_millisecond()))
    }
}

/// A point in a replica set's history: MongoDB's `Timestamp(seconds, increment)`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ClusterTime {
    /// Seconds since the epoch by the primary's clock.
    pub seconds: u32,
    /// Counter of operations within that second.
    pub increment: u32,
}

/// Where "now" comes from.
pub trait Clock: Send + Sync + 'static {
    /// Returns the present time.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_second_precision_and_a_zulu_suffix() {
        let time = Timestamp::from_millis(1_556_723_000_999);
        assert_eq!(time.to_string(), "2019-05-01T15:03:20Z");
    }

    #[test]
    fn a_date_without_a_zone_is_utc() {
        let expected = Timestamp::from_millis(1_556_723_000_000);
        assert_eq!("2019-05-01T15:03:20".parse(), Ok(expected));
        assert_eq!("2019-05-01T17:03:20+02:00".parse(), Ok(expected));
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
