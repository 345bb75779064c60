//! The payload rules: what an event must be to be accepted, and what is merely worth a look.

use chrono::NaiveDate;
use serde_json::Value;

use crate::limits::*;
use crate::registry::{COMMON, Form, TypeSpec, find};
use crate::{Event, Millis, Violation, Warning, code};

/// Checks everything about an event that can be judged from the event alone.
///
/// An unknown type passes with its envelope checked only; an unknown payload key passes as it is.
///
/// # Errors
/// Every [`Violation`], not only the first.
pub fn validate(event: &Event) -> Result<(), Vec<Violation>> {
    let mut out = Vec::new();
    envelope(event, &mut out);
    let spec = find(&event.kind);
    if let Some(spec) = spec {
        required(event, spec, &mut out);
    }
    nesting(event, &mut out);
    for (name, value) in &event.payload {
        let known = spec.into_iter().flat_map(|spec| spec.keys).chain(COMMON);
        if let Some(key) = known.into_iter().find(|key| key.name == name)
            && let Err((code, message)) = fits(key.form, value)
        {
            let message = format!("{name} {message}");
            out.push(Violation::new(format!("payload.{name}"), code, message));
        }
    }
    if out.is_empty() { Ok(()) } else { Err(out) }
}

fn envelope(event: &Event, out: &mut Vec<Violation>) {
    let mut bad = |field: &str, code: &str, message: String| {
        out.push(Violation::new(field, code, message));
    };
    match event.kind.chars().count() {
        0 => bad("type", code::MISSING, "type is required".into()),
        1..=TYPE_CHARS_MAX if event.kind.chars().any(char::is_control) => {
            let message = "type may not hold control characters";
            bad("type", code::BAD_FORMAT, message.into());
        }
        1..=TYPE_CHARS_MAX => {}
        _ => {
            let message = format!("type may have at most {TYPE_CHARS_MAX} characters");
            bad("type", code::TOO_LONG, message);
        }
    }
    if !(OCCURRED_AT_MIN_MS..=OCCURRED_AT_MAX_MS).contains(&event.occurred_at) {
        let message = "occurred_at must lie between 1900 and 9999, in UTC milliseconds";
        bad("occurred_at", code::OUT_OF_RANGE, message.into());
    }
    let days = NaiveDate::from_ymd_opt(1899, 12, 31)..=NaiveDate::from_ymd_opt(9999, 12, 31);
    if !days.contains(&Some(event.date)) {
        bad("date", code::OUT_OF_RANGE, "date must lie between 1900 and 9999".into());
    }
    let zone_chars = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
    if event.timezone.is_empty()
        || event.timezone.len() > TIMEZONE_CHARS_MAX
        || !event.timezone.chars().all(zone_chars)
    {
        let message = "timezone must be an IANA name such as America/Denver";
        bad("timezone", code::BAD_FORMAT, message.into());
    }
    if event.miles.is_some_and(|miles| !(0..=MILES_MAX).contains(&miles)) {
        bad("miles", code::OUT_OF_RANGE, format!("miles must be between 0 and {MILES_MAX}"));
    }
    if event.total_minor.is_some_and(|total| !(0..=AMOUNT_MINOR_MAX).contains(&total)) {
        let message = format!("total_minor must be between 0 and {AMOUNT_MINOR_MAX}");
        bad("total_minor", code::OUT_OF_RANGE, message);
    }
    if let Some(currency) = &event.currency
        && !(currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase()))
    {
        let message = "currency must be three capital letters of ISO 4217, such as USD";
        bad("currency", code::BAD_FORMAT, message.into());
    }
    for (field, text, max) in [
        ("vendor", &event.vendor, LINE_CHARS_MAX),
        ("notes", &event.notes, TEXT_CHARS_MAX),
        ("reason", &event.reason, REASON_CHARS_MAX),
    ] {
        if text.as_ref().is_some_and(|text| text.chars().count() > max) {
            bad(field, code::TOO_LONG, format!("{field} may have at most {max} characters"));
        }
    }
    if let Some(fix) = &event.fix {
        fix.violations("fix", out);
    }
    if let Some(fix) = &event.photo_fix {
        fix.violations("photo_fix", out);
    }
}

