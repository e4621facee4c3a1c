//! Dates as the API writes them: ISO 8601, UTC, whole seconds, `Z`.
//!
//! Real clients parse RFC 3339 and break on an empty string, so a missing date is an absent
//! member and never an empty one. A list answer carries hundreds of dates; writing one must not
//! go through a general formatter.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment in whole seconds since 1970 in UTC, between the years 0 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

/// The text is no ISO 8601 date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 date and time")]
pub struct InvalidDate;

const SECONDS_MIN: i64 = -62_167_219_200;
const SECONDS_MAX: i64 = 253_402_300_799;
const SECONDS_PER_DAY: i64 = 86_400;

impl Date {
    /// Wraps seconds since 1970; moments outside the years 0 to 9999 become the nearest inside.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.clamp(SECONDS_MIN, SECONDS_MAX))
    }

    /// Wraps milliseconds since 1970 and drops the part of a second.
    pub fn from_millis(millis: i64) -> Self {
        Self::from_seconds(millis.div_euclid(1000))
    }

    /// Returns the seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0
    }

    fn write(self, text: &mut [u8; 20]) -> &str {
        text.copy_from_slice(b"0000-00-00T00:00:00Z");
        let (year, month, day) = civil_from_days(self.0.div_euclid(SECONDS_PER_DAY));
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], second / 3600);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        std::str::from_utf8(text).expect("digits and separators are ASCII")
    }
}

fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a remainder by ten fits");
        number /= 10;
    }
}

/// Returns year, month and day of a count of days since 1970-01-01, by the arithmetic of
/// Howard Hinnant's `civil_from_days` (400-year eras that begin on 1 March).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.write(&mut [0; 20]))
    }
}

impl FromStr for Date {
    type Err = InvalidDate;

    /// Reads RFC 3339; a text without zone is taken as UTC, and part seconds are dropped.
    fn from_str(text: &str) -> Result<Self, InvalidDate> {
        if let Ok(zoned) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::from_millis(zoned.as_millisecond()));
        }
        let local: jiff::civil::DateTime = text.parse().map_err(|_| InvalidDate)?;
        let zoned = local
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map_err(|_| InvalidDate)?;
        Ok(Self::from_millis(zoned.timestamp().as_millisecond()))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; 20]))
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for Date {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("Date and time in UTC, to the second."))
            .into()
    }
}

impl utoipa::ToSchema for Date {}

#[cfg(test)]
mod tests {
    use super::{Date, SECONDS_MAX, SECONDS_MIN};

    fn check(text: &str, seconds: i64) {
        assert_eq!(Date::from_seconds(seconds).to_string(), text);
        assert_eq!(text.parse(), Ok(Date::from_seconds(seconds)));
    }

    #[test]
    fn writes_what_it_reads() {
        check("1970-01-01T00:00:00Z", 0);
        check("2019-05-01T19:02:25Z", 1_556_737_345);
        check("2024-02-29T23:59:59Z", 1_709_251_199);
        check("2100-03-01T00:00:00Z", 4_107_542_400);
        check("1969-12-31T23:59:59Z", -1);
        assert_eq!(
            Date::from_seconds(i64::MIN).to_string(),
            "0000-01-01T00:00:00Z"
        );
        assert_eq!(
            Date::from_seconds(i64::MAX).to_string(),
            "9999-12-31T23:59:59Z"
        );
    }

    #[test]
    fn agrees_with_a_calendar_library_on_many_days() {
        let step = (SECONDS_MAX - SECONDS_MIN) / 20_011;
        for index in 0..20_011 {
            let seconds = SECONDS_MIN + index * step;
            let expected = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            assert_eq!(Date::from_seconds(seconds).to_string(), expected);
        }
    }

    #[test]
    fn reads_zones_and_no_zone_as_utc() {
        let expected = Ok(Date::from_seconds(1_556_737_345));
        assert_eq!("2019-05-01T21:02:25+02:00".parse(), expected);
        assert_eq!("2019-05-01T19:02:25".parse(), expected);
        assert_eq!("2019-05-01T19:02:25.999Z".parse(), expected);
        assert!("yesterday".parse::<Date>().is_err());
        assert!("".parse::<Date>().is_err());
    }
}
