//! Reading the backup's loosely typed values.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// A UUID written as text.
pub(super) fn uuid(value: Option<&Value>) -> Option<Uuid> {
    value?.as_str()?.trim().parse().ok()
}

/// A text that is not empty, or a number as text.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number, also one written as text.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// A whole number, also one written as text or with `.0`.
pub(super) fn integer(value: Option<&Value>) -> Option<i64> {
    let number = number(value)?;
    #[allow(clippy::cast_possible_truncation)] // within 2^53 and whole
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// An amount in minor units, if it has at most two decimals.
pub(super) fn minor(value: Option<&Value>) -> Option<i64> {
    let hundredfold = number(value)? * 100.0;
    let rounded = hundredfold.round();
    #[allow(clippy::cast_possible_truncation)] // within 2^53 and whole
    ((hundredfold - rounded).abs() < 1e-4 && rounded.abs() < 9e15).then_some(rounded as i64)
}

/// A moment as the backup gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The calendar day.
    pub(super) day: NaiveDate,
    /// The instant, when the time of day is known.
    pub(super) at: Option<DateTime<Utc>>,
}

/// A day or an instant. Midnight UTC is how the product wrote days: it counts as one.
pub(super) fn moment(value: Option<&Value>) -> Option<Moment> {
    let text = value?.as_str()?.trim();
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(Moment { day, at: None });
    }
    let at = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .map(|at| at.to_utc())
        .or_else(|_| {
            let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
                .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"));
            naive.map(|naive| naive.and_utc())
        })
        .ok()?;
    let known = at.time() != NaiveTime::MIN;
    Some(Moment { day: at.date_naive(), at: known.then_some(at) })
}

/// An instant; of a day, its midnight.
pub(super) fn instant(value: Option<&Value>) -> Option<DateTime<Utc>> {
    let moment = moment(value)?;
    Some(moment.at.unwrap_or_else(|| moment.day.and_time(NaiveTime::MIN).and_utc()))
}

/// A text as a `text` column can hold it.
pub(super) fn no_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_exact_or_not_taken() {
        assert_eq!(minor(Some(&json!(0))), Some(0));
        assert_eq!(minor(Some(&json!(19.99))), Some(1999));
        assert_eq!(minor(Some(&json!("1234567.10"))), Some(123_456_710));
        assert_eq!(minor(Some(&json!(1.005))), None);
        assert_eq!(minor(Some(&json!("n/a"))), None);
        assert_eq!(minor(None), None);
    }

    #[test]
    fn a_midnight_is_a_day_and_an_instant_is_an_instant() {
        let day = NaiveDate::from_ymd_opt(2025, 1, 5).unwrap();
        for text in [
            "2025-01-05",
            "2025-01-05T00:00:00+00:00",
            "2025-01-05 00:00:00+00",
            "2025-01-05T00:00:00.000Z",
        ] {
            assert_eq!(moment(Some(&json!(text))), Some(Moment { day, at: None }), "{text}");
        }
        let late = moment(Some(&json!("2025-01-04T20:30:00-05:00"))).unwrap();
        assert_eq!(late.at.unwrap().to_rfc3339(), "2025-01-05T01:30:00+00:00");
        assert_eq!(moment(Some(&json!("yesterday"))), None);
    }
}
