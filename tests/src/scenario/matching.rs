//! Whether what was seen is what was expected.

use std::collections::BTreeMap;

use serde_json::Value;

/// Explains the first difference, or nothing when `seen` is as expected.
///
/// An expected object asks for its own keys only; `null` asks that the key be absent or null;
/// `"$present"` asks that it be anything else, `{"$at_least": n}` and `{"$at_most": n}` for a number
/// on that side of n. A list asks for exactly its entries, `{"$length": n}` for so many.
#[must_use]
pub fn difference(expected: &Value, seen: &Value, path: &str) -> Option<String> {
    let differs = || Some(format!("{path}: expected {expected}, saw {seen}"));
    match (expected, seen) {
        (Value::String(word), seen) if word == "$present" => {
            if seen.is_null() {
                return differs();
            }
            None
        }
        (Value::Object(length), Value::Array(found)) => {
            let only = length.len() == 1;
            let asked = length.get("$length").and_then(Value::as_u64);
            if only && asked == Some(found.len() as u64) {
                return None;
            }
            Some(format!("{path}: expected {expected}, saw {} entries", found.len()))
        }
        (Value::Object(bounds), Value::Number(seen)) => {
            let Some(seen) = seen.as_f64() else {
                return differs();
            };
            let bound = |key: &str| bounds.get(key).and_then(Value::as_f64);
            let low = bound("$at_least").is_some_and(|least| seen >= least);
            let high = bound("$at_most").is_some_and(|most| seen <= most);
            let held = [("$at_least", low), ("$at_most", high)];
            let held = held.iter().all(|(key, held)| *held || !bounds.contains_key(*key));
            if held && !bounds.is_empty() { None } else { differs() }
        }
        (Value::Object(expected), Value::Object(seen)) => {
            expected.iter().find_map(|(key, value)| {
                let found = seen.get(key).unwrap_or(&Value::Null);
                difference(value, found, &format!("{path}.{key}"))
            })
        }
        (Value::Array(expected), Value::Array(found)) => {
            if expected.len() != found.len() {
                return Some(format!(
                    "{path}: expected {} entries, saw {}: {seen}",
                    expected.len(),
                    found.len()
                ));
            }
            let pairs = expected.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(at, (expected, found))| {
                difference(expected, found, &format!("{path}[{at}]"))
            })
        }
        _ if expected == seen => None,
        _ => differs(),
    }
}

/// Replaces every id that the scenario has a name for by that name.
pub fn name_ids(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(name) = names.get(text) {
                text.clone_from(name);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|entry| name_ids(entry, names)),
        Value::Object(map) => map.values_mut().for_each(|entry| name_ids(entry, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_asks_for_its_keys_and_a_list_for_its_length() {
        let seen = json!([{"a": 1, "b": {"c": [1, 2]}, "d": null}]);
        for expected in [
            json!([{}]),
            json!([{"a": 1}]),
            json!([{"a": {"$at_least": 1, "$at_most": 1}}]),
            json!({"$length": 1}),
            json!([{"b": {"c": [1, 2]}, "x": null, "d": null, "a": "$present"}]),
        ] {
            assert_eq!(difference(&expected, &seen, ""), None, "{expected}");
        }
        for expected in [
            json!([]),
            json!([{"a": 2}]),
            json!([{"a": null}]),
            json!({"$length": 2}),
            json!([{"a": {"$at_least": 2}}]),
            json!([{"a": {"$at_least": 0, "$at_most": 0}}]),
            json!([{"a": {}}]),
            json!([{"b": {"c": [1]}}]),
            json!([{"d": "$present"}]),
            json!([{"x": "$present"}]),
            json!([{}, {}]),
            json!({}),
        ] {
            assert!(difference(&expected, &seen, "").is_some(), "{expected}");
        }
    }
}