fn required(event: &Event, spec: &TypeSpec, out: &mut Vec<Violation>) {
    let present = |name: &str| match name {
        "miles" => event.miles.is_some(),
        "total_minor" => event.total_minor.is_some(),
        "corrects" => event.corrects.is_some(),
        "photos" => event.payload.get("photos").is_some_and(|list| *list != Value::Array(vec![])),
        key => event.payload.get(key).is_some_and(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            _ => true,
        }),
    };
    for group in spec.required.iter().filter(|group| !group.iter().any(|name| present(name))) {
        let row = ["miles", "total_minor", "corrects"];
        let path = |name: &str| {
            if row.contains(&name) { name.to_string() } else { format!("payload.{name}") }
        };
        let paths: Vec<String> = group.iter().map(|name| path(name)).collect();
        let message = match paths.as_slice() {
            [one] => format!("a {} event needs {one}", spec.name),
            many => format!("a {} event needs one of {}", spec.name, many.join(", ")),
        };
        out.push(Violation::new(paths[0].clone(), code::MISSING, message));
    }
}

fn nesting(event: &Event, out: &mut Vec<Violation>) {
    let extra = event.extra.iter().map(|(key, value)| (key.clone(), value));
    let payload = event.payload.iter();
    let payload = payload.map(|(key, value)| (format!("payload.{key}"), value));
    let fix = event.fix.iter().flat_map(|fix| &fix.extra);
    let fix = fix.map(|(key, value)| (format!("fix.{key}"), value));
    for (path, value) in extra.chain(payload).chain(fix) {
        if nests_deeper(value, NESTING_MAX) {
            let message = format!("{path} may nest at most {NESTING_MAX} lists and objects");
            out.push(Violation::new(path, code::TOO_DEEP, message));
        }
    }
}

pub(crate) fn nests_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(list) => list.iter().any(|inner| nests_deeper(inner, below)),
        Value::Object(map) => map.values().any(|inner| nests_deeper(inner, below)),
        _ => false,
    }
}

type Misfit = (&'static str, String);

fn fits(form: Form, value: &Value) -> Result<(), Misfit> {
    match form {
        Form::Integer(min, max) => match value.as_i64() {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            None if !value.is_u64() => Err((code::WRONG_TYPE, "must be a whole number".into())),
            _ => Err((code::OUT_OF_RANGE, format!("must be between {min} and {max}"))),
        },
        Form::Number(min, max) => {
            let number = number(value)?;
            if (min..=max).contains(&number) {
                return Ok(());
            }
            Err((code::OUT_OF_RANGE, format!("must be between {min} and {max}")))
        }
        Form::Positive(max, decimals) => {
            let number = number(value)?;
            if !(number > 0.0 && number <= max) {
                return Err((code::OUT_OF_RANGE, format!("must be above 0 and at most {max}")));
            }
            let scaled = number * 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
            if (scaled - scaled.round()).abs() > 1e-6 * scaled.max(1.0) {
                return Err((code::TOO_PRECISE, format!("has at most {decimals} decimals")));
            }
            Ok(())
        }
        Form::Line => text(value, LINE_CHARS_MAX).map(drop),
        Form::Text => text(value, TEXT_CHARS_MAX).map(drop),
        Form::Choice(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(()),
            Some(_) => Err((code::NOT_A_CHOICE, format!("must be one of {}", words.join(", ")))),
            None => Err((code::WRONG_TYPE, "must be a text".into())),
        },
        Form::Bool if value.is_boolean() => Ok(()),
        Form::Bool => Err((code::WRONG_TYPE, "must be true or false".into())),
        Form::Date => {
            let text = text(value, 10)?;
            match text.parse::<NaiveDate>() {
                // The parser also takes 2024-1-1; every reader of the key should not have to.
                Ok(day) if day.to_string() == text => Ok(()),
                _ => Err((code::BAD_FORMAT, "must be a day, YYYY-MM-DD".into())),
            }
        }
        Form::Lines => {
            list(value)?.iter().try_for_each(|entry| text(entry, LINE_CHARS_MAX).map(drop))
        }
        Form::Objects if list(value)?.iter().all(Value::is_object) => Ok(()),
        Form::Objects => Err((code::WRONG_TYPE, "must be a list of objects".into())),
        Form::Object if value.is_object() => Ok(()),
        Form::Object => Err((code::WRONG_TYPE, "must be an object".into())),
        Form::Wheels(min, max) => wheels(value, min, max),
    }
}

fn wheels(value: &Value, min: f64, max: f64) -> Result<(), Misfit> {
    let Some(wheels) = value.as_object() else {
        return Err((code::WRONG_TYPE, "must be an object from wheel to number".into()));
    };
    if !["fl", "fr", "rl", "rr"].iter().any(|wheel| wheels.contains_key(*wheel)) {
        return Err((code::MISSING, "needs at least one of fl, fr, rl, rr".into()));
    }
    for (wheel, reading) in wheels {
        if !(min..=max).contains(&number(reading)?) {
            return Err((code::OUT_OF_RANGE, format!(".{wheel} must be between {min} and {max}")));
        }
    }
    Ok(())
}

fn number(value: &Value) -> Result<f64, Misfit> {
    value.as_f64().ok_or((code::WRONG_TYPE, "must be a number".into()))
}

fn text(value: &Value, max: usize) -> Result<&str, Misfit> {
    let text = value.as_str().ok_or((code::WRONG_TYPE, "must be a text".to_string()))?;
    if text.chars().count() > max {
        return Err((code::TOO_LONG, format!("may have at most {max} characters")));
    }
    Ok(text)
}

fn list(value: &Value) -> Result<&Vec<Value>, Misfit> {
    let list = value.as_array().ok_or((code::WRONG_TYPE, "must be a list".to_string()))?;
    if list.len() > LIST_ENTRIES_MAX {
        return Err((code::TOO_LONG, format!("may have at most {LIST_ENTRIES_MAX} entries")));
    }
    Ok(list)
}

/// What else is known when warnings are drawn up. Leave out what is not at hand.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// The effective reading before the event: when (UTC ms) and miles.
    pub reading_before: Option<(Millis, i64)>,
    /// Events of the same vehicle and type near in time.
    pub nearby: &'a [Event],
}

