//! Every rule of the registry and the envelope, each by an event that breaks it.
#![allow(clippy::unwrap_used, clippy::panic)]

use chrono::NaiveDate;
use motomind_protocol::registry::{COMMON, Form, TYPES};
use motomind_protocol::{
    Event, EventId, Fix, FixSource, Hash, OpId, SealedOperation, Surroundings, VehicleId, code,
    limits, odometer, probable_duplicate, validate, warnings,
};
use serde_json::{Value, json};
use uuid::Uuid;

fn event(kind: &str) -> Event {
    let day = NaiveDate::from_ymd_opt(2024, 5, 2).unwrap();
    let id = EventId(Uuid::from_u128(7));
    Event::new(id, VehicleId(Uuid::from_u128(1)), kind, 1_714_670_000_000, day, "America/Denver")
}

/// The smallest valid event of each type, as JSON: patched by the tests below.
fn smallest(kind: &str) -> Value {
    let mut event = event(kind);
    match kind {
        "odometer" | "dashboard_snapshot" => event.miles = Some(0),
        "expense" => event.total_minor = Some(0),
        "retraction" | "restoration" => event.corrects = Some(EventId(Uuid::from_u128(3))),
        _ => {}
    }
    let payload = match kind {
        "fuel" => json!({"gallons": 0.001}),
        "maintenance" | "reminder" => json!({"kind": "oil_change"}),
        "damage" => json!({"description": "dent"}),
        "inspection" => json!({"result": "pass"}),
        "document" => json!({"doc_type": "insurance"}),
        "dashboard_warning" => json!({"warning_lights": ["abs"]}),
        "tire" => json!({"treads": {"fl": 0}}),
        "modification" => json!({"part_name": "winch"}),
        "recall" => json!({"recall_id": "24V-1", "affected_component": "pump"}),
        _ => json!({}),
    };
    event.payload = payload.as_object().unwrap().clone();
    serde_json::to_value(event).unwrap()
}

/// Field and code of everything that is wrong with an event given as JSON.
fn verdict(value: &Value) -> Vec<(String, String)> {
    let violations = match Event::from_value(value) {
        Ok(event) => validate(&event).err().unwrap_or_default(),
        Err(violations) => violations,
    };
    violations.into_iter().map(|v| (v.field, v.code)).collect()
}

fn one(field: &str, code: &str) -> Vec<(String, String)> {
    vec![(field.into(), code.into())]
}

/// A smallest event with fields replaced, or with `null` taken away.
fn with(kind: &str, patch: Value) -> Value {
    let mut value = smallest(kind);
    for (key, field) in patch.as_object().unwrap() {
        match field {
            Value::Null => drop(value.as_object_mut().unwrap().remove(key)),
            field => value[key] = field.clone(),
        }
    }
    value
}

#[test]
fn the_smallest_event_of_every_type_and_alias_is_valid() {
    for spec in TYPES {
        assert_eq!(verdict(&smallest(spec.name)), [], "{}", spec.name);
        for alias in spec.aliases {
            let mut value = smallest(spec.name);
            value["type"] = json!(alias);
            assert_eq!(verdict(&value), [], "{alias}");
            assert_eq!(Event::from_value(&value).unwrap().canonical_type(), spec.name);
        }
    }
}

#[test]
fn every_required_group_is_asked_for() {
    let row = ["miles", "total_minor", "corrects"];
    for spec in TYPES {
        let mut value =
            with(spec.name, json!({"miles": null, "total_minor": null, "corrects": null}));
        value["payload"] = json!({});
        let path = |name: &str| {
            if row.contains(&name) { name.into() } else { format!("payload.{name}") }
        };
        let missing = |group: &&[&str]| (path(group[0]), code::MISSING.to_string());
        let expected: Vec<(String, String)> = spec.required.iter().map(missing).collect();
        assert_eq!(verdict(&value), expected, "{}", spec.name);
    }
}

