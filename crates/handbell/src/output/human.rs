//! Values as people read them.

use handbell_protocol::{Timestamp, time::parse_duration};
use serde_json::Value as Json;

/// A scalar as it stands, a list joined by commas, nothing as `-`.
pub(crate) fn text(value: &Json) -> String {
    match value {
        Json::Null => "-".into(),
        Json::String(text) if text.is_empty() => "-".into(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "-".into(),
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Bytes in the largest unit that leaves a number from 1.
pub(crate) fn bytes(value: &Json) -> String {
    let Some(bytes) = value.as_u64() else { return "-".into() };
    let mut number = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if number < 1_024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{number:.1} {unit}") };
        }
        number /= 1_024.0;
    }
    format!("{number:.1} TiB")
}

/// How long ago an instant was.
pub(crate) fn ago(value: &Json, now: Timestamp) -> String {
    let Some(then) = value.as_str().and_then(|text| Timestamp::parse(text).ok()) else { return "-".into() };
    let seconds = now.since(then).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The time of day in UTC, of an instant that the order and the IDs date.
pub(crate) fn time_of_day(value: &Json) -> String {
    let time = value.as_str().and_then(|text| Timestamp::parse(text).ok()).map(|time| time.to_string());
    time.and_then(|text| Some(text.split_once('T')?.1.to_owned())).unwrap_or_else(|| text(value))
}

/// An instant as typed: RFC 3339, or a duration before now.
pub(crate) fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    match parse_duration(text) {
        Ok(ago) => Ok(Timestamp::from_millis(now.as_millis() - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX))),
        Err(_) => Err(format!("{text:?} is no time")),
    }
}

/// The text cut to so many characters, with a sign that it was.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(&json!(0)), "0 B");
        assert_eq!(bytes(&json!(1_536)), "1.5 KiB");
        assert_eq!(bytes(&json!(5_u64 << 40)), "5.0 TiB");
        let now = Timestamp::from_millis(7_200_000);
        assert_eq!(ago(&json!("1970-01-01T00:00:00Z"), now), "2h");
        assert_eq!(ago(&Json::Null, now), "-");
        assert_eq!(time_of_day(&json!("2026-11-21T15:30:00.5+01:00")), "14:30:00.500Z");
    }

    #[test]
    fn an_instant_is_a_time_or_a_duration_ago() {
        let now = Timestamp::from_millis(10_000);
        assert_eq!(instant("4s", now), Ok(Timestamp::from_millis(6_000)));
        assert_eq!(instant("1970-01-01T00:00:01Z", now), Ok(Timestamp::from_millis(1_000)));
        assert!(instant("yesterday", now).is_err());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("äöüäöü", 4), "äöü…");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
