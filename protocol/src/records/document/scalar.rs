//! A field's value as a document holds it, and back.

use automerge::ScalarValue;
use serde_json::Value;

use crate::records::schema::Form;

pub(super) fn scalar(form: Form, value: Value) -> ScalarValue {
    match (form, value) {
        (_, Value::Null) => ScalarValue::Null,
        (Form::Json(_) | Form::Map(_), value) => ScalarValue::Str(value.to_string().into()),
        (Form::Number(..), Value::Number(number)) => {
            number.as_f64().map_or(ScalarValue::Null, ScalarValue::F64)
        }
        (_, Value::Number(number)) => number.as_i64().map_or(ScalarValue::Null, ScalarValue::Int),
        (_, Value::Bool(flag)) => ScalarValue::Boolean(flag),
        (_, Value::String(text)) => ScalarValue::Str(text.into()),
        (_, other) => ScalarValue::Str(other.to_string().into()),
    }
}

pub(in crate::records) fn read_scalar(form: Form, value: &ScalarValue) -> Option<Value> {
    match (form, value) {
        (Form::Json(_) | Form::Map(_), ScalarValue::Str(text)) => serde_json::from_str(text).ok(),
        (_, ScalarValue::Str(text)) => Some(Value::String(text.to_string())),
        (_, ScalarValue::Int(number)) => Some(Value::from(*number)),
        (_, ScalarValue::Uint(number)) => Some(Value::from(*number)),
        (_, ScalarValue::F64(number)) => serde_json::Number::from_f64(*number).map(Value::Number),
        (_, ScalarValue::Boolean(flag)) => Some(Value::Bool(*flag)),
        _ => None,
    }
}
