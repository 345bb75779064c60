//! Events in Postgres: immutable, readable by devices, and held to protocol's own rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use chrono::NaiveDate;
use motomind_protocol::registry::{self, Form};
use motomind_protocol::wire::{Change, ChangeKind};
use motomind_protocol::{Event, EventId, EventRecord, Flag, VehicleId, validate};
use motomind_tests::postgres::{Database, Postgres, as_tenant, constraint, count, role};
use serde_json::{Map, Value, json};
use tokio_postgres::Client;
use tokio_postgres::types::Json;
use uuid::Uuid;

/// Writes an event as another SQL client does: as columns.
async fn insert(
    client: &Client,
    tenant: Uuid,
    event: &Event,
) -> Result<u64, tokio_postgres::Error> {
    client
        .execute(
            "INSERT INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date, timezone, miles, total_minor,
                 currency, vendor, notes, payload, fix, session_id, corrects, reason)
             VALUES ($1, $2, $3, $4, from_epoch_ms($5), $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            &[
                &tenant,
                &event.id.0,
                &event.vehicle_id.0,
                &event.kind,
                &event.occurred_at,
                &event.date,
                &event.timezone,
                &event.miles.map(|miles| i32::try_from(miles).unwrap()),
                &event.total_minor,
                &event.currency,
                &event.vendor,
                &event.notes,
                &Json(&event.payload),
                &event.fix.as_ref().map(Json),
                &event.session_id,
                &event.corrects.map(|id| id.0),
                &event.reason,
            ],
        )
        .await
}

fn event(vehicle: Uuid, kind: &str) -> Event {
    let day = NaiveDate::from_ymd_opt(2025, 3, 9).unwrap();
    let id = EventId(Uuid::new_v4());
    Event::new(id, VehicleId(vehicle), kind, 1_741_500_000_123, day, "America/Denver")
}

/// The log's entry for an event.
async fn logged(database: &Database, id: Uuid) -> String {
    let admin = database.admin().await;
    let entry = "SELECT entry FROM change_log WHERE entity_id = $1";
    admin.query_one(entry, &[&id]).await.unwrap().get(0)
}

fn record(entry: &str) -> EventRecord {
    let change: Change = serde_json::from_str(entry).unwrap();
    match change.what {
        ChangeKind::Event(record) => *record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_another_sql_client_writes_devices_read_as_it_was_written() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(role::BYPASS).await;
    let mut full = event(vehicle, "fuel");
    full.miles = Some(0);
    full.total_minor = Some(0);
    full.currency = Some("EUR".into());
    full.vendor = Some("Tank \"Nord\" \\ Süd\n".into());
    full.notes = Some("⛽ \u{1}\u{7f}".into());
    full.payload = json!({"gallons": 12.345, "x": null, "deep": {"a": [1, 2.5, "ü"]}})
        .as_object()
        .unwrap()
        .clone();
    full.fix = serde_json::from_value(
        json!({"latitude": 0, "longitude": -180.0, "accuracy_m": 5.5, "source": "gps",
        "fixed_at": 1_741_500_000_000_i64, "is_mock": false, "age_ms": 0, "satellites": 7}),
    )
    .unwrap();
    full.session_id = Some(Uuid::new_v4());
    full.reason = Some("weil".into());
    let mut least = event(vehicle, "parking");
    least.occurred_at += 1;
    for one in [&full, &least] {
        insert(&client, tenant, one).await.unwrap();
        let read = record(&logged(&database, one.id.0).await);
        assert_eq!(read.event, *one);
        assert_eq!(
            (read.op_id, read.device_id, read.user_id, read.corrects),
            (None, None, None, None)
        );
        assert!(read.flags.is_empty() && read.extra.is_empty());
        let view = "SELECT record FROM event_records WHERE id = $1";
        let admin = database.admin().await;
        let again: String = admin.query_one(view, &[&one.id.0]).await.unwrap().get(0);
        assert_eq!(serde_json::from_str::<EventRecord>(&again).unwrap(), read);
    }
}

#[tokio::test]
async fn a_pushed_body_passes_through_byte_for_byte() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let server = database.connect(role::SERVER).await;
    let (id, device, user) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    // Odd spacing, a NUL, a backslash before u0000 that is no NUL, keys of a newer peer.
    let body = format!(
        r#"{{ "id":"{id}","vehicle_id":"{vehicle}","type":"parking","occurred_at":1741500000123,"date":"2025-03-09",
"timezone":"UTC","notes":"a\u0000b\u0000\u0000","payload":{{"level":"\\u0000","lot_name":"\u0000","n":1.0}},"newer":[1e2]}}"#
    );
    as_tenant(&server, tenant, &format!(
        "INSERT INTO vehicle_events (id, vehicle_id, type, occurred_at, date, notes, payload, body, op_id, device_id, user_id)
         VALUES ('{id}', '{vehicle}', 'parking', from_epoch_ms(1741500000123), '2025-03-09', E'a\u{fffd}b',
                 json_projection($body${body}$body$) -> 'payload', $body${body}$body$, '{id}', '{device}', '{user}')"
    )).await.unwrap();
    let entry = logged(&database, id).await;
    assert!(entry.contains(&body), "{entry}");
    let read = record(&entry);
    assert_eq!(read.event.notes.as_deref(), Some("a\0b\0\0"));
    assert_eq!(read.event.extra["newer"], json!([100.0]));
    assert_eq!(read.op_id.map(|id| id.0), Some(id));
    assert_eq!(
        (read.device_id.map(|id| id.0), read.user_id.map(|id| id.0)),
        (Some(device), Some(user))
    );
    let admin = database.admin().await;
    let projected = "SELECT count(*) FROM vehicle_events WHERE payload ->> 'level' = '\\u0000' AND payload ->> 'lot_name' = U&'\\FFFD'";
    assert_eq!(count(&admin, projected).await, 1);
}

