//! How a row of the backup becomes an event.
//!
//! Columns and payload keys find the protocol's names; all others stay in the payload under their
//! own. Nothing is made up: what is absent stays absent, and a day without a time is marked so.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use motomind_protocol::registry::{self, Form};
use motomind_protocol::{Event, EventId, Fix, FixSource, VehicleId, Violation, validate};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Row;
use super::values::{instant, integer, minor, moment, number, text, uuid};

/// Where a column goes.
#[derive(Clone, Copy)]
enum To {
    Date,
    Miles,
    Total,
    Currency,
    Vendor,
    Notes,
    Key(&'static str),
    /// A payload key in minor units.
    Minor(&'static str),
    /// Read apart.
    Apart,
}

/// Columns with a place of their own, by list.
fn columns(source: &str) -> &'static [(&'static str, To)] {
    match source {
        "odometer_readings" => {
            &[("reading_date", To::Date), ("mileage", To::Miles), ("notes", To::Notes)]
        }
        "fuel_logs" => &[
            ("date", To::Date),
            ("odometer_reading", To::Miles),
            ("total_amount", To::Total),
            ("currency", To::Currency),
            ("notes", To::Notes),
            ("fuel_type", To::Key("grade")),
            ("station_name", To::Key("station")),
            ("transaction_number", To::Key("transaction_id")),
            ("location_lat", To::Apart),
            ("location_lng", To::Apart),
        ],
        "service_records" => &[
            ("service_date", To::Date),
            ("odometer_reading", To::Miles),
            ("total_cost", To::Total),
            ("currency", To::Currency),
            ("shop_name", To::Vendor),
            ("notes", To::Notes),
            ("service_type", To::Key("kind")),
            ("labor_cost", To::Minor("labor_minor")),
        ],
        _ => &[
            ("type", To::Apart),
            ("payload", To::Apart),
            ("date", To::Date),
            ("miles", To::Miles),
            ("total_amount", To::Total),
            ("currency", To::Currency),
            ("vendor", To::Vendor),
            ("notes", To::Notes),
            ("fuel_grade", To::Key("grade")),
            ("fuel_level", To::Key("fuel_level_percent")),
        ],
    }
}

/// Payload keys that older writers named otherwise: type, old path, present name. Copied, so that
/// the old key stays readable.
const RENAMED: &[(&str, &str, &str)] = &[
    ("fuel", "/fuel_grade", "grade"),
    ("fuel", "/fuel_type", "grade"),
    ("fuel", "/station_name", "station"),
    ("maintenance", "/service_type", "kind"),
    ("maintenance", "/vendor_name", "vendor"),
    ("document", "/document_type", "doc_type"),
    ("reminder", "/reminder_type", "kind"),
    ("damage", "/damage_type", "description"),
    ("damage", "/summary", "description"),
    ("dashboard_snapshot", "/key_facts/odometer_miles", "odometer_miles"),
    ("dashboard_snapshot", "/key_facts/fuel_eighths", "fuel_eighths"),
    ("dashboard_snapshot", "/key_facts/fuel_level_eighths", "fuel_eighths"),
    ("dashboard_snapshot", "/key_facts/oil_life_percent", "oil_life_percent"),
    ("dashboard_snapshot", "/key_facts/coolant_temp", "coolant"),
    ("dashboard_snapshot", "/key_facts/warning_lights", "warning_lights"),
    ("dashboard_snapshot", "/key_facts/trip_a_miles", "trip_a_miles"),
    ("dashboard_snapshot", "/key_facts/trip_b_miles", "trip_b_miles"),
    ("dashboard_warning", "/warning_type", "warning_lights"),
];

/// Payload keys that held the money, by any type.
const TOTALS: &[&str] = &["total_amount", "total_cost", "cost", "amount"];

/// The product's names of wheels and the protocol's.
const WHEELS: &[(&str, &str)] =
    &[("front_left", "fl"), ("front_right", "fr"), ("rear_left", "rl"), ("rear_right", "rr")];

/// An event on its way in, with what had to be moved aside.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) event: Event,
    /// Takes the event back: it had been deleted in the product.
    pub(super) retraction: Option<Event>,
    pub(super) reasons: Vec<String>,
}

/// Readings are imported by day, then by when they were written down.
pub(super) fn sort_key(row: &Row) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
    let date =
        ["date", "reading_date", "service_date"].iter().find_map(|name| instant(row.get(*name)));
    (date, instant(row.get("created_at")))
}