#[test]
fn every_member_of_a_group_fulfils_it() {
    let damage = |payload: Value| verdict(&with("damage", json!({ "payload": payload })));
    assert_eq!(damage(json!({"photos": ["a1"]})), []);
    assert_eq!(damage(json!({"photos": []})), one("payload.description", code::MISSING));
    assert_eq!(damage(json!({"description": "  "})), one("payload.description", code::MISSING));
    assert_eq!(verdict(&with("fuel", json!({"payload": {}, "total_minor": 0}))), []);
    let null = verdict(&with("fuel", json!({"payload": {"gallons": null}})));
    assert_eq!(null.len(), 2, "missing, and of the wrong type");
    let typed = with("inspection", json!({"payload": {"inspection_type": "annual"}}));
    assert_eq!(verdict(&typed), []);
    for reading in [
        json!({"odometer_miles": 0}),
        json!({"fuel_eighths": 0}),
        json!({"oil_life_percent": 0}),
        json!({"coolant": "cold"}),
        json!({"warning_lights": []}),
        json!({"trip_a_miles": 0.0}),
        json!({"trip_b_miles": 0.0}),
    ] {
        let value = with("dashboard_snapshot", json!({"miles": null, "payload": reading}));
        assert_eq!(verdict(&value), []);
    }
    assert_eq!(verdict(&with("tire", json!({"payload": {"pressures": {"rr": 0}}}))), []);
}

/// Values that break a form, each with the code that it earns.
fn misfits(form: Form) -> Vec<(Value, &'static str)> {
    use code::{
        BAD_FORMAT, MISSING, NOT_A_CHOICE, OUT_OF_RANGE, TOO_LONG, TOO_PRECISE, WRONG_TYPE,
    };
    match form {
        Form::Integer(min, max) => vec![
            (json!(min - 1), OUT_OF_RANGE),
            (json!(max + 1), OUT_OF_RANGE),
            (json!(u64::MAX), OUT_OF_RANGE),
            (json!(1.5), WRONG_TYPE),
            (json!("1"), WRONG_TYPE),
            (json!(null), WRONG_TYPE),
            (json!([1]), WRONG_TYPE),
        ],
        Form::Number(min, max) => vec![
            (json!(min - 0.001), OUT_OF_RANGE),
            (json!(max + 1.0), OUT_OF_RANGE),
            (json!(1e300), OUT_OF_RANGE),
            (json!("1"), WRONG_TYPE),
            (json!(true), WRONG_TYPE),
        ],
        Form::Positive(max, _) => vec![
            (json!(0), OUT_OF_RANGE),
            (json!(-1), OUT_OF_RANGE),
            (json!(-0.0), OUT_OF_RANGE),
            (json!(max + 0.001), OUT_OF_RANGE),
            (json!(1.2345), TOO_PRECISE),
            (json!(0.0004), TOO_PRECISE),
            (json!("12"), WRONG_TYPE),
        ],
        Form::Line => vec![
            (json!("x".repeat(501)), TOO_LONG),
            (json!(5), WRONG_TYPE),
            (json!({}), WRONG_TYPE),
        ],
        Form::Text => vec![(json!("x".repeat(10_001)), TOO_LONG), (json!(["a"]), WRONG_TYPE)],
        Form::Choice(_) => {
            vec![(json!("nope"), NOT_A_CHOICE), (json!(""), NOT_A_CHOICE), (json!(1), WRONG_TYPE)]
        }
        Form::Bool => vec![(json!("true"), WRONG_TYPE), (json!(1), WRONG_TYPE)],
        Form::Date => vec![
            (json!("2024-02-30"), BAD_FORMAT),
            (json!("02/03/2024"), BAD_FORMAT),
            (json!("2024-1-1"), BAD_FORMAT),
            (json!("tomorrow"), BAD_FORMAT),
            (json!("2024-01-01T00:00:00Z"), TOO_LONG),
            (json!(20_240_101), WRONG_TYPE),
        ],
        Form::Lines => vec![
            (json!("abs"), WRONG_TYPE),
            (json!([1]), WRONG_TYPE),
            (json!(["x".repeat(501)]), TOO_LONG),
            (json!(vec!["x"; 501]), TOO_LONG),
        ],
        Form::Objects => vec![
            (json!(["a"]), WRONG_TYPE),
            (json!({}), WRONG_TYPE),
            (json!(vec![json!({}); 501]), TOO_LONG),
        ],
        Form::Object => vec![(json!([]), WRONG_TYPE), (json!("a"), WRONG_TYPE)],
        Form::Wheels(_, max) => vec![
            (json!({}), MISSING),
            (json!({"spare": 5}), MISSING),
            (json!([1]), WRONG_TYPE),
            (json!({"fl": "5"}), WRONG_TYPE),
            (json!({"fl": -1}), OUT_OF_RANGE),
            (json!({"rr": max + 1.0}), OUT_OF_RANGE),
        ],
    }
}

