//! What a record says that depends on other records.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::schema::{Collection, Form, Unique};
use crate::wire::Rejection;

/// What a live record claims for itself alone among the live ones of its collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Code and fields.
    pub code: &'static str,
    /// The fields together.
    pub fields: &'static [&'static str],
    /// Their values; null where one has none.
    pub values: Vec<Value>,
}

/// The claims of a record with these fields. A deleted record has none.
#[must_use]
pub fn claims(collection: &Collection, fields: &Map<String, Value>) -> Vec<Claim> {
    collection.unique.iter().filter_map(|unique| claim(unique, fields)).collect()
}

fn claim(unique: &Unique, fields: &Map<String, Value>) -> Option<Claim> {
    if let Some((field, word)) = unique.only {
        let holds = match fields.get(field)? {
            Value::String(text) => text == word,
            other => *other == Value::Bool(true) && word == "true",
        };
        if !holds {
            return None;
        }
    }
    let values: Vec<Value> =
        unique.fields.iter().map(|name| fields.get(*name).cloned().unwrap_or_default()).collect();
    let says_something = values.iter().any(|value| !value.is_null());
    says_something.then_some(Claim { code: unique.code, fields: unique.fields, values })
}

/// The refusal of a claim that another record has.
#[must_use]
pub fn claim_taken(claim: &Claim, by: Uuid) -> Rejection {
    let message = format!("another record has the same {}", claim.fields.join(", "));
    let mut rejection = Rejection::new(claim.code, message);
    rejection.field = claim.fields.first().map(ToString::to_string);
    rejection.taken_by = Some(by);
    rejection
}

/// The records that these fields refer to: field, collection, id.
#[must_use]
pub fn references(
    collection: &Collection,
    fields: &Map<String, Value>,
) -> Vec<(&'static str, &'static str, Uuid)> {
    let named = collection.fields.iter().filter_map(|field| match field.form {
        Form::Ref(target) => {
            let id = Uuid::parse_str(fields.get(field.name)?.as_str()?).ok()?;
            Some((field.name, target, id))
        }
        _ => None,
    });
    named.collect()
}