/// Makes an event of a row, or says why it cannot be one.
pub(super) fn convert(source: &str, row: &Row) -> Result<Draft, Vec<String>> {
    let columns = columns(source);
    let date =
        columns.iter().find(|(_, to)| matches!(to, To::Date)).map_or("date", |(name, _)| name);
    let (Some(id), Some(vehicle)) = (uuid(row.get("id")), uuid(row.get("vehicle_id"))) else {
        return Err(vec!["an event needs UUIDs as id and vehicle_id".into()]);
    };
    let Some(when) = moment(row.get(date)) else {
        return Err(vec![format!("{date} is no date")]);
    };
    let kind = match source {
        "odometer_readings" => "odometer".into(),
        "fuel_logs" => "fuel".into(),
        "service_records" => "maintenance".into(),
        _ => text(row.get("type")).ok_or_else(|| vec!["an event needs a type".to_string()])?,
    };
    let occurred = when.at.unwrap_or_else(|| noon(when.day));
    let event = Event::new(
        EventId(id),
        VehicleId(vehicle),
        kind,
        occurred.timestamp_millis(),
        when.day,
        "UTC",
    );
    let mut draft = Draft { event, retraction: None, reasons: Vec::new() };
    if when.at.is_none() {
        draft.event.payload.insert("time_of_day_unknown".into(), Value::Bool(true));
    }
    draft.take_columns(source, columns, row);
    draft.take_payload_names();
    draft.retract_if_deleted(row);
    draft.settle()?;
    Ok(draft)
}

fn noon(day: NaiveDate) -> DateTime<Utc> {
    let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default();
    day.and_time(noon).and_utc()
}

impl Draft {
    fn take_columns(&mut self, source: &str, columns: &[(&str, To)], row: &Row) {
        if let Some(Value::Object(payload)) =
            row.get("payload").filter(|_| source == "current_events")
        {
            self.event.payload.extend(payload.clone());
        }
        for (name, value) in row {
            let to = columns.iter().find(|(column, _)| column == name).map(|(_, to)| *to);
            if value.is_null() || ["id", "tenant_id", "vehicle_id"].contains(&name.as_str()) {
                continue;
            }
            let fits = match to {
                Some(To::Date | To::Apart) => true,
                Some(To::Miles) => {
                    self.event.miles = integer(Some(value));
                    self.event.miles.is_some()
                }
                Some(To::Total) => {
                    self.event.total_minor = minor(Some(value));
                    self.event.total_minor.is_some()
                }
                Some(To::Currency) => {
                    self.event.currency = text(Some(value));
                    self.event.currency.is_some()
                }
                Some(To::Vendor) => {
                    self.event.vendor = text(Some(value));
                    self.event.vendor.is_some()
                }
                Some(To::Notes) => {
                    self.event.notes = text(Some(value));
                    self.event.notes.is_some()
                }
                Some(To::Key(key)) => self.put(key, value.clone()),
                Some(To::Minor(key)) => {
                    minor(Some(value)).is_some_and(|amount| self.put(key, amount.into()))
                }
                None => false,
            };
            if !fits {
                self.keep(name, value);
            }
        }
        if let Some(by) = text(row.get("created_by")) {
            self.put("logged_by", by.into());
        }
        if source != "current_events" {
            self.put("source", "migrated".into());
            self.put("migrated_from", source.into());
        }
        if let (Some(latitude), Some(longitude)) =
            (number(row.get("location_lat")), number(row.get("location_lng")))
        {
            self.event.fix =
                Some(Fix::at(latitude, longitude, FixSource::Other("imported".into())));
        }
    }

    /// Sets a payload key unless it is there; says whether the value is in its place now.
    fn put(&mut self, key: &str, value: Value) -> bool {
        let value = coerced(&self.event, key, value);
        let there = self.event.payload.entry(key).or_insert_with(|| value.clone());
        *there == value
    }

    /// Keeps a column that has no place, under a key that is free.
    fn keep(&mut self, name: &str, value: &Value) {
        if self.put(name, value.clone()) {
            return;
        }
        self.event.payload.insert(format!("row_{name}"), value.clone());
    }

    fn take_payload_names(&mut self) {
        let kind = self.event.canonical_type().to_string();
        let old = Value::Object(self.event.payload.clone());
        for (of, path, name) in RENAMED {
            if let Some(value) = old.pointer(path).filter(|value| *of == kind && !value.is_null()) {
                self.put(name, value.clone());
            }
        }
        if self.event.total_minor.is_none() {
            self.event.total_minor = TOTALS.iter().find_map(|name| minor(old.get(*name)));
        }
        if old.get("allow_rollover") == Some(&Value::Bool(true)) {
            self.put("odometer_replaced", true.into());
        }
        let items =
            old.get("service_items").and_then(Value::as_array).filter(|_| kind == "maintenance");
        if let Some(items) = items {
            self.put("line_items", items.iter().map(line_item).collect());
        }
        self.take_wheels(&old);
        // Known keys in the form that the registry asks for.
        for (key, value) in std::mem::take(&mut self.event.payload) {
            let value = coerced(&self.event, &key, value);
            self.event.payload.insert(key, value);
        }
    }