#[tokio::test]
async fn an_event_from_the_future_is_flagged_and_ordered_by_its_arrival() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(role::BYPASS).await;
    let mut ahead = event(vehicle, "odometer");
    ahead.miles = Some(5);
    ahead.occurred_at = 4_102_444_800_000; // 2100
    insert(&client, tenant, &ahead).await.unwrap();
    let read = record(&logged(&database, ahead.id.0).await);
    assert_eq!(read.flags, [Flag::ClockAhead]);
    let at = "SELECT at_ms FROM event_registry";
    assert_eq!(count(&client, at).await, read.received_at);
    assert_eq!(read.effective_at(), read.received_at);
}

#[tokio::test]
async fn events_cannot_be_altered_by_anyone() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let admin = database.admin().await;
    insert(&admin, tenant, &event(vehicle, "parking")).await.unwrap();
    for table in ["vehicle_events", "vehicle_events_2025"] {
        for change in [
            format!("UPDATE {table} SET notes = 'other'"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("INSERT INTO {table} SELECT tenant_id, id, vehicle_id, type, occurred_at, date FROM {table}
                     ON CONFLICT (tenant_id, date, id) DO UPDATE SET notes = 'x'").replace("INTO vehicle", "INTO vehicle"),
        ] {
            for user in [role::SERVER, role::CLIENT] {
                let client = database.connect(user).await;
                assert!(as_tenant(&client, tenant, &change).await.is_err(), "{user}: {change}");
            }
            let change = change.replace("INTO vehicle_events SELECT", "INTO vehicle_events (tenant_id, id, vehicle_id, type, occurred_at, date) SELECT")
                .replace("INTO vehicle_events_2025 SELECT", "INTO vehicle_events_2025 (tenant_id, id, vehicle_id, type, occurred_at, date) SELECT");
            let error = admin.batch_execute(&change).await.unwrap_err();
            assert_eq!(constraint(&error), "vehicle_events_immutable", "{change}");
        }
    }
    assert_eq!(count(&admin, "SELECT count(*) FROM vehicle_events WHERE notes IS NULL").await, 1);
    for table in ["vehicles", "garages", "operations", "devices", "rejected_operations"] {
        assert!(admin.batch_execute(&format!("DELETE FROM {table}")).await.is_err(), "{table}");
        assert!(
            admin.batch_execute(&format!("TRUNCATE {table} CASCADE")).await.is_err(),
            "{table}"
        );
    }
}

/// A value that fits a form.
fn fitting(form: Form) -> Value {
    match form {
        Form::Integer(low, _) => json!(low),
        Form::Number(low, _) => json!(low),
        Form::Positive(..) => json!(1.5),
        Form::Line | Form::Text => json!("text"),
        Form::Choice(words) => json!(words[0]),
        Form::Bool => json!(true),
        Form::Date => json!("2025-03-09"),
        Form::Lines => json!(["one"]),
        Form::Objects => json!([{}]),
        Form::Object => json!({}),
        Form::Wheels(low, _) => json!({"fl": low}),
    }
}

/// Fills one field of a required group.
fn fill(event: &mut Event, spec: &registry::TypeSpec, name: &str, parent: EventId) {
    match name {
        "miles" => event.miles = Some(7),
        "total_minor" => event.total_minor = Some(0),
        "corrects" => event.corrects = Some(parent),
        name => {
            let keys = spec.keys.iter().chain(registry::COMMON);
            let form = keys.into_iter().find(|key| key.name == name).unwrap().form;
            event.payload.insert(name.into(), fitting(form));
        }
    }
}

/// The second guard against the first: for every type, alias and required group, Postgres refuses
/// what `protocol::validate` refuses and takes what it takes.
#[tokio::test]
async fn the_shape_guard_agrees_with_protocol() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(role::BYPASS).await;
    let parent = event(vehicle, "parking");
    insert(&client, tenant, &parent).await.unwrap();
    let mut offered = Vec::new();
    for spec in registry::TYPES {
        for kind in std::iter::once(&spec.name).chain(spec.aliases) {
            // Each group filled by each of its fields in turn, the others by their first.
            for (index, group) in spec.required.iter().enumerate() {
                for name in *group {
                    let mut one = event(vehicle, kind);
                    for (other, rest) in spec.required.iter().enumerate() {
                        fill(
                            &mut one,
                            spec,
                            if other == index { name } else { rest[0] },
                            parent.id,
                        );
                    }
                    let mut without = one.clone();
                    without.id = EventId(Uuid::new_v4());
                    without.payload.remove(*name);
                    match *name {
                        "miles" => without.miles = None,
                        "total_minor" => without.total_minor = None,
                        "corrects" => without.corrects = None,
                        key => {
                            let mut null = one.clone();
                            null.id = EventId(Uuid::new_v4());
                            null.payload.insert(key.into(), Value::Null);
                            offered.push(null);
                        }
                    }
                    offered.extend([one, without]);
                }
            }
            offered.push(event(vehicle, kind));
        }
    }
    for (kind, payload) in [
        ("fuel", json!({"gallons": 0})),
        ("fuel", json!({"gallons": 1000})),
        ("fuel", json!({"gallons": 1000.5})),
        ("fuel", json!({"gallons": "12"})),
        ("maintenance", json!({"kind": "  "})),
        ("damage", json!({"photos": []})),
        ("inspection", json!({"result": "maybe"})),
        ("document", json!({"doc_type": "love letter"})),
        ("dashboard_snapshot", json!({"fuel_eighths": 9})),
        ("hovercraft", json!({})),
        ("Fuel", json!({})),
    ] {
        let mut one = event(vehicle, kind);
        one.payload = payload.as_object().unwrap().clone();
        offered.push(one);
    }
    let mut verdicts = [0, 0];
    for one in offered {
        let first = validate(&one);
        let second = insert(&client, tenant, &one).await;
        assert_eq!(
            first.is_ok(),
            second.is_ok(),
            "{one:?}\nprotocol: {first:?}\nPostgres: {second:?}"
        );
        verdicts[usize::from(first.is_ok())] += 1;
        if let Err(error) = second {
            let shape = "vehicle_events_payload_shape";
            assert!(
                constraint(&error).starts_with("vehicle_events_")
                    && constraint(&error).contains("payload_shape"),
                "{shape}: {error:?}"
            );
        }
    }
    assert!(verdicts[0] > 20 && verdicts[1] > 20, "{verdicts:?}");
}