/// Values at the edge of a form, all fine.
fn edges(form: Form) -> Vec<Value> {
    match form {
        Form::Integer(min, max) => vec![json!(min), json!(max)],
        Form::Number(min, max) => vec![json!(min), json!(max), json!(0)],
        Form::Positive(max, _) => vec![json!(max), json!(0.001), json!(12.345), json!(7)],
        Form::Line => vec![json!("x"), json!("ü".repeat(500)), json!("a\u{0}b")],
        Form::Text => vec![json!("🛞".repeat(10_000))],
        Form::Choice(words) => words.iter().map(|word| json!(word)).collect(),
        Form::Bool => vec![json!(true), json!(false)],
        Form::Date => vec![json!("2024-02-29"), json!("1900-01-01")],
        Form::Lines => vec![json!(["x"]), json!(vec!["x"; 500])],
        Form::Objects => vec![json!([]), json!([{"description": "filter", "amount_minor": 0}])],
        Form::Object => vec![json!({}), json!({"a": [1, {"b": null}]})],
        Form::Wheels(min, max) => vec![json!({"fl": min, "rr": max}), json!({"rl": 5, "spare": 6})],
    }
}

#[test]
fn every_known_key_of_every_type_is_held_to_its_form() {
    for spec in TYPES {
        for key in spec.keys.iter().chain(COMMON) {
            let field = format!("payload.{}", key.name);
            for (value, code) in misfits(key.form) {
                let mut broken = smallest(spec.name);
                broken["payload"][key.name] = value.clone();
                let found = verdict(&broken);
                let named = found.contains(&(field.clone(), code.into()));
                assert!(named, "{} {field} = {value}: {found:?}", spec.name);
            }
            for value in edges(key.form) {
                let mut good = smallest(spec.name);
                good["payload"][key.name] = value.clone();
                assert_eq!(verdict(&good), [], "{} {field} = {value}", spec.name);
            }
        }
    }
}