    fn take_wheels(&mut self, old: &Value) {
        let wheel = |name: &str| {
            WHEELS.iter().find(|(long, _)| *long == name).map(|(_, short)| (*short).to_string())
        };
        if let (Some(wheel), Some(depth)) =
            (old["position"].as_str().and_then(wheel), old.get("depth_32nds"))
        {
            self.put("treads", json!({ wheel: depth }));
        }
        if let Some(pressures) = old.get("pressures").and_then(Value::as_object) {
            let short: Row = pressures
                .iter()
                .filter_map(|(name, value)| Some((wheel(name)?, value.clone())))
                .collect();
            if !short.is_empty() {
                self.event.payload.insert("imported_pressures".into(), pressures.clone().into());
                self.event.payload.insert("pressures".into(), short.into());
            }
        }
    }

    fn retract_if_deleted(&mut self, row: &Row) {
        let Some(at) = instant(row.get("deleted_at")) else {
            return;
        };
        let id = Uuid::new_v5(&self.event.id.0, b"deleted");
        let (vehicle, at_ms) = (self.event.vehicle_id, at.timestamp_millis());
        let mut retraction =
            Event::new(EventId(id), vehicle, registry::RETRACTION, at_ms, at.date_naive(), "UTC");
        retraction.corrects = Some(self.event.id);
        retraction.reason =
            text(row.get("deletion_reason")).map(|reason| reason.chars().take(1_000).collect());
        self.retraction = Some(retraction);
    }

    /// Moves aside what breaks a rule until the event is one that the protocol takes.
    pub(super) fn settle(&mut self) -> Result<(), Vec<String>> {
        loop {
            let Err(violations) = validate(&self.event) else {
                return Ok(());
            };
            let mut moved = false;
            for violation in &violations {
                moved |= self.move_aside(violation);
            }
            if !moved {
                return Err(violations
                    .into_iter()
                    .map(|v| format!("{}: {}", v.field, v.message))
                    .collect());
            }
        }
    }

    /// Moves the field of a violation to `imported_…` in the payload; where something is missing,
    /// the event becomes one of a type of its own, shown as other. False when it can do nothing.
    pub(super) fn move_aside(&mut self, violation: &Violation) -> bool {
        let event = &mut self.event;
        let key = violation.field.strip_prefix("payload.");
        let taken = match violation.field.as_str() {
            "miles" => event.miles.take().map(Value::from),
            "total_minor" => event.total_minor.take().map(Value::from),
            "currency" => event.currency.take().map(Value::from),
            "vendor" => event.vendor.take().map(Value::from),
            "notes" => event.notes.take().map(Value::from),
            field if field.starts_with("fix.") => event.fix.take().map(|fix| json!(fix)),
            _ => key.and_then(|key| event.payload.remove(key)),
        };
        let reason = format!("{}: {}", violation.field, violation.message);
        if let Some(value) = taken {
            let name = key.unwrap_or(violation.field.split('.').next().unwrap_or_default());
            event.payload.insert(format!("imported_{name}"), value);
        } else if event.kind.starts_with("imported_")
            || ["date", "occurred_at", "timezone"].contains(&violation.field.as_str())
        {
            return false;
        } else {
            let kind = format!("imported_{}", event.kind.replace(char::is_control, " "));
            event.kind = kind.chars().take(motomind_protocol::limits::TYPE_CHARS_MAX).collect();
        }
        self.reasons.push(reason);
        true
    }
}

/// A product's service item as a line item: its price in minor units, everything else as it is.
fn line_item(item: &Value) -> Value {
    let Value::Object(item) = item else {
        return json!({ "description": item });
    };
    let mut line = item.clone();
    for (from, to) in [("item", "description"), ("type", "category")] {
        if let Some(value) = item.get(from) {
            line.entry(to).or_insert(value.clone());
        }
    }
    if let Some(amount) = minor(item.get("cost").or(item.get("amount"))) {
        line.insert("amount_minor".into(), amount.into());
    }
    Value::Object(line)
}

/// A value in the form that the registry asks for, where that changes its writing only.
fn coerced(event: &Event, key: &str, value: Value) -> Value {
    let spec = registry::find(&event.kind);
    let keys = spec.into_iter().flat_map(|spec| spec.keys).chain(registry::COMMON);
    let Some(form) = keys.into_iter().find(|known| known.name == key).map(|known| known.form)
    else {
        return value;
    };
    let written = match form {
        Form::Integer(..) => integer(Some(&value)).map(Value::from),
        Form::Number(..) | Form::Positive(..) if value.is_string() => {
            number(Some(&value)).map(Value::from)
        }
        Form::Line | Form::Text if value.is_number() => text(Some(&value)).map(Value::from),
        Form::Date => moment(Some(&value)).map(|moment| Value::from(moment.day.to_string())),
        Form::Lines if value.is_string() => Some(json!([value])),
        Form::Bool => match value.as_str() {
            Some("true") => Some(true.into()),
            Some("false") => Some(false.into()),
            _ => None,
        },
        _ => None,
    };
    written.unwrap_or(value)
}