/// A row that no device could read would stop every device of the tenant.
#[tokio::test]
async fn unreadable_rows_are_refused() {
    let database = Postgres::shared().database().await;
    let (tenant, vehicle) = database.tenant_with_vehicle().await;
    let client = database.connect(role::BYPASS).await;
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let big = "x".repeat(70_000);
    for (column, value) in [
        ("payload", "'{\"n\": 1e400}'".to_string()),
        ("payload", format!("'{{\"deep\": {}}}'", nested(40))),
        ("payload", format!("'{{\"text\": \"{big}\"}}'")),
        ("payload", "'[]'".into()),
        ("payload", "'null'".into()),
        ("payload", "NULL".into()),
        ("fix", "'{\"latitude\": 1, \"longitude\": 2}'".into()),
        ("fix", "'{\"latitude\": 91, \"longitude\": 2, \"source\": \"gps\"}'".into()),
        ("fix", "'{\"latitude\": \"1\", \"longitude\": 2, \"source\": \"gps\"}'".into()),
        (
            "fix",
            "'{\"latitude\": 1, \"longitude\": 2, \"source\": \"gps\", \"age_ms\": 1.5}'".into(),
        ),
        (
            "fix",
            "'{\"latitude\": 1, \"longitude\": 2, \"source\": \"gps\", \"fixed_at\": 1.0}'".into(),
        ),
        (
            "fix",
            "'{\"latitude\": 1, \"longitude\": 2, \"source\": \"gps\", \"is_mock\": 0}'".into(),
        ),
        ("fix", "'7'".into()),
        ("timezone", "'Mars/Olympus Mons'".into()),
        ("currency", "'usd'".into()),
        ("miles", "-1".into()),
        ("miles", "10000000".into()),
        ("total_minor", "-1".into()),
        ("vendor", format!("'{}'", "x".repeat(501))),
        ("notes", format!("'{}'", "x".repeat(10_001))),
        ("type", "E'a\\tb'".into()),
        ("type", "''".into()),
        ("occurred_at", "'infinity'".into()),
        ("occurred_at", "'1899-12-31Z'".into()),
        ("date", "'10000-01-01'".into()),
        ("date", "'-infinity'".into()),
    ] {
        let mut columns: Map<String, Value> = Map::new();
        for (name, default) in
            [("type", "'parking'"), ("occurred_at", "now()"), ("date", "'2025-01-01'")]
        {
            columns.insert(name.into(), default.into());
        }
        columns.insert(column.into(), value.clone().into());
        let names: Vec<&str> = columns.keys().map(String::as_str).collect();
        let values: Vec<&str> = columns.values().map(|value| value.as_str().unwrap()).collect();
        let write = format!(
            "INSERT INTO vehicle_events (tenant_id, vehicle_id, {}) VALUES ('{tenant}', '{vehicle}', {})",
            names.join(", "),
            values.join(", ")
        );
        assert!(client.batch_execute(&write).await.is_err(), "{column} = {value}");
    }
    assert_eq!(count(&client, "SELECT count(*) FROM vehicle_events").await, 0);
}
