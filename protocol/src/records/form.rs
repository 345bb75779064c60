//! What a record's fields must be. The server and the device ask the same questions.

use chrono::{DateTime, Datelike, NaiveDate};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::schema::{Collection, Field, Form};
use crate::{Millis, Violation, code, limits};

/// Brings a value into the form in which it is kept: a VIN in capitals, an id as UUIDs are written.
#[must_use]
pub fn normalised(form: Form, value: Value) -> Value {
    match (form, value) {
        (Form::Vin, Value::String(vin)) => Value::String(vin.trim().to_ascii_uppercase()),
        (Form::Number(..), Value::Number(number)) => {
            number.as_f64().map_or(Value::Number(number), Value::from)
        }
        (Form::Ref(_) | Form::Person, Value::String(id)) => {
            Value::String(Uuid::parse_str(&id).map_or(id, |id| id.to_string()))
        }
        (_, value) => value,
    }
}

/// Checks a whole record.
///
/// # Errors
/// Every [`Violation`], not only the first.
pub fn check(
    collection: &Collection,
    fields: &Map<String, Value>,
    now: Millis,
) -> Result<(), Vec<Violation>> {
    let mut out = Vec::new();
    for field in collection.fields {
        match fields.get(field.name) {
            None | Some(Value::Null) if field.required => {
                let message = format!("{} is required", field.name);
                out.push(Violation::new(field.name, code::MISSING, message));
            }
            None | Some(Value::Null) => {}
            Some(value) => out.extend(check_value(field, value, now).err()),
        }
    }
    if out.is_empty() { Ok(()) } else { Err(out) }
}

/// Checks one value that is not null.
///
/// # Errors
/// The [`Violation`].
pub fn check_value(field: &Field, value: &Value, now: Millis) -> Result<(), Violation> {
    let name = field.name;
    let refuse = |code: &str, message: String| Err(Violation::new(name, code, message));
    let wrong_type = |wanted: &str| refuse(code::WRONG_TYPE, format!("{name} must be {wanted}"));
    match (field.form, value) {
        (Form::Line(min, max), Value::String(text)) => match text.chars().count() {
            count if count < min => refuse(code::MISSING, format!("{name} may not be empty")),
            count if count > max => {
                refuse(code::TOO_LONG, format!("{name} may have at most {max} characters"))
            }
            _ => Ok(()),
        },
        (Form::Line(..), _) => wrong_type("a text"),
        (Form::Text(max), Value::String(text)) if text.chars().count() > max => {
            refuse(code::TOO_LONG, format!("{name} may have at most {max} characters"))
        }
        (Form::Text(_), Value::String(_)) => Ok(()),
        (Form::Text(_), _) => wrong_type("a text"),
        (Form::Integer(min, max), Value::Number(number)) => match number.as_i64() {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            Some(_) => {
                refuse(code::OUT_OF_RANGE, format!("{name} must be between {min} and {max}"))
            }
            None => wrong_type("a whole number"),
        },
        (Form::Integer(..), _) => wrong_type("a whole number"),
        (Form::Number(min, max), Value::Number(number)) => match number.as_f64() {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            _ => refuse(code::OUT_OF_RANGE, format!("{name} must be between {min} and {max}")),
        },
        (Form::Number(..), _) => wrong_type("a number"),
        (Form::Flag, Value::Bool(_)) => Ok(()),
        (Form::Flag, _) => wrong_type("true or false"),
        (Form::Year, Value::Number(number)) => {
            let ahead = DateTime::from_timestamp_millis(now).map_or(2100, |now| now.year()) + 2;
            match number.as_i64() {
                Some(year) if (1900..=i64::from(ahead)).contains(&year) => Ok(()),
                Some(_) => {
                    refuse(code::OUT_OF_RANGE, format!("{name} must be between 1900 and {ahead}"))
                }
                None => wrong_type("a whole number"),
            }
        }
        (Form::Year, _) => wrong_type("a whole number"),
        (Form::Date, Value::String(text)) => match text.parse::<NaiveDate>() {
            Ok(day) if text.len() == 10 && (1900..=9999).contains(&day.year()) => Ok(()),
            _ => refuse(code::BAD_FORMAT, format!("{name} must be a day, YYYY-MM-DD")),
        },
        (Form::Date, _) => wrong_type("a day, YYYY-MM-DD"),
        (Form::Choice(words), Value::String(word)) if !words.contains(&word.as_str()) => {
            refuse(code::NOT_A_CHOICE, format!("{name} must be one of {}", words.join(", ")))
        }
        (Form::Choice(_), Value::String(_)) => Ok(()),
        (Form::Choice(words), _) => wrong_type(&format!("one of {}", words.join(", "))),
        (Form::Vin, Value::String(vin)) if is_vin(vin) => Ok(()),
        (Form::Vin, _) => {
            let message = "a VIN has 17 characters of A–Z and 0–9 without I, O and Q";
            refuse(code::BAD_FORMAT, message.into())
        }
        (Form::Timezone, Value::String(zone)) if is_zone(zone) => Ok(()),
        (Form::Timezone, _) => {
            let message = format!("{name} must be an IANA name such as America/Denver");
            refuse(code::BAD_FORMAT, message)
        }
        (Form::Ref(_) | Form::Person, Value::String(id)) if Uuid::parse_str(id).is_ok() => Ok(()),
        (Form::Ref(_) | Form::Person, _) => {
            refuse(code::BAD_FORMAT, format!("{name} must be a UUID"))
        }
        (Form::Photo, Value::String(hash)) if is_sha256(hash) => Ok(()),
        (Form::Photo, _) => {
            refuse(code::BAD_FORMAT, format!("{name} must be a SHA-256, 64 hexadecimal digits"))
        }
        (Form::Map(_), value) if !value.is_object() => wrong_type("an object"),
        (Form::Json(max) | Form::Map(max), value) => {
            if crate::validate::nests_deeper(value, limits::NESTING_MAX) {
                refuse(code::TOO_DEEP, format!("{name} is nested too deep"))
            } else if value.to_string().len() > max {
                refuse(code::TOO_LONG, format!("{name} may take at most {max} bytes"))
            } else {
                Ok(())
            }
        }
    }
}

fn is_vin(vin: &str) -> bool {
    let allowed = |b: u8| (b.is_ascii_uppercase() || b.is_ascii_digit()) && !b"IOQ".contains(&b);
    vin.len() == 17 && vin.bytes().all(allowed)
}

fn is_zone(zone: &str) -> bool {
    (1..=limits::TIMEZONE_CHARS_MAX).contains(&zone.len())
        && zone.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c))
}

fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