#[test]
fn the_envelope_is_held_to_its_ranges() {
    let fix = |field: &str, value: f64| {
        let mut fix = json!({"latitude": 0, "longitude": 0, "source": "gps"});
        fix[field] = json!(value);
        json!({ "fix": fix })
    };
    for (patch, field, code) in [
        (json!({"miles": -1}), "miles", code::OUT_OF_RANGE),
        (json!({"miles": 10_000_000}), "miles", code::OUT_OF_RANGE),
        (json!({"total_minor": -1}), "total_minor", code::OUT_OF_RANGE),
        (json!({"total_minor": 1_000_000_000_001_i64}), "total_minor", code::OUT_OF_RANGE),
        (json!({"currency": "usd"}), "currency", code::BAD_FORMAT),
        (json!({"currency": "US"}), "currency", code::BAD_FORMAT),
        (json!({"currency": "€"}), "currency", code::BAD_FORMAT),
        (json!({"timezone": ""}), "timezone", code::BAD_FORMAT),
        (json!({"timezone": "America/Denver\u{0}"}), "timezone", code::BAD_FORMAT),
        (json!({"timezone": "x".repeat(65)}), "timezone", code::BAD_FORMAT),
        (json!({"type": ""}), "type", code::MISSING),
        (json!({"type": "x".repeat(65)}), "type", code::TOO_LONG),
        (json!({"type": "odo\u{0}meter"}), "type", code::BAD_FORMAT),
        (json!({"vendor": "x".repeat(501)}), "vendor", code::TOO_LONG),
        (json!({"notes": "x".repeat(10_001)}), "notes", code::TOO_LONG),
        (json!({"reason": "x".repeat(1_001)}), "reason", code::TOO_LONG),
        (json!({"occurred_at": -2_208_988_800_001_i64}), "occurred_at", code::OUT_OF_RANGE),
        (json!({"occurred_at": 253_402_300_800_000_i64}), "occurred_at", code::OUT_OF_RANGE),
        (json!({"occurred_at": i64::MIN}), "occurred_at", code::OUT_OF_RANGE),
        (json!({"date": "1899-12-30"}), "date", code::OUT_OF_RANGE),
        (json!({"date": "+10000-01-01"}), "date", code::OUT_OF_RANGE),
        (fix("latitude", 90.1), "fix.latitude", code::OUT_OF_RANGE),
        (fix("longitude", -180.1), "fix.longitude", code::OUT_OF_RANGE),
        (fix("accuracy_m", -1.0), "fix.accuracy_m", code::OUT_OF_RANGE),
        (fix("altitude_m", 1e7), "fix.altitude_m", code::OUT_OF_RANGE),
        (fix("altitude_accuracy_m", -1.0), "fix.altitude_accuracy_m", code::OUT_OF_RANGE),
        (fix("heading_deg", 361.0), "fix.heading_deg", code::OUT_OF_RANGE),
        (fix("speed_mps", -0.1), "fix.speed_mps", code::OUT_OF_RANGE),
    ] {
        assert_eq!(verdict(&with("odometer", patch.clone())), one(field, code), "{patch}");
    }
}

#[test]
fn the_edges_of_the_envelope_are_inside() {
    for patch in [
        json!({"miles": 0}),
        json!({"miles": 9_999_999}),
        json!({"total_minor": 0}),
        json!({"notes": "kept as it is: \u{0} \u{7f} 🛞"}),
        json!({"notes": ""}),
        json!({"vendor": "ü".repeat(500)}),
        json!({"occurred_at": limits::OCCURRED_AT_MIN_MS, "date": "1900-01-01"}),
        json!({"occurred_at": limits::OCCURRED_AT_MIN_MS, "date": "1899-12-31"}),
        json!({"occurred_at": limits::OCCURRED_AT_MAX_MS, "date": "9999-12-31"}),
        json!({"occurred_at": 4_102_444_800_000_i64, "date": "2100-01-01"}),
        json!({"fix": {"latitude": 0, "longitude": 0, "source": "gps"}}),
        json!({"fix": {"latitude": -90, "longitude": 180, "source": "manual", "accuracy_m": 0}}),
        json!({"timezone": "Etc/GMT+7"}),
        json!({"type": "tyre.swap/v2"}),
    ] {
        assert_eq!(verdict(&with("odometer", patch.clone())), [], "{patch}");
    }
}

#[test]
fn coordinates_that_are_not_numbers_are_named() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut event = event("parking");
        let mut fix = Fix::at(bad, bad, FixSource::Gps);
        fix.accuracy_m = Some(bad);
        event.fix = Some(fix);
        let violations = validate(&event).unwrap_err();
        let found: Vec<_> =
            violations.iter().map(|v| (v.field.as_str(), v.code.as_str())).collect();
        let expected = ["fix.latitude", "fix.longitude", "fix.accuracy_m"];
        assert_eq!(found, expected.map(|field| (field, code::NOT_FINITE)));
    }
}

