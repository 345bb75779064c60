//! Between a document's fields and a row's columns.

use chrono::{DateTime, SecondsFormat};
use motomind_protocol::records::schema::{Collection, Form};
use motomind_protocol::records::{Document, check_value, normalised};
use motomind_protocol::{Millis, limits};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The row of a document, as `json_populate_recordset` reads it.
pub(super) fn row_of(id: Uuid, document: &Document) -> Value {
    let fields = document.fields().into_iter();
    let mut row: Map<String, Value> =
        fields.map(|(name, value)| (name, without_nul(value))).collect();
    row.insert("id".into(), Value::String(id.to_string()));
    let deleted_at = document.deleted_at().and_then(DateTime::from_timestamp_millis);
    let deleted_at = deleted_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    row.insert("deleted_at".into(), deleted_at.into());
    Value::Object(row)
}

/// Postgres cannot hold NUL in a text; the document has it.
pub(super) fn without_nul(value: Value) -> Value {
    let clean = |text: String| {
        if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
    };
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (clean(key), without_nul(value))).collect()
        }
        other => other,
    }
}

/// The fields that a row states: where it only says in its own way what the document says, the
/// document's words; where it says something that no document may hold, they too.
pub(super) fn of_row(
    collection: &Collection,
    document: Option<&Document>,
    mut row: Map<String, Value>,
    now: Millis,
) -> Map<String, Value> {
    let shown = document.map(Document::fields).unwrap_or_default();
    let mut fields = Map::new();
    for field in collection.fields {
        let stated = normalised(field.form, row.remove(field.name).unwrap_or_default());
        let old = shown.get(field.name);
        let keep = match old {
            Some(old) => says_the_same(field.form, old, &stated),
            None => is_nothing(field.form, &stated),
        };
        let fits = stated.is_null() || check_value(field, &stated, now).is_ok();
        if !fits {
            let (collection, field) = (collection.name, field.name);
            tracing::warn!(
                collection,
                field,
                "a row holds what no document may; it is passed over"
            );
        }
        let value = if keep || !fits { old.cloned() } else { Some(stated) };
        fields.extend(value.map(|value| (field.name.to_string(), value)));
    }
    fields
}

/// What a row says that was never written.
fn is_nothing(form: Form, stated: &Value) -> bool {
    match (form, stated) {
        (_, Value::Null) | (Form::Flag, Value::Bool(false)) => true,
        (Form::Text(_), Value::String(text)) => text.is_empty(),
        (Form::Map(_), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

fn says_the_same(form: Form, old: &Value, stated: &Value) -> bool {
    match (form, old, stated) {
        (Form::Ref(_) | Form::Person, Value::String(old), Value::String(stated)) => {
            Uuid::parse_str(old).ok() == Uuid::parse_str(stated).ok()
        }
        _ => same(&without_nul(old.clone()), stated),
    }
}

/// Equal as JSON values: numbers by what they count, not by how they are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

/// An instant of a row; a person's clock never lies ahead of the server's in a document.
pub(super) fn instant(at: Option<Millis>, now: Millis) -> Millis {
    at.unwrap_or(now).min(now).max(limits::OCCURRED_AT_MIN_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use motomind_protocol::records::find;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_rows_own_way_of_writing_is_no_change() {
        let garages = find("garages").expect("garages");
        let row = json!({"name": "Yard", "lat": 40, "is_default": false, "address": null});
        let fields = of_row(garages, None, map(row), 0);
        assert_eq!(Value::Object(fields), json!({"name": "Yard", "lat": 40.0}));
        assert!(same(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})));
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": null})));
        assert_eq!(without_nul(json!({"a\0": ["\0"]})), json!({"a\u{fffd}": ["\u{fffd}"]}));
    }

    #[test]
    fn what_no_document_may_hold_is_passed_over() {
        let vehicles = find("vehicles").expect("vehicles");
        let row = json!({"vin": "short", "nickname": "Van"});
        let fields = of_row(vehicles, None, map(row), 0);
        assert_eq!(Value::Object(fields), json!({"nickname": "Van"}));
    }
}