/// Draws up what is worth a look before saving. Never a reason to refuse.
#[must_use]
pub fn warnings(event: &Event, around: &Surroundings<'_>) -> Vec<Warning> {
    let mut out = Vec::new();
    let number = |key: &str| event.payload.get(key).and_then(Value::as_f64);
    if number("gallons").is_some_and(|gallons| gallons > GALLONS_USUAL_MAX) {
        let message = format!("more than {GALLONS_USUAL_MAX} gallons in one fill");
        out.push(Warning::new("payload.gallons", "unusual_gallons", message));
    }
    let (low, high) = PRICE_PER_GALLON_USUAL;
    if number("price_per_gallon").is_some_and(|price| !(low..=high).contains(&price)) {
        let message = format!("price per gallon is usually between {low:.2} and {high:.2}");
        out.push(Warning::new("payload.price_per_gallon", "unusual_price", message));
    }
    if let (Some(miles), Some((at, before))) = (event.miles, around.reading_before) {
        let driven = miles.saturating_sub(before);
        if driven > JUMP_MILES_MAX {
            let message = format!("{driven} miles above the reading before ({before})");
            out.push(Warning::new("miles", "odometer_jump", message));
        }
        let days = (event.occurred_at.saturating_sub(at) as f64 / 86_400_000.0).max(1.0);
        if driven as f64 / days > MILES_PER_DAY_MAX as f64 {
            let message = format!("more than {MILES_PER_DAY_MAX} miles per day since {before}");
            out.push(Warning::new("miles", "fast_driving", message));
        }
    }
    if around.nearby.iter().any(|other| probable_duplicate(event, other)) {
        let message = "the same was logged within five minutes".to_string();
        out.push(Warning::new("event", "probable_duplicate", message));
    }
    out
}

/// Same vehicle and type within five minutes, miles within 10 and cost within 1.00 where both
/// have them.
#[must_use]
pub fn probable_duplicate(a: &Event, b: &Event) -> bool {
    let near = |x: Option<i64>, y: Option<i64>, within: u64| match (x, y) {
        (Some(x), Some(y)) => x.abs_diff(y) < within,
        _ => true,
    };
    a.id != b.id
        && a.vehicle_id == b.vehicle_id
        && a.canonical_type() == b.canonical_type()
        && a.corrects.is_none()
        && b.corrects.is_none()
        && a.occurred_at.abs_diff(b.occurred_at) <= DUPLICATE_WINDOW_MS.unsigned_abs()
        && near(a.miles, b.miles, 10)
        && near(a.total_minor, b.total_minor, 100)
}

/// Whether an event lies so far ahead of the server that its own time is not believed.
#[must_use]
pub fn is_clock_ahead(occurred_at: Millis, server_now: Millis) -> bool {
    occurred_at > server_now.saturating_add(CLOCK_AHEAD_MS_MAX)
}