#[test]
fn everything_that_is_wrong_is_listed_at_once() {
    let value = with(
        "fuel",
        json!({
            "miles": -1, "currency": "x",
            "fix": {"latitude": 91, "longitude": 181, "source": "gps"},
            "payload": {"gallons": "12", "full_tank": 1, "price_per_gallon": -1, "pump": 7},
        }),
    );
    let fields: Vec<String> = verdict(&value).into_iter().map(|(field, _)| field).collect();
    let expected = [
        "miles",
        "currency",
        "fix.latitude",
        "fix.longitude",
        "payload.full_tank",
        "payload.gallons",
        "payload.price_per_gallon",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn wrong_types_are_found_field_by_field() {
    for (patch, field) in [
        (json!({"miles": "abc"}), "miles"),
        (json!({"miles": 1.5}), "miles"),
        (json!({"miles": u64::MAX}), "miles"),
        (json!({"total_minor": "4.50"}), "total_minor"),
        (json!({"id": "no uuid"}), "id"),
        (json!({"vehicle_id": 7}), "vehicle_id"),
        (json!({"type": 7}), "type"),
        (json!({"occurred_at": "today"}), "occurred_at"),
        (json!({"date": "2024-02-30"}), "date"),
        (json!({"date": 5}), "date"),
        (json!({"timezone": []}), "timezone"),
        (json!({"notes": 5}), "notes"),
        (json!({"payload": []}), "payload"),
        (json!({"payload": "{}"}), "payload"),
        (json!({"session_id": "x"}), "session_id"),
        (json!({"corrects": true}), "corrects"),
        (json!({"fix_absent": 1}), "fix_absent"),
        (json!({"fix": 5}), "fix"),
        (json!({"fix": {"latitude": "x", "longitude": 0, "source": "gps"}}), "fix.latitude"),
        (json!({"fix": {"latitude": 1, "longitude": 0, "source": 4}}), "fix.source"),
        (
            json!({"fix": {"latitude": 1, "longitude": 0, "source": "gps", "is_mock": 1}}),
            "fix.is_mock",
        ),
    ] {
        let verdict = verdict(&with("odometer", patch.clone()));
        assert_eq!(verdict, one(field, code::WRONG_TYPE), "{patch}");
    }
    for field in ["id", "vehicle_id", "type", "occurred_at", "date", "timezone"] {
        let verdict = verdict(&with("odometer", json!({ field: null })));
        assert_eq!(verdict, one(field, code::MISSING));
    }
    let fix = with("odometer", json!({"fix": {"latitude": "x", "source": "gps"}}));
    let both = [one("fix.longitude", code::MISSING), one("fix.latitude", code::WRONG_TYPE)];
    assert_eq!(verdict(&fix), both.concat());
    assert_eq!(
        verdict(&with("odometer", json!({"miles": "abc", "date": null, "notes": 1}))).len(),
        3
    );
    for not_an_event in [json!(null), json!([]), json!("event"), json!(5)] {
        assert_eq!(verdict(&not_an_event), one("event", code::WRONG_TYPE));
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn nesting_has_a_limit_that_every_reader_can_take() {
    let deep = |depth: usize| with("trip", json!({"payload": {"x": nested(depth)}}));
    assert_eq!(verdict(&deep(limits::NESTING_MAX)), []);
    assert_eq!(verdict(&deep(limits::NESTING_MAX + 1)), one("payload.x", code::TOO_DEEP));
    let beside = with("trip", json!({"x": nested(limits::NESTING_MAX + 1)}));
    assert_eq!(verdict(&beside), one("x", code::TOO_DEEP));
    let in_fix = json!({"fix": {"latitude": 0, "longitude": 0, "source": "gps", "x": nested(99)}});
    assert_eq!(verdict(&with("trip", in_fix)), one("fix.x", code::TOO_DEEP));

    // Text that is nested beyond what can be parsed at all is an unreadable operation, not a crash.
    let text = format!("{{\"body\":{}", "[".repeat(30_000));
    let hash = Hash::of(text.as_bytes());
    let sealed = SealedOperation { op_id: OpId(Uuid::nil()), hash, text };
    assert_eq!(sealed.open().unwrap_err()[0].code, code::MALFORMED);
}

#[test]
fn unknown_types_and_keys_pass_but_not_without_an_envelope() {
    let newer =
        json!({"type": "hovercraft_skirt", "payload": {"gallons": "many"}, "colour": "red"});
    let mut value = with("odometer", newer);
    assert_eq!(verdict(&value), []);
    value["miles"] = json!(-1);
    assert_eq!(verdict(&value), one("miles", code::OUT_OF_RANGE));
    value["payload"]["confirmed_jump"] = json!("yes");
    assert_eq!(verdict(&value).len(), 2, "the common keys keep their form in any type");
}

#[test]
fn warnings_inform_and_never_refuse() {
    let codes = |event: &Event, before: Option<(i64, i64)>, nearby: &[Event]| -> Vec<String> {
        assert_eq!(validate(event), Ok(()));
        let around = Surroundings { reading_before: before, nearby };
        warnings(event, &around).into_iter().map(|warning| warning.code).collect()
    };
    let mut fill = event("fuel");
    let payload = json!({"gallons": 12.0, "price_per_gallon": 3.5});
    fill.payload = payload.as_object().unwrap().clone();
    fill.miles = Some(54_120);
    let days_ago = |days: i64| fill.occurred_at - days * 86_400_000;
    assert!(codes(&fill, Some((days_ago(1), 53_620)), &[]).is_empty(), "500 miles in a day");
    assert_eq!(codes(&fill, Some((days_ago(1), 53_619)), &[]), ["fast_driving"]);
    assert_eq!(codes(&fill, Some((days_ago(0), 53_600)), &[]), ["fast_driving"]);
    assert_eq!(codes(&fill, Some((days_ago(40), 44_119)), &[]), ["odometer_jump"]);
    assert!(codes(&fill, Some((days_ago(40), 44_120)), &[]).is_empty());
    for (key, value, code) in [
        ("gallons", 100.001, "unusual_gallons"),
        ("price_per_gallon", 1.499, "unusual_price"),
        ("price_per_gallon", 10.01, "unusual_price"),
    ] {
        let mut odd = fill.clone();
        odd.payload[key] = json!(value);
        assert_eq!(codes(&odd, None, &[]), [code]);
    }
    let mut twin = fill.clone();
    twin.id = EventId(Uuid::from_u128(8));
    twin.kind = "fuel_purchase".into();
    twin.occurred_at += limits::DUPLICATE_WINDOW_MS;
    assert_eq!(codes(&fill, None, std::slice::from_ref(&twin)), ["probable_duplicate"]);
    assert!(codes(&fill, None, std::slice::from_ref(&fill)).is_empty(), "not of itself");
    twin.occurred_at += 1;
    assert!(!probable_duplicate(&fill, &twin));
}

#[test]
fn absurd_numbers_overflow_nothing() {
    let absurd = |number: i64, id: u128| {
        let mut event = event("odometer");
        event.id = EventId(Uuid::from_u128(id));
        (event.miles, event.total_minor) = (Some(number), Some(number));
        event.occurred_at = number;
        event
    };
    let (low, high) = (absurd(i64::MIN, 8), absurd(i64::MAX, 9));
    for (one, other) in [(&low, &high), (&high, &low)] {
        let reading_before = Some((other.occurred_at, other.miles.unwrap()));
        let _ =
            warnings(one, &Surroundings { reading_before, nearby: std::slice::from_ref(other) });
        assert!(!probable_duplicate(one, other));
        let before = motomind_protocol::Reading::of(other, other.occurred_at, 1);
        let _ = odometer::needs_confirmation(one, before.as_ref());
        assert!(validate(one).is_err());
    }
}
