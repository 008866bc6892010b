//! Instants and durations as they stand in frames and events.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. Printed as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an instant; write it as RFC 3339, like 2026-11-21T14:30:00Z")]
pub struct BadTimestamp(String);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The wall clock's instant; only the edges call this, decisions take the
    /// time as an argument.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// Reads RFC 3339 with any offset; a finer fraction is cut to milliseconds.
    ///
    /// # Errors
    /// [`BadTimestamp`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, BadTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self(t.as_millisecond()))
            .map_err(|_| BadTimestamp(text.chars().take(64).collect()))
    }

    /// This instant `duration` later, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This instant `duration` earlier, saturating.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this instant; zero if it lies later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `YYYYMMDD-HHMMSS` in UTC: the date part of an event's ID.
    #[must_use]
    pub fn compact(self) -> String {
        self.jiff().strftime("%Y%m%d-%H%M%S").to_string()
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match civil(self.0) {
            Some(text) => f.write_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => write!(f, "{:.3}", self.jiff()),
        }
    }
}

/// `2025-11-29T14:30:00.000Z`, for the years 1970 to 9999: every event has one
/// or more, and this is several times as fast as writing any instant in any form.
fn civil(millis: i64) -> Option<[u8; 24]> {
    const DAY: u64 = 86_400_000;
    let millis = u64::try_from(millis).ok().filter(|millis| *millis < 253_402_300_800_000)?;
    let (days, in_day) = (millis / DAY, millis % DAY);
    // Howard Hinnant's civil_from_days: years begin in March, in eras of 400 years.
    let since = days + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let parts = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, in_day / 3_600_000),
        (14, 2, in_day / 60_000 % 60),
        (17, 2, in_day / 1_000 % 60),
        (20, 3, in_day % 1_000),
    ];
    for (at, digits, mut number) in parts {
        for place in (at..at + digits).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
    Some(text)
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write a number and ms, s, m, h or d, like 250ms or 1.5h")]
pub struct BadDuration(String);

/// Reads `[0-9]+(\.[0-9]+)?(ms|s|m|h|d)`.
///
/// # Errors
/// [`BadDuration`] when it is anything else, or longer than 10,000 days.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.chars().take(64).collect());
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
    let (number, unit) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(bad());
    }
    let unit_seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(bad()),
    };
    let seconds = number.parse::<f64>().map_err(|_| bad())? * unit_seconds;
    if seconds > 864_000_000.0 {
        return Err(bad());
    }
    Ok(Duration::from_micros((seconds * 1e6).round() as u64))
}

/// Writes a duration in the largest unit that keeps it whole: `90s`, `2h`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// Serde for durations as text, for fields marked `#[serde(with = …)]`.
pub mod duration_text {
    use std::{borrow::Cow, time::Duration};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }

    /// Reads a duration from text.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(D::Error::custom)
    }

    /// The same for optional durations; `null` and absent are `None`.
    pub mod option {
        use std::{borrow::Cow, time::Duration};

        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        /// Writes the duration as text, or null.
        ///
        /// # Errors
        /// Only the serializer's own.
        pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// Reads a duration from text, or null.
        ///
        /// # Errors
        /// When the text is no duration.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            Option::<Cow<'de, str>>::deserialize(deserializer)?
                .map(|text| crate::time::parse_duration(&text).map_err(D::Error::custom))
                .transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_with_any_offset_and_written_in_utc_with_milliseconds() {
        let t = Timestamp::parse("2025-11-29T15:30:00.1239+01:00").unwrap();
        assert_eq!(t.to_string(), "2025-11-29T14:30:00.123Z");
        assert_eq!(t.compact(), "20251129-143000");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert!(Timestamp::parse("yesterday").is_err());
    }

    proptest::proptest! {
        #[test]
        fn the_fast_way_writes_what_the_calendar_says(millis in 0_i64..253_402_300_800_000) {
            let t = Timestamp::from_millis(millis);
            proptest::prop_assert_eq!(t.to_string(), format!("{:.3}", t.jiff()));
        }
    }

    #[test]
    fn instants_beyond_the_fast_way_are_written_too() {
        for millis in [-1, -62_135_596_800_000, 253_402_300_800_000] {
            let t = Timestamp::from_millis(millis);
            assert_eq!(t.to_string(), format!("{:.3}", t.jiff()), "{millis}");
        }
        assert_eq!(Timestamp::parse("2024-02-29T23:59:59.999Z").unwrap().to_string(), "2024-02-29T23:59:59.999Z");
    }

    #[test]
    fn earlier_and_later_saturate() {
        let t = Timestamp::from_millis(1_000);
        assert_eq!(t.before(Duration::from_secs(3)).as_millis(), -2_000);
        assert_eq!(t.before(Duration::MAX).as_millis(), 1_000 - i64::MAX);
        assert_eq!(Timestamp::from_millis(i64::MIN).before(Duration::from_secs(1)).as_millis(), i64::MIN);
        assert_eq!(t.after(Duration::MAX).as_millis(), i64::MAX);
    }

    #[test]
    fn durations_need_a_number_and_a_unit() {
        for (text, millis) in [("250ms", 250), ("1s", 1_000), ("1.5m", 90_000), ("2h", 7_200_000), ("1d", 86_400_000)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for bad in ["", "5", "s", ".5s", "1.s", "1..2s", "1 s", "-1s", "1w", "1e3s", "99999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for millis in [0, 1, 999, 1_000, 61_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }
    }
}
